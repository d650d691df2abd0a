#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests how TERM, INT and QUIT end the programs, and that no process and no file is left."""

import contextlib
import os
import signal
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
import support  # noqa: E402
from support import ECHO, HTTP_OK, Server, wait_until  # noqa: E402

SOON = 3.5  # seconds; an idle server needs less than a tenth of it


@support.on_each_backend
class Stop(support.BackendTest):
    def end(self, server, *numbers, within=SOON):
        """Sends the signals, checks that all processes end cleanly, and returns the seconds."""
        workers = server.workers()
        begin = time.monotonic()
        for number in numbers:
            server.signal(number)
        self.assertEqual(server.wait(within), 0)
        took = time.monotonic() - begin
        self.assertEqual([pid for pid in workers if support.alive(pid)], [])
        self.assertIsNone(server.read_line())
        return took

    @contextlib.contextmanager
    def holding(self, *options):
        """Yields a server and a connection that it can't finish, because the client never reads."""
        with tempfile.TemporaryDirectory() as folder:
            bind = (f"unix:{folder}/socket",)  # unix sockets have small buffers
            with self.server(ECHO, *options, bind=bind) as server, server.connect() as connection:
                connection.settimeout(0.3)
                with self.assertRaises(TimeoutError):
                    while True:
                        connection.send(b"x" * 4096)
                connection.settimeout(support.LIMIT)
                yield server, connection

    def test_idle_connections_are_closed_at_once(self):
        for program in (ECHO, HTTP_OK):
            for workers in ("0", "2"):
                for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
                    with self.subTest(program=program, workers=workers, number=number):
                        with self.server(program, "-w", workers) as server:
                            idle = [server.connect() for _ in range(20)]
                            works = support.echoes if program == ECHO else support.is_ok
                            self.assertTrue(all(works(connection) for connection in idle))
                            self.end(server, number)
                            for connection in idle:
                                connection.close()

    def test_a_request_under_way_is_answered(self):
        for workers in ("0", "1"):
            with self.subTest(workers=workers), self.server(HTTP_OK, "-w", workers) as server:
                with server.connect() as busy, server.connect() as idle:
                    busy.sendall(support.GET[:-2])
                    self.assertTrue(support.is_ok(idle))
                    self.assertTrue(support.is_ok(idle))  # by then the server has read `busy` too
                    server.signal(signal.SIGTERM)
                    self.assertEqual(idle.recv(1), b"")
                    busy.sendall(support.GET[-2:])
                    head, body = support.read_response(busy)
                    self.assertIn(b"\r\nConnection: close", head)
                    self.assertEqual(body, b"OK\n")
                    self.assertEqual(busy.recv(1), b"")
                self.assertEqual(server.wait(), 0)

    def test_what_was_echoed_is_written_first(self):
        with self.holding() as (server, connection):
            server.signal(signal.SIGTERM)
            wait_until(lambda: server.refuses(), "the listener closed")
            self.assertGreater(len(support.read_all(connection)), 1 << 16)
            connection.close()
            self.assertEqual(server.wait(), 0)

    def test_the_graceful_time_out_ends_it(self):
        for workers in ("0", "2"):
            with self.subTest(workers=workers):
                with self.holding("-w", workers, "--graceful-timeout", "1") as (server, _):
                    self.assertGreater(self.end(server, signal.SIGTERM, within=5), 0.9)
                    self.assertIn("graceful", server.log())

    def test_a_second_int_and_quit_are_fast(self):
        for workers in ("0", "2"):
            for then in (signal.SIGINT, signal.SIGQUIT):
                with self.subTest(workers=workers, then=then):
                    with self.holding("-w", workers) as (server, _):
                        server.signal(signal.SIGINT)
                        wait_until(lambda: server.refuses(), "the listener closed")
                        self.assertIsNone(server.process.poll(), "INT was not graceful")
                        self.end(server, then)

    def test_stuck_workers_are_killed(self):
        with self.server(ECHO, "--graceful-timeout", "0") as server:
            for pid in server.workers():
                os.kill(pid, signal.SIGSTOP)
            self.end(server, signal.SIGTERM, within=10)
            self.assertIn("killed", server.log())

    def test_the_terminal_s_interrupt_is_graceful(self):
        with self.server(HTTP_OK, "-w", "1") as server, server.connect() as busy:
            busy.sendall(support.GET[:-2])
            with server.connect() as other:
                self.assertTrue(support.is_ok(other) and support.is_ok(other))
            os.killpg(server.pid, signal.SIGINT)  # Ctrl-C signals the workers too
            wait_until(lambda: server.refuses(), "the listener closed")
            busy.sendall(support.GET[-2:])
            self.assertEqual(support.read_response(busy)[1], b"OK\n")
            self.assertEqual(server.wait(), 0)

    def test_signals_at_any_moment_of_the_start(self):
        for _ in range(15):
            with Server(ECHO, "-w", "4", "--backend", self.backend) as server:
                server.read_line()  # "listening": the master is starting the workers
                wait_until(lambda: server.workers() or server.pending, "a worker")
                server.signal(signal.SIGTERM)
                self.assertEqual(server.wait(SOON), 0)

    def test_signals_that_were_blocked_at_the_start_work(self):
        def block():
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
        for workers in ("0", "2"):
            with self.subTest(workers=workers), self.server(ECHO, "-w", workers, preexec_fn=block) as server:
                self.end(server, signal.SIGTERM)

    def test_the_file_of_a_unix_socket_goes(self):
        for workers in ("0", "2"):
            with self.subTest(workers=workers), tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "socket")
                with self.server(ECHO, "-w", workers, bind=(f"unix:{path}",)) as server:
                    self.assertTrue(os.path.exists(path))
                    ended = set(server.workers())
                    for pid in ended:
                        os.kill(pid, signal.SIGTERM)  # the end of a worker must not remove the file
                    wait_until(lambda: not ended & set(server.workers()), "their end")
                    with wait_until(lambda: server.connect(), "a connection") as connection:
                        self.assertTrue(workers == "0" or support.echoes(connection))
                    self.end(server, signal.SIGTERM)
                self.assertFalse(os.path.exists(path))


if __name__ == "__main__":
    support.main()
