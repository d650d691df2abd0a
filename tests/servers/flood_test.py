#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""reactor-http-ok with clients that flood, don't read, leave or dawdle, on every backend."""

import contextlib
import multiprocessing
import pathlib
import random
import socket
import statistics
import subprocess
import sys
import threading
import time
import unittest

sys.dont_write_bytecode = True
import support  # noqa: E402
from support import HTTP_OK, processor_time, wait_until  # noqa: E402

MB = 1_000_000
MIB = 1 << 20

CLEAN_LIMIT = 0.013  # seconds for nine of ten clean requests while another connection floods
SLOWEST_LIMIT = 0.044  # seconds for each of them
TRIES = 50  # clean requests per window
MOST = TRIES * 9 // 10
SHARE = 0.3  # a window counts only if the worker ran for this share of the time that it could run
WINDOWS = 8  # at most; the best one counts, because the machine may be busy

UNREAD_INPUT = 5 * MB  # for a kernel that keeps at most 4 MiB per socket, the usual setting
UNREAD_GROWTH = 3 * MB
PATIENCE = 0.5  # if no byte is taken for so many seconds, the server has stopped reading

HEAD = b"HEAD / HTTP/1.1\r\nHost: t\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
USUAL = 165  # bytes of a typical request
LAST = b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: t\r\n"
ABORT = b"\1\0\0\0\0\0\0\0"  # struct linger: close() resets

# The bytes of each flood. A client sends them over and over.
FLOODS = {
    "requests": support.GET * 2000,
    "chunks of one byte": POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 10_000
                           + b"0\r\n\r\n",
    "heads of many fields": (b"GET / HTTP/1.1\r\nHost: t\r\n" + b"A: b\r\n" * 90 + b"\r\n") * 100,
}

CLIENTS = 20  # all of them leave at the same time
# The bytes that each client sends before it leaves.
LEFT = {
    "a part of a head": b"GET / HTTP/1.1\r\nHost: ",
    "a head, no body": POST + b"Content-Length: 200000\r\n\r\n",
    "a part of a body": POST + b"Content-Length: 200000\r\n\r\n" + b"x" * 50_000,
    "a part of a chunk": POST + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n" + b"x" * 1000,
    "a part of an awaited body": POST + b"Expect: 100-continue\r\nContent-Length: 9000\r\n\r\nx",
    "a body that is refused": POST + b"Content-Length: 99999999999\r\n\r\n" + b"x" * 50_000,
    "a bad request and more": b"NONSENSE\r\n\r\n" + b"x" * 50_000,
    "many requests": support.GET * 2000,
}


def flood(address, data):
    """Sends `data` for ever and drops the answers. Runs in its own process."""
    connection = support.connect(address)
    threading.Thread(target=send_for_ever, args=(connection, data), daemon=True).start()
    while connection.recv(MIB):
        pass


def send_for_ever(connection, data):
    while True:
        connection.sendall(data)


@contextlib.contextmanager
def flooding(address, data):
    process = multiprocessing.get_context("fork").Process(target=flood, args=(address, data))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def clean_times(connection, watch):
    """Sends TRIES requests. Returns the seconds that each took, sorted."""
    times = []
    for _ in range(TRIES):
        begin = watch.seconds
        assert support.is_ok(connection)
        times.append(watch.seconds - begin)
        time.sleep(0.003)  # so that the next one meets another moment of the flood
    return sorted(times)


def excess(times):
    """Returns the largest ratio of a measured time to its limit."""
    return max(times[MOST] / CLEAN_LIMIT, times[-1] / SLOWEST_LIMIT)


def unread_input():
    """Returns UNREAD_INPUT plus the bytes that larger send buffers of both ends can take."""
    most = int(pathlib.Path("/proc/sys/net/ipv4/tcp_wmem").read_text().split()[2])
    return UNREAD_INPUT + 2 * max(0, most - 4 * MIB)


def push(connection, data):
    """Sends until no byte is taken for PATIENCE seconds. Returns the number of bytes sent."""
    connection.settimeout(PATIENCE)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < len(data):
            sent += connection.send(data[sent:sent + 65536])
    connection.settimeout(support.LIMIT)
    return sent


def finish(connection, data):
    with contextlib.suppress(OSError):  # the answers show what is missing
        connection.sendall(data)


