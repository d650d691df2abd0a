#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests USR2: the new program takes over sockets and idle connections, or nothing changes."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
import unittest

sys.dont_write_bytecode = True
import ledger  # noqa: E402
import support  # noqa: E402
from ledger import Ledger  # noqa: E402
from support import ECHO, HTTP_OK, wait_until  # noqa: E402

BROKEN = {
    "ends": "#!/bin/sh\nexit 3\n",
    "is no program": "\0\1\2",
    "never becomes ready": "#!/bin/sh\nexec sleep 60\n",
}


class Upgraded:
    """A copy of a program that upgrades replace. Its pid file names the current master."""

    def __init__(self, folder, program):
        self.program = os.path.join(folder, "program")
        shutil.copy2(program, self.program)
        self.pid_file = pathlib.Path(folder, "pid")
        self.file = os.path.join(folder, "conf")

    def replace(self, text=None, program=None):
        fresh = self.program + ".new"
        if text is not None:
            pathlib.Path(fresh).write_text(text)
            os.chmod(fresh, 0o755)
        else:
            shutil.copy2(program, fresh)
        os.rename(fresh, self.program)

    def configure(self, text):
        pathlib.Path(self.file).write_text(text + "\n")

    def pid(self):
        text = self.pid_file.read_text().strip()
        return int(text) if text else 0

    def end(self, pid):
        if pid and support.alive(pid):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not support.alive(pid), "the end of the new program")


def ask_until(server, over):
    """Connects until `over()`, and 20 times more. Each connection must be answered to the end."""
    connections = []
    end = time.monotonic() + support.LIMIT
    while not over():
        assert time.monotonic() < end, server.log()
        connections.append(server.connect())
        assert support.is_ok(connections[-1])
        time.sleep(0.01)
    connections += [server.connect() for _ in range(20)]
    assert all(support.is_ok(connection) for connection in connections)
    for connection in connections:
        connection.close()


