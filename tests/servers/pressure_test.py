#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks bounds with peers that don't read, too many connections, and long backlogs."""

import contextlib
import os
import pathlib
import resource
import signal
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
import support  # noqa: E402
from support import ECHO, HTTP_OK, wait_until  # noqa: E402

MIB = 1 << 20
FEW = 64  # descriptors, for tests in which they are scarce


def resident(pid):
    """Returns the resident memory of a process, in bytes."""
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def has_shadow_memory(pid):
    """Returns whether a sanitizer is in use. It keeps freed memory, so sizes mean nothing."""
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[0])
    return pages * resource.getpagesize() > 1 << 40


def processor_time(pid):
    """Returns the processor time of a process, user and system, in seconds."""
    text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    fields = text[text.rindex(")") + 2:].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def few_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, FEW))


def few_descriptors_for_now():
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def push(connection, data, most, patience=0.5):
    """Sends `most` bytes, or until none is taken for `patience` seconds. Returns the count."""
    connection.settimeout(patience)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < most:
            sent += connection.send(data)
    connection.settimeout(support.LIMIT)
    return sent


def works(program, connection):
    return support.echoes(connection) if program == ECHO else support.is_ok(connection)


@support.on_each_backend
class Pressure(support.BackendTest):
    def test_a_peer_that_never_reads_costs_little(self):
        for program, data in ((ECHO, b"x" * 65536), (HTTP_OK, support.GET * 2000)):
            with self.subTest(program=program), self.server(program, "-w", "1") as server:
                (worker,) = server.workers()
                with server.connect() as witness, server.connect() as deaf:
                    self.assertTrue(works(program, witness))
                    before = resident(worker)
                    sent = push(deaf, data, 64 * MIB)
                    grown = resident(worker) - before
                    self.assertLess(sent, 64 * MIB, "nothing holds the sender back")
                    if not has_shadow_memory(worker):
                        self.assertLess(grown, 8 * MIB, f"after {sent} bytes")
                    self.assertTrue(works(program, witness))  # other clients don't notice
                self.assertEqual(server.workers(), [worker])

    def test_a_peer_that_reads_late_gets_everything(self):
        with self.server(ECHO, "-w", "1") as server, server.connect() as late:
            sent = push(late, bytes(range(256)) * 256, 64 * MIB)
            received = support.read_exactly(late, min(sent, 4 * MIB))
            self.assertTrue((bytes(range(256)) * (len(received) // 256 + 1)).startswith(received))
            self.assertEqual(len(received), min(sent, 4 * MIB))

    def test_500_at_once(self):
        for program in (ECHO, HTTP_OK):
            with self.subTest(program=program), self.server(program) as server, \
                    contextlib.ExitStack() as stack:
                connections = [stack.enter_context(server.connect()) for _ in range(500)]
                for _ in range(2):
                    self.assertTrue(all(works(program, connection) for connection in connections))

    def test_more_connections_than_descriptors(self):
        # With limit 0, the default, accepting pauses before descriptors run out. Else accept fails.
        for limit in ("0", "100000"):
            with self.subTest(max_connections=limit):
                self.exhaust("--max-connections", limit)

    def exhaust(self, *options):
        with self.server(ECHO, "-w", "1", *options, preexec_fn=few_descriptors) as server, \
                contextlib.ExitStack() as stack:
            (worker,) = server.workers()
            if has_shadow_memory(worker) and "0" not in options:
                return  # UBSan probes memory with pipe(2), and reports an error if pipe(2) fails
            first = stack.enter_context(server.connect())
            self.assertTrue(support.echoes(first))
            others = [stack.enter_context(server.connect()) for _ in range(200)]
            wait_until(lambda: len(support.descriptors_of(worker)) > FEW // 2, "it took what it can")
            before, begin = processor_time(worker), time.monotonic()
            while time.monotonic() < begin + 1:  # measures a second without load
                self.assertTrue(support.echoes(first))
                time.sleep(0.05)
            share = (processor_time(worker) - before) / (time.monotonic() - begin)
            self.assertLess(share, 0.3, "it spins")
            for connection in others[:180]:
                connection.close()
            for connection in others[180:]:
                self.assertTrue(support.echoes(connection))
            self.assertEqual(server.workers(), [worker])

    def test_the_only_worker_s_queue_outlives_it(self):
        for workers in ("1", "2"):
            for program, request in ((ECHO, b"waiting"), (HTTP_OK, support.GET)):
                with self.subTest(workers=workers, program=program), \
                        self.server(program, "-w", workers) as server, contextlib.ExitStack() as stack:
                    before = server.workers()
                    for pid in before:
                        os.kill(pid, signal.SIGSTOP)
                        wait_until(lambda pid=pid: support.stat_of(pid)[0] == "T", "it is stopped")
                    queued = [stack.enter_context(server.connect()) for _ in range(80)]
                    for connection in queued:
                        connection.sendall(request)
                    for pid in before:
                        os.kill(pid, signal.SIGKILL)
                    for connection in queued:
                        self.assertTrue(connection.recv(1000).startswith((request, b"HTTP/1.1 200 ")))
                    wait_until(lambda: not set(before) & set(server.workers()), "the end of both")

    def test_each_worker_gets_its_share(self):
        with self.server(ECHO, "-w", "4") as server:
            for _ in range(10):
                shares = self.shares_of_200(server)
                if min(shares) > 20:  # 50 would be even; the kernel chooses by a hash
                    return
                # On a busy machine a worker may wait so long that its siblings serve its backlog.
                self.assertIn(" is stuck; ", server.log(), shares)
            self.fail(f"never even: {shares}")

    def shares_of_200(self, server):
        workers = server.workers()
        before = [len(support.descriptors_of(pid)) for pid in workers]

        def shares():
            return [len(support.descriptors_of(p)) - b for p, b in zip(workers, before)]
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(server.connect()) for _ in range(200)]
            self.assertTrue(all(support.echoes(connection) for connection in connections))
            # A worker that gave a connection away may still have it open.
            wait_until(lambda: sum(shares()) == 200, "each connection in one place")
            result = shares()
        wait_until(lambda: sum(shares()) == 0, "their ends")
        return result

    def test_a_reload_and_an_upgrade_fit_into_what_the_limit_was_raised_to(self):
        # The limit leaves no room for connections, so the server has to raise it to the exact need.
        workers, connections, most = 32, 100, 0
        with tempfile.TemporaryDirectory() as folder:
            pid_file = pathlib.Path(folder, "pid")
            with self.server(HTTP_OK, "-w", str(workers), "--max-connections", str(connections), "-p", str(pid_file),
                             preexec_fn=few_descriptors_for_now) as server:
                busy = [server.connect() for _ in range(3 * workers)]
                for connection in busy:  # when the answer comes, the part behind it was read too
                    connection.sendall(support.GET + b"GET / HTTP/1.1\r\n")
                    self.assertEqual(support.read_response(connection)[1], b"OK\n")
                limit = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)[0]
                old = server.workers()
                server.signal(signal.SIGHUP)
                wait_until(lambda: len(set(server.workers()) - set(old)) == workers, "new workers")
                self.assertGreater(len(server.workers()), 3 * workers // 2, "the old ones stay")
                most = len(support.descriptors_of(server.pid))
                self.assertLessEqual(most, limit - connections)
                for connection in busy:
                    connection.close()
                server.signal(signal.SIGUSR2)
                new = wait_until(lambda: int(pid_file.read_text() or 0) not in (0, server.pid) and int(pid_file.read_text()),
                                 "a new master")
                try:
                    server.wait()
                    most = len(support.descriptors_of(new))
                    limit = resource.prlimit(new, resource.RLIMIT_NOFILE)[0]
                    # A worker with a predecessor takes 2 descriptors more. These workers have none.
                    self.assertLessEqual(most + 2 * workers, limit - connections)
                finally:
                    os.kill(new, signal.SIGTERM)
                    wait_until(lambda: not support.alive(new), "the end")

    def test_descriptors_come_back(self):
        with self.server(ECHO) as server:
            workers = server.workers()
            before = [len(support.descriptors_of(pid)) for pid in workers]
            for _ in range(3):
                with contextlib.ExitStack() as stack:
                    connections = [stack.enter_context(server.connect()) for _ in range(100)]
                    self.assertTrue(all(support.echoes(connection) for connection in connections))
            wait_until(lambda: [len(support.descriptors_of(pid)) for pid in workers] == before,
                       "all closed")

    def test_connections_that_come_and_go_cost_no_memory(self):
        with self.server(ECHO, "-w", "1") as server:
            (worker,) = server.workers()
            if has_shadow_memory(worker):
                self.skipTest("a sanitizer keeps what was freed")

            def churn(count):
                for _ in range(count):
                    with server.connect() as connection:
                        self.assertTrue(support.echoes(connection))

            churn(500)
            before = resident(worker)
            churn(2000)
            self.assertLess(resident(worker) - before, MIB // 2)


if __name__ == "__main__":
    support.main()
