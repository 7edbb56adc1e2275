#!/usr/bin/env python3
"""Compares the dependencies with deny.toml and with the oldest Rust we support.

Fails if a dependency's licence is not in deny.toml's `allow`, if it does not come from crates.io
or this workspace, or if it needs a newer Rust than ours.
"""

import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"


def metadata():
    command = ["cargo", "metadata", "--format-version=1", "--locked"]
    target = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    host = re.search(r"^host: (.*)$", target, re.MULTILINE)[1]
    command += ["--filter-platform", host]
    found = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return json.loads(found.stdout)


def listed(name):
    """A list of strings in deny.toml (read by hand: tomllib is younger than some machines' Python)."""
    text = (ROOT / "deny.toml").read_text(encoding="utf-8")
    block = re.search(rf"^{name} = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    return set(re.findall(r'"([^"]+)"', block[1])) if block else set()


def allowed(expression, allow):
    """Whether an SPDX expression can be met with the licences in `allow`."""
    words = re.findall(r"[()]|[^\s()/]+", expression.replace("/", " OR "))

    def either():
        right = both()
        while words and words[0] == "OR":
            words.pop(0)
            right = both() or right
        return right

    def both():
        right = one()
        while words and words[0] == "AND":
            words.pop(0)
            right = one() and right
        return right

    def one():
        word = words.pop(0)
        if word == "(":
            right = either()
            words.pop(0)
            return right
        if words and words[0] == "WITH":
            words.pop(0)
            word += " WITH " + words.pop(0)
        return word in allow

    return either()


def version(text):
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    return tuple((numbers + [0, 0])[:3])


def main():
    found = metadata()
    used = {node["id"] for node in found["resolve"]["nodes"]}
    packages = [package for package in found["packages"] if package["id"] in used]
    ours = [package for package in packages if package["id"] in found["workspace_members"]]
    oldest = min(version(package["rust_version"]) for package in ours)
    allow = listed("allow")
    wrong, versions = [], {}
    for package in packages:
        name = f"{package['name']} {package['version']}"
        versions.setdefault(package["name"], []).append(package["version"])
        if not package["license"] or not allowed(package["license"], allow):
            wrong.append(f"{name}: licence {package['license']}")
        if package["source"] not in (None, CRATES_IO):
            wrong.append(f"{name}: comes from {package['source']}")
        if version(package["rust_version"] or "1.0") > oldest:
            wrong.append(f"{name}: needs Rust {package['rust_version']}")
    for name, several in sorted(versions.items()):
        if len(several) > 1:
            print(f"note: {name} is there in several versions: {', '.join(several)}")
    if wrong:
        print(*wrong, sep="\n", file=sys.stderr)
        sys.exit(1)
    print(f"{len(packages)} packages: licences, sources and oldest Rust {'.'.join(map(str, oldest))} fit")


if __name__ == "__main__":
    main()