@support.on_each_backend
class Upgrade(support.BackendTest):
    def upgrade(self, server, upgraded):
        old = upgraded.pid()
        os.kill(old, signal.SIGUSR2)
        new = wait_until(lambda: upgraded.pid() not in (0, old) and upgraded.pid(), "a new master")
        wait_until(lambda: not support.alive(old), "the end of the old one")
        return new

    def test_idle_connections_go_on(self):
        for program, works in ((HTTP_OK, support.is_ok), (ECHO, support.echoes)):
            with self.subTest(program=program), tempfile.TemporaryDirectory() as folder:
                upgraded = Upgraded(folder, program)
                bind = ("127.0.0.1:0", f"unix:{folder}/socket")
                with self.server(upgraded.program, "--pid", str(upgraded.pid_file),
                                 bind=bind) as server:
                    connections = [server.connect(i % 2) for i in range(100)]
                    self.assertTrue(all(works(connection) for connection in connections))
                    first = upgraded.pid()
                    self.assertEqual(first, server.pid)
                    try:
                        second = self.upgrade(server, upgraded)
                        self.assertEqual(server.wait(), 0)
                        self.assertTrue(all(works(connection) for connection in connections))
                        third = self.upgrade(server, upgraded)
                        self.assertEqual(len({first, second, third}), 3)
                        self.assertTrue(all(works(connection) for connection in connections))
                        for index in range(2):
                            with server.connect(index) as fresh:
                                self.assertTrue(works(fresh))
                        os.kill(third, signal.SIGTERM)
                        wait_until(lambda: not support.alive(third), "the end")
                        self.assertIsNone(server.read_line())  # the server printed no more lines
                        self.assertEqual(sorted(os.listdir(folder)), ["program"])
                    finally:
                        if upgraded.pid_file.exists():
                            upgraded.end(upgraded.pid())
                        for connection in connections:
                            connection.close()

    def test_a_broken_program_changes_nothing(self):
        for what, text in BROKEN.items():
            with self.subTest(what), tempfile.TemporaryDirectory() as folder:
                upgraded = Upgraded(folder, HTTP_OK)
                upgraded.configure("timeout = 2")
                with self.server(upgraded.program, "--pid", str(upgraded.pid_file), "-c",
                                 upgraded.file) as server, server.connect() as idle:
                    self.assertTrue(support.is_ok(idle))
                    workers = server.workers()
                    upgraded.replace(text=text)
                    server.signal(signal.SIGUSR2)
                    wait_until(lambda: "this program goes on as before" in server.log(), "the way back")
                    self.assertEqual(upgraded.pid(), server.pid)
                    self.assertEqual(server.workers(), workers)
                    self.assertTrue(support.is_ok(idle))
                    upgraded.configure("timeout = 30")  # a good program may need more than 2 s
                    server.signal(signal.SIGHUP)
                    wait_until(lambda: not set(workers) & set(server.workers()), "the new timeout")
                    upgraded.replace(program=HTTP_OK)
                    new = self.upgrade(server, upgraded)
                    try:
                        self.assertTrue(support.is_ok(idle))
                    finally:
                        upgraded.end(new)

    @contextlib.contextmanager
    def configured(self, folder, text, bind=("127.0.0.1:0",)):
        """Yields a server with a configuration file, which a test may change before the upgrade."""
        upgraded = Upgraded(folder, HTTP_OK)
        upgraded.configure(text)
        with support.Server(upgraded.program, "--backend", self.backend, "-c", upgraded.file,
                            "--pid", str(upgraded.pid_file), bind=bind) as server:
            yield server.ready(), upgraded

    @contextlib.contextmanager
    def with_file(self, upgraded):
        """Yields a server whose pid file is in the configuration file."""
        with support.Server(upgraded.program, "--backend", self.backend, "-c",
                            upgraded.file) as server:
            yield server.ready()

    def fails(self, server, begin=lambda: None, count=1):
        """Starts an upgrade that fails, and checks that no client notices."""
        server.signal(signal.SIGUSR2)
        begin()
        ask_until(server, lambda: server.log().count("this program goes on as before") == count)
        self.assertEqual(len(server.workers()), 2)

    def test_no_workers_are_refused_at_once(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.configured(folder, "workers = 2") as (server, upgraded):
                upgraded.configure("workers = 0")
                self.fails(server)
                self.assertIn("workers = 0 can't take over", server.log())
                self.assertNotIn("in time", server.log())

    def test_one_that_fails_leaves_the_sockets_as_they_were(self):
        with tempfile.TemporaryDirectory() as folder:
            good = f"workers = 2\nbind = unix:{folder}/socket\nbind = 127.0.0.1:0"
            with self.configured(folder, good, bind=()) as (server, upgraded):
                upgraded.configure(good + "\nbind = 192.0.2.1:1")  # not an address of this machine
                for count in (1, 2):
                    self.fails(server, count=count)
                with server.connect(1) as connection:
                    self.assertTrue(support.is_ok(connection))
                upgraded.configure(good)
                upgraded.end(self.upgrade(server, upgraded))

    def test_more_and_fewer_workers_afterwards(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.configured(folder, "workers = 2") as (server, upgraded):
                with Ledger(server.addresses[0], kept=8, fresh=8, pause=0.003) as book:
                    for count in (4, 1, 3):
                        upgraded.configure(f"workers = {count}")
                        book.wait_for(50)
                        new = self.upgrade(server, upgraded)
                        self.assertEqual(len([pid for pid in support.children_of(new)
                                              if support.alive(pid)]), count)
                    book.wait_for(100)
                    book.stop()
                    self.assertEqual(set(book.counts), {ledger.ANSWERED}, book.said())
                    self.assertLess(book.slowest, 1)  # so no SYN was sent twice
                upgraded.end(upgraded.pid())

    def test_an_address_that_is_dropped_ends_at_once(self):
        with tempfile.TemporaryDirectory() as folder:
            kept = "workers = 2\ngraceful-timeout = 40\nbind = 127.0.0.1:0\n"
            dropped = f"bind = 127.0.0.2:0\nbind = unix:{folder}/socket"
            with self.configured(folder, kept + dropped, bind=()) as (server, upgraded):
                clients = [server.connect(index) for index in (0, 1, 2) for _ in range(4)]
                self.assertTrue(all(support.is_ok(client) for client in clients))
                busy = server.connect()  # keeps the old program running
                busy.sendall(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n"
                             b"Expect: 100-continue\r\n\r\n")
                self.assertTrue(busy.recv(100).startswith(b"HTTP/1.1 100 "))
                workers = server.workers()
                for worker in workers:
                    os.kill(worker, signal.SIGSTOP)
                queued = [server.connect(index) for index in (1, 2) for _ in range(4)]
                upgraded.configure(kept)
                server.signal(signal.SIGUSR2)
                new = wait_until(lambda: upgraded.pid() not in (0, server.pid) and upgraded.pid(),
                                 "a new master")
                try:
                    self.assertFalse(os.path.exists(f"{folder}/socket"))
                    for worker in workers:
                        os.kill(worker, signal.SIGCONT)
                    for client in queued + clients:
                        self.assertTrue(support.is_ok(client))
                        client.close()
                    wait_until(lambda: self.refuses(server.addresses[1]), "the address is free")
                    self.assertIsNone(server.process.poll())
                    busy.sendall(b"body")
                    self.assertTrue(support.read_response(busy)[0].startswith(b"HTTP/1.1 200 "))
                    busy.close()
                    self.assertEqual(server.wait(), 0)
                finally:
                    upgraded.end(new)

    @staticmethod
    def refuses(address):
        try:
            support.connect(address, 0.2).close()
        except ConnectionRefusedError:
            return True
        except TimeoutError:  # a client that comes amid the end sends its SYN again
            pass
        return False

    def test_another_pid_file_replaces_that_of_the_old_program(self):
        for later in ("pid = {}/later", ""):
            with self.subTest(later), tempfile.TemporaryDirectory() as folder:
                upgraded = Upgraded(folder, HTTP_OK)
                upgraded.configure(f"workers = 1\npid = {folder}/pid")
                with self.with_file(upgraded) as server:
                    upgraded.configure("workers = 1\n" + later.format(folder))
                    server.signal(signal.SIGUSR2)
                    found = wait_until(lambda: support.in_group(server.pid)[1:] and re.search(
                        r"process (\d+) is ready; this program ends", server.log()), "the new program")
                    new = int(found[1])
                    try:
                        self.assertEqual(server.wait(), 0)
                        wait_until(lambda: not upgraded.pid_file.exists(), "the old file is gone")
                        if later:
                            text = pathlib.Path(folder, "later").read_text()
                            self.assertEqual(text, f"{new}\n")
                        self.assertFalse([name for name in support.descriptors_of(new).values()
                                          if name.startswith(f"{folder}/pid")])
                        os.kill(new, signal.SIGTERM)
                        wait_until(lambda: not support.alive(new), "its end")
                        self.assertEqual(sorted(os.listdir(folder)), ["conf", "program"])
                    finally:
                        upgraded.end(new)

    def test_a_failed_upgrade_to_another_pid_file_leaves_the_old_one(self):
        with tempfile.TemporaryDirectory() as folder:
            upgraded = Upgraded(folder, HTTP_OK)
            upgraded.configure(f"workers = 2\npid = {folder}/pid")
            with self.with_file(upgraded) as server:
                upgraded.configure(f"workers = 0\npid = {folder}/later")
                self.fails(server)
                self.assertEqual(upgraded.pid(), server.pid)
                self.assertFalse(os.path.exists(f"{folder}/later"))

    def test_signals_amid_an_upgrade(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.configured(folder, "workers = 2") as (server, upgraded):
                upgraded.replace(text=BROKEN["never becomes ready"])
                server.signal(signal.SIGUSR2)
                wait_until(lambda: "starts as process" in server.log(), "the upgrade")
                server.signal(signal.SIGUSR2)
                wait_until(lambda: "no upgrade: one is under way" in server.log(), "the refusal")
                server.signal(signal.SIGTTIN)
                wait_until(lambda: "can't add workers during an upgrade" in server.log(), "another one")
                server.signal(signal.SIGHUP)
                wait_until(lambda: server.log().count("is ready") == 4, "the reload")
                with server.connect() as connection:
                    self.assertTrue(support.is_ok(connection))
                server.signal(signal.SIGTERM)
                self.assertEqual(server.wait(), 0)
                wait_until(lambda: not support.in_group(server.pid), "nobody left")

    def test_the_end_of_the_new_program_before_it_is_ready_ends_nothing_else(self):
        # Its workers are ready after some milliseconds, which this process may have missed.
        self.assertTrue(any(self.ends_the_new_program() for _ in range(20)), "it was always late")

    def ends_the_new_program(self):
        """Ends a new program that has workers. Returns False if it was ready before."""
        with tempfile.TemporaryDirectory() as folder:
            with self.configured(folder, "workers = 2") as (server, upgraded):
                upgraded.configure("workers = 128")  # so many need a while to be ready
                before = set(server.workers())
                server.signal(signal.SIGUSR2)
                new = wait_until(lambda: set(server.workers()) - before, "the new program").pop()
                wait_until(lambda: support.children_of(new) or not support.alive(server.pid), "workers")
                os.kill(new, signal.SIGSTOP)  # before it learns that its workers are ready
                os.kill(new, signal.SIGTERM)
                os.kill(new, signal.SIGCONT)

                def outcome():
                    if "this program goes on as before" in server.log():
                        return "failed"
                    return "late" if not support.alive(server.pid) else None

                if wait_until(outcome, "the end of the new program, or of the old one") == "late":
                    upgraded.end(new)
                    return False
                ask_until(server, lambda: True)
                self.assertEqual(len(server.workers()), 2)
                return True

    def test_the_end_of_the_old_program_leaves_the_new_one_its_clients(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.configured(folder, "workers = 2") as (server, upgraded):
                with server.connect() as busy:
                    busy.sendall(support.GET[:10])
                    old = server.pid
                    server.signal(signal.SIGUSR2)
                    new = wait_until(lambda: upgraded.pid() not in (0, old) and upgraded.pid(), "it")
                    self.assertTrue(support.alive(old))
                    server.signal(signal.SIGQUIT)
                    self.assertEqual(server.wait(), 0)
                    for _ in range(10):
                        with support.Stopwatch() as watch, server.connect() as connection:
                            self.assertTrue(support.is_ok(connection))
                            self.assertLess(watch.seconds, 1)
                upgraded.end(new)

    def test_under_load_no_request_fails(self):
        with tempfile.TemporaryDirectory() as folder:
            upgraded = Upgraded(folder, HTTP_OK)
            with self.server(upgraded.program, "--pid", str(upgraded.pid_file)) as server:
                answers, failures, over = [0], [], threading.Event()

                def ask_again_and_again(fresh):
                    connection = None
                    while not over.is_set():
                        try:
                            connection = connection or server.connect()
                            if not support.is_ok(connection):
                                failures.append("a wrong answer")
                            answers[0] += 1
                            if fresh:
                                connection.close()
                                connection = None
                        except OSError as error:
                            failures.append(str(error))
                            connection = None
                    if connection:
                        connection.close()

                clients = [threading.Thread(target=ask_again_and_again, args=(i % 2 == 0,))
                           for i in range(8)]
                for client in clients:
                    client.start()
                try:
                    for _ in range(3):
                        before = answers[0]
                        wait_until(lambda: answers[0] > before + 500, "load")
                        self.upgrade(server, upgraded)
                    before = answers[0]
                    wait_until(lambda: answers[0] > before + 500, "load after it")
                finally:
                    over.set()
                    for client in clients:
                        client.join()
                    upgraded.end(upgraded.pid())
                self.assertEqual(failures, [])

    def test_nonsense_in_the_environment_is_ignored(self):
        for value in ("x", "99", "0", "-1", ""):
            with self.server(HTTP_OK, environment={"REACTOR_UPGRADE": value}) as server:
                with server.connect() as connection:
                    self.assertTrue(support.is_ok(connection))


if __name__ == "__main__":
    support.main()
