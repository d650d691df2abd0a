#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Kills workers and the master. Tests what the others do and which clients are lost."""

import contextlib
import os
import resource
import signal
import sys
import tempfile
import threading
import time
import unittest

sys.dont_write_bytecode = True
import support  # noqa: E402
from support import ECHO, HTTP_OK, Server, wait_until  # noqa: E402


def kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def stop(pid):
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: support.stat_of(pid)[0] == "T", "the worker is stopped")


@support.on_each_backend
class WorkerDeath(support.BackendTest):
    def test_the_slot_is_served_again_within_200_ms(self):
        times = []
        with self.server(HTTP_OK, "-w", "1") as server:
            for _ in range(3):
                (worker,) = server.workers()
                begin = time.monotonic()
                with support.Stopwatch() as watch:
                    kill(worker)
                    wait_until(lambda: not support.alive(worker), "its death")
                    with server.connect() as connection:
                        self.assertTrue(support.is_ok(connection))
                    times.append(watch.seconds)
                self.assertNotEqual(server.workers(), [worker])
                # Deaths in quick succession would count as a crash loop.
                time.sleep(max(0.0, begin + 1.1 - time.monotonic()))
        self.assertLess(min(times), 0.2, times)

    def test_under_load_the_others_go_on(self):
        with self.server(HTTP_OK) as server, Load(server, 8) as load:
            load.wait_for(200)
            victim, other = server.workers()
            kill(victim)
            wait_until(lambda: len(server.workers()) == 2 and victim not in server.workers(),
                       "a successor")
            load.wait_for(load.answers + 400)
            self.assertIn(other, server.workers())
            load.stop()
            # Only the victim's connections were cut off, and no client was refused.
            self.assertLessEqual(load.cut_off, 8)
            self.assertEqual(load.refused, 0)

    def test_the_queue_of_a_dead_worker_is_served(self):
        for reuse in ("on", "off"):
            for program, works in ((ECHO, support.echoes), (HTTP_OK, support.is_ok)):
                with self.subTest(reuse_port=reuse, program=program):
                    with self.server(program, "--reuse-port", reuse) as server:
                        before = server.workers()
                        for pid in before:
                            stop(pid)
                        connections = [server.connect() for _ in range(80)]
                        for connection in connections:
                            connection.sendall(b"waiting\n" if program == ECHO else support.GET)
                        for pid in before:
                            kill(pid)
                        for connection in connections:
                            with connection:
                                answer = connection.recv(1000)
                                self.assertTrue(answer.startswith((b"waiting\n", b"HTTP/1.1 200 ")))
                        with server.connect() as connection:
                            self.assertTrue(works(connection))

    def test_a_unix_socket_s_queue_is_served(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.server(ECHO, bind=(f"unix:{folder}/socket",)) as server:
                before = server.workers()
                for pid in before:
                    stop(pid)
                connections = [server.connect() for _ in range(80)]
                for pid in before:
                    kill(pid)
                self.assertTrue(all(support.echoes(connection) for connection in connections))
                for connection in connections:
                    connection.close()

    def test_all_at_once(self):
        with self.server(ECHO, "-w", "8") as server:
            before = server.workers()
            for pid in before:
                kill(pid)
            wait_until(lambda: len(set(server.workers()) - set(before)) == 8, "8 successors")
            for pid in support.children_of(server.pid):
                self.assertNotEqual(support.stat_of(pid)[0], "Z")

    def test_a_successor_has_what_its_predecessor_had(self):
        def kinds(pid):
            return sorted(target.split(":")[0] for target in support.descriptors_of(pid).values())

        def idle(pid):  # the worker waits for events, and has opened all it needs
            return support.stat_of(pid)[0] == "S" and server.log().count(f"{pid}) is ready")

        with self.server(ECHO) as server:
            known = server.workers()
            expected = [kinds(pid) for pid in known]
            self.assertEqual(expected[0], expected[1])
            for _ in range(4):
                kill(server.workers()[0])
                fresh = wait_until(lambda: set(server.workers()) - set(known), "a successor").pop()
                known.append(fresh)
                wait_until(lambda: idle(fresh), "it is ready")
                self.assertEqual(kinds(fresh), expected[0])

    def test_a_successor_answers_signals(self):
        with self.server(ECHO) as server:
            before = server.workers()
            for pid in before:
                kill(pid)
            wait_until(lambda: len(set(server.workers()) - set(before)) == 2, "successors")
            server.signal(signal.SIGTERM)
            self.assertEqual(server.wait(3.5), 0)


@support.on_each_backend
class MasterDeath(support.BackendTest):
    def test_sigkill_leaves_nothing(self):
        with self.server(ECHO, "-w", "3") as server, server.connect() as connection:
            self.assertTrue(support.echoes(connection))
            workers = server.workers()
            server.signal(signal.SIGKILL)
            server.wait()
            wait_until(lambda: not any(support.alive(pid) for pid in workers), "no worker")
            wait_until(server.refuses, "nobody listens")

    def test_one_that_is_stuck_goes_too(self):
        with self.server(ECHO, "-w", "2") as server:
            workers = server.workers()
            for pid in workers:
                stop(pid)  # a stopped worker can't notice the master's death
            server.signal(signal.SIGKILL)
            server.wait()
            wait_until(lambda: not any(support.alive(pid) for pid in workers), "no worker")

    def test_a_worker_s_successor_goes_too(self):
        with self.server(ECHO, "-w", "2") as server:
            before = server.workers()
            kill(before[0])
            wait_until(lambda: len(server.workers()) == 2, "a successor")
            workers = server.workers()
            server.signal(signal.SIGKILL)
            server.wait()
            wait_until(lambda: not any(support.alive(pid) for pid in workers), "no worker")


@support.on_each_backend
class Pause(support.BackendTest):
    """All processes are stopped, as by Ctrl-Z or a cgroup freezer. No timeout may expire then."""

    def pause(self, server, seconds):
        everybody = [server.pid, *server.workers()]
        for pid in everybody:
            stop(pid)
        time.sleep(seconds)
        for pid in everybody:
            os.kill(pid, signal.SIGCONT)

    def test_it_is_not_the_workers_silence(self):
        with self.server(HTTP_OK, "-w", "4", "--timeout", "1") as server, server.connect() as client:
            before = server.workers()
            for count in (1, 2):
                self.pause(server, 1.5)
                self.assertTrue(support.is_ok(client))
                server.signal(signal.SIGTTIN)
                wait_until(lambda: f"{4 + count} workers from now on" in server.log(), "a turn")
            self.assertLessEqual(set(before), set(server.workers()))
            self.assertNotIn("silent", server.log())

    def test_it_does_not_count_against_those_who_finish(self):
        with self.server(HTTP_OK, "-w", "1", "--graceful-timeout", "2") as server:
            with server.connect() as busy, server.connect() as other:
                busy.sendall(support.GET[:10])
                self.assertTrue(support.is_ok(other))  # by then the server has read the first half
                server.signal(signal.SIGTERM)
                other.recv(1)  # the idle connection ends: the worker drains
                self.pause(server, 4.5)
                busy.sendall(support.GET[10:])
                self.assertEqual(support.read_response(busy)[1], b"OK\n")
                self.assertEqual(server.wait(), 0)


class CrashLoop(unittest.TestCase):
    def test_forks_are_slowed_down_and_it_recovers(self):
        with Server(ECHO, "-w", "2") as server:
            server.ready()
            seen = set()
            begin = time.monotonic()

            def crash():
                for pid in support.children_of(server.pid):
                    seen.add(pid)
                    kill(pid)
                return len(seen) >= 8

            wait_until(crash, "the eighth worker")
            # The first three are replaced at once, the next after 0.5 s, 1 s, 2 s and 4 s.
            self.assertGreater(time.monotonic() - begin, 2.4)
            self.assertIsNone(server.process.poll())
            wait_until(lambda: len(server.workers()) == 2, "both slots served again")
            with server.connect() as connection:
                self.assertTrue(support.echoes(connection))
            self.assertIn("was killed by signal 9", server.log())


@unittest.skipUnless(os.getuid() == 0, "takes a user of its own")
class FailingFork(unittest.TestCase):
    """Lets fork(2) fail by RLIMIT_NPROC, which counts a user's processes and does not bind root."""

    user = support.NOBODY + os.getpid()  # a user without other processes

    def become_user(self, processes=100):
        resource.setrlimit(resource.RLIMIT_NPROC, (processes, 100))
        os.setgroups([])
        os.setgid(self.user)
        os.setuid(self.user)

    def limit_processes(self, pid, count):
        child = os.fork()
        if child == 0:
            self.become_user()
            resource.prlimit(pid, resource.RLIMIT_NPROC, (count, 100))
            os._exit(0)
        self.assertEqual(os.waitpid(child, 0)[1], 0)

    def test_later_is_waited_out(self):
        with support.for_everybody(ECHO) as (program, _):
            with Server(program, "-w", "2", preexec_fn=self.become_user, cwd="/") as server:
                server.ready()
                self.limit_processes(server.pid, 1)
                kill(server.workers()[0])
                wait_until(lambda: "can't start worker" in server.log(), "a failed fork")
                self.assertEqual(len(server.workers()), 1)
                self.limit_processes(server.pid, 100)
                wait_until(lambda: len(server.workers()) == 2, "the worker came back")
                server.signal(signal.SIGTERM)
                self.assertEqual(server.wait(), 0)

    def test_an_upgrade_with_too_few_processes_cuts_nobody(self):
        with support.for_everybody(HTTP_OK) as (program, _):
            with Server(program, "-w", "2", preexec_fn=self.become_user, cwd="/",
                        environment={"REACTOR_TIMEOUT": "3"}) as server:
                server.ready()
                self.limit_processes(server.pid, 5)  # old: 3; new: master, 1 worker
                server.signal(signal.SIGUSR2)
                connections = []
                while "this program goes on as before" not in server.log():
                    connections.append(server.connect())
                    self.assertTrue(support.is_ok(connections[-1]))
                    self.assertLess(len(connections), 1000, server.log())
                    time.sleep(0.01)
                self.assertEqual(server.log().count("is ready\n"), 3)  # 2 old, 1 new
                self.assertIn("can't start worker", server.log())
                self.assertTrue(all(support.is_ok(connection) for connection in connections))
                for connection in connections:
                    connection.close()
                server.signal(signal.SIGTERM)
                self.assertEqual(server.wait(), 0)

    def test_at_the_start_is_the_end(self):
        with support.for_everybody(ECHO) as (program, _):
            code, out, err = support.run(
                program, "-w", "2", "-b", "127.0.0.1:0", cwd="/",
                environment={"ASAN_OPTIONS": "detect_leaks=0"},  # leak checks need a process
                preexec_fn=lambda: self.become_user(1))
        self.assertEqual(code, 3, err)
        self.assertEqual(len(out.splitlines()), 1)
        self.assertIn("no worker became ready", err)
        self.assertIn("temporarily unavailable", err)


class Load:
    """Clients that send requests all the time, each on one connection as long as it lasts."""

    def __init__(self, server, clients):
        self.server = server
        self.answers = self.cut_off = self.refused = 0
        self.lock = threading.Lock()
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.ending.set()
        for thread in self.threads:
            thread.join()

    def count(self, name):
        with self.lock:
            setattr(self, name, getattr(self, name) + 1)

    def run(self):
        while not self.ending.is_set():
            try:
                with self.server.connect() as connection:
                    self.ask(connection)
            except ConnectionRefusedError:
                self.count("refused")

    def ask(self, connection):
        while not self.ending.is_set():
            try:
                answered = support.is_ok(connection)
            except OSError:
                answered = False
            if not answered:
                self.count("cut_off")
                return
            self.count("answers")

    def wait_for(self, answers):
        wait_until(lambda: self.answers >= answers, f"{answers} answers")


if __name__ == "__main__":
    support.main()
