#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""USR2: the new program takes over sockets and idle connections, or all stays as it was."""

import os
import pathlib
import shutil
import signal
import sys
import tempfile
import threading
import unittest

sys.dont_write_bytecode = True
import support  # noqa: E402
from support import ECHO, HTTP_OK, wait_until  # noqa: E402

BROKEN = {
    "ends": "#!/bin/sh\nexit 3\n",
    "is no program": "\0\1\2",
    "never becomes ready": "#!/bin/sh\nexec sleep 60\n",
}


class Upgraded:
    """A server whose successors are children of this test only by their pid file."""

    def __init__(self, folder, program):
        self.program = os.path.join(folder, "program")
        shutil.copy2(program, self.program)
        self.pid_file = pathlib.Path(folder, "pid")

    def replace(self, text=None, program=None):
        fresh = self.program + ".new"
        if text is not None:
            pathlib.Path(fresh).write_text(text)
            os.chmod(fresh, 0o755)
        else:
            shutil.copy2(program, fresh)
        os.rename(fresh, self.program)

    def pid(self):
        text = self.pid_file.read_text().strip()
        return int(text) if text else 0

    def end(self, pid):
        if pid and support.alive(pid):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not support.alive(pid), "the end of the new program")


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
                        self.assertIsNone(server.read_line())  # nothing more was printed
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
                environment = {"REACTOR_TIMEOUT": "2"}
                with self.server(upgraded.program, "--pid", str(upgraded.pid_file),
                                 environment=environment) as server, server.connect() as idle:
                    self.assertTrue(support.is_ok(idle))
                    workers = server.workers()
                    upgraded.replace(text=text)
                    server.signal(signal.SIGUSR2)
                    wait_until(lambda: "we go on as before" in server.log(), "the way back")
                    self.assertEqual(upgraded.pid(), server.pid)
                    self.assertEqual(server.workers(), workers)
                    self.assertTrue(support.is_ok(idle))
                    upgraded.replace(program=HTTP_OK)
                    new = self.upgrade(server, upgraded)
                    try:
                        self.assertTrue(support.is_ok(idle))
                    finally:
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
