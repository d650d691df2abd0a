#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Ends servers under load. Every accepted client gets its answer, and no process is left."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
import ledger  # noqa: E402
import support  # noqa: E402
from ledger import Ledger  # noqa: E402
from support import ECHO, HTTP_OK, Server, wait_until  # noqa: E402

PROGRAMS = ((HTTP_OK, ledger.Http, support.is_ok), (ECHO, ledger.Echo, support.echoes))


def kill(pid, number=signal.SIGKILL):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


@support.on_each_backend
class Drain(support.BackendTest):
    def test_under_load_who_got_in_is_answered(self):
        for program, protocol, _ in PROGRAMS:
            for options in ((), ("--reuse-port", "off"), ("-w", "0")):
                with self.subTest(program=program, options=options):
                    with self.server(program, *options) as server:
                        with Ledger(server.addresses[0], protocol, fresh=16) as book:
                            book.wait_for(300)
                            server.signal(signal.SIGTERM)
                            self.assertEqual(server.wait(5), 0)
                            book.stop()
                            book.counts.pop(ledger.REFUSED, 0)
                            self.assertEqual(set(book.counts), {ledger.ANSWERED}, book.said())

    def test_idle_ones_are_closed_and_a_slow_one_is_answered(self):
        with self.server(HTTP_OK) as server, contextlib.ExitStack() as stack:
            idle = [stack.enter_context(server.connect()) for _ in range(50)]
            self.assertTrue(all(support.is_ok(connection) for connection in idle))
            slow = [stack.enter_context(server.connect()) for _ in range(10)]
            begin = time.monotonic()
            server.signal(signal.SIGTERM)
            self.assertTrue(all(connection.recv(1) == b"" for connection in idle))
            time.sleep(max(0.0, begin + 0.5 - time.monotonic()))
            for connection in slow:
                self.assertTrue(support.is_ok(connection))
            self.assertEqual(server.wait(3.5), 0)

    def test_amid_a_reload(self):
        for program, protocol, _ in PROGRAMS:
            for _ in range(2):
                with self.server(program, "-w", "3") as server:
                    with Ledger(server.addresses[0], protocol, fresh=8) as book:
                        book.wait_for(100)
                        server.signal(signal.SIGHUP)
                        book.wait_for(1)
                        server.signal(signal.SIGTERM)
                        self.assertEqual(server.wait(5), 0)
                        book.stop()
                        book.counts.pop(ledger.REFUSED, 0)
                        self.assertEqual(set(book.counts), {ledger.ANSWERED}, book.said())


@support.on_each_backend
class MasterKilled(support.BackendTest):
    def test_amid_a_reload_nothing_is_left(self):
        for _ in range(5):
            with self.server(ECHO, "-w", "4") as server, server.connect() as connection:
                self.assertTrue(support.echoes(connection))
                server.signal(signal.SIGHUP)
                wait_until(lambda: "reload: " in server.log(), "the reload")
                server.signal(signal.SIGKILL)
                server.wait()
                wait_until(lambda: not support.in_group(server.pid), "nobody of the group")
                wait_until(server.refuses, "nobody listens")

    def test_a_stopped_worker_goes_too(self):
        with self.server(ECHO) as server:
            os.kill(server.workers()[0], signal.SIGSTOP)
            server.signal(signal.SIGKILL)
            server.wait()
            wait_until(lambda: not support.in_group(server.pid), "nobody of the group")


