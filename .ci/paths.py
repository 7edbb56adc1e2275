#!/usr/bin/env python3
"""Fails on a file that a document or a comment names (in backquotes) and that is not there."""

import fnmatch
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ("channel", "tasks", "pool", "src", "tests", "examples", "benches", ".ci")
NAMED = re.compile(r"`((?:[\w.]+/)*[\w.*-]+/?)(?:::\w+)*`")
# What is made when something runs.
MADE = ("benches/target", "benches/results/DATE")


def texts():
    yield from ROOT.glob("*.md")
    for folder in FOLDERS:
        for here, folders, files in os.walk(ROOT / folder):
            folders[:] = [name for name in folders if name != "target"]
            yield from (pathlib.Path(here, name) for name in files if name.endswith((".rs", ".md", ".sh", ".py")))


def is_there(path, at):
    """A path from the root, from the crate's or its `src`, or from the file's own folder; a bare name: of any file of the crate."""
    crate = ROOT / at.parts[0] if at.parts[0] in ("channel", "tasks", "pool") else ROOT
    if "/" not in path:
        return any(fnmatch.fnmatch(name, path) for name in NAMES[crate])
    return any(any(root.glob(path.rstrip("/"))) for root in (ROOT, crate, crate / "src", (ROOT / at).parent))


NAMES = {ROOT: set(), **{ROOT / crate: set() for crate in ("channel", "tasks", "pool")}}
for file in texts():
    NAMES[ROOT].add(file.name)
    NAMES.get(ROOT / file.relative_to(ROOT).parts[0], set()).add(file.name)

missing = []
for file in texts():
    at = file.relative_to(ROOT)
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        for path in NAMED.findall(line):
            is_path = path.startswith(tuple(f"{folder}/" for folder in FOLDERS)) or path.endswith(".rs")
            if is_path and not path.startswith(MADE) and not is_there(path, at):
                missing.append(f"{at}:{number}: there is no {path}")
print("\n".join(missing) if missing else "every file that is named is there")
sys.exit(bool(missing))
