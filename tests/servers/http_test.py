#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests each byte of reactor-http-ok's answers, and how connections end, on every backend."""

import contextlib
import datetime
import email.utils
import json
import pathlib
import random
import signal
import socket
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
import support  # noqa: E402
from support import HTTP_OK, Server, read_all  # noqa: E402

HOST = b"Host: t\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"

# Requests, and the status that refuses each. Requests behind a refused one get no answer.
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
    (b"GET /a|b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET /%zz HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n", 400),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: foo;a=b, chunked\r\n\r\n0\r\n\r\n", 501),
    (b"CONNECT t:80 HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    (b"GET / HTTP/1.1\r\n" + HOST + b"Big: " + b"x" * 20_000 + b"\r\n\r\n", 431),
    (b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n" * 200 + b"\r\n", 431),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999\r\n\r\n", 413),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n", 413),
]

# Requests, and whether the connection stays open after the answer.
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
    (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: , chunked ,\r\n\r\n"
     b"5 ; ext = 1\r\nhello\r\n0\r\n\r\n", True),
]


def status_of(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else answer


def fields_of(head):
    """Returns the header fields by lower-case names. Fails if a name occurs twice."""
    lines = head.split(b"\r\n")[1:]
    fields = dict(line.lower().split(b":", 1) for line in lines)
    assert len(fields) == len(lines), head
    return {name: value.strip() for name, value in fields.items()}


@support.on_each_backend
class Answers(support.BackendTest):
    """One server runs for all cases of the class, so no case may harm the next."""

    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.addClassCleanup(cls.stack.close)
        cls.one = cls.stack.enter_context(Server(HTTP_OK, "-w", "2", "--backend", cls.backend)).ready()

    def exchange(self, *pieces):
        """Sends the pieces and reads up to the end of the connection. A reset is an error."""
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
        self.assertEqual(email.utils.format_datetime(stamp, usegmt=True), date)

    def test_the_date_moves_on(self):
        dates = set()
        with self.one.connect() as connection:
            def ask():
                connection.sendall(support.GET)
                dates.add(fields_of(support.read_response(connection)[0])[b"date"])
                return len(dates) == 2
            support.wait_until(ask, "another second")

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
            # The client may still send when the answer comes. A reset would destroy the answer.
            for _ in range(20):
                connection.sendall(b"x" * 10_000)
                time.sleep(0.005)  # spreads the bytes over many turns of the loop
            self.assertEqual(connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0)

    def test_what_follows_an_upgrade_is_no_request(self):
        upgrade = b"GET / HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n"
        answer = self.exchange(upgrade + LAST)
        self.assertEqual(answer.count(b"HTTP/1.1 "), 1, answer)
        self.assertIn(b"\r\nConnection: close\r\n", answer)
        with self.one.connect() as connection:  # if no bytes follow, the connection stays open
            connection.sendall(upgrade)
            self.assertEqual(support.read_response(connection)[1], b"OK\n")
            self.assertTrue(support.is_ok(connection))

    def test_garbage(self):
        generator = random.Random(11)
        workers = self.one.workers()
        for _ in range(60):
            data = generator.randbytes(generator.randint(1, 40_000)) + b"\r\n\r\n"
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the server ended it
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


ACCESS = r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]"