class CrashLoop(unittest.TestCase):
    def crash(self, server, slot, count):
        """Kills each worker of this slot as soon as it is ready, until `count` were killed."""
        seen = set()

        def kill_new_ones():
            for line in server.log().splitlines():
                if f"worker {slot} (pid " in line and line.endswith(") is ready"):
                    pid = int(line.partition("(pid ")[2].partition(")")[0])
                    if pid not in seen:
                        seen.add(pid)
                        kill(pid)
            return len(seen) >= count

        wait_until(kill_new_ones, f"worker {count} of the slot")

    def test_siblings_serve_meanwhile(self):
        with Server(HTTP_OK, "-w", "3") as server:
            server.ready()
            crashes = 8
            busy = support.processor_time(server.pid)
            with Ledger(server.addresses[0], fresh=4, pause=0.01) as book:
                book.wait_for(50)
                begin = time.monotonic()
                self.crash(server, 1, crashes)
                took = time.monotonic() - begin
                busy = support.processor_time(server.pid) - busy
                wait_until(lambda: len(server.workers()) == 3, "all are back")
                book.wait_for(200)
                book.stop()
            # The first four are replaced at once, the next after 0.5 s, 1 s and 2 s.
            self.assertGreater(took, 3.4)
            if not support.has_shadow_memory(server.pid):
                self.assertLess(busy / took, 0.02)
            # Each killed worker may have had all four connections.
            lost = sum(book.counts.values()) - book.answers
            self.assertLessEqual(lost, 4 * crashes, book.said())
            self.assertNotIn(ledger.REFUSED, book.counts)
            self.assertNotIn(ledger.LATE, book.counts)
            self.assertLess(book.slowest, 1.5)


@unittest.skipUnless(os.getuid() == 0, "takes root")
@support.need("unshare", "nsenter")
class FirstProcess(unittest.TestCase):
    """Runs the server as process 1 of a pid namespace, as in a container."""

    @contextlib.contextmanager
    def container(self, *options):
        probe = subprocess.run(["unshare", "-pf", "--mount-proc", "true"], capture_output=True,
                               check=False)
        if probe.returncode != 0:
            self.skipTest("namespaces are not allowed here")
        with Server("unshare", "-pf", "--kill-child", "--mount-proc", HTTP_OK, "-w", "2", "-b",
                    "127.0.0.1:0", *options, bind=()) as outer:
            outer.ready()
            (first,) = support.children_of(outer.pid)
            yield outer, first

    def test_it_serves_reloads_and_ends(self):
        with self.container() as (outer, first):
            with Ledger(outer.addresses[0], kept=2, fresh=2, pause=0.003) as book:
                book.wait_for(50)
                old = set(support.children_of(first))
                self.assertEqual(len(old), 2)
                os.kill(first, signal.SIGHUP)
                wait_until(lambda: not old & set(support.children_of(first)), "new workers")
                book.wait_for(50)
                kill(support.children_of(first)[0])
                wait_until(lambda: len(support.children_of(first)) == 2, "a successor")
                book.wait_for(50)
                book.stop()
            os.kill(first, signal.SIGTERM)
            self.assertEqual(outer.wait(), 0)

    def leave_orphans(self, first):
        """Runs processes that end before their children do. Process 1 adopts these children."""
        for _ in range(3):
            subprocess.run(["nsenter", "-t", str(first), "-p", "-m", "sh", "-c",
                            "sleep 0.05 & sleep 0.02 & exit"],
                           check=True, timeout=support.LIMIT)

    def test_orphans_are_waited_for(self):
        for workers in (2, 0):
            with self.container("-w", str(workers)) as (outer, first):
                self.leave_orphans(first)
                wait_until(lambda: len(support.children_of(first)) == workers,
                           "the orphans waited for")
                with outer.connect() as connection:
                    self.assertTrue(support.is_ok(connection))
                os.kill(first, signal.SIGTERM)
                self.assertEqual(outer.wait(), 0)

    def test_children_of_the_loop_are_left_to_it(self):
        with self.container("-w", "0", "--model", "fork", "--max-children", "2") as (outer, first):
            for _ in range(10):  # if the loop missed an end, a place would be taken for ever
                with outer.connect() as connection:
                    self.assertTrue(support.is_ok(connection))
                self.leave_orphans(first)
            wait_until(lambda: not support.children_of(first), "all waited for")
            os.kill(first, signal.SIGTERM)
            self.assertEqual(outer.wait(), 0)


if __name__ == "__main__":
    support.main()
