#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sends 10,000 seeded mutations of valid requests to one server, on every backend.

Each has its own connection. A few connections are open at a time and send their pieces by turns.
The answers must be well-formed, not too many, the same as without the cuts, and end with a close.
The server must keep its workers, its memory and its speed.
"""

import contextlib
import errno
import itertools
import random
import socket
import sys
import unittest

sys.dont_write_bytecode = True
import support  # noqa: E402
from support import HTTP_OK, wait_until  # noqa: E402

SEED = 9112
MUTATIONS = 10_000
AT_ONCE = 5  # connections per batch; a clean request follows each batch
WARM_UP = 1_000  # mutations before memory is measured
GROWTH = 1 << 20  # bytes
CLEAN_LIMIT = 1  # seconds
REFUSALS = {400, 405, 413, 414, 417, 431, 501, 505}

HOST = b"Host: example.org\r\n"
FIELDS = (b"User-Agent: test/1.0 (a comment)\r\nAccept: text/html,*/*;q=0.8\r\nAccept-Language: de\r\n"
          b"Cookie: a=b; c=\"d e\"\r\nX-Empty:\r\nIf-None-Match: W/\"1\"\r\n")
CHUNKED = b"Transfer-Encoding: chunked\r\n"
VALID = [
    support.GET,
    b"GET /a/b%20c?d=e&f HTTP/1.1\r\n" + HOST + FIELDS + b"\r\n",
    b"HEAD / HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n" + FIELDS + b"\r\n",
    b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET http://example.org:80/x HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close, te\r\nTE: trailers\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 11\r\n\r\nhello world",
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 60\r\n\r\n" + support.GET * 2 + b"12",
    b"PUT /f HTTP/1.1\r\n" + HOST + b"Content-Length: 5000\r\n" + FIELDS + b"\r\n" + b"0123456789" * 500,
    b"POST / HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + HOST + CHUNKED + b"Trailer: X-Sum\r\n\r\n"
    b"A;name=value;other=\"quoted;\\\"\"\r\n0123456789\r\n00001\r\nx\r\n0;last\r\nX-Sum: 1\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    b"GET /chat HTTP/1.1\r\n" + HOST + b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"DELETE /" + b"long/" * 1000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: %d\r\n" % (n, n) for n in range(80)) + b"\r\n",
    support.GET * 3 + b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc" + support.GET,
]
TROUBLE = [b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b",", b";", b"\"", b"\x7f", b"\x80", b"\xff",
           b"-", b"+", b"0x", b"_", b"0", b"9" * 20, b"18446744073709551616", b"ffffffffffffffff",
           b"Content-Length: 1\r\n", b"Content-Length: 5, 5\r\n", CHUNKED, b"Transfer-Encoding: x\r\n",
           HOST, b"Connection: close\r\n", b"Expect: 100-continue\r\n", b" folded\r\n", b"HTTP/1.1",
           b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"x" * 9000, b"A: b\r\n" * 120]


# ---- Mutations: each takes a random.Random and bytes, and returns bytes ----

def flip_bits(dice, data):
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 8))):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def cut(dice, data):
    begin = dice.randrange(len(data))
    return data[:begin] + data[begin + dice.choice((1, 1, 2, 20, len(data))):]


def insert(dice, data):
    at = dice.randrange(len(data) + 1)
    new = dice.choice(TROUBLE) if dice.random() < 0.8 else dice.randbytes(dice.randint(1, 50))
    return data[:at] + new + data[at:]


def replace(dice, data):
    at = dice.randrange(len(data))
    new = dice.choice(TROUBLE)
    return data[:at] + new + data[at + len(new):]


def double_line(dice, data):
    lines = data.split(b"\r\n")
    at = dice.randrange(len(lines))
    lines.insert(dice.randrange(len(lines) + 1), lines[at])
    return b"\r\n".join(lines)


def swap_lines(dice, data):
    lines = data.split(b"\r\n")
    one, other = dice.randrange(len(lines)), dice.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\r\n".join(lines)


def splice(dice, data):
    other = dice.choice(VALID)
    return data[:dice.randrange(len(data) + 1)] + other[dice.randrange(len(other)):]


def bare_line_ends(dice, data):
    old, new = dice.choice(((b"\r\n", b"\n"), (b"\r\n", b"\r"), (b"\r\n", b"\r\r\n"), (b": ", b" : ")))
    return data.replace(old, new, dice.choice((1, 2, -1)))


def other_number(dice, data):
    places = [at for at, byte in enumerate(data) if 0x30 <= byte <= 0x39]
    if not places:
        return data
    at = dice.choice(places)
    return data[:at] + b"%d" % dice.choice((0, 1, 7, 1 << 31, 1 << 63, 1 << 64)) + data[at + 1:]


def other_case(dice, data):
    begin = dice.randrange(len(data))
    return data[:begin] + data[begin:begin + 10].swapcase() + data[begin + 10:]


MUTATORS = (flip_bits, cut, insert, replace, double_line, swap_lines, splice, bare_line_ends,
            other_number, other_case)


def mutated(dice):
    data = dice.choice(VALID)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        data = dice.choice(MUTATORS)(dice, data) or b"\r"
    return data


class Case:
    """One mutated request, the requests around it, its cuts, and how its client ends."""

    def __init__(self, number):
        dice = random.Random(SEED * 1_000_000 + number)
        self.number = number
        self.clean_first = dice.random() < 0.5
        self.data = (support.GET if self.clean_first else b"") + mutated(dice)
        if dice.random() < 0.3:
            self.data += support.GET
        cuts = dice.choice((0, 0, 1, 2, 5))
        places = sorted(dice.randrange(len(self.data)) for _ in range(cuts))
        self.pieces = [self.data[a:b] for a, b in zip([0, *places], [*places, None])]
        self.leaves = dice.random() < 0.1  # does not read the answers
        self.resets = self.leaves and dice.random() < 0.5

    def __str__(self):
        return f"mutation {self.number} of seed {SEED}, sent as {self.pieces!r}"

    def open(self, server):
        connection = server.connect()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.resets:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        return connection

    def judge(self, data, was_reset=False):
        """Returns the answers in `data`. Fails if a strict server may not give them."""
        answers = support.parse_answers(data)
        # A reset is right only if a client asked for the end and then sent more.
        asked = bool(answers) and answers[-1].status == 200 and answers[-1].closes
        assert asked or not was_reset, "a reset"
        final = [answer for answer in answers if answer.status >= 200]
        if self.clean_first:
            assert final and (final[0].status, final[0].body) == (200, b"OK\n"), "the first is lost"
        assert sum(a.status == 200 for a in final) <= self.data.count(b"HTTP/1."), "one too many"
        for answer in answers:
            last = answer is answers[-1]
            if answer.status == 200:
                head = answer.body is None and b"HEAD" in self.data
                assert head or answer.body == b"OK\n", answer.body
                assert last or not answer.closes, "more behind the last"
            elif answer.status == 100:
                assert b"100-continue" in self.data.lower(), "an unasked 100"
            else:
                assert answer.status in REFUSALS, answer.status
                assert last and answer.closes, "a refusal is not the last"
                assert answer.body or b"HEAD" in self.data, "a refusal without a text"
        return answers


def finals(answers):
    """Returns the final answers. Whether a 100 is sent depends on when the bytes came."""
    return [(answer.status, answer.body) for answer in answers if answer.status >= 200]


def read_to_the_end(connection):
    """Returns the bytes up to the end, and whether a reset ended them."""
    data = b""
    while True:
        try:
            chunk = connection.recv(1 << 16)
        except ConnectionResetError:
            return data, True
        if not chunk:
            return data, False
        data += chunk


def exchange(server, cases, pieces):
    """Sends the cases in turns. Returns the bytes received for each, None if its client left."""
    received = []
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(case.open(server)) for case in cases]
        cut_off = set()
        for turn in itertools.zip_longest(*pieces, fillvalue=b""):
            for connection, piece in zip(connections, turn):
                with trying(cut_off, connection):
                    connection.sendall(piece)
        for case, connection in zip(cases, connections):
            if case.leaves:
                connection.close()
                received.append(None)
                continue
            with trying(cut_off, connection):
                connection.shutdown(socket.SHUT_WR)
            data, was_reset = read_to_the_end(connection)
            received.append((data, was_reset or connection in cut_off))
    return received


@contextlib.contextmanager
def trying(cut_off, connection):
    """Adds the connection to `cut_off` if the server has ended it."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN):
            raise
        cut_off.add(connection)


