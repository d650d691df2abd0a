#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that both programs of each pair in docs/from-socketserver.md serve clients alike."""

import concurrent.futures
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "servers"))
import support  # noqa: E402

SOURCE = Path(os.environ["SOURCE"])
PROGRAMS = Path(os.environ["REACTOR_EXAMPLES"]) / "socketserver"
PAGE = (SOURCE / "docs" / "from-socketserver.md").read_text()
LIMIT = 20


def python(name):
    return re.search(rf"<!-- python: {name} -->\n```python\n(.*?)```", PAGE, re.S).group(1)


class Running:
    """A running program. Its output is read by lines. The end of the block kills its group."""

    def __init__(self, command):
        self.errors = support.log_file()
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self.errors, start_new_session=True, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    def line(self):
        return self.process.stdout.readline().rstrip("\n")

    def address(self):
        word, on, address = self.line().split(" ", 2)
        assert (word, on) == ("listening", "on")
        return address

    def log(self):
        self.errors.seek(0)
        return self.errors.read().decode()


def connect(address):
    if address.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(address[len("unix:"):])
    else:
        host, port = address.split(":")
        connection = socket.create_connection((host, int(port)))
    connection.settimeout(LIMIT)
    return connection


def ask(address, request=b"", whole=True):
    with connect(address) as connection:
        connection.sendall(request)
        if whole:
            connection.shutdown(socket.SHUT_WR)
        return connection.makefile("rb").read()


class Pairs:
    """The checks. A subclass has start(name, argument...), which runs the program of one side."""

    def test_prefork_ok(self):
        with self.start("prefork_ok", self.any_port) as server:
            address = server.address()
            for _ in range(20):
                self.assertEqual(ask(address, whole=False), b"OK\n")
            self.assertEqual(server.log().count("connection from"), 20)
            workers = subprocess.run(["ps", "-o", "pid=", "--ppid", str(server.process.pid)],
                                     capture_output=True, text=True, timeout=LIMIT).stdout.split()
            self.assertEqual(len(workers), 5)

    def test_greeting(self):
        with self.start("greeting") as server:
            address = server.address()
            for word in (b"hello", b"again"):
                with connect(address) as connection:
                    connection.sendall(word)
                    self.assertEqual(connection.makefile().read(), "Merhaba dünya!\n")
                self.assertRegex(server.line(), rf"^127\.0\.0\.1:\d+ said {word.decode()}$")
            server.process.send_signal(signal.SIGINT)
            self.assertEqual(server.line(), "goodbye")
            self.assertEqual(server.process.wait(LIMIT), 0)

    def test_forking_echo_and_its_clients(self):
        with self.start("forking_echo") as server:
            address = server.address()
            done = self.run_once("clients", address)
            answers = sorted(line.partition(": ")[::2] for line in done.splitlines())
            self.assertEqual({text for _, text in answers}, {"Hello echo server!", "Hello again!"})
            pids = {int(pid) for pid, _ in answers}
            self.assertEqual(len(pids), 2)
            self.assertNotIn(server.process.pid, pids)

    def test_names(self):
        lines = self.run_once("names").splitlines()
        self.assertEqual(lines[-1], "3 connections, 3 messages")
        received = [re.fullmatch(r"Received: (\S.*): Hello World (\d)", line).groups() for line in lines[:-1]]
        self.assertEqual(sorted(number for _, number in received), ["1", "2", "3"])
        self.assertEqual(len({name for name, _ in received}), 3)

    def test_stream_server(self):
        with tempfile.TemporaryDirectory() as folder:
            for where in ("127.0.0.1:0", f"unix:{folder}/socket"):
                with self.start("stream_server", where) as server:
                    address = server.address()
                    for text in ("hello", "world"):
                        self.assertEqual(ask(address, f"{text}\nmore".encode(), whole=False), text.upper().encode())
                        self.assertTrue(server.line().endswith(f"wrote: {text}"))

    def test_datagram_server(self):
        with tempfile.TemporaryDirectory() as folder:
            for where in ("udp:127.0.0.1:0", f"unixgram:{folder}/server"):
                with self.start("datagram_server", where) as server:
                    kind, _, address = server.address().partition(":")
                    unix = kind == "unixgram"
                    with socket.socket(socket.AF_UNIX if unix else socket.AF_INET, socket.SOCK_DGRAM) as client:
                        client.settimeout(LIMIT)
                        if unix:
                            client.bind(f"{folder}/client")
                            client.connect(address)
                        else:
                            host, port = address.split(":")
                            client.connect((host, int(port)))
                        for text in ("hello", "world"):
                            client.send(text.encode())
                            self.assertEqual(client.recv(100), text.upper().encode())
                            self.assertTrue(server.line().endswith(f"wrote: {text}"))

    def test_handle_request(self):
        with self.start("handle_request") as server:
            self.assertEqual(ask(server.address(), whole=False), b"only you\n")
            self.assertEqual(server.process.wait(LIMIT), 0)

    def run_once(self, *command):
        with self.start(*command) as program:
            output, _ = program.process.communicate(timeout=LIMIT)
            self.assertEqual(program.process.returncode, 0, program.log())
            return output


