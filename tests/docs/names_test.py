#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that each name in the pages exists: files, options, environment variables, symbols.

A name is what stands in single back quotes outside of fenced blocks. Each file of the tree must be
found by the path that a page gives; each symbol must stand in the code (comments don't count). If a
page says that a function is in a file (`f()` in `file`, or `f()` (`file`)), it must be there."""
import os
import re
import subprocess
import unittest
from pathlib import Path

SOURCE = Path(os.environ["SOURCE"])
PAGES = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "bench/README.md", "tests/adversity/README.md",
         *sorted(str(page.relative_to(SOURCE)) for page in (SOURCE / "docs").glob("*.md"))]

FENCED = re.compile(r"^( *)```.*?^\1```", re.S | re.M)
QUOTED = re.compile(r"`([^`\n]+)`")
FILE = re.compile(r"[\w.*/-]+\.(?:h|cc|cpp|py|md|sh|cmake|inc|tsv|txt|yml|conf|service)|[\w./-]+/")
OPTION = re.compile(r"--[a-z][a-z-]+")
VARIABLE = re.compile(r"REACTOR_[A-Z_]+")
PLACED = re.compile(r"`([\w:~]+)\(\)`\s+(?:in\s+|\()`([\w./-]+\.(?:h|cc))`")
SYMBOL = re.compile(r"~?[A-Za-z_]\w*(?:::~?[A-Za-z_]\w*)*(?:\(\))?")

# What the pages name besides, and whose it is.
FOREIGN = {
    **dict.fromkeys(["epoll_ctl", "sigaction", "recvmmsg", "sendmmsg"], "system calls"),
    **dict.fromkeys(["UnixStreamServer", "UnixDatagramServer", "ThreadingMixIn", "ForkingMixIn", "serve_forever()"],
                    "Python's socketserver"),
    "RssAnon": "a line of /proc/PID/status",
    "no_new_privs": "a process attribute of Linux",
    "build/": "made by the build",
    "results.tsv": "written by tests/mutants/run",
}


class Tree:
    """What the pages may name."""

    def __init__(self):
        listed = subprocess.run(["git", "ls-files"], cwd=SOURCE, capture_output=True, text=True)
        self.files = listed.stdout.split() if listed.returncode == 0 else [
            str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*") if path.is_file()]
        code = {file: re.sub(r"//[^\n]*", "", self.read(file)) for file in self.files if file.endswith((".h", ".cc"))}
        build = [self.read(file) for file in self.files
                 if file.endswith(("CMakeLists.txt", ".cmake", "Makefile.inc", ".in", "Presets.json"))]
        self.code = code
        self.sources = [set(re.findall(r"\w+", text)) for text in code.values()]
        self.words = set().union(*self.sources, *(re.findall(r"\w+", text) for text in build))
        self.words.update("bench_" + Path(file).stem for file in self.files if file.startswith("bench/"))
        programs = [self.read(file) for file in self.files
                    if file == "dev" or file.startswith("bench/") and file.endswith(".py")]
        self.options = {option for text in [*code.values(), *programs] for option in OPTION.findall(text)}
        self.options.update("--" + name for file in code if file.startswith("servers/")
                            for name in re.findall(r'"([a-z][a-z-]+)"', code[file]))

    @staticmethod
    def read(file):
        return (SOURCE / file).read_text(errors="replace")

    def has_file(self, path):
        if "*" in path:
            pattern = re.compile(r"(.*/)?" + re.escape(path).replace(r"\*", "[^/]*") + "$")
            return any(pattern.match(file) for file in self.files)
        if path.endswith("/"):
            return any(("/" + file).find("/" + path) >= 0 for file in self.files)
        return any(file == path or file.endswith("/" + path) for file in self.files)

    def places(self, file, name):
        """Whether each part of the function's name stands in a file of this path."""
        texts = [text for path, text in self.code.items() if path == file or path.endswith("/" + file)]
        return any(all(re.search(rf"\b{part}\b", text) for part in name.split("::")) for text in texts)

    def has_symbol(self, name):
        parts = {part.strip("~") for part in re.sub(r"\(\)$", "", name).split("::")}
        if len(parts) == 1:
            return parts <= self.words
        return any(parts <= words for words in self.sources)


def complaint(tree, name):
    """Says what is wrong with the name, or returns None."""
    if name in FOREIGN:
        return None
    option = re.match(r"(--[a-z][a-z-]+)(?:[ =].*)?$", name)
    if option:
        return None if option[1] in tree.options else f"no program here has the option {option[1]}"
    variable = re.match(r"(REACTOR_[A-Z_]+)(?:=.*)?$", name)
    if variable:
        option = "--" + variable[1].removeprefix("REACTOR_").lower().replace("_", "-")
        known = variable[1] in tree.words or option in tree.options
        return None if known else f"nothing reads {variable[1]}"
    if FILE.fullmatch(name) and not name.startswith(("/", "..")):
        return None if tree.has_file(name) else f"there is no file {name}"
    if SYMBOL.fullmatch(name) and re.search(r"::|\(\)|_|[a-z][A-Z]|^k[A-Z]", name):
        word = re.sub(r"^reactor::|\(\)$", "", name)
        return None if tree.has_symbol(word) else f"the sources have no {name}"
    return None


def names(page):
    """Yields (line, name) of each name in the text of a page."""
    text = FENCED.sub(lambda block: "\n" * block[0].count("\n"), page)
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("    "):
            for match in QUOTED.finditer(line):
                yield number, match[1]


class Names(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tree = Tree()

    def test_each_name_exists(self):
        wrong = [f"{page}:{line}: {what}" for page in PAGES for line, name in names((SOURCE / page).read_text())
                 if (what := complaint(self.tree, name))]
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_each_function_is_in_the_file_that_the_page_gives(self):
        placed = [(page, *match) for page in PAGES for match in PLACED.findall((SOURCE / page).read_text())]
        self.assertGreater(len(placed), 20)
        wrong = [f"{page}: {name}() is not in {file}" for page, name, file in placed if not self.tree.places(file, name)]
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_a_function_in_another_file_is_told(self):
        self.assertTrue(self.tree.places("loop/internal/core.cc", "Core::turn"))
        self.assertFalse(self.tree.places("loop/internal/core.cc", "Stream::write_now"))

    def test_each_exception_is_needed(self):
        named = {name for page in PAGES for _, name in names((SOURCE / page).read_text())}
        self.assertEqual(set(FOREIGN) - named, set())

    def test_a_name_that_does_not_exist_is_told(self):
        for name in ("net/nothing.cc", "nothing/", "--no-such-option", "--no-such-option 3", "REACTOR_NO_SUCH=1",
                     "Loop::no_such_call", "no_such_call()", "kNoSuchThing", "NoSuchClass", "no_such_word"):
            self.assertIsNotNone(complaint(self.tree, name), name)

    def test_names_that_exist_are_found(self):
        for name in ("net/socket.cc", "reactor/net/", "tests/fuzz/*_fuzz.cc", "--workers", "--workers 2",
                     "REACTOR_WORKERS=2", "REACTOR_BACKEND", "Loop::post()", "reactor::Stream", "run_once()"):
            self.assertIsNone(complaint(self.tree, name), name)

    def test_fenced_blocks_are_left_out(self):
        self.assertEqual(list(names("a\n```sh\n`nope`\n```\n`yes`\n")), [(5, "yes")])


if __name__ == "__main__":
    unittest.main()
