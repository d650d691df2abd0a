#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The servers of an optimised build have the protections that SECURITY.md lists."""

import os
import pathlib
import platform
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
import support  # noqa: E402
from support import ECHO, HTTP_OK, SKIPPED  # noqa: E402


def readelf(option, file):
    return subprocess.run(["readelf", "--wide", option, file], check=True, capture_output=True,
                          text=True).stdout


class Hardening(unittest.TestCase):
    def test_each_program_is_position_independent(self):
        for program in (ECHO, HTTP_OK):
            self.assertRegex(readelf("--file-header", program), r"Type:\s+DYN", program)

    def test_what_the_linker_wrote_is_read_only_before_main(self):
        for program in (ECHO, HTTP_OK):
            self.assertIn("GNU_RELRO", readelf("--program-headers", program), program)
            self.assertRegex(readelf("--dynamic", program), r"BIND_NOW|Flags:.*NOW", program)

    def test_no_stack_is_executable(self):
        for program in (ECHO, HTTP_OK):
            stack = [line for line in readelf("--program-headers", program).splitlines()
                     if "GNU_STACK" in line]
            self.assertEqual(len(stack), 1, program)
            self.assertNotIn("E", stack[0].split()[-2], program)  # [-2]: the flags

    def test_stack_canaries_and_checked_calls_are_linked(self):
        for program in (ECHO, HTTP_OK):
            symbols = readelf("--dyn-syms", program)
            self.assertIn("__stack_chk_fail", symbols, program)
            self.assertRegex(symbols, r"__\w+_chk\b(?<!__stack_chk)", program)

    @unittest.skipUnless(platform.machine() == "x86_64", "indirect branches are tracked on x86")
    def test_every_object_of_the_library_tracks_indirect_branches(self):
        # A program has these notes only if the start code of the C library has them too.
        library = pathlib.Path(ECHO).resolve().parent.parent / "libreactor.a"
        notes = readelf("--notes", library)
        self.assertGreater(notes.count("File:"), 40)
        self.assertEqual(notes.count("File:"), notes.count("IBT, SHSTK"))


if __name__ == "__main__":
    if os.environ.get("REACTOR_HARDENED") != "1":
        print("skipped: this build is not hardened (debug, a sanitizer, or REACTOR_HARDENING=OFF)")
        sys.exit(SKIPPED)
    support.main()
