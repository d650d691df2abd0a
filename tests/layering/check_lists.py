#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that Makefile.inc lists every file below reactor/ exactly once, and nothing else.

usage: check_lists.py ROOT
       check_lists.py --self-test
"""

import pathlib
import re
import sys
import tempfile


def listed(root):
    text = (root / "Makefile.inc").read_text().split("# ---- ")[0].replace("\\\n", " ")
    files = []
    for kind, value in re.findall(r"^REACTOR_\w+_(SRCS|HDRS) *=(.*)$", text, re.M):
        suffix = ".cc" if kind == "SRCS" else ".h"
        files += [(name, name.endswith(suffix)) for name in value.split()]
    return files


def check(root):
    entries = listed(root)
    names = [name for name, _ in entries]
    there = {p.relative_to(root).as_posix() for p in (root / "reactor").rglob("*") if p.is_file()}
    problems = [f"{name}: in the wrong kind of list" for name, fits in entries if not fits]
    problems += [f"{name}: listed {names.count(name)} times" for name in sorted(set(names))
                 if names.count(name) > 1]
    problems += [f"{name}: listed, but there is no such file" for name in sorted(set(names) - there)]
    problems += [f"{name}: not listed" for name in sorted(there - set(names))]
    return problems


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "reactor").mkdir()
        for name in ("a.cc", "a.h", "forgotten.cc", "b.h"):
            (root / "reactor" / name).touch()
        (root / "Makefile.inc").write_text(
            "REACTOR_CORE_SRCS = \\\n  reactor/a.cc \\\n  reactor/gone.cc reactor/b.h\n"
            "REACTOR_CORE_HDRS = reactor/a.h reactor/a.h\n# ---- rest\nREACTOR_X_SRCS = x.cc\n")
        expected = ["reactor/b.h: in the wrong kind of list", "reactor/a.h: listed 2 times",
                    "reactor/gone.cc: listed, but there is no such file",
                    "reactor/forgotten.cc: not listed"]
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
