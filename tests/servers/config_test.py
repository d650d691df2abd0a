#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""--config and --check-config: the syntax of the file, its precedence, and the messages for its
mistakes."""

import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import support  # noqa: E402
from support import ECHO, HTTP_OK, Server  # noqa: E402


class ConfigTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def file(self, text, name="server.conf"):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        return path


class Files(ConfigTest):
    def body(self, text):
        """Returns the body that a server with this configuration file answers with."""
        path = self.file(text)
        with Server(HTTP_OK, "-w", "0", "-c", path) as server:
            with server.ready().connect() as connection:
                connection.sendall(support.GET)
                return support.read_response(connection)[1]

    def test_settings(self):
        path = self.file("# a comment\n\n  workers=3  \nbind = 127.0.0.1:0\n"
                         "bind = 127.0.0.2:0 # another one\n\tbody\t=\thello there\t# greeting\r\n")
        with Server(HTTP_OK, "--config", path, bind=()) as server:
            server.ready()
            self.assertEqual([a.rpartition(":")[0] for a in server.addresses],
                             ["127.0.0.1", "127.0.0.2"])
            self.assertEqual(len(server.workers()), 3)
            with server.connect() as connection:
                connection.sendall(support.GET)
                self.assertEqual(support.read_response(connection)[1], b"hello there")

    def test_values(self):
        for text, body in (("plain", b"plain"), ("a = b", b"a = b"), ("a#b", b"a#b"), ("a #b", b"a"),
                           ("#b", b""), ("", b""), ('""', b""), ('"a # b"', b"a # b"),
                           ('"  a  "', b"  a  "), ('"a" # b', b"a"), (r'"\"\\\n\r\t"', b'"\\\n\r\t'),
                           ('a "b" c', b'a "b" c'), ("[a,b]", b"[a,b]"), ("-1", b"-1"),
                           ("--help", b"--help"), ("é", "é".encode())):
            with self.subTest(text=text):
                self.assertEqual(self.body(f"body = {text}"), body)

    def test_flag_then_environment_then_file_then_default(self):
        path = self.file("workers = 3\nbind = 127.0.0.3:0\nbody = file\n")
        def started(*options, **environment):
            with Server(HTTP_OK, *options, bind=(),
                        environment={"REACTOR_CONFIG": path, **environment}) as server:
                server.ready()
                host = server.addresses[0].rpartition(":")[0]
                return len(server.workers()), host, len(server.addresses)
        self.assertEqual(started(), (3, "127.0.0.3", 1))
        self.assertEqual(started(REACTOR_WORKERS="2", REACTOR_BIND="127.0.0.2:0"),
                         (2, "127.0.0.2", 1))
        self.assertEqual(started("-w", "1", "-b", "127.0.0.1:0", REACTOR_WORKERS="2",
                                 REACTOR_BIND="127.0.0.2:0"), (1, "127.0.0.1", 1))

    def test_a_flag_names_the_file_where_the_environment_does_too(self):
        bad = self.file("nonsense", "bad.conf")
        good = self.file("body = good")
        code, out, err = support.run(HTTP_OK, "-t", "-c", good, environment={"REACTOR_CONFIG": bad})
        self.assertEqual((code, out, err), (0, "configuration ok\n", ""))


class Mistakes(ConfigTest):
    def complains(self, text, line, *parts, program=HTTP_OK):
        path = self.file(text)
        for how in ([], ["-t"]):
            with self.subTest(text=text, how=how):
                code, out, err = support.run(program, "-c", path, *how)
                self.assertEqual((code, out), (2, ""), err)
                self.assertTrue(err.startswith(f"{os.path.basename(program)}: {path}:{line}: "), err)
                self.assertEqual(err.count("\n"), 1, err)
                for part in parts:
                    self.assertIn(part, err)

    def test_unknown_keys(self):
        for slip, meant in (("wrokers", "workers"), ("worker", "workers"), ("--workers", "workers"),
                            ("graceful_timeout", "graceful-timeout"), ("BIND", "bind"),
                            ("max-conections", "max-connections"), ("keepalive", "keep-alive")):
            self.complains(f"\n{slip} = 1", 2, f"{slip}: no such key; did you mean {meant}?")
        for other in ("colour", "config", "check-config", "help", "version"):
            self.complains(f"{other} = 1", 1, f"{other}: no such key; ")
        self.complains("body = x", 1, "body: no such key; ", program=ECHO)

    def test_bad_values(self):
        self.complains("body = x\nworkers = many\n", 2, "workers 'many': not a number", "; give ")
        self.complains("bind = 127.0.0.1:0\nbind = nowhere\n", 2, "bind 'nowhere': not an address")
        self.complains("access-log = /no/such/log", 1, "access-log '/no/such/log': No such file")

    def test_a_bad_value_that_is_overridden_does_not_count(self):
        path = self.file("workers = many")
        code, out, _ = support.run(HTTP_OK, "-t", "-c", path, "-w", "1")
        self.assertEqual((code, out), (0, "configuration ok\n"))
        code, _, err = support.run(HTTP_OK, "-t", "-c", path, "-w", "few")
        self.assertEqual(code, 2)
        self.assertIn("--workers 'few'", err)

    def test_lines_that_are_none(self):
        self.complains("workers", 1, "'workers': not a setting; use KEY = VALUE")
        self.complains("= 3", 1, "not a setting")
        self.complains("[server]\nworkers = 3", 1, "not a setting")
        self.complains(b"\n\n\0\x1b[31m", 3, r"\x00\x1b[31m")

    def test_what_steers_a_terminal_is_escaped_and_long_lines_are_cut(self):
        self.complains("\x1b[2J = 1", 1, r"\x1b[2J: no such key")
        self.complains(b"b\xc3\xa4d\xff = 1", 1, "b\u00e4d\\xff: no such key")
        self.complains("workers = \u009b4\u20282J", 1, r"workers '\xc2\x9b4\xe2\x80\xa82J': not a number")
        long = "x" * 100_000
        self.complains(f"{long} = 1", 1, "x... (100000 bytes): no such key; ")
        self.complains(long, 1, "x... (100000 bytes)': not a setting; ")
        self.complains(f"workers = {long}", 1, "x... (100000 bytes)': not a number")
        code, _, err = support.run(HTTP_OK, "-c", self.file(f"backlog = {long}"))
        self.assertEqual(code, 2)
        self.assertLess(len(err), 1000)
        code, _, err = support.run(HTTP_OK, "--fla\ng" + long)
        self.assertEqual((code, err.count("\n")), (2, 1))
        self.assertLess(len(err), 1000)

    def test_a_key_given_twice(self):
        self.complains("workers = 1\nbody = x\nworkers = 2\n", 3, "workers: is in line 1 already; ")

    def test_quotes(self):
        self.complains('body = "x', 1, "body: no \" at the end; ")
        self.complains('body = "x\\', 1, "body: ", "; ")
        self.complains('body = "x" y', 1, "body: text after the closing \"; ")
        self.complains('body = "\\q"', 1, "body: an unknown escape; ")

    def test_a_file_that_is_too_large(self):
        path = self.file("#" * (1 << 20) + "\n\n")
        code, _, err = support.run(HTTP_OK, "-t", "-c", path)
        self.assertEqual(code, 2)
        self.assertIn(f"--config '{path}': larger than 1 MiB; ", err)


class Check(ConfigTest):
    def test_ok(self):
        for program in (ECHO, HTTP_OK):
            for flag in ("-t", "--check-config"):
                self.assertEqual(support.run(program, flag), (0, "configuration ok\n", ""))

    def test_it_binds_nothing(self):
        with Server(ECHO, "-w", "1") as server:
            address = server.ready().addresses[0]
            self.assertEqual(support.run(ECHO, "-t", "-b", address), (0, "configuration ok\n", ""))
        path = os.path.join(self.folder, "socket")
        self.assertEqual(support.run(ECHO, "-t", "-b", "unix:" + path)[0], 0)
        self.assertFalse(os.path.exists(path))

    def test_it_looks_at_the_log(self):
        code, out, err = support.run(ECHO, "-t", "--log", "/no/such/log")
        self.assertEqual((code, out), (2, ""))
        self.assertIn("--log '/no/such/log': No such file or directory; ", err)


if __name__ == "__main__":
    support.main()
