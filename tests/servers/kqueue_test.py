#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs reactor-http-ok on libkqueue under load. Skipped if the program was built without it."""

import contextlib
import os
import pathlib
import signal
import sys
import threading
import time
import unittest

sys.dont_write_bytecode = True
import support  # noqa: E402
from support import GET, HTTP_OK  # noqa: E402

CLIENTS = 8
PIPELINED = 50
SECONDS = 1.0
LEAST = 2000  # answers; usual are hundreds of times more, but the machine may be busy


def missing():
    """Returns why there is nothing to test, or "" if there is something."""
    if not HTTP_OK:
        return ""  # support.main() says so
    code, _, errors = support.run(HTTP_OK, "--bind", "127.0.0.1:0", "-w", "0", "--backend", "kqueue", "-t")
    if code != 0:
        return f"{HTTP_OK} was built without kqueue: {errors.strip()}"
    return ""


def threads_of(pid):
    names = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            names.append(pathlib.Path(f"/proc/{pid}/task/{task}/comm").read_text().strip())
    return names


class Client(threading.Thread):
    """Pipelines requests on one connection after another, and checks each answer."""

    def __init__(self, server, deadline):
        super().__init__()
        self.server, self.deadline = server, deadline
        self.answers, self.failure = 0, None

    def run(self):
        try:
            while time.monotonic() < self.deadline:
                self.one_connection()
        except Exception as failure:  # pylint: disable=broad-except
            self.failure = failure

    def one_connection(self):
        last = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        with self.server.connect() as connection:
            connection.sendall(GET * (PIPELINED - 1) + last)
            answers = support.parse_answers(support.read_all(connection))
        assert len(answers) == PIPELINED, len(answers)
        for answer in answers:
            assert (answer.status, answer.body) == (200, b"OK\n"), answer.status
        assert answers[-1].closes
        self.answers += PIPELINED


class Kqueue(unittest.TestCase):
    @contextlib.contextmanager
    def server(self):
        with support.Server(HTTP_OK, "-w", "2", "--backend", "kqueue") as server:
            yield server.ready()

    def assert_kqueue(self, server):
        """Checks that each worker has the thread that only libkqueue's kqueue() starts."""
        workers = server.workers()
        self.assertEqual(len(workers), 2)
        for worker in workers:
            self.assertIn("libkqueue_mon", threads_of(worker))

    def load(self, server):
        deadline = time.monotonic() + SECONDS
        clients = [Client(server, deadline) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
            self.assertIsNone(client.failure)
        return sum(client.answers for client in clients)

    def test_load(self):
        with self.server() as server:
            self.assert_kqueue(server)
            workers = server.workers()
            self.assertGreater(self.load(server), LEAST)
            self.assertEqual(server.workers(), workers, "none was replaced")
            server.signal(signal.SIGTERM)
            self.assertEqual(server.wait(), 0, server.log())

    def test_an_idle_connection_survives_a_reload(self):
        with self.server() as server, server.connect() as connection:
            self.assertTrue(support.is_ok(connection))
            before = server.workers()
            server.signal(signal.SIGHUP)
            support.wait_until(lambda: not set(before) & set(server.workers()), "the workers are new")
            self.assert_kqueue(server)
            self.assertTrue(support.is_ok(connection))

    def test_idle_workers_sleep(self):
        with self.server() as server, server.connect() as connection:
            self.assertTrue(support.is_ok(connection))
            before = sum(map(support.processor_time, server.workers()))
            time.sleep(0.5)
            self.assertLess(sum(map(support.processor_time, server.workers())) - before, 0.2)
            self.assertTrue(support.is_ok(connection))


if __name__ == "__main__":
    reason = missing()
    if reason:
        print(reason)
        sys.exit(support.SKIPPED)
    support.main()
