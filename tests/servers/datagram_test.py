#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests reactor-echo at udp: and unixgram:, next to streams, and while workers end."""

import contextlib
import os
import signal
import socket
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import support  # noqa: E402
from support import ECHO, HTTP_OK, wait_until  # noqa: E402


@contextlib.contextmanager
def client(address):
    """Yields a socket that is connected to a datagram address, as the server prints it."""
    with contextlib.ExitStack() as stack:
        kind, _, where = address.partition(":")
        if kind == "udp":
            host, _, port = where.rpartition(":")
            host = host.strip("[]")
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            it = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            it.connect((host, int(port)))
        else:
            assert kind == "unixgram", address
            it = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            it.bind(os.path.join(folder, "client"))
            it.connect("\0" + where[1:] if where.startswith("@") else where)
        it.settimeout(support.LIMIT)
        yield it


def echoes(it, data=b"hello"):
    it.send(data)
    return it.recv(1 << 17) == data


@support.on_each_backend
class Datagrams(support.BackendTest):
    def test_all_kinds_at_once_in_the_order_of_bind(self):
        with tempfile.TemporaryDirectory() as folder:
            name = f"unixgram:@reactor-{os.getpid()}-{self.backend}"
            bind = ("udp:127.0.0.1:0", f"unix:{folder}/s", f"unixgram:{folder}/g", "127.0.0.1:0",
                    "udp:[::1]:0", name)
            with self.server(ECHO, bind=bind) as server:
                for wanted, printed in zip(bind, server.addresses, strict=True):
                    if wanted.endswith(":0"):
                        self.assertRegex(printed, f"^{wanted[:-2]}:[1-9][0-9]*$".replace("[::1]", r"\[::1\]"))
                    else:
                        self.assertEqual(printed, wanted)
                for index in (0, 2, 4, 5):
                    with client(server.addresses[index]) as it:
                        for data in (b"hello", b"", b"x" * 60_000):
                            self.assertTrue(echoes(it, data))
                for index in (1, 3):
                    with server.connect(index) as connection:
                        self.assertTrue(support.echoes(connection))
                server.signal(signal.SIGTERM)
                self.assertEqual(server.wait(), 0)
            self.assertEqual(os.listdir(folder), [])

    def test_in_one_process(self):
        with support.Server(ECHO, "-w", "0", "--backend", self.backend, bind=("udp:127.0.0.1:0",)) as server:
            with client(server.ready().addresses[0]) as it:
                self.assertTrue(echoes(it))
            server.signal(signal.SIGTERM)
            self.assertEqual(server.wait(), 0)

    def test_replies(self):
        with self.server(ECHO, "--reply", "pid", bind=("udp:127.0.0.1:0",)) as server:
            with client(server.addresses[0]) as it:
                it.send(b"hello")
                pid, _, data = it.recv(100).partition(b": ")
                self.assertIn(int(pid), server.workers())
                self.assertEqual(data, b"hello")

    def test_the_answer_comes_from_the_address_that_was_asked(self):
        with self.server(ECHO, bind=("udp:0.0.0.0:0",)) as server:
            port = int(server.addresses[0].rpartition(":")[2])
            with client(f"udp:127.0.0.2:{port}") as it:  # gets no datagram from another address
                self.assertTrue(echoes(it))

    def test_nothing_waits_with_a_worker_that_is_stopped_or_killed(self):
        with self.server(ECHO, bind=("udp:127.0.0.1:0",)) as server, contextlib.ExitStack() as stack:
            clients = [stack.enter_context(client(server.addresses[0])) for _ in range(20)]
            stopped, _ = server.workers()
            os.kill(stopped, signal.SIGSTOP)
            for it in clients:
                self.assertTrue(echoes(it))
            os.kill(stopped, signal.SIGKILL)
            for it in clients:
                self.assertTrue(echoes(it))
            wait_until(lambda: len(server.workers()) == 2, "the successor")
            for it in clients:
                self.assertTrue(echoes(it))

    def test_a_part_of_a_datagram_is_not_echoed(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.server(ECHO, bind=(f"unixgram:{folder}/s",)) as server, client(server.addresses[0]) as it:
                it.send(b"x" * 65_537)
                whole = b"y" * 65_536
                it.send(whole)
                self.assertEqual(it.recv(100_000), whole)
                wait_until(lambda: "it is longer than 65,536 bytes" in server.log(), "the reason")

    def test_reload_and_fewer_workers_lose_none(self):
        with self.server(ECHO, "--udp-rate", "0", bind=("udp:127.0.0.1:0",)) as server:
            with client(server.addresses[0]) as it:
                for number in (signal.SIGHUP, signal.SIGTTOU):
                    before = server.workers()
                    server.signal(number)
                    rounds = 0
                    while server.workers() == before or rounds < 200:
                        self.assertTrue(echoes(it, b"%d" % rounds))
                        rounds += 1
                        self.assertLess(rounds, 200_000)

    def test_an_upgrade_loses_none(self):
        with tempfile.TemporaryDirectory() as folder:
            pid_file = os.path.join(folder, "pid")

            def master():
                with open(pid_file, encoding="ascii") as file:
                    return int(file.read() or 0)

            bind = ("udp:127.0.0.1:0", f"unixgram:{folder}/socket")
            with self.server(ECHO, "--udp-rate", "0", "--pid", pid_file, bind=bind) as server, contextlib.ExitStack() as stack:
                clients = [stack.enter_context(client(address)) for address in server.addresses]
                server.signal(signal.SIGUSR2)
                rounds = 0
                while master() in (0, server.pid) or server.process.poll() is None:
                    self.assertTrue(all(echoes(it, b"%d" % rounds) for it in clients))
                    rounds += 1
                    self.assertLess(rounds, 200_000)
                self.assertTrue(all(echoes(it) for it in clients))
                new = master()
                os.kill(new, signal.SIGTERM)
                wait_until(lambda: not support.alive(new), "the end of the new program")
                self.assertEqual(os.listdir(folder), [])

    def test_what_came_in_before_the_end_is_answered(self):
        with self.server(ECHO, bind=("udp:127.0.0.1:0",)) as server:
            with client(server.addresses[0]) as it:
                self.assertTrue(echoes(it))
                for pid in server.workers():
                    os.kill(pid, signal.SIGSTOP)
                for number in range(50):
                    it.send(b"%d" % number)
                server.signal(signal.SIGTERM)
                for pid in server.workers():
                    os.kill(pid, signal.SIGCONT)
                self.assertEqual(sorted(int(it.recv(10)) for _ in range(50)), list(range(50)))
                self.assertEqual(server.wait(), 0)

    def test_a_source_has_a_rate(self):
        with self.server(ECHO, "-w", "1", "--udp-rate", "20", bind=("udp:127.0.0.1:0",)) as server:
            with client(server.addresses[0]) as it:
                for number in range(60):
                    it.send(b"%d" % number)
                for number in range(20):
                    self.assertEqual(it.recv(10), b"%d" % number)
                wait_until(lambda: "--udp-rate" in server.log(), "the line in the log")

    def test_what_is_sent_to_all_is_not_answered(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as it:
            it.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            it.bind(("127.0.0.1", 0))
            it.settimeout(support.LIMIT)
            with self.server(ECHO, "-w", "1", bind=("udp:0.0.0.0:0",)) as server:
                port = int(server.addresses[0].rpartition(":")[2])
                it.sendto(b"to all", ("127.255.255.255", port))
                wait_until(lambda: "broadcast" in server.log(), "the line in the log")
                it.sendto(b"to it", ("127.0.0.1", port))
                self.assertEqual(it.recv(10), b"to it")

    @unittest.skipUnless(os.geteuid() == 0, "needs a port below 1024")
    def test_low_ports_are_answered_on_demand(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as low:
            low.settimeout(support.LIMIT)
            for number in range(1023, 600, -1):
                with contextlib.suppress(OSError):
                    low.bind(("127.0.0.1", number))
                    break
            with self.server(ECHO, bind=("udp:127.0.0.1:0",)) as server:
                low.sendto(b"no", ("127.0.0.1", int(server.addresses[0].rpartition(":")[2])))
                wait_until(lambda: "below 1024" in server.log(), "the line in the log")
            with self.server(ECHO, "--udp-low-ports", "on", bind=("udp:127.0.0.1:0",)) as server:
                low.sendto(b"yes", ("127.0.0.1", int(server.addresses[0].rpartition(":")[2])))
                self.assertEqual(low.recv(10), b"yes")

    def test_a_unix_client_that_never_reads_silences_nobody(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.server(ECHO, bind=(f"unixgram:{folder}/s",)) as server, contextlib.ExitStack() as stack:
                good, lazy = (stack.enter_context(client(server.addresses[0])) for _ in range(2))
                for _ in range(30):
                    lazy.send(b"x" * 60_000)
                    self.assertTrue(echoes(good))

    def test_an_inherited_socket(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
            bound.bind(("127.0.0.1", 0))
            port = bound.getsockname()[1]
            with self.server(ECHO, bind=(f"fd:{bound.fileno()}",), pass_fds=[bound.fileno()]) as server:
                self.assertEqual(server.addresses, [f"udp:127.0.0.1:{port}"])
                with client(server.addresses[0]) as it:
                    self.assertTrue(echoes(it))
            for refuses in ((HTTP_OK,), (ECHO, "--model", "fork"), (ECHO, "--model", "fork", "-w", "0")):
                with support.Server(*refuses, bind=(f"fd:{bound.fileno()}",), pass_fds=[bound.fileno()]) as server:
                    self.assertEqual(server.wait(), 4)
                    self.assertIn(f"--bind 'fd:{bound.fileno()}'", server.log())


class Refused(unittest.TestCase):
    def refused(self, program, *options, code=2):
        with support.Server(program, *options, bind=()) as server:
            self.assertEqual(server.wait(), code)
            return server.log()

    def test_bad_values(self):
        for value in ("udp:", "udp:127.0.0.1", "udp:127.0.0.1:70000", "udp:300.0.0.1:1", "unixgram:",
                      "udp:unix:/tmp/x", "unixgram:" + "x" * 108):
            self.assertIn(f"--bind '{value}'", self.refused(ECHO, "--bind", value))
        self.assertIn("HTTP/1.1", self.refused(HTTP_OK, "--bind", "udp:127.0.0.1:0"))
        self.assertIn("udp:127.0.0.1:0", self.refused(ECHO, "--model", "fork", "--bind", "udp:127.0.0.1:0"))

    def test_taken(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
            bound.bind(("127.0.0.1", 0))
            where = f"udp:127.0.0.1:{bound.getsockname()[1]}"
            self.assertIn(f"--bind '{where}'", self.refused(ECHO, "--bind", where, code=4))
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "g")
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
                bound.bind(path)
                self.refused(ECHO, "--bind", f"unixgram:{path}", code=4)
            with support.Server(ECHO, "-w", "1", bind=(f"unixgram:{path}",)) as server:
                server.ready()


if __name__ == "__main__":
    support.main()