@support.on_each_backend
class AccessLogs(support.BackendTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "access"

    def lines(self, count):
        """Waits until the file has so many lines, and returns them."""
        def found():
            lines = self.path.read_text(encoding="ascii").splitlines()
            return lines if len(lines) >= count else None
        return support.wait_until(found, f"{count} lines in the access log")

    def test_a_line_for_each_request(self):
        with self.server(HTTP_OK, "--access-log", str(self.path)) as server:
            with server.connect() as connection:
                connection.sendall(
                    b"GET /a HTTP/1.1\r\nHost: t\r\nReferer: http://r/\r\nUser-Agent: a\"b\xe9\r\n\r\n"
                    b"HEAD /b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
                    b"POST /c HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nxyBAD\r\n\r\n")
                read_all(connection)
            lines = self.lines(4)
        head = r"127\.0\.0\.1 - - " + ACCESS
        for line, rest in zip(lines, (r' "GET /a HTTP/1\.1" 200 3 "http://r/" "a\\x22b\\xE9"',
                                      r' "HEAD /b HTTP/1\.0" 200 - "-" "-"',
                                      r' "POST /c HTTP/1\.1" 200 3 "-" "-"',
                                      r' "-" 400 \d+ "-" "-" "malformed method .*; byte 3 is 0x0d"'),
                              strict=True):
            self.assertRegex(line, "^" + head + rest + "$")

    def test_json(self):
        with self.server(HTTP_OK, "--access-log-format", "json",
                         environment={"REACTOR_ACCESS_LOG": str(self.path)}) as server:
            with server.connect() as connection:
                connection.sendall(b"GET /~ HTTP/1.1\r\nHost: t\r\nUser-Agent: \xff\t\"\\\r\n\r\nBAD\r\n\r\n")
                read_all(connection)
            entry, refused = map(json.loads, self.lines(2))
        self.assertEqual(
            {name: entry[name] for name in ("peer", "method", "target", "protocol", "status", "octets",
                                            "referer", "user_agent")},
            {"peer": "127.0.0.1", "method": "GET", "target": "/~", "protocol": "HTTP/1.1",
             "status": 200, "octets": 3, "referer": None, "user_agent": "\xff\t\"\\"})
        self.assertIsNone(entry["reason"])
        self.assertRegex(refused["reason"], "malformed method .*; byte 3 is 0x0d")
        self.assertGreaterEqual(entry["seconds"], 0)
        stamp = datetime.datetime.fromisoformat(entry["time"]).timestamp()
        self.assertAlmostEqual(stamp, time.time(), delta=support.LIMIT)

    def test_the_log_says_why_and_to_whom_at_level_debug(self):
        with self.server(HTTP_OK, "--log-level", "debug") as server:
            with server.connect() as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost : t\r\n\r\n")
                read_all(connection)
                peer = "127.0.0.1:%d" % connection.getsockname()[1]
            self.assertRegex(server.log(), f"debug refused a request from {peer} with 400: blank behind "
                                           r"a field name \(RFC 9112 5.1\); byte 20 is 0x20\n")

    def test_standard_output_and_the_end(self):
        with self.server(HTTP_OK, "--access-log", "-", "--access-log-format", "common") as server:
            with server.connect() as connection:
                self.assertTrue(support.is_ok(connection))
            server.signal(signal.SIGTERM)
            self.assertRegex(server.read_line(), r'^127\.0\.0\.1 - - .* "GET / HTTP/1\.1" 200 3$')
            self.assertIsNone(server.read_line())
            self.assertEqual(server.wait(), 0)

    def test_rotation(self):
        with self.server(HTTP_OK, "--access-log", str(self.path)) as server:
            with server.connect() as connection:
                self.assertTrue(support.is_ok(connection))
            old = self.path.rename(self.path.with_suffix(".1"))
            server.signal(signal.SIGUSR1)
            support.wait_until(lambda: self.path.exists() and old.read_text().count("\n") == 1,
                               "the new file, and all lines in the old one")
            opened = [support.descriptors_of(pid) for pid in server.workers()]
            support.wait_until(lambda: all(str(self.path) in support.descriptors_of(pid).values()
                                           for pid in server.workers()), f"the new file in {opened}")
            with server.connect() as connection:
                self.assertTrue(support.is_ok(connection))
            self.assertEqual(len(self.lines(1)), 1)
            self.assertEqual(old.read_text().count("\n"), 1)


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

    def statuses(self, server, *requests):
        """Sends each request on its own connection. Returns the status of each first answer."""
        found = []
        for request in requests:
            with server.connect() as connection:
                connection.sendall(request + LAST)
                found.append(status_of(read_all(connection)))
        return found

    def test_limits(self):
        get = b"GET /%b HTTP/1.1\r\nHost: t\r\n%b\r\n"
        post = b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n"
        chunked = b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n"
        with self.server(HTTP_OK, "--max-line", "100", "--max-header", "200", "--max-fields", "4",
                         "--max-body", "10") as server:
            # "GET / HTTP/1.1" has 14 bytes, "Host: t" and the empty line 11, "A: " and CRLF 5.
            self.assertEqual(self.statuses(server, get % (b"x" * 86, b""), get % (b"x" * 87, b"")),
                             [200, 414])
            self.assertEqual(self.statuses(server, get % (b"", b"A: " + b"x" * 184 + b"\r\n"),
                                           get % (b"", b"A: " + b"x" * 185 + b"\r\n")), [200, 431])
            self.assertEqual(self.statuses(server, get % (b"", b"A: b\r\n" * 3),
                                           get % (b"", b"A: b\r\n" * 4)), [200, 431])
            self.assertEqual(self.statuses(server, post % 10 + b"x" * 10, post % 11), [200, 413])
            self.assertEqual(self.statuses(server, chunked % 10 + b"x" * 10 + b"\r\n0\r\n\r\n",
                                           chunked % 11), [200, 413])

    def test_limits_above_the_defaults(self):
        post = b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000
        get = (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: t\r\nA: " + b"x" * 20_000
               + b"\r\n" + b"B: c\r\n" * 200 + b"\r\n")
        with self.server(HTTP_OK, "--max-line", "30000", "--max-header", "30000", "--max-fields",
                         "300", "--max-body", "3000000") as server:
            self.assertEqual(self.statuses(server, get, post), [200, 200])

    def test_no_body_at_all(self):
        with self.server(HTTP_OK, "--max-body", "0") as server:
            head = b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: "
            self.assertEqual(self.statuses(server, head + b"0\r\n\r\n", head + b"1\r\n\r\nx"),
                             [200, 413])

    def late(self, connection, begun, status=408):
        """Reads to the end, which must not come earlier than a second after `begun`."""
        answer = read_all(connection)
        self.assertGreater(time.monotonic() - begun, 0.99)
        self.assertEqual(status_of(answer) if answer else 0, status)

    def test_time_for_the_head(self):
        with self.server(HTTP_OK, "--header-timeout", "1") as server:
            for first in (b"G", b"GET / HTTP/1.1\r\nHost: t\r\n"):
                begun = time.monotonic()
                with self.subTest(first=first), server.connect() as connection:
                    connection.sendall(first)
                    self.late(connection, begun)
            with server.connect() as connection:  # the time begins anew with each request
                self.assertTrue(support.is_ok(connection))
                begun = time.monotonic()
                connection.sendall(b"GET / HTTP/1.1\r\n")
                self.late(connection, begun)

    def test_bytes_now_and_then_do_not_prolong_the_head(self):
        with self.server(HTTP_OK, "--header-timeout", "1") as server:
            begun = time.monotonic()
            with server.connect() as connection:
                self.dawdle(connection, begun)

    def dawdle(self, connection, begun):
        connection.settimeout(0.05)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: t\r\nA: ")
        answer = b""
        while not answer:
            self.assertLess(time.monotonic() - begun, support.LIMIT)
            connection.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(4096)
        self.assertEqual(status_of(answer), 408)
        self.assertGreater(time.monotonic() - begun, 0.99)

    def test_time_for_the_body(self):
        head = b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n"
        with self.server(HTTP_OK, "--body-timeout", "1", "--body-rate", "0") as server:
            begun = time.monotonic()
            with server.connect() as connection:
                connection.sendall(head + b"x" * 50_000)
                self.late(connection, begun)

    def test_a_body_that_keeps_its_rate_has_time(self):
        body = b"x" * 3000
        head = b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3000\r\n\r\n"
        with self.server(HTTP_OK, "--body-timeout", "1", "--body-rate", "1000") as server:
            with server.connect() as connection:
                begun = time.monotonic()
                connection.sendall(head)
                for at in range(0, 3000, 250):
                    connection.sendall(body[at:at + 250])
                    next_one = begun + (at + 250) / 2000  # twice the least rate, on average
                    time.sleep(max(0.0, next_one - time.monotonic()))
                self.assertGreater(time.monotonic() - begun, 1.4)
                self.assertEqual(support.read_response(connection)[1], b"OK\n")
            begun = time.monotonic()
            with server.connect() as connection:
                connection.sendall(head + b"x" * 999)
                self.late(connection, begun)

    def test_time_for_a_client_that_does_not_read(self):
        text = "x" * 60_000
        with self.server(HTTP_OK, "--write-timeout", "1", environment={"REACTOR_BODY": text}) as server:
            with server.connect() as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.settimeout(0.1)
                begun = time.monotonic()
                with self.assertRaises(ConnectionError):
                    while time.monotonic() - begun < support.LIMIT:
                        with contextlib.suppress(TimeoutError):
                            connection.send(support.GET)
                            time.sleep(0.002)
                self.assertGreater(time.monotonic() - begun, 0.99)

    def test_in_one_process_over_v6_and_unix_sockets(self):
        name = f"unix:@reactor-http-{random.getrandbits(64):x}"
        with self.server(HTTP_OK, "-w", "0", bind=("[::1]:0", name)) as server:
            for index in range(2):
                with server.connect(index) as connection:
                    self.assertTrue(support.is_ok(connection))


if __name__ == "__main__":
    support.main()
