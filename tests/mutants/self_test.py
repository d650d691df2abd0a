#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests the parts of tests/mutants/run with an invented source and shell scripts as programs."""

import os
import pathlib
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True

import generate  # noqa: E402
import trial  # noqa: E402

FAILS = "echo '[  FAILED  ] Suite.Name (1 ms)'; exit 1"
SOURCE = """\
#include "made_up.h"

// if (comments) change_nothing();
bool Thing::grows(int by) {
  if (by < 0 && !allowed_) return false;
  log("a, b < c && d");
  size_ = size_ + 1;
  return true;
}

void Thing::end() {
  if (ended_) {
    fail(Errc::timed_out);
  }
  const int count = 3;
}
"""


class Generate(unittest.TestCase):
    def setUp(self):
        self.mutants = generate.mutants("made_up.cc", SOURCE)
        self.seen = {(one.line, one.new) for one in self.mutants}

    def test_each_kind_of_change_is_made(self):
        for change in [
            (5, "if (!(by < 0 && !allowed_)) return false;"),
            (5, "if (by <= 0 && !allowed_) return false;"),
            (5, "if (by < 0 || !allowed_) return false;"),
            (5, "if (by < 0 && !allowed_) return true;"),
            (7, "size_ = size_;"),
            (7, ";"),
            (7, "return {}; size_ = size_ + 1;"),
            (8, "return false;"),
            (12, "if (!(ended_)) {"),
            (13, "fail(Errc::invalid_argument);"),
            (13, ";"),
            (13, "return; fail(Errc::timed_out);"),
        ]:
            self.assertIn(change, self.seen)

    def test_comments_texts_logs_and_declarations_stay(self):
        lines = {one.line for one in self.mutants}
        self.assertEqual(lines & {1, 3, 6, 15}, set())

    def test_a_change_is_applied_to_its_line_only(self):
        one = next(one for one in self.mutants if one.line == 12)
        before, after = SOURCE.split("\n"), generate.applied(one, SOURCE).split("\n")
        self.assertEqual([i + 1 for i, line in enumerate(before) if line != after[i]], [12])
        self.assertEqual(after[11], "  if (!(ended_)) {")
        with self.assertRaises(ValueError):
            generate.applied(one, SOURCE.replace("ended_", "over_"))


@unittest.skipUnless(sys.platform == "linux", "process namespaces are Linux's")
class Trial(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        try:
            self.tests = trial.Tests(2, silence=1)
        except SystemExit as problem:
            self.skipTest(str(problem))

    def program(self, script):
        path = self.folder / "test_program"
        path.write_text("#!/bin/sh\n" + script)
        path.chmod(0o755)
        return path

    def test_tests_that_pass_let_the_change_survive(self):
        self.assertEqual(self.tests.killer(self.program("exit 0"), None), "")

    def test_a_failure_that_is_repeated_kills(self):
        failing = self.program(FAILS)
        self.assertEqual(self.tests.killer(failing, None), "Suite.Name")

    def test_a_test_that_fails_once_does_not_count(self):
        flaky = self.program(f"mkdir {self.folder}/once 2>/dev/null || exit 0; {FAILS}")
        self.assertEqual(self.tests.killer(flaky, None), "")

    def test_a_test_that_fails_without_the_change_does_not_count(self):
        broken = self.program(FAILS)
        self.assertEqual(self.tests.killer(broken, broken), "")

    def test_a_program_that_does_not_end_is_killed_with_its_children(self):
        sleep = f"sleep 1000.{os.getpid()}"
        endless = self.program(f"echo '[ RUN      ] Suite.Name'; {sleep} & wait")
        self.assertEqual(self.tests.killer(endless, None), "Suite.Name (no end)")
        end = time.monotonic() + 10
        while sleep in map(self.command, filter(str.isdigit, os.listdir("/proc"))):
            self.assertLess(time.monotonic(), end, "the killed namespace lives on")

    @staticmethod
    def command(pid):
        try:
            return pathlib.Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
        except OSError:
            return ""

    def test_slow_tests_and_the_later_backends_wait_for_the_others(self):
        noted = self.folder / "filters"
        program = self.program(f"echo '[       OK ] A.Slow (100 ms)'; echo $1 >> {noted}; exit 0")
        self.tests.measure(program)
        noted.unlink()
        self.assertEqual(self.tests.killer(program, None, ["A.Likely"]), "")
        self.assertEqual(noted.read_text().split(), [
            "--gtest_filter=A.Likely",
            *["--gtest_filter=-*/select:*/kqueue:A.Slow"] * 2,
            *["--gtest_filter=*/select:*/kqueue:A.Slow"] * 2])

    def test_it_ends_no_process_but_its_own(self):
        self.assertEqual(self.tests.killer(self.program("kill -9 -1; exit 0"), None), "")


if __name__ == "__main__":
    unittest.main()
