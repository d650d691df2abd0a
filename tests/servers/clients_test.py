#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs real clients against both programs, on every backend."""

import http.client
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

sys.dont_write_bytecode = True
import support  # noqa: E402
from support import ECHO, HTTP_OK  # noqa: E402

SIZES = (1, 100, 4096, 65536, 65537, 1_000_000, 5_000_000)


def pattern(size):
    return bytes(range(251)) * (size // 251 + 1)


def run(*arguments, **options):
    return subprocess.run(arguments, capture_output=True, timeout=support.LIMIT, check=False, **options)


def need(*programs):
    return unittest.skipUnless(all(shutil.which(p) for p in programs), f"needs {' '.join(programs)}")


@support.on_each_backend
class Echo(support.BackendTest):
    def test_all_sizes_and_half_close(self):
        with self.server(ECHO) as server:
            for size in SIZES:
                data = pattern(size)[:size]
                with server.connect() as connection:
                    sender = threading.Thread(target=send_and_half_close, args=(connection, data))
                    sender.start()
                    self.assertTrue(support.read_all(connection) == data, f"{size} bytes")
                    sender.join()

    def test_many_at_once(self):
        with self.server(ECHO) as server:
            connections = [server.connect() for _ in range(200)]
            for number, connection in enumerate(connections):
                connection.sendall(b"%d\n" % number)
            for number, connection in enumerate(connections):
                expected = b"%d\n" % number
                self.assertEqual(support.read_exactly(connection, len(expected)), expected)
                connection.close()

    def test_a_peer_that_resets_harms_nobody(self):
        with self.server(ECHO) as server:
            workers = server.workers()
            with server.connect() as witness:
                for _ in range(200):
                    connection = server.connect()
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    connection.sendall(b"x" * 1000)
                    connection.close()
                self.assertTrue(support.echoes(witness))
            self.assertEqual(server.workers(), workers)

    def test_max_connections(self):
        with self.server(ECHO, "--max-connections", "3", "-w", "1") as server:
            first = [server.connect() for _ in range(3)]
            for connection in first:
                self.assertTrue(support.echoes(connection))
            with server.connect() as waiting:
                waiting.sendall(b"late")
                waiting.settimeout(0.2)
                self.assertRaises(TimeoutError, waiting.recv, 4)
                first[0].close()
                waiting.settimeout(support.LIMIT)
                self.assertEqual(support.read_exactly(waiting, 4), b"late")
            for connection in first:
                connection.close()

    def test_nobody_waits_for_a_full_worker_while_another_has_room(self):
        for options in (("--max-connections", "2"), ("--model", "fork", "--max-children", "2")):
            with self.server(ECHO, "-w", "3", *options) as server:
                clients = []
                for _ in range(6):  # the kernel chooses the worker
                    clients.append(server.connect())
                    self.assertTrue(support.echoes(clients[-1]))
                waiting = server.connect()
                waiting.sendall(b"late")
                waiting.settimeout(0.2)
                self.assertRaises(TimeoutError, waiting.recv, 4)
                clients.pop().close()
                waiting.settimeout(support.LIMIT)
                self.assertEqual(support.read_exactly(waiting, 4), b"late")
                for client in [waiting, *clients]:
                    client.close()

    def test_a_burst_does_not_exceed_the_limit(self):
        with tempfile.TemporaryDirectory() as folder:
            path = f"unix:{folder}/socket"
            for bind, options in (("127.0.0.1:0", ()), ("127.0.0.1:0", ("--reuse-port", "off")), (path, ())):
                with self.subTest(bind=bind, options=options), self.server(
                        ECHO, "--max-connections", "10", *options, bind=(bind,)) as server:
                    self.burst(server, 20)

    def burst(self, server, limit):
        waiting = [server.connect() for _ in range(3 * limit)]
        for client in waiting:
            client.sendall(b"x")
        while waiting:
            served = []
            while len(served) < limit:
                answered = select.select(waiting, [], [], support.LIMIT)[0]
                self.assertTrue(answered, f"{len(served)} are served, not {limit}")
                served += answered
                waiting = [client for client in waiting if client not in answered]
            self.assertEqual(len(served), limit)
            self.assertEqual(select.select(waiting, [], [], 0.2)[0], [])
            for client in served:
                client.close()

    @need("nc")
    def test_netcat(self):
        with self.server(ECHO) as server:
            data = pattern(300_000)[:300_000]
            done = run("nc", "-N", "127.0.0.1", str(server.port), input=data)
            self.assertEqual(done.returncode, 0)
            self.assertTrue(done.stdout == data)

    @need("socat")
    def test_socat_to_unix_sockets(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "echo")
            name = f"reactor-test-{os.getpid()}"
            with self.server(ECHO, bind=(f"unix:{path}", f"unix:@{name}")) as server:
                self.assertEqual(server.addresses, [f"unix:{path}", f"unix:@{name}"])
                for target in (f"UNIX-CONNECT:{path}", f"ABSTRACT-CONNECT:{name}"):
                    done = run("socat", "-t", "10", "-", target, input=b"through a unix socket")
                    self.assertEqual((done.returncode, done.stdout), (0, b"through a unix socket"))


@support.on_each_backend
class Http(support.BackendTest):
    @need("curl")
    def test_curl(self):
        with self.server(HTTP_OK) as server:
            url = f"http://{server.addresses[0]}/any/path?q=1"
            done = run("curl", "-sS", "-i", url)
            self.assertEqual(done.returncode, 0, done.stderr)
            head, _, body = done.stdout.partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 200 OK\r\n"), head)
            self.assertIn(b"\r\nContent-Type: text/plain", head)
            self.assertIn(b"\r\nContent-Length: 3", head)
            self.assertIn(b"\r\nDate: ", head)
            self.assertEqual(body, b"OK\n")
            done = run("curl", "-sS", "-I", url)  # HEAD
            self.assertEqual((done.returncode, done.stdout.count(b"Content-Length: 3")), (0, 1))
            done = run("curl", "-sS", "--data-binary", "@-", url, input=b"x" * 100_000)
            self.assertEqual((done.returncode, done.stdout), (0, b"OK\n"), done.stderr)
            done = run("curl", "-sS", "-0", url)
            self.assertEqual((done.returncode, done.stdout), (0, b"OK\n"), done.stderr)
            done = run("curl", "-sS", "-w", "%{num_connects} ", *[url] * 5)  # kept alive
            self.assertEqual((done.returncode, done.stdout), (0, b"OK\n1 " + b"OK\n0 " * 4))

    @need("curl")
    def test_curl_to_a_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "http")
            with self.server(HTTP_OK, bind=(f"unix:{path}",)):
                done = run("curl", "-sS", "--unix-socket", path, "http://localhost/")
                self.assertEqual((done.returncode, done.stdout), (0, b"OK\n"), done.stderr)

    # Such a client reads only after it has sent everything, so the server has to read everything.
    def test_the_answer_reaches_clients_that_send_eight_megabytes_first(self):
        body = b"x" * 8_000_000
        with self.server(HTTP_OK) as server:
            for _ in range(5):
                client = http.client.HTTPConnection(server.addresses[0], timeout=support.LIMIT)
                client.request("PUT", "/", body=body)
                self.assertEqual(client.getresponse().status, 413)
                client.close()
            if shutil.which("curl"):
                url = f"http://{server.addresses[0]}/"
                done = run("curl", "-sS", "-H", "Expect:", "-w", "%{http_code}", "-o", os.devnull, "-T", "-",
                           url, input=body)
                self.assertEqual((done.returncode, done.stdout), (0, b"413"), done.stderr)

    def test_pipelined(self):
        with self.server(HTTP_OK) as server:
            with server.connect() as connection:
                connection.sendall(support.GET * 100 + b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
                self.assertEqual(support.read_all(connection).count(b"\r\n\r\nOK\n"), 101)

    def test_one_byte_at_a_time(self):
        with self.server(HTTP_OK) as server:
            with server.connect() as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for byte in support.GET:
                    connection.sendall(bytes([byte]))
                self.assertEqual(support.read_response(connection)[1], b"OK\n")

    def test_a_bad_request_is_refused_and_closed(self):
        with self.server(HTTP_OK) as server:
            with server.connect() as connection:
                connection.sendall(b"NONSENSE\r\n\r\n" + support.GET)
                answer = support.read_all(connection)
                self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), answer)
                self.assertEqual(answer.count(b"HTTP/1.1"), 1)

    def test_body_and_content_type(self):
        with self.server(HTTP_OK, "--body", "{\"ok\":true}", "--content-type", "application/json") as server:
            with server.connect() as connection:
                connection.sendall(support.GET)
                head, body = support.read_response(connection)
                self.assertIn(b"\r\nContent-Type: application/json", head)
                self.assertEqual(body, b"{\"ok\":true}")

    def test_keep_alive_ends(self):
        with self.server(HTTP_OK, "--keep-alive", "1") as server:
            with server.connect() as connection:
                self.assertTrue(support.is_ok(connection))
                self.assertEqual(connection.recv(1), b"")

    @need("wrk")
    def test_wrk(self):
        with self.server(HTTP_OK) as server:
            workers = server.workers()
            done = run("wrk", "-t2", "-c50", "-d1", f"http://{server.addresses[0]}/")
            text = done.stdout.decode()
            self.assertEqual(done.returncode, 0, text)
            self.assertNotIn("Socket errors", text)
            self.assertNotIn("Non-2xx", text)
            self.assertGreater(int(text.split(" requests in ")[0].split()[-1]), 100, text)
            self.assertEqual(server.workers(), workers)

    @need("h2load")
    def test_h2load(self):
        with self.server(HTTP_OK) as server:
            done = run("h2load", "--h1", "-n2000", "-c20", "-m4", f"http://{server.addresses[0]}/")
            self.assertIn(b"2000 succeeded, 0 failed, 0 errored", done.stdout)


def send_and_half_close(connection, data):
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    support.main()