@support.on_each_backend
class Floods(support.BackendTest):
    def window(self, server, data):
        """Returns the sorted times of clean requests during a flood, and the flood's share."""
        (worker,) = server.workers()
        with server.connect() as clean, flooding(server.addresses[0], data):
            start = processor_time(worker)
            wait_until(lambda: processor_time(worker) > start + 0.05, "the flood is there")
            with support.Stopwatch(0.001) as watch:
                before = support.spent(worker)
                times = clean_times(clean, watch)
                ran, waited = (now - then for now, then in zip(support.spent(worker), before))
                return times, ran / max(watch.seconds - waited, ran)

    def best_window(self, server, data):
        """Returns the times of the first window within the limits, or else of the best window."""
        windows = []
        for _ in range(WINDOWS):
            times, share = self.window(server, data)
            if share > SHARE:
                windows.append(times)
                if excess(times) < 1:
                    break
        self.assertTrue(windows, f"never did a flood take {SHARE} of the worker's time")
        return min(windows, key=excess)

    def test_a_clean_request_beside_a_flood(self):
        with self.server(HTTP_OK, "-w", "1") as server:
            workers = server.workers()
            slower = 10 if support.has_shadow_memory(workers[0]) else 1
            for name, data in FLOODS.items():
                with self.subTest(flood=name):
                    times = self.best_window(server, data)
                    median, most = statistics.median(times), times[MOST]
                    print(f"{self.backend}, a flood of {name}: a clean answer in "
                          f"{median * 1000:.2f} ms (median), {most * 1000:.2f} ms (p90), "
                          f"{times[-1] * 1000:.2f} ms (slowest)", file=sys.stderr)
                    self.assertLess(excess(times), slower, "times a limit")
            self.assertEqual(server.workers(), workers)


