#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What reactor-http-ok answers, octet by octet, and how connections end; on every backend."""

import contextlib
import email.utils
import random
import socket
import sys
import time
import unittest

sys.dont_write_bytecode = True
import support  # noqa: E402
from support import HTTP_OK, Server, read_all  # noqa: E402

HOST = b"Host: t\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"

# Request, and the status it is refused with. Whatever stands behind it is not answered.
REFUSED = [
    (b"NONSENSE\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
    (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
    (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost : t\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n" + HOST + b" folded: x\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n" + HOST + b"Na\0me: x\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
    (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 a TLS client\r\n\r\n", 400),
    (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    (b"GET / HTTP/1.1\r\n" + HOST + b"Big: " + b"x" * 20_000 + b"\r\n\r\n", 431),
    (b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n" * 200 + b"\r\n", 431),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999\r\n\r\n", 413),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n", 413),
]

# Request, and whether the connection goes on after its answer.
ANSWERED = [
    (b"GET / HTTP/1.1\r\n" + HOST + b"\r\n", True),
    (b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n", False),
    (b"GET / HTTP/1.0\r\n\r\n", False),
    (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
    (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", True),
    (b"GET http://t/a?b HTTP/1.1\r\n" + HOST + b"\r\n", True),
    (b"PURGE /anything HTTP/1.1\r\n" + HOST + b"\r\n", True),
    (b"\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n", True),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello", True),
    (b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: 200000\r\n\r\n" + b"x" * 200_000, True),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
     b"5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n", True),
]


def status_of(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else answer


def fields_of(head):
    """The header section by lower-case names; a name that stands twice is a mistake."""
    lines = head.split(b"\r\n")[1:]
    fields = dict(line.lower().split(b":", 1) for line in lines)
    assert len(fields) == len(lines), head
    return {name: value.strip() for name, value in fields.items()}


@support.on_each_backend
class Answers(support.BackendTest):
    """One server for all cases of the class: none of them may harm the next."""

    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.addClassCleanup(cls.stack.close)
        cls.one = cls.stack.enter_context(Server(HTTP_OK, "-w", "2", "--backend", cls.backend)).ready()

    def exchange(self, *pieces):
        """Sends the pieces and reads up to the end of the connection, which must not be a reset."""
        with self.one.connect() as connection:
            for piece in pieces:
                connection.sendall(piece)
            return read_all(connection)

    def test_refusals(self):
        for request, status in REFUSED:
            with self.subTest(request=request[:60]):
                answer = self.exchange(request, LAST)
                self.assertEqual(status_of(answer), status, answer)
                self.assertEqual(answer.count(b"HTTP/1.1 "), 1)
                head, _, body = answer.partition(b"\r\n\r\n")
                fields = fields_of(head)
                self.assertEqual(fields[b"connection"], b"close")
                self.assertEqual(int(fields[b"content-length"]), len(body))

    def test_what_is_answered(self):
        for request, goes_on in ANSWERED:
            with self.subTest(request=request[:60]):
                answer = self.exchange(request + LAST)
                self.assertEqual(answer.count(b"HTTP/1.1 200 OK\r\n"), 2 if goes_on else 1, answer)
                self.assertEqual(answer.count(b"\r\n\r\nOK\n"), 2 if goes_on else 1)

    def test_the_same_in_pieces_of_any_size(self):
        generator = random.Random(7)
        for request, goes_on in ANSWERED:
            with self.subTest(request=request[:60]), self.one.connect() as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                text = request + LAST if goes_on else request
                while text:
                    size = generator.randint(1, max(1, len(text) // 10))
                    connection.sendall(text[:size])
                    text = text[size:]
                self.assertEqual(read_all(connection).count(b"\r\n\r\nOK\n"), 2 if goes_on else 1)

    def test_the_fields(self):
        with self.one.connect() as connection:
            connection.sendall(support.GET)
            head, body = support.read_response(connection)
            now = time.time()
        self.assertEqual(body, b"OK\n")
        fields = fields_of(head)
        self.assertEqual(fields[b"content-length"], b"3")
        self.assertEqual(fields[b"content-type"], b"text/plain")
        self.assertNotIn(b"transfer-encoding", fields)
        self.assertNotIn(b"connection", fields)
        date = next(line for line in head.decode().split("\r\n") if line.startswith("Date: "))[6:]
        self.assertRegex(date, r"^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$")
        stamp = email.utils.parsedate_to_datetime(date)
        self.assertAlmostEqual(stamp.timestamp(), now, delta=5)
        self.assertEqual(email.utils.format_datetime(stamp, usegmt=True), date)  # the right weekday

    def test_the_date_moves_on(self):
        dates = set()
        with self.one.connect() as connection:
            def ask():
                connection.sendall(support.GET)
                dates.add(fields_of(support.read_response(connection)[0])[b"date"])
                return len(dates) == 2
            support.wait_until(ask, "another second", 5)

    def test_head_has_the_length_and_no_body(self):
        answer = self.exchange(b"HEAD / HTTP/1.1\r\n" + HOST + b"\r\n", LAST)
        first, second = answer.split(b"\r\n\r\n", 1)
        self.assertEqual(fields_of(first)[b"content-length"], b"3")
        self.assertTrue(second.startswith(b"HTTP/1.1 200 "), answer)

    def test_http_1_0_says_keep_alive(self):
        with self.one.connect() as connection:
            for _ in range(3):
                connection.sendall(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
                head, body = support.read_response(connection)
                self.assertEqual((fields_of(head)[b"connection"], body), (b"keep-alive", b"OK\n"))

    def test_expect_100_continue(self):
        for framing, body in ((b"Content-Length: 5", b"hello"),
                              (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n")):
            with self.subTest(framing=framing), self.one.connect() as connection:
                connection.sendall(b"POST / HTTP/1.1\r\n" + HOST + framing
                                   + b"\r\nExpect: 100-continue\r\n\r\n")
                expected = b"HTTP/1.1 100 Continue\r\n\r\n"
                self.assertEqual(support.read_exactly(connection, len(expected)), expected)
                connection.sendall(body)
                self.assertEqual(support.read_response(connection)[1], b"OK\n")
                self.assertTrue(support.is_ok(connection))

    def test_100_requests_in_one_write_are_answered_in_one_go(self):
        with self.one.connect() as connection:
            connection.sendall(support.GET * 100)
            answers = [support.read_exactly(connection, 1)]
            while b"".join(answers).count(b"\r\n\r\nOK\n") < 100:
                answers.append(connection.recv(1 << 20))
                self.assertTrue(answers[-1], "closed")
        self.assertLess(len(answers), 20)

    def test_a_refusal_is_not_followed_by_a_reset(self):
        with self.one.connect() as connection:
            connection.sendall(b"BAD\r\n\r\n" + b"x" * 100_000)
            self.assertEqual(status_of(read_all(connection)), 400)
            # A client with the answer on its way still sends; a reset would take that from it.
            for _ in range(20):
                connection.sendall(b"x" * 10_000)
                time.sleep(0.005)  # spread over many turns of the server
            self.assertEqual(connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0)

    def test_garbage(self):
        generator = random.Random(11)
        workers = self.one.workers()
        for _ in range(60):
            data = generator.randbytes(generator.randint(1, 40_000)) + b"\r\n\r\n"
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # sent too slowly
                answer = self.exchange(data)
                self.assertIn(status_of(answer), (400, 414, 501, 505))
        self.assertEqual(self.one.workers(), workers)

    def test_clients_that_leave_early(self):
        workers = self.one.workers()
        for cut in range(1, len(support.GET), 3):
            for reset in (False, True):
                connection = self.one.connect()
                if reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.sendall(support.GET[:cut])
                connection.close()
        with self.one.connect() as connection:
            self.assertTrue(support.is_ok(connection))
        self.assertEqual(self.one.workers(), workers)

    def test_a_half_closed_client_gets_all_its_answers(self):
        with self.one.connect() as connection:
            connection.sendall(support.GET * 50)
            connection.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(connection).count(b"\r\n\r\nOK\n"), 50)


@support.on_each_backend
class Options(support.BackendTest):
    def test_a_large_body_in_full_to_a_slow_reader(self):
        text = "0123456789" * 10_000
        with self.server(HTTP_OK, environment={"REACTOR_BODY": text}) as server:
            with server.connect() as connection:
                connection.sendall(support.GET * 20 + LAST)
                answer = read_all(connection)
        self.assertEqual(answer.count(b"\r\n\r\n" + text.encode()), 21)

    def test_an_empty_body(self):
        with self.server(HTTP_OK, "--body", "") as server, server.connect() as connection:
            connection.sendall(support.GET)
            head, body = support.read_response(connection)
            self.assertEqual((fields_of(head)[b"content-length"], body), (b"0", b""))

    def test_keep_alive_0_closes_after_each_answer(self):
        with self.server(HTTP_OK, "--keep-alive", "0") as server, server.connect() as connection:
            connection.sendall(support.GET)
            answer = read_all(connection)
            self.assertEqual(fields_of(answer.partition(b"\r\n\r\n")[0])[b"connection"], b"close")

    def test_in_one_process_over_v6_and_unix_sockets(self):
        name = f"unix:@reactor-http-{random.getrandbits(64):x}"
        with self.server(HTTP_OK, "-w", "0", bind=("[::1]:0", name)) as server:
            for index in range(2):
                with server.connect(index) as connection:
                    self.assertTrue(support.is_ok(connection))


if __name__ == "__main__":
    support.main()
