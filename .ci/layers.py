#!/usr/bin/env python3
"""Checks who imports whom inside a crate against the order that its folders are declared in (LAYERS).

A module may import from its own floor and from those below it. Fails on an import upwards, and on a circle of
more than three modules. The declared order is the whole of it: what is not listed fails, too.

It reads names, not types: a method that is called on a value is no import to it.

    .ci/layers.py            checks
    .ci/layers.py --show     prints each floor, and who imports whom
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Of each crate its floors, from the top. A floor is one folder, or several modules that lie beside each other.
LAYERS = {
    "channel": [
        ["lib", "local", "poster", "builder", "channel", "in_flight", "post", "submit"],
        ["shm"],
        ["getting"],
        ["ports"],
        ["drivers"],
        ["kinds"],
        ["events"],
        ["operation"],
        ["id"],
        ["interrupt"],
        ["sys", "waker", "registrar"],
        ["alarm", "blocker", "closing", "fork", "helpers", "line", "lock", "foreign", "luck", "mend", "occurrences", "pages", "posts", "pot", "queue", "ring", "sleeping", "sync", "visits"],
    ],
    "tasks": [
        ["lib", "local", "info", "thread"],
        ["life"],
        ["wait"],
        ["worker"],
        ["task"],
        ["stack"],
        ["own", "own_unsupported"],
        ["slab"],
        ["here"],
        ["util"],
    ],
    "pool": [
        ["lib", "pool", "builder", "shutdown", "metrics"],
        ["wait"],
        ["worker"],
        ["interrupt"],
        ["size"],
        ["core"],
        ["sleep"],
        ["lifecycle", "dump", "awaited", "shutdown_error"],
        ["sync", "cpus", "joining", "grace", "foreign"],
    ],
}
# Imports that go against the order all the same, each with its reason. One that is not needed any more fails, too.
EXCEPT = {
    ("channel", "events::body", "getting::shared"): "a handler takes the channel: its type is named",
    ("channel", "events::request", "getting::shared"): "a handler takes the channel: its type is named",
}
# A circle of more modules than that is one too many to be understood at once.
MOST_IN_A_CIRCLE = 3


# Comments, strings and characters, which say nothing of imports.
SILENT = re.compile(
    r"""//[^\n]*|r(?P<hashes>\#*)"(?:.|\n)*?"(?P=hashes)|"(?:\\(?:.|\n)|[^"\\])*"|'(?:\\[^\n]{1,8}?|[^'\\\n])'"""
)
TESTS = re.compile(r"#\[cfg\((?:test|all\(test\b[^\]]*)\)\]\s*mod\s+\w+\s*\{")
# One step up, and the rest of them.
SUPERS = re.compile(r"\bsuper\s*::\s*((?:super\s*::\s*)*)")
INLINE = re.compile(r"\bmod\s+(\w+)\s*\{")


def without_comments(text):
    """Block comments nest, so they go first, found from the inside."""
    block = re.compile(r"/\*(?:(?!/\*|\*/)(?:.|\n))*\*/")
    quiet = SILENT.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)
    while block.search(quiet):
        quiet = block.sub(" ", quiet)
    return quiet


def end_of_block(text, start):
    """Behind the brace that closes the one before `start`."""
    depth = 1
    while depth and start < len(text):
        depth += (text[start] == "{") - (text[start] == "}")
        start += 1
    return start


def sources(crate):
    """Each module of the crate by its path (`a::b`), with what of its text speaks of imports."""
    root = ROOT / crate / "src"
    found = {}
    for file in sorted(root.rglob("*.rs")):
        parts = list(file.relative_to(root).with_suffix("").parts)
        if parts[-1] == "mod":
            parts.pop()
        text = without_comments(file.read_text(encoding="utf-8"))
        while tests := TESTS.search(text):
            text = text[: tests.start()] + text[end_of_block(text, tests.end()) :]
        # What a module within the file calls `super` is the file's own.
        at = 0
        while inner := INLINE.search(text, at):
            end = end_of_block(text, inner.end())
            body = SUPERS.sub(lambda found: found.group(1) or "self::", text[inner.end() : end])
            text = text[: inner.end()] + body + text[end:]
            at = inner.end()
        text = text.replace("$crate", "crate")
        found["::".join(parts)] = re.sub(r"\s*::\s*", "::", text)
    return found


def leaves(tree):
    """The paths of what stands behind `use`: `a::{b, c as d}` gives `(a, b), b` and `(a, c), d`."""
    tree = tree.strip()
    brace = tree.find("{")
    if brace < 0:
        path, _, other = tree.partition(" as ")
        parts = [part.strip() for part in path.split("::") if part.strip()]
        if parts and parts[-1] == "self":
            parts.pop()
        return [(parts, other.strip() or (parts[-1] if parts else ""))]
    head = [part.strip() for part in tree[:brace].split("::") if part.strip()]
    found, depth = [], 0
    inner = tree[brace + 1 : tree.rindex("}")]
    items, item = [], ""
    for letter in inner:
        depth += (letter == "{") - (letter == "}")
        if letter == "," and depth == 0:
            items.append(item)
            item = ""
        else:
            item += letter
    for item in [*items, item]:
        for parts, name in leaves(item) if item.strip() else []:
            found.append((head + parts, name or head[-1]))
    return found


