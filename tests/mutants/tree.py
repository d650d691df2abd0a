# SPDX-License-Identifier: MIT
"""A built copy of the project, in which single files are compiled and linked with a change."""

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
OPTIONS = ["-DREACTOR_BUILD_TESTS=ON", "-DREACTOR_BUILD_BENCH=OFF", "-DREACTOR_BUILD_EXAMPLES=OFF",
           "-DREACTOR_TEST_SOURCES=OFF", "-DCMAKE_UNITY_BUILD=OFF"]


class DoesNotCompile(Exception):
    pass


class Tree:
    """What is built stays built: a copy takes over only the files that differ."""

    def __init__(self):
        self.source = WORK / "source"
        self.build = self.source / "build" / "release"
        self.scratch = WORK / "scratch"

    def make(self, targets):
        self.copy()
        configure = ["cmake", "--preset", "release", *OPTIONS]
        if flags := os.environ.get("CXXFLAGS"):
            configure.append(f"-DCMAKE_CXX_FLAGS={flags}")
        subprocess.run(configure, cwd=self.source, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["ninja", "-C", self.build, *targets], check=True, stdout=subprocess.DEVNULL)

    def open(self):
        entries = json.loads((self.build / "compile_commands.json").read_text())
        self.compilers = {}
        for entry in entries:
            name = os.path.relpath(entry["file"], self.source)
            self.compilers.setdefault(name, []).append(shlex.split(entry["command"]))
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

    def compile(self, name, text):
        """Compiles `text` in place of the source `name`; gives the object for each of its objects."""
        changed = self.scratch / pathlib.Path(name).name
        changed.write_text(text)
        objects = {}
        for number, command in enumerate(self.compilers[name]):
            at = command.index("-o") + 1
            original, command[at:at + 1] = command[at], [str(self.scratch / f"{number}.o")]
            # Beside it in the include path, as its place is another. Warnings are no errors here.
            words = [str(changed) if word == str(self.source / name) else word for word in command]
            words = [word for word in words if word != "ccache" and not word.endswith("/ccache")]
            done = subprocess.run([*words, "-w"], cwd=self.build, check=False, capture_output=True, text=True)
            command[at:at + 1] = [original]
            if done.returncode != 0:
                raise DoesNotCompile(done.stderr)
            objects[original] = self.scratch / f"{number}.o"
        return objects

    def link(self, target, objects):
        """Links `target` with these objects instead of its own; gives the program."""
        steps = subprocess.run(["ninja", "-C", self.build, "-t", "commands", target], check=True,
                               capture_output=True, text=True).stdout
        command = steps.strip().splitlines()[-1]
        link = shlex.split(re.sub(r"^: && | && :$", "", command))
        program = self.scratch / target
        link[link.index("-o") + 1] = str(program)
        named = [original for original in objects if original in link]
        link = [str(objects.get(word, word)) for word in link]
        if not named:  # in an archive, of which the linker takes nothing that it has already
            link[1:1] = map(str, objects.values())
        done = subprocess.run(link, cwd=self.build, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise DoesNotCompile(done.stderr)
        return program
