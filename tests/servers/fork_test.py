#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests --model fork, with a process for each connection, and --reply of reactor-echo."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
import support  # noqa: E402
from support import ECHO, HTTP_OK, Server, children_of, wait_until  # noqa: E402


def forked(server):
    """Returns the processes of connections, including zombies."""
    parents = server.workers() if children_of(server.pid) else [server.pid]
    return [pid for parent in parents for pid in children_of(parent)]


def pid_of(connection):
    """Returns the pid of the process that answers, which --reply pid sends."""
    connection.sendall(b"who")
    return int(re.fullmatch(rb"(\d+): who", connection.recv(100))[1])


@support.on_each_backend
class Fork(support.BackendTest):
    def forking(self, program, *options, **more):
        return self.server(program, "--model", "fork", *options, **more)

    def test_each_connection_has_a_process(self):
        with self.forking(ECHO, "--reply", "pid") as server, contextlib.ExitStack() as stack:
            connections = [stack.enter_context(server.connect()) for _ in range(6)]
            pids = [pid_of(connection) for connection in connections]
            self.assertEqual(len(set(pids)), 6)
            self.assertEqual(sorted(pids), sorted(forked(server)))
            self.assertEqual([pid_of(connection) for connection in connections], pids)
            self.assert_has_nothing_else(server, pids[-1])
            stack.close()
            wait_until(lambda: not forked(server), "no process and no zombie")

    def assert_has_nothing_else(self, server, pid):
        """Checks that the process has one connection and no socket of its parents."""
        sockets = [name for name in support.descriptors_of(pid).values() if name.startswith("socket:")]
        self.assertEqual(len(sockets), 1, support.descriptors_of(pid))
        for parent in {server.pid, *server.workers()} - {pid}:
            # The parent closes its copy after the fork, maybe after the child has answered.
            wait_until(lambda p=parent: sockets[0] not in support.descriptors_of(p).values(),
                       "the parent without the connection")

    def test_nor_has_it_a_socket_that_the_server_inherited(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            for workers in ("0", "1"):
                with self.forking(ECHO, "--reply", "pid", "-w", workers, bind=(f"fd:{listener.fileno()}",),
                                  pass_fds=[listener.fileno()]) as server, server.connect() as connection:
                    self.assert_has_nothing_else(server, pid_of(connection))

    def test_many_in_a_row(self):
        with self.forking(ECHO) as server:
            for _ in range(200):
                with server.connect() as connection:
                    self.assertTrue(support.echoes(connection))
            wait_until(lambda: not forked(server), "no process and no zombie")

    def test_at_the_limit_the_next_one_waits(self):
        for options in (("--max-children", "2"), ("--max-connections", "2")):
            with self.forking(ECHO, "-w", "1", *options) as server:
                first, second, third = (server.connect() for _ in range(3))
                with first, second, third:
                    self.assertTrue(support.echoes(first) and support.echoes(second))
                    third.sendall(b"third")
                    third.settimeout(0.1)
                    self.assertRaises(socket.timeout, third.recv, 1)
                    self.assertEqual(len(forked(server)), 2)
                    first.close()
                    third.settimeout(support.LIMIT)
                    self.assertEqual(third.recv(100), b"third")
                    self.assertEqual(len(forked(server)), 2)

    def test_a_killed_one_harms_nobody(self):
        with self.forking(ECHO, "--reply", "pid", "-w", "1", "--max-children", "2") as server:
            with server.connect() as first, server.connect() as second:
                victim, other = pid_of(first), pid_of(second)
                os.kill(victim, signal.SIGKILL)
                with contextlib.suppress(ConnectionResetError):
                    self.assertEqual(first.recv(1), b"")
                with server.connect() as third:
                    self.assertNotIn(pid_of(third), (victim, other))
                    self.assertEqual(pid_of(second), other)
            self.assertIn(f"(pid {victim}) was killed by signal 9", server.log())

    def test_a_workers_death_ends_its_own(self):
        with self.forking(ECHO, "--reply", "pid", "-w", "1") as server:
            with server.connect() as connection:
                child = pid_of(connection)
                os.kill(server.workers()[0], signal.SIGKILL)
                wait_until(lambda: not support.alive(child), "the child's end")
            with server.connect() as connection:
                self.assertNotEqual(pid_of(connection), child)
            server.signal(signal.SIGQUIT)
            self.assertEqual(server.wait(), 0)
            wait_until(lambda: not support.in_group(server.pid), "nobody left")

    def test_term_lets_an_exchange_finish(self):
        with self.forking(HTTP_OK) as server, server.connect() as busy, server.connect() as idle:
            self.assertTrue(support.is_ok(idle))
            busy.sendall(support.GET[:-2])
            wait_until(lambda: len(forked(server)) == 2, "two processes")
            server.signal(signal.SIGTERM)
            self.assertEqual(idle.recv(1), b"")
            busy.sendall(support.GET[-2:])
            head, body = support.read_response(busy)
            self.assertIn(b"connection: close", head.lower())
            self.assertEqual(body, b"OK\n")
            self.assertEqual(server.wait(3), 0)
            wait_until(lambda: not support.in_group(server.pid), "nobody left")

    def test_the_graceful_timeout_ends_it(self):
        with self.forking(HTTP_OK, "-w", "1", "--graceful-timeout", "0") as server:
            with server.connect() as busy:
                busy.sendall(b"GET / HTTP/1.1\r\n")
                wait_until(lambda: forked(server), "a process")
                server.signal(signal.SIGTERM)
                self.assertEqual(server.wait(3), 0)
                wait_until(lambda: not support.in_group(server.pid), "nobody left")

    def test_a_reload_can_change_the_model(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "conf"
            path.write_text("model = prefork")
            options = ("-c", str(path), "--reply", "pid", "-w", "1")
            with self.server(ECHO, *options) as server, server.connect() as connection:
                worker = pid_of(connection)
                self.assertEqual([worker], server.workers())
                self.reload(server, path, "fork")
                child = pid_of(connection)
                self.assertEqual([child], forked(server), "it goes on, in a process of its own")
                self.reload(server, path, "prefork")
                self.assertEqual(connection.recv(1), b"", "it can't leave that")
                with server.connect() as other:
                    self.assertEqual([pid_of(other)], server.workers())

    def reload(self, server, path, model):
        before = server.workers()[0]
        path.write_text(f"model = {model}")
        server.signal(signal.SIGHUP)
        wait_until(lambda: before not in server.workers(), "another worker")

    def test_half_closed_is_answered_in_full(self):
        data = os.urandom(1 << 20)
        with self.forking(ECHO) as server, server.connect() as connection:
            connection.settimeout(support.LIMIT)
            received = b""
            for at in range(0, len(data), 1 << 16):
                connection.sendall(data[at:at + (1 << 16)])
                received += connection.recv(1 << 16)
            connection.shutdown(socket.SHUT_WR)
            self.assertEqual(received + support.read_all(connection), data)


class Reply(unittest.TestCase):
    def test_time(self):
        with Server(ECHO, "-w", "0", "--reply", "time") as server:
            server.ready()
            with server.connect() as connection:
                for word in (b"one", b"two\n"):
                    connection.sendall(word)
                    text = connection.recv(100).decode()
                    self.assertTrue(text.startswith(f"Echo=>{word.decode()} at "), text)
                    said = text.rpartition(" at ")[2]
                    self.assertEqual(time.ctime(time.mktime(time.strptime(said))), said)
                    self.assertLess(abs(time.mktime(time.strptime(said)) - time.time()), 5)

    def test_pid_and_raw(self):
        for reply, expected in (("pid", "{}: hello"), ("raw", "hello")):
            with Server(ECHO, "-w", "0", "--reply", reply) as server:
                server.ready()
                with server.connect() as connection:
                    connection.sendall(b"hello")
                    self.assertEqual(connection.recv(100).decode(), expected.format(server.pid))


if __name__ == "__main__":
    support.main()