class Python(Pairs, unittest.TestCase):
    any_port = "0"

    def start(self, name, *arguments):
        return Running([sys.executable, "-u", "-c", python(name), *arguments])


class Reactor(Pairs, unittest.TestCase):
    any_port = "127.0.0.1:0"

    def start(self, name, *arguments):
        return Running([PROGRAMS / f"socketserver_{name}", *arguments])

    def test_nothing_dies_with_a_client_that_resets(self):
        with self.start("stream_server") as server:
            address = server.address()
            for _ in range(20):
                connection = connect(address)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.sendall(b"x")
                connection.close()
            self.assertEqual(ask(address, b"alive\n", whole=False), b"ALIVE")


class Dispatcher(unittest.TestCase):
    """Runs three programs at the same time, because their handlers take five seconds."""

    def check(self, side, *arguments):
        """Runs 20 clients of a slow handler and a quick one. Returns the quick client's times."""
        with side.start("dispatcher", "5", *arguments) as server, contextlib.ExitStack() as stack:
            address = server.address()
            answers = []
            begin = time.monotonic()
            watch = stack.enter_context(support.Stopwatch())
            clients = [threading.Thread(target=lambda n=n: answers.append(ask(address, b"data %d\n" % n, whole=False)))
                       for n in range(20)]
            for client in clients:
                client.start()
            pings = []
            while time.monotonic() < begin + 4:
                before = watch.seconds
                self.assertTrue(ask(address, b"ping\n", whole=False).startswith(b"Echo=>ping at "))
                pings.append(watch.seconds - before)
                time.sleep(0.02)
            for client in clients:
                client.join()
            self.assertGreaterEqual(time.monotonic() - begin, 5)
            self.assertEqual(len(answers), 20)
            for answer in answers:
                self.assertRegex(answer, rb"^Echo=>data \d+ at \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\n$")
            self.assertLess(watch.seconds, 30, "20 clients, one after the other, take 100 s")
            children = subprocess.run(["ps", "-o", "stat=", "-g", str(server.process.pid)],
                                      capture_output=True, text=True, timeout=LIMIT).stdout.split()
            return sorted(pings), children

    def test_nobody_waits_for_anybody_else(self):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            there = pool.submit(self.check, Python())
            in_one_loop = pool.submit(self.check, Reactor())
            by_processes = pool.submit(self.check, Reactor(), "fork")
        there.result()
        for done in (in_one_loop, by_processes):
            pings, states = done.result()
            self.assertLess(pings[len(pings) // 2], 0.5)  # the other clients wait for 5 s
            self.assertFalse([state for state in states if state.startswith("Z")])


class Signature(unittest.TestCase):
    PROGRAM = """#include "reactor/coro/coro.h"
    using namespace reactor;
    %s
    int main() {
      Loop loop;
      auto server = coro::serve(loop, Address::loopback(0), handle).value();
    }
    """

    def compile(self, handler):
        command = [os.environ.get("CXX", "c++"), "-std=c++20", "-fsyntax-only", "-I", SOURCE, "-x", "c++", "-"]
        return subprocess.run(command, input=self.PROGRAM % handler, capture_output=True, text=True, timeout=100)

    def test_a_handler_with_the_wrong_signature_does_not_compile(self):
        right = self.compile("coro::Task<> handle(coro::Stream) { co_return; }")
        self.assertEqual(right.returncode, 0, right.stderr)
        for wrong in ("void handle(coro::Stream) {}", "coro::Task<> handle(int) { co_return; }",
                      "coro::Task<int> handle(coro::Stream) { co_return 1; }"):
            result = self.compile(wrong)
            self.assertNotEqual(result.returncode, 0, wrong)
            self.assertIn("the handler of a connection is a coroutine", result.stderr)


if __name__ == "__main__":
    unittest.main()
