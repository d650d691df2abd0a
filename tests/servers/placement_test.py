#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""--pin decides where workers run and which worker gets a connection."""

import contextlib
import os
import sys
import unittest

sys.dont_write_bytecode = True
import support  # noqa: E402
from support import ECHO, wait_until  # noqa: E402

PROCESSORS = sorted(os.sched_getaffinity(0))


def sockets_of(pid):
    return {target for target in support.descriptors_of(pid).values() if target.startswith("socket:")}


@contextlib.contextmanager
def on_processor(cpu):
    """Runs the block on one processor. On loopback, its SYNs arrive on the same processor."""
    try:
        os.sched_setaffinity(0, {cpu})
        yield
    finally:
        os.sched_setaffinity(0, PROCESSORS)


@unittest.skipIf(len(PROCESSORS) < 2, "one processor only")
@support.on_each_backend
class Pin(support.BackendTest):
    def test_workers_are_pinned_one_each(self):
        with self.server(ECHO, "-w", "2", "--pin", "auto") as server:
            pinned = [os.sched_getaffinity(pid) for pid in server.workers()]
            self.assertEqual(sorted(map(sorted, pinned)), [[cpu] for cpu in PROCESSORS[:2]])
            self.assertEqual(os.sched_getaffinity(server.pid), set(PROCESSORS))
            self.assertIn("1 steered by processor", server.log())

    def test_more_workers_than_processors_in_the_list(self):
        with self.server(ECHO, "-w", "3", "--pin", str(PROCESSORS[1])) as server:
            for pid in server.workers():
                self.assertEqual(os.sched_getaffinity(pid), {PROCESSORS[1]})
            self.assertIn("0 steered by processor, 1 with a socket per worker", server.log())
            with server.connect() as connection:
                self.assertTrue(support.echoes(connection))

    def test_a_connection_goes_to_the_worker_on_its_processor(self):
        with self.server(ECHO, "-w", "2", "--pin", "auto") as server:
            on = {next(iter(os.sched_getaffinity(pid))): pid for pid in server.workers()}
            for cpu in PROCESSORS[:2]:
                before = len(sockets_of(on[cpu]))
                with on_processor(cpu):
                    connections = [server.connect() for _ in range(20)]
                self.assertTrue(all(support.echoes(connection) for connection in connections))
                self.assertEqual(len(sockets_of(on[cpu])) - before, 20)
                for connection in connections:
                    connection.close()

    def test_a_worker_more_and_one_less_again(self):
        with self.server(ECHO, "-w", "1", "--pin", "auto") as server:
            server.signal(21)  # TTIN
            wait_until(lambda: len(server.workers()) == 2, "two workers")
            wait_until(lambda: server.log().count("1 steered") >= 1, "both are steered to")
            for cpu in PROCESSORS[:2]:
                with on_processor(cpu), server.connect() as connection:
                    self.assertTrue(support.echoes(connection))
            server.signal(22)  # TTOU: its backlog stays, and the other worker serves it
            wait_until(lambda: len(server.workers()) == 1, "one worker")
            for cpu in PROCESSORS[:2] * 5:
                with on_processor(cpu), server.connect() as connection:
                    self.assertTrue(support.echoes(connection))


if __name__ == "__main__":
    support.main()