@support.on_each_backend
class Mutations(support.BackendTest):
    def ask_cleanly(self, connection, watch, what):
        begin = watch.seconds
        self.assertTrue(support.is_ok(connection), what)
        took = watch.seconds - begin
        self.assertLess(took, CLEAN_LIMIT, what)
        return took

    def answers(self, server, cases, pieces):
        """Returns the answers to each case, or None if its client left."""
        try:
            results = exchange(server, cases, pieces)
        except OSError as error:
            self.fail(f"{error!r} within {', '.join(map(str, cases))}")
        judged = []
        for case, result in zip(cases, results):
            try:
                judged.append(None if result is None else case.judge(*result))
            except (AssertionError, KeyError, ValueError) as error:
                self.fail(f"{error!r}: {case} answered {result!r}")
        return judged

    def batch(self, server, first):
        """Returns how many cases were answered, refused, and closed without an answer."""
        cases = [Case(number) for number in range(first, first + AT_ONCE)]
        by_pieces = self.answers(server, cases, [case.pieces for case in cases])
        counts = [0, 0, 0]
        again = []
        for case, answers in zip(cases, by_pieces):
            if answers is None:
                continue
            refused = bool(answers) and answers[-1].status >= 400
            counts[1 if refused else 0 if answers else 2] += 1
            # The server drops bytes behind an Upgrade only if they came before its answer.
            if len(case.pieces) > 1 and b"\nupgrade:" not in case.data.lower():
                again.append((case, answers))
        whole = [case for case, _ in again]
        for (case, cut_up), uncut in zip(
                again, self.answers(server, whole, [[case.data] for case in whole])):
            self.assertEqual(finals(cut_up), finals(uncut), f"{case}, and uncut")
        return counts

    def test_10000_mutations(self):
        with self.server(HTTP_OK, "-w", "1") as server, server.connect() as steady, \
                support.Stopwatch() as watch:
            (worker,) = server.workers()
            self.assertTrue(support.is_ok(steady))
            descriptors = len(support.descriptors_of(worker))
            totals = [0, 0, 0]
            slowest = memory = 0
            for first in range(0, MUTATIONS, AT_ONCE):
                if first == WARM_UP:
                    memory = support.resident(worker)
                totals = [a + b for a, b in zip(totals, self.batch(server, first))]
                what = f"a clean request after mutations {first} to {first + AT_ONCE - 1}"
                slowest = max(slowest, self.ask_cleanly(steady, watch, what))
                if first % 100 == 0:
                    with server.connect() as fresh:
                        slowest = max(slowest, self.ask_cleanly(fresh, watch, what))
            wait_until(lambda: len(support.descriptors_of(worker)) == descriptors, "all closed", 2)
            growth = support.resident(worker) - memory
            self.assertEqual(server.workers(), [worker])
            print(f"{self.backend}: {totals[0]} answered, {totals[1]} refused, {totals[2]} closed, "
                  f"slowest clean answer {slowest * 1000:.1f} ms, grown by {growth >> 10} KiB",
                  file=sys.stderr)
            if not support.has_shadow_memory(worker):
                self.assertLess(growth, GROWTH)
            self.assertGreater(min(totals[:2]), MUTATIONS // 10, "the mutations are of one kind")


GOOD = b"HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 3\r\n\r\nOK\n"
REFUSAL = b"HTTP/1.1 400 No\r\nDate: now\r\nContent-Length: 2\r\nConnection: close\r\n\r\nNo"


class Judge(unittest.TestCase):
    """Tests that judge() notices wrong answers."""

    def test_judge(self):
        case = Case(0)
        case.clean_first = True
        case.data = support.GET * 2
        for well in (GOOD, GOOD * 2, GOOD + REFUSAL):
            case.judge(well)
        case.judge(GOOD[:-7] + b"\r\nConnection: close\r\n\r\nOK\n", was_reset=True)
        for wrong in (b"", GOOD * 3, GOOD[:-1], GOOD[:20], GOOD + b"x", REFUSAL, REFUSAL + GOOD,
                      GOOD + REFUSAL * 2, GOOD.replace(b"OK\n", b"KO\n"), GOOD[:-3], GOOD[:-3] + GOOD,
                      GOOD.replace(b"Date: now\r\n", b""), GOOD.replace(b"Date", b"Da te"),
                      GOOD.replace(b"Date: now", b"Date: n\0w"), GOOD.replace(b"1.1", b"1.0"),
                      GOOD.replace(b"Date: now", b"Content-Length: 3"), GOOD.replace(b": 3", b": 4"),
                      GOOD + REFUSAL.replace(b"close", b"keep-alive"), b"HTTP/1.1 100 C\r\n\r\n" + GOOD,
                      GOOD + REFUSAL.replace(b"400 No", b"500 No"), GOOD + REFUSAL[:-2]):
            with self.subTest(wrong=wrong), self.assertRaises((AssertionError, KeyError, ValueError)):
                case.judge(wrong)
        for cut_off in (GOOD, GOOD + REFUSAL):
            with self.subTest(cut_off=cut_off), self.assertRaises(AssertionError):
                case.judge(cut_off, was_reset=True)


if __name__ == "__main__":
    support.main()
