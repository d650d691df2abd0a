#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures the memory that clients cost which send requests and never read the answers.
docs/operations.md documents the bounds. Also tests --idle-timeout."""

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
import support  # noqa: E402
from support import ECHO, HTTP_OK, LIMIT, wait_until  # noqa: E402

BUILT_WITH_TLS = HTTP_OK and "--tls-cert" in support.run(HTTP_OK, "--help")[1]
CLIENTS = 60
MOST_PLAIN, MOST_TLS = 48_000, 64_000  # bytes per client, as documented
ROUNDS = 20  # in each, the clients read a little, so that the server continues


class Flood:
    """Clients that send as long as the server reads from them."""

    def __init__(self, server, stack, count, what, context):
        self.what = what
        self.clients = []
        for _ in range(count):
            client = socket.socket()
            stack.enter_context(client)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(LIMIT)
            client.connect(("127.0.0.1", server.port))
            if context:
                client = stack.enter_context(context.wrap_socket(client, server_hostname="localhost"))
            client.setblocking(False)
            self.clients.append(client)

    def send(self, most):
        """Sends up to `most` times per client while the socket takes it. Returns the bytes sent."""
        sent = 0
        for client in self.clients:
            for _ in range(most):
                try:
                    sent += client.send(self.what)
                except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    break
        return sent

    def read_a_little(self):
        for client in self.clients:
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                client.recv(16384)


class SlowReaders(unittest.TestCase):
    def cost(self, program, what, *options, context=None):
        with support.Server(program, "-w", "1", *options) as server, contextlib.ExitStack() as stack:
            server.ready()
            [worker] = server.workers()
            if support.has_shadow_memory(worker):
                self.skipTest("a sanitizer's memory")

            def fill(flood):
                wait_until(lambda: flood.send(100) == 0, "the server reads no more")
                for _ in range(ROUNDS):
                    flood.read_a_little()
                    flood.send(1)
                    time.sleep(0.01)  # gives the server time; the test does not depend on it

            fill(Flood(server, stack, 5, what, context))  # memory that all connections share
            before = support.resident(worker)
            fill(Flood(server, stack, CLIENTS, what, context))
            each = (support.resident(worker) - before) / CLIENTS
            print(f"{os.path.basename(program)} {'TLS ' if context else ''}{each:.0f} bytes each", file=sys.stderr)
            return each

    def test_plain(self):
        self.assertLess(self.cost(HTTP_OK, support.GET * 500), MOST_PLAIN)
        self.assertLess(self.cost(ECHO, b"x" * 65536), MOST_PLAIN)

    @unittest.skipUnless(BUILT_WITH_TLS, "built without TLS")
    def test_over_tls(self):
        with tempfile.TemporaryDirectory() as folder:
            cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost",
                 "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
            options = ("--tls-cert", cert, "--tls-key", key)
            context = ssl.create_default_context(cafile=cert)
            self.assertLess(self.cost(HTTP_OK, support.GET * 500, *options, context=context), MOST_TLS)
            self.assertLess(self.cost(ECHO, b"x" * 65536, *options, context=context), MOST_TLS)


@unittest.skipUnless(ECHO, "no reactor-echo")
class IdleTimeout(unittest.TestCase):
    def test_a_silent_connection_is_closed(self):
        with support.Server(ECHO, "-w", "1", "--idle-timeout", "1") as server:
            server.ready()
            begin = time.monotonic()
            with server.connect() as silent, server.connect() as talking:
                self.assertTrue(support.echoes(talking))
                silent.settimeout(LIMIT)
                self.assertEqual(silent.recv(1), b"", "a clean end")
                self.assertGreaterEqual(time.monotonic() - begin, 0.9)
                talking.settimeout(LIMIT)
                self.assertEqual(talking.recv(1), b"", "also after it said something")

    def test_by_default_none_is(self):
        code, out, _ = support.run(ECHO, "--help")
        self.assertEqual(code, 0)
        self.assertRegex(out, r"--idle-timeout SECONDS=0 ")


if __name__ == "__main__":
    support.main()
