#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that Makefile.inc lists every source below reactor/ exactly once, and nothing else, and that
each folder of reactor/ belongs to exactly one component.

usage: check_lists.py ROOT
       check_lists.py --self-test
"""

import pathlib
import re
import sys
import tempfile


def listed(root, kind):
    text = (root / "Makefile.inc").read_text().split("# ---- ")[0].replace("\\\n", " ")
    values = re.findall(rf"^REACTOR_\w+_{kind} *=(.*)$", text, re.M)
    return [name for value in values for name in value.split()]


def compare(names, there):
    for name in sorted(set(names)):
        if names.count(name) > 1:
            yield f"{name}: listed {names.count(name)} times"
    yield from (f"{name}: listed, but there is no such file" for name in sorted(set(names) - there))
    yield from (f"{name}: not listed" for name in sorted(there - set(names)))


def check(root):
    top = root / "reactor"
    sources = {path.relative_to(root).as_posix() for path in top.rglob("*.cc")}
    folders = {path.name for path in top.iterdir() if path.is_dir()}
    strange = [path for path in top.rglob("*") if path.is_file() and path.suffix not in (".h", ".cc")]
    return [*compare(listed(root, "SRCS"), sources), *compare(listed(root, "DIRS"), folders),
            *(f"{path.relative_to(root).as_posix()}: no source" for path in sorted(strange))]


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "reactor/base").mkdir(parents=True)
        (root / "reactor/lost").mkdir()
        for name in ("a.cc", "a.h", "forgotten.cc", "base/b.cc", "base/notes.txt"):
            (root / "reactor" / name).touch()
        (root / "Makefile.inc").write_text(
            "REACTOR_CORE_DIRS = base\nREACTOR_CORE_SRCS = \\\n  reactor/a.cc reactor/base/b.cc \\\n"
            "  reactor/gone.cc reactor/a.cc\n# ---- rest\nREACTOR_X_SRCS = x.cc\n")
        expected = ["reactor/a.cc: listed 2 times",
                    "reactor/gone.cc: listed, but there is no such file",
                    "reactor/forgotten.cc: not listed", "lost: not listed",
                    "reactor/base/notes.txt: no source"]
        found = check(root)
        if found != expected:
            print(f"self-test: expected {expected}, found {found}")
            return 1
    return 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    problems = check(pathlib.Path(arguments[0]).resolve())
    for problem in problems:
        print(f"Makefile.inc: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
