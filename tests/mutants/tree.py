# SPDX-License-Identifier: MIT
"""A built copy of the project, in which one changed file at a time is compiled and linked."""

import filecmp
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "mutants"
# No optimisation and no debug information, because a change costs mostly compiling and linking.
FLAGS = "-O0 -g0"
OPTIONS = ["-DCMAKE_BUILD_TYPE=None", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", "-DREACTOR_BUILD_TESTS=ON",
           "-DREACTOR_BUILD_BENCH=OFF", "-DREACTOR_BUILD_EXAMPLES=OFF", "-DREACTOR_TEST_SOURCES=OFF",
           "-DREACTOR_TEST_PROCESSES=OFF", "-DCMAKE_UNITY_BUILD=OFF",
           "-DREACTOR_TEST_UNITY=ON"]
LINKERS = ["mold", "lld", "gold"]  # the fastest first


class DoesNotCompile(Exception):
    pass


class Tree:
    """The copy and its build tree. Only files that differ are copied again and rebuilt."""

    def __init__(self):
        self.source = WORK / "source"
        self.build = WORK / "tree"
        self.scratch = WORK / "scratch"

    def make(self, targets, jobs):
        self.copy()
        linker = [f"-fuse-ld={name}" for name in LINKERS if shutil.which(f"ld.{name}")][:1]
        flags = " ".join([FLAGS, *os.environ.get("CXXFLAGS", "").split(), *linker])
        subprocess.run(["cmake", "-G", "Ninja", "-S", self.source, "-B", self.build, *OPTIONS,
                        f"-DCMAKE_CXX_FLAGS={flags}"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["ninja", "-C", self.build, f"-j{jobs}", *targets], check=True,
                       stdout=subprocess.DEVNULL)

    def open(self):
        entries = json.loads((self.build / "compile_commands.json").read_text())
        self.compilers = {}
        for entry in entries:
            name = os.path.relpath(entry["file"], self.source)
            self.compilers.setdefault(name, []).append(shlex.split(entry["command"]))
        self.links = {}
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(parents=True)

    def program(self, target):
        return self.build / "tests" / target

    def copy(self):
        listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True,
                                 text=True).stdout
        for name in filter(None, listing.split("\0")):
            origin, copy = ROOT / name, self.source / name
            if not origin.is_file() or copy.is_file() and filecmp.cmp(origin, copy, shallow=False):
                continue
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(origin, copy)

    def compile(self, name, text, *flags):
        """Compiles `text` in place of the source `name`. Returns original object -> new object."""
        changed = self.scratch / pathlib.Path(name).name
        changed.write_text(text)
        objects = {}
        for number, command in enumerate(self.compilers[name]):
            at = command.index("-o") + 1
            object_file = self.scratch / f"{number}.o"
            # The changed file stands outside the tree. Warnings (-w) must not stop the build.
            words = [str(changed) if word == str(self.source / name) else word for word in command]
            words[at] = str(object_file)
            words = [word for word in words if word != "ccache" and not word.endswith("/ccache")]
            done = subprocess.run([*words, *flags, "-w"], cwd=self.build, check=False, capture_output=True,
                                  text=True)
            if done.returncode != 0:
                raise DoesNotCompile(done.stderr)
            objects[command[at]] = object_file
        return objects

    def is_equivalent(self, name, text):
        """Returns whether `text` and the source `name` compile to the same optimised code."""
        def code(source):
            return [file.read_bytes() for file in self.compile(name, source, "-O2").values()]
        return code(text) == code((self.source / name).read_text())

    def command_of(self, target):
        """Returns the command that links `target`, as words."""
        if target not in self.links:
            steps = subprocess.run(["ninja", "-C", self.build, "-t", "commands", target], check=True,
                                   capture_output=True, text=True).stdout
            self.links[target] = shlex.split(re.sub(r"^: && | && :$", "", steps.strip().splitlines()[-1]))
        return list(self.links[target])

    def link(self, target, objects):
        """Links `target` with these objects in place of the originals. Returns the program."""
        link = self.command_of(target)
        program = self.scratch / target
        link[link.index("-o") + 1] = str(program)
        named = [original for original in objects if original in link]
        link = [str(objects.get(word, word)) for word in link]
        if not named:  # they are in an archive; objects before it take precedence
            link[1:1] = map(str, objects.values())
        done = subprocess.run(link, cwd=self.build, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise DoesNotCompile(done.stderr)
        return program
