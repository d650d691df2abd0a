#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Both programs with --proxy-protocol: which connections are served or dropped, and when."""

import contextlib
import os
import pathlib
import signal
import socket
import struct
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import support  # noqa: E402
from support import ECHO, GET, HTTP_OK, read_all, read_response, wait_until  # noqa: E402

V1 = b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n"
V1_V6 = b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ADDRESSES = bytes((192, 0, 2, 1, 192, 0, 2, 2)) + struct.pack("!HH", 56324, 443)
V2 = SIGNATURE + struct.pack("!BBH", 0x21, 0x11, len(ADDRESSES)) + ADDRESSES
LOCAL = SIGNATURE + struct.pack("!BBH", 0x20, 0, 0)
TIME_LIMIT = 3


def on(version, *networks):
    return "--proxy-protocol", version, "--proxy-allow-from", ",".join(networks or ["127.0.0.1"])


def lines_of(path, count):
    """Returns the lines of a file, or None if there are fewer than `count`."""
    lines = pathlib.Path(path).read_text().splitlines()
    return lines if len(lines) >= count else None


def ended(connection):
    """Returns the bytes before the end of the connection, or b"" if it was reset."""
    with contextlib.suppress(ConnectionResetError):
        return read_all(connection)
    return b""


@support.on_each_backend
class ProxyProtocol(support.BackendTest):
    def dropped(self, server, text):
        with server.connect() as connection, self.subTest(text=text[:40]):
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                connection.sendall(text)
            self.assertEqual(ended(connection), b"")

    def served(self, server, text):
        with server.connect() as connection, self.subTest(text=text[:40]):
            connection.sendall(text + GET)
            self.assertEqual(read_response(connection)[1], b"OK\n")

    def test_the_access_log_names_the_client(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "access")
            with self.server(HTTP_OK, *on("auto"), "--access-log", path,
                             "--access-log-format", "common") as server:
                for text in (V1, V1_V6, V2, LOCAL):
                    self.served(server, text)
                lines = wait_until(lambda: lines_of(path, 4), "four lines")
            self.assertEqual(sorted(line.split()[0] for line in lines),
                             ["127.0.0.1", "192.0.2.1", "192.0.2.1", "2001:db8::1"])

    def test_a_connection_that_moves_to_a_new_worker_keeps_its_client(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "access")
            with self.server(HTTP_OK, *on("v2"), "--access-log", path,
                             "--access-log-format", "common") as server:
                with server.connect() as connection:
                    connection.sendall(V2 + GET)
                    self.assertEqual(read_response(connection)[1], b"OK\n")
                    before = set(server.workers())
                    server.signal(signal.SIGHUP)
                    wait_until(lambda: len(server.workers()) == 2 and
                               not before & set(server.workers()), "new workers")
                    connection.sendall(GET)
                    self.assertEqual(read_response(connection)[1], b"OK\n")
                    lines = wait_until(lambda: lines_of(path, 2), "two lines")
            self.assertEqual([line.split()[0] for line in lines], ["192.0.2.1", "192.0.2.1"])

    def test_pipelined_requests_behind_the_header(self):
        with self.server(HTTP_OK, *on("v2")) as server, server.connect() as connection:
            connection.sendall(V2 + 20 * GET)
            connection.shutdown(socket.SHUT_WR)
            answers = support.parse_answers(read_all(connection))
            self.assertEqual([(a.status, a.body) for a in answers], 20 * [(200, b"OK\n")])

    def test_a_header_in_pieces(self):
        with self.server(HTTP_OK, *on("v1")) as server, server.connect() as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(len(V1)):
                connection.sendall(V1[at:at + 1])
            connection.sendall(GET)
            self.assertEqual(read_response(connection)[1], b"OK\n")

    def test_echo(self):
        with self.server(ECHO, *on("v1")) as server, server.connect() as connection:
            connection.sendall(V1)
            self.assertTrue(support.echoes(connection))

    def test_nobody_is_served_without_a_header(self):
        for version, others in (("v1", [V2, LOCAL]), ("v2", [V1]), ("auto", [])):
            with self.server(HTTP_OK, *on(version)) as server:
                for text in (GET, b"\0", b"PROXY TCP4 1.2.3.4\r\n", *others):
                    self.dropped(server, text + 100 * b"x")
                self.served(server, V1 if version == "v1" else V2)

    def test_a_header_where_there_should_be_none_is_a_bad_request(self):
        with self.server(HTTP_OK) as server, server.connect() as connection:
            connection.sendall(V1 + GET)
            self.assertIn(b" 400 ", read_all(connection).splitlines()[0])

    def test_who_says_nothing_is_closed_after_the_time_limit(self):
        with self.server(ECHO, *on("auto")) as server:
            start = time.monotonic()
            with server.connect() as silent, server.connect() as slow, support.Stopwatch() as watch:
                slow.sendall(V1[:-1])
                for connection in (silent, slow):
                    self.assertEqual(ended(connection), b"")
                self.assertGreaterEqual(time.monotonic() - start, TIME_LIMIT - 0.1)
                self.assertLess(watch.seconds, TIME_LIMIT + 3)

    def test_from_elsewhere_nothing_is_taken_and_the_log_stays_short(self):
        with self.server(HTTP_OK, *on("v1", "127.0.0.2", "10.0.0.0/8"), "-w", "1") as server:
            for _ in range(100):
                self.dropped(server, V1 + GET)
            address = ("127.0.0.1", server.port)
            with socket.create_connection(address, support.LIMIT, ("127.0.0.2", 0)) as connection:
                connection.sendall(V1 + GET)
                self.assertEqual(read_response(connection)[1], b"OK\n")
            self.assertIn(server.log().count("dropped a connection from 127.0.0.1"), (1, 2))

    def test_unix_sockets_need_no_network(self):
        with tempfile.TemporaryDirectory() as folder:
            bind = (f"unix:{folder}/socket",)
            with self.server(HTTP_OK, "--proxy-protocol", "v2", bind=bind) as server:
                self.served(server, V2)
                self.dropped(server, GET)

    def test_the_log_says_which_version_came(self):
        for version, text, told in (("v1", V2, "of version 2, configured is version 1"),
                                    ("v2", V1, "of version 1, configured is version 2")):
            with self.server(HTTP_OK, *on(version), "-w", "1") as server:
                self.dropped(server, text)
                support.wait_until(lambda: told in server.log(), told)

    def test_no_peer_writes_lines_of_the_log(self):
        with tempfile.TemporaryDirectory() as folder:
            bind = (f"unix:{folder}/socket",)
            with self.server(HTTP_OK, "--proxy-protocol", "v2", "-w", "1", bind=bind) as server:
                with socket.socket(socket.AF_UNIX) as forger:
                    forger.bind(f"{folder}/a\nforged \x1b[2J\x9b")
                    forger.connect(f"{folder}/socket")
                    forger.sendall(GET)
                    self.assertEqual(ended(forger), b"")
                name = "a\\nforged \\x1b[2J\\xc2\\x9b: "
                support.wait_until(lambda: name in server.log(), name)
                log = server.log()
        self.assertFalse([line for line in log.splitlines() if not line[:4].isdigit()], log)


if __name__ == "__main__":
    support.main()
