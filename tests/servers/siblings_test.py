#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests that workers serve the backlog of a stuck sibling, and share connections evenly."""

import itertools
import os
import re
import resource
import signal
import sys
import time
import unittest

sys.dont_write_bytecode = True
import ledger  # noqa: E402
import support  # noqa: E402
from ledger import Ledger  # noqa: E402
from support import BACKENDS, ECHO, HTTP_OK, wait_until  # noqa: E402


def percentile(times, percent):
    return sorted(times)[len(times) * percent // 100]


@support.on_each_backend
class Stuck(support.BackendTest):
    def stop_one(self, server):
        victim = server.workers()[0]
        os.kill(victim, signal.SIGSTOP)
        wait_until(lambda: support.stat_of(victim)[0] == "T", "the worker is stopped")
        return victim

    def test_new_connections_do_not_wait_for_it(self):
        seconds = 10 if self.backend == BACKENDS[0] else 2
        with self.server(HTTP_OK, "-w", "4") as server:
            with Ledger(server.addresses[0], fresh=8, pause=0.004) as book:
                book.wait_for(500)
                victim = self.stop_one(server)
                count, begin = len(book.times), book.watch.seconds
                time.sleep(seconds)
                before, meanwhile = book.times[:count], book.times[count:]
                took = book.watch.seconds - begin
                self.assertIn(victim, server.workers())  # it is killed only after --timeout
                os.kill(victim, signal.SIGCONT)
                book.wait_for(500)
                book.stop()
                self.assertEqual(set(book.counts), {ledger.ANSWERED}, book.said())
            self.assertGreater(len(meanwhile), 100 * took)
            # Without the siblings, one in four would have waited for the victim.
            self.assertLess(percentile(meanwhile, 99), max(0.05, 3 * percentile(before, 99)))
            self.assertIn("is stuck; this worker accepts from its queue", server.log())

    def test_it_takes_part_again_afterwards(self):
        with self.server(ECHO, "-w", "2") as server:
            base = sockets_of(server.workers()[0])
            victim = self.stop_one(server)
            connections = [server.connect() for _ in range(40)]
            self.assertTrue(all(support.echoes(connection) for connection in connections))
            os.kill(victim, signal.SIGCONT)
            for connection in connections:
                connection.close()
            wait_until(lambda: sum(map(sockets_of, server.workers())) == 2 * base, "their ends")
            again = [server.connect() for _ in range(40)]
            self.assertTrue(all(support.echoes(connection) for connection in again))
            self.assertGreater(sockets_of(victim), base + 5)
            for connection in again:
                connection.close()

    def test_after_the_time_out_it_is_replaced(self):
        for program, protocol in ((HTTP_OK, ledger.Http), (ECHO, ledger.Echo)):
            with self.subTest(program=program):
                with self.server(program, "-w", "2", "--timeout", "2") as server:
                    with Ledger(server.addresses[0], protocol, fresh=4, pause=0.004) as book:
                        book.wait_for(50)
                        begin = time.monotonic()
                        victim = self.stop_one(server)
                        wait_until(lambda: victim not in server.workers(), "its end", 9)
                        took = time.monotonic() - begin
                        wait_until(lambda: len(server.workers()) == 2, "its successor")
                        book.wait_for(100)
                        book.stop()
                        # The worker may have accepted some of the 4 before it was stopped.
                        lost = sum(book.counts.values()) - book.answers
                        self.assertLessEqual(lost, 4, book.said())
                        self.assertNotIn(ledger.REFUSED, book.counts)
                    self.assertGreater(took, 2)  # 2 s of silence, SIGABRT, 2 s later SIGKILL
                    for line in ("has been silent for ", " for 2000 ms and is aborted",
                                 "did not end in time and is killed", "was killed by signal 9"):
                        self.assertIn(line, server.log())


@support.on_each_backend
class Fewer(support.BackendTest):
    def test_the_one_that_serves_outlasts_the_one_that_is_stuck(self):
        with self.server(HTTP_OK, "-w", "2", "--timeout", "2", "--graceful-timeout", "1") as server:
            stuck, other = server.workers()
            os.kill(stuck, signal.SIGSTOP)
            wait_until(lambda: support.stat_of(stuck)[0] == "T", "the worker is stopped")
            server.signal(signal.SIGTTOU)
            with Ledger(server.addresses[0], fresh=2, pause=0.01) as book:
                wait_until(lambda: "does not serve now" in server.log(), "the line")
                self.assertIn(other, server.workers())
                wait_until(lambda: len(set(server.workers()) - {stuck, other}) == 1, "a new worker")
                wait_until(lambda: len(server.workers()) == 1, "the end of the others")
                book.wait_for(100)
                book.stop()
                self.assertEqual(set(book.counts), {ledger.ANSWERED}, book.said())


@support.on_each_backend
class Retired(support.BackendTest):
    def test_workers_that_had_no_descriptor_serve_its_queue(self):
        with self.server(HTTP_OK, "-w", "2") as server:
            workers = server.workers()
            before = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in workers}
            for pid in workers:
                used = support.descriptors_of(pid)
                lowest = next(number for number in itertools.count() if number not in used)
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest, before[pid][1]))
            server.signal(signal.SIGTTIN)
            wait_until(lambda: re.search(r"worker 2 \(pid \d+\) is ready", server.log()),
                       "the third worker")
            for pid in workers:
                resource.prlimit(pid, resource.RLIMIT_NOFILE, before[pid])
            server.signal(signal.SIGTTOU)
            wait_until(lambda: set(server.workers()) == set(workers), "its end")
            connections = [server.connect() for _ in range(60)]
            self.assertTrue(all(support.is_ok(connection) for connection in connections))
            for connection in connections:
                connection.close()