USE = re.compile(r"\b(pub(?:\([^)]*\))?\s+)?use\s+([^;]+);")


def imports(modules):
    """Of each module those whose items it names, itself left out. Who names what a module hands on (`pub use`) names what that
    comes from. A module hands on what lies below itself in its own folder without importing it; all else that it hands on it imports."""
    handed_on, macros = {module: {} for module in modules}, {}

    def base(module, first):
        """Where a path that begins so begins; `None`: in another crate, or at a name of the module's own."""
        here = [] if module == "lib" else module.split("::")
        if first == "crate":
            return []
        if first == "self":
            return here
        if first == "super":
            return here[:-1]
        return here + [first] if "::".join(here + [first]) in modules else None

    def resolve(module, parts, seen=()):
        at = base(module, parts[0])
        if at is None:
            return None
        rest = parts[1:]
        while rest and rest[0] == "super":
            at, rest = at[:-1], rest[1:]
        while rest and "::".join([*at, rest[0]]) in modules:
            at, rest = [*at, rest[0]], rest[1:]
        home = "::".join(at) or "lib"
        if rest and rest[0] in handed_on.get(home, {}) and (home, rest[0]) not in seen:
            further = [*handed_on[home][rest[0]], *rest[1:]]
            return resolve(home, further, (*seen, (home, rest[0])))
        if rest and home == "lib" and rest[0] in macros:
            return macros[rest[0]]
        return home

    def is_own(module, parts):
        target = resolve(module, parts)
        return target is not None and (module == "lib" or target.startswith(f"{module}::"))

    for module, text in modules.items():
        for name in re.findall(r"#\[macro_export\]\s*macro_rules!\s*(\w+)", text):
            macros[name] = module
        for public, tree in USE.findall(text):
            if public:
                for parts, name in leaves(tree):
                    handed_on[module][name] = parts
    edges = {}
    for module, text in modules.items():
        paths = []
        for public, tree in USE.findall(text):
            found = [parts for parts, _ in leaves(tree)]
            paths += [parts for parts in found if parts and not (public and is_own(module, parts))]
        rest = USE.sub("", text)
        paths += [path.split("::") for path in re.findall(r"(?<![\w:])[a-z]\w*(?:::\w+)+", rest)]
        named = {resolve(module, parts) for parts in paths}
        named |= {macros[name] for name in re.findall(r"(?<![\w:])(\w+)!\s*[(\[{]", rest) if name in macros}
        edges[module] = named - {None, module}
    return edges


def hidden(crate, modules):
    """What this script cannot follow is not allowed."""
    for module, text in modules.items():
        for what in re.findall(r"#\[path\b|\binclude!|\bextern crate self\b", text):
            yield f"{crate}: {module} says `{what}`, behind which imports are not seen"


def circles(edges):
    """The strongly connected parts with more than one module."""
    number, low, stack, found = {}, {}, [], []

    def visit(v):
        number[v] = low[v] = len(number)
        stack.append(v)
        for w in edges[v]:
            if w not in number:
                visit(w)
                low[v] = min(low[v], low[w])
            elif w in stack:
                low[v] = min(low[v], number[w])
        if low[v] == number[v]:
            part = stack[stack.index(v):]
            del stack[stack.index(v):]
            if len(part) > 1:
                found.append(sorted(part))

    for v in sorted(edges):
        if v not in number:
            visit(v)
    return found


def check(crate, floors, show):
    modules = sources(crate)
    edges = imports(modules)
    floor_of = {name: index for index, names in enumerate(floors) for name in names}
    trouble = list(hidden(crate, modules))
    for module in modules:
        if module.split("::")[0] not in floor_of:
            trouble.append(f"{crate}: {module} is on no floor")
    if trouble:
        return trouble
    floor = {module: floor_of[module.split("::")[0]] for module in modules}
    for of, module, target in EXCEPT:
        if of == crate:
            if target not in edges.get(module, set()):
                trouble.append(f"{crate}: {module} does not import {target}: EXCEPT is too long")
            edges.get(module, set()).discard(target)
    for module, targets in sorted(edges.items()):
        for target in sorted(targets):
            if floor[target] < floor[module]:
                trouble.append(f"{crate}: {module} imports {target}, which is above it")
    for part in circles(edges):
        if len(part) > MOST_IN_A_CIRCLE:
            trouble.append(f"{crate}: {len(part)} modules in a circle: {', '.join(part)}")
    if show:
        for index, names in enumerate(floors):
            print(f"{crate}, floor {len(floors) - 1 - index}: {', '.join(names)}")
            for module in sorted(m for m in modules if floor[m] == index):
                print(f"    {module:24} {' '.join(sorted(edges[module]))}")
        for part in circles(edges):
            print(f"{crate}, a circle: {', '.join(part)}")
    return trouble


def main():
    show = sys.argv[1:] == ["--show"]
    trouble = [line for crate, floors in LAYERS.items() for line in check(crate, floors, show)]
    print("\n".join(trouble) if trouble else "every import goes downwards, and no circle is too large")
    sys.exit(bool(trouble))


main()