@support.on_each_backend
class Unread(support.BackendTest):
    def burst(self, size):
        """Returns the bytes to send, and the body expected in each answer."""
        def padded(request):
            missing = max(0, size - len(request) - len(b"A: \r\n"))
            return request[:-2] + b"A: " + b"x" * missing + b"\r\n\r\n" if missing else request
        kinds = [(padded(support.GET), b"OK\n"), (padded(HEAD), None), (padded(OLD), b"OK\n")]
        chosen = random.Random(5).choices(kinds, k=3 * unread_input() // max(size, len(HEAD)))
        return b"".join(request for request, _ in chosen), [body for _, body in chosen]

    def expected_answers(self, received, bodies):
        """Compares the answers. Reports only the first difference, because the lists are long."""
        answers = support.parse_answers(received)
        self.assertEqual({answer.status for answer in answers}, {200})
        self.assertEqual(len(answers), len(bodies))
        for number, (answer, body) in enumerate(zip(answers, bodies)):
            if answer.body != body:
                self.fail(f"answer {number} of {len(bodies)} isn't that of its request")

    def test_a_burst_that_nobody_reads(self):
        for size in (0, USUAL):
            with self.subTest(size=size), self.server(HTTP_OK, "-w", "1") as server, \
                    server.connect() as deaf, server.connect() as witness:
                workers = server.workers()
                self.unread(workers[0], deaf, witness, *self.burst(size))
                self.assertEqual(server.workers(), workers)

    def unread(self, worker, deaf, witness, data, bodies):
        self.assertTrue(support.is_ok(witness))
        before = support.resident(worker)
        sent = push(deaf, data)
        growth = support.resident(worker) - before
        print(f"{self.backend}: {sent} bytes taken, grown by {growth >> 10} KiB", file=sys.stderr)
        self.assertTrue(support.is_ok(witness))

        end = data.index(b"\r\n\r\n", sent) + 4 if sent < len(data) else sent
        missing = data[sent:end] + LAST  # the rest of the request that was sent in part
        sender = threading.Thread(target=finish, args=(deaf, missing))
        sender.start()
        received = support.read_all(deaf)
        sender.join()
        self.expected_answers(received, bodies[:data[:end].count(b"\r\n\r\n")] + [b"OK\n"])
        if not support.has_shadow_memory(worker):
            self.assertLess(growth, UNREAD_GROWTH)
        self.assertLess(sent, unread_input(), "nothing holds the sender back")

    def test_bursts_of_many_that_nobody_reads(self):
        with self.server(HTTP_OK, "-w", "1") as server, server.connect() as witness, \
                contextlib.ExitStack() as stack:
            (worker,) = server.workers()
            self.assertTrue(support.is_ok(witness))
            open_before = len(support.descriptors_of(worker))
            before = support.resident(worker)
            deaf = [stack.enter_context(server.connect()) for _ in range(20)]
            for connection in deaf:
                connection.setblocking(False)
            end = time.monotonic() + 2 * PATIENCE
            while time.monotonic() < end:  # sends more than the server takes from any client
                for connection in deaf:
                    with contextlib.suppress(BlockingIOError):
                        connection.send(FLOODS["requests"])
                self.assertTrue(support.is_ok(witness))
            growth = support.resident(worker) - before
            if not support.has_shadow_memory(worker):
                self.assertLess(growth / len(deaf), UNREAD_GROWTH)
            stack.close()  # all clients leave
            wait_until(lambda: len(support.descriptors_of(worker)) == open_before, "all closed", 1)
            self.assertTrue(support.is_ok(witness))


@support.on_each_backend
class Leaving(support.BackendTest):
    def test_descriptors_are_free_at_once(self):
        with self.server(HTTP_OK, "-w", "1") as server, server.connect() as witness:
            (worker,) = server.workers()
            self.assertTrue(support.is_ok(witness))
            for name, data in LEFT.items():
                for resets in (False, True):
                    with self.subTest(left=name, resets=resets):
                        self.leave(server, worker, data, resets)
                        self.assertTrue(support.is_ok(witness))
            self.assertEqual(server.workers(), [worker])

    def leave(self, server, worker, data, resets):
        before = len(support.descriptors_of(worker))
        with contextlib.ExitStack() as stack:
            for _ in range(CLIENTS):
                client = stack.enter_context(server.connect())
                if resets:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
                client.sendall(data)
            wait_until(lambda: len(support.descriptors_of(worker)) == before + CLIENTS,
                       "all are served")
        wait_until(lambda: len(support.descriptors_of(worker)) == before, "descriptors free", 1)


class Dawdler:
    """Sends its first bytes at once, then one byte a second, and notes when the server ends it.

    It then leaves. A stubborn one stays and sends on.
    """

    def __init__(self, server, watch, name, first):
        self.watch = watch
        self.name = name
        self.stubborn = "stubborn" in name
        self.begin = time.monotonic()
        self.connection = server.connect()
        self.connection.sendall(first)
        self.next = self.begin + 1
        self.shed = self.shed_by_watch = None
        self.answer = b""
        self.connection.setblocking(False)

    def turn(self):
        now = time.monotonic()
        if self.shed is None:
            self.read(now)
        if now >= self.next and (self.shed is None or self.stubborn):
            self.next += 1
            with contextlib.suppress(OSError):  # the server resets a stubborn one sooner or later
                self.connection.send(b"x")

    def read(self, now):
        with contextlib.suppress(BlockingIOError):
            chunk = self.receive()
            self.answer += chunk
            if not chunk:
                self.shed, self.shed_by_watch = now - self.begin, self.watch.seconds
                if not self.stubborn:
                    self.connection.close()

    def receive(self):
        try:
            return self.connection.recv(65536)
        except ConnectionResetError:
            return b""


def has_option(name):
    if not HTTP_OK:
        return False
    done = subprocess.run([HTTP_OK, "--help"], capture_output=True, timeout=support.LIMIT, check=True)
    return name.encode() in done.stdout


@support.on_each_backend
class Slowloris(support.BackendTest):
    LIMIT = 2  # seconds, the value of each timeout option
    WITHIN = 1  # seconds after LIMIT within which the end must come
    LINGERING = 2  # seconds that a stubborn client may hold a descriptor

    def dawdle(self, dawdlers, watch, until, limit):
        end = watch.seconds + limit
        while watch.seconds < end and not until():
            for one in dawdlers:
                one.turn()
            time.sleep(0.005)  # leaves the processor to the server

    def judge(self, one):
        self.assertIsNotNone(one.shed, "it is served for ever")
        # A timeout counts from the loop's time, which differs a little from the client's.
        self.assertGreater(one.shed, self.LIMIT - 0.1)
        self.assertLess(one.shed_by_watch, self.LIMIT + self.WITHIN)
        answers = support.parse_answers(one.answer)
        self.assertEqual(answers[-1].status, 408)
        self.assertTrue(answers[-1].closes)

    def shed(self, option, starts):
        with self.server(HTTP_OK, "-w", "1", option, str(self.LIMIT)) as server, \
                server.connect() as witness, contextlib.ExitStack() as stack:
            (worker,) = server.workers()
            self.assertTrue(support.is_ok(witness))
            before = len(support.descriptors_of(worker))
            watch = stack.enter_context(support.Stopwatch())
            dawdlers = [Dawdler(server, watch, name, first) for name, first in starts.items()]
            for one in dawdlers:
                stack.enter_context(one.connection)
            self.dawdle(dawdlers, watch, lambda: all(one.shed is not None for one in dawdlers),
                        self.LIMIT + self.WITHIN)
            for one in dawdlers:
                with self.subTest(dawdler=one.name):
                    self.judge(one)
            gone = lambda: len(support.descriptors_of(worker)) == before
            self.dawdle(dawdlers, watch, gone, self.LINGERING + self.WITHIN)
            self.assertTrue(gone(), "descriptors are kept")
            self.assertTrue(support.is_ok(witness))  # it was idle as long, but between requests

    @unittest.skipUnless(has_option("--header-timeout"), "no --header-timeout")
    def test_slow_heads(self):
        self.shed("--header-timeout", {
            "request line": b"G",
            "field": b"GET / HTTP/1.1\r\nHost: t\r\nX-Long: ",
            "second request": support.GET + b"GET /",
            "stubborn": b"GET / HTTP/1.1\r\n",
        })

    @unittest.skipUnless(has_option("--body-timeout"), "no --body-timeout")
    def test_slow_bodies(self):
        self.shed("--body-timeout", {
            "body": POST + b"Content-Length: 100\r\n\r\n",
            "body after an answer": support.GET + POST + b"Content-Length: 100\r\n\r\nxx",
            "chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n64\r\n",
            "awaited body": POST + b"Expect: 100-continue\r\nContent-Length: 100\r\n\r\n",
        })


if __name__ == "__main__":
    support.main()