def sockets_of(pid):
    return sum(target.startswith("socket:") for target in support.descriptors_of(pid).values())


@support.on_each_backend
class Balance(support.BackendTest):
    def open(self, server, works, count):
        """Opens connections one after another. They are closed at the end of the test."""
        connections = []
        for _ in range(count):
            connections.append(server.connect())
            self.addCleanup(connections[-1].close)
            self.assertTrue(works(connections[-1]))
        return connections

    def are_even(self, server, loads):
        """Checks that the numbers from loads() differ by at most 2. On a busy machine a worker may
        wait so long that its siblings serve its backlog. Then loads() is called again."""
        for _ in range(10):
            found = sorted(loads())
            if found[-1] - found[0] <= 2:
                return
            self.assertIn(" is stuck; ", server.log(), found)
        self.fail(f"never even: {found}")

    def test_long_lived_connections_end_even(self):
        for reuse in ("on", "off"):
            for program, works in ((ECHO, support.echoes), (HTTP_OK, support.is_ok)):
                with self.subTest(program=program, reuse_port=reuse):
                    self.end_even(program, works, "--reuse-port", reuse)

    def end_even(self, program, works, *options):
        with self.server(program, "-w", "8", *options) as server:
            base = {pid: sockets_of(pid) for pid in server.workers()}

            def loads_of_64():
                connections = self.open(server, works, 64)
                # A worker that gave a connection away may still have it open.
                self.wait_for_sockets(base, 64)
                loads = [sockets_of(pid) - base[pid] for pid in base]
                for connection in connections:
                    connection.close()
                self.wait_for_sockets(base, 0)
                return loads

            self.are_even(server, loads_of_64)  # 8 each would be even

    def wait_for_sockets(self, base, more):
        wait_until(lambda: sum(map(sockets_of, base)) == sum(base.values()) + more,
                   f"{more} connections, each in one place")

    def test_still_after_a_reload(self):
        with self.server(ECHO, "-w", "4") as server:
            connections = self.open(server, support.echoes, 32)

            def loads_after_a_reload():
                old = set(server.workers())
                server.signal(signal.SIGHUP)
                wait_until(lambda: not old & set(server.workers()), "new workers")
                self.assertTrue(all(support.echoes(connection) for connection in connections))
                return [sockets_of(pid) for pid in server.workers()]

            self.are_even(server, loads_after_a_reload)


if __name__ == "__main__":
    support.main()
