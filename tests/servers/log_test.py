#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests logs and standard streams that block: they never hold up a process, and the log counts the
lines that are lost."""

import contextlib
import fcntl
import os
import re
import resource
import select
import signal
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import support  # noqa: E402
from support import ECHO, HTTP_OK, Server, wait_until  # noqa: E402


class Pipe:
    """A pipe of one page that is full until read() empties it."""

    def __init__(self):
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(self.reader, False)
        self.fill()

    def fill(self):
        os.set_blocking(self.writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(self.writer, b".")
        os.set_blocking(self.writer, True)  # a server gets it in this mode

    def read(self):
        with contextlib.suppress(BlockingIOError):
            return os.read(self.reader, 1 << 16).decode()
        return ""

    def close(self):
        os.close(self.reader)
        os.close(self.writer)


class LogTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.path = os.path.join(folder.name, "log")

    def pipe(self):
        pipe = Pipe()
        self.addCleanup(pipe.close)
        return pipe

    def works(self, server):
        """Checks that the server answers, replaces its workers and answers again."""
        with server.connect() as connection:
            self.assertTrue(support.is_ok(connection))
        before = set(server.workers())
        server.signal(signal.SIGHUP)
        wait_until(lambda: not before & set(server.workers()), "new workers")
        with server.connect() as connection:
            self.assertTrue(support.is_ok(connection))

    def ends(self, server):
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)


class StandardError(LogTest):
    def test_a_full_pipe_holds_nobody_up(self):
        for level in ("info", "trace"):
            pipe = self.pipe()
            with Server(HTTP_OK, "-w", "2", "--log-level", level, stderr=pipe.writer) as server:
                server.ready()
                self.works(server)
                os.kill(server.workers()[0], signal.SIGKILL)
                wait_until(lambda: len(server.workers()) == 2, "a successor")
                self.assertEqual(pipe.read().strip("."), "")
                self.works(server)  # now the pipe has room
                self.assertRegex(pipe.read(), r"\d+ lines of the log are lost: Resource temporarily")
                self.assertEqual(fcntl.fcntl(pipe.writer, fcntl.F_GETFL) & os.O_NONBLOCK, 0)
                self.ends(server)

    def test_a_start_that_fails_ends_all_the_same(self):
        pipe = self.pipe()
        for options, code in ((["--workers", "many"], 2), (["--bind", "192.0.2.1:80"], 4),
                              (["--log", "/no/such/log"], 2)):
            with subprocess.Popen([ECHO, *options], stdin=subprocess.DEVNULL, stderr=pipe.writer,
                                  stdout=subprocess.DEVNULL, env=support.clean_environment()) as process:
                self.assertEqual(process.wait(support.LIMIT), code)


class StandardOutput(LogTest):
    def test_a_full_pipe_holds_nobody_up(self):
        pipe = self.pipe()
        for workers in ("0", "1"):
            address = f"unix:{self.folder}/socket{workers}"
            with Server(HTTP_OK, "-w", workers, bind=(address,), stdout=pipe.writer) as server:
                wait_until(lambda: "dropped the line: ready" in server.log(), "a word in the log")
                self.assertIn(f"dropped the line: listening on {address}", server.log())
                with support.connect(address) as connection:
                    self.assertTrue(support.is_ok(connection))
                self.ends(server)


class Fifos(LogTest):
    def setUp(self):
        super().setUp()
        os.mkfifo(self.path)

    def test_one_that_nobody_reads_is_refused(self):
        code, out, err = support.run(HTTP_OK, "-b", "127.0.0.1:0", "--log", self.path)
        self.assertEqual((code, out), (2, ""))
        self.assertRegex(err, rf"--log '{self.path}': a FIFO without a reader, .*; .+\n$")

    def test_the_reader_may_go_and_come_back(self):
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        with Server(HTTP_OK, "-w", "1", "--log", self.path) as server:
            server.ready()
            wait_until(lambda: select.select([reader], [], [], 0)[0], "lines")
            os.close(reader)
            server.signal(signal.SIGUSR1)
            self.works(server)
            wait_until(lambda: "can't write the log: Broken pipe" in server.log(), "a word of it")
            reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
            self.works(server)
            self.assertRegex(os.read(reader, 1 << 16).decode(), r"\d+ lines of the log are lost: Broken")
            os.close(reader)
            self.ends(server)


class Files(LogTest):
    def lease(self):
        """Takes a lease on the file at `path`, so that an open(2) of it blocks for up to 45 s."""
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        self.addCleanup(os.close, descriptor)
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError as error:
            self.skipTest(f"no leases here: {error}")

    def test_a_lease_is_not_waited_for(self):
        with Server(HTTP_OK, "-w", "1", "--log", self.path) as server:
            server.ready()
            os.rename(self.path, self.path + ".1")
            self.lease()
            server.signal(signal.SIGUSR1)
            self.works(server)
            with open(self.path + ".1", encoding="utf-8") as old:
                self.assertRegex(old.read(), "can't reopen .*: another process has a lease on it .*; "
                                             "going on with the old file\n")
            self.ends(server)

    def test_a_lease_is_an_error_at_the_start(self):
        self.lease()
        code, _, err = support.run(HTTP_OK, "-b", "127.0.0.1:0", "--log", self.path)
        self.assertEqual(code, 2)
        self.assertIn("has a lease on it", err)

    def test_a_full_disk_is_named_once(self):
        with Server(HTTP_OK, "-w", "2", "--log", "/dev/full") as server:
            server.ready()
            self.works(server)
            self.ends(server)
            complaint = "reactor-http-ok: can't write the log: No space left on device; "
            self.assertEqual(len(re.findall(complaint, server.log())), 1, server.log())

    def test_a_file_at_its_limit_is_like_a_full_disk(self):
        def limited():
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

        for workers in ("0", "2"):
            with self.subTest(workers=workers):
                access = os.path.join(self.folder, "access" + workers)
                with Server(HTTP_OK, "-w", workers, "--access-log", access, preexec_fn=limited) as server:
                    server.ready()
                    for _ in range(20):
                        with server.connect() as connection:
                            for _ in range(20):
                                self.assertTrue(support.is_ok(connection))
                    self.ends(server)
                    self.assertLessEqual(os.path.getsize(access), 10_000)
                    self.assertIn("File too large", server.log())
                    self.assertNotIn("signal", server.log())

    def test_long_lines_are_cut_where_a_pipe_would_tear_them(self):
        config = os.path.join(self.folder, "conf")
        with open(config, "w", encoding="ascii") as file:
            file.write("workers = 1\n")
        with Server(HTTP_OK, "-c", config, "--log", self.path) as server:
            server.ready()
            with open(config, "w", encoding="ascii") as file:
                file.write("workers = \x1b" + "9" * 100_000 + "\n")
            server.signal(signal.SIGHUP)

            def line():
                with open(self.path, encoding="utf-8") as log:
                    return [each for each in log if "reload refused" in each and each.endswith("\n")]
            (refusal,) = wait_until(line, "a refusal")
            self.assertLess(len(refusal), 1000)
            self.assertIn(r"workers '\x1b9", refusal)
            self.assertIn("not a number of workers", refusal)


if __name__ == "__main__":
    support.main()
