#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests that HUP, TTIN, TTOU and --max-requests replace workers, and no client notices."""

import contextlib
import os
import pwd
import resource
import select
import signal
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import ledger  # noqa: E402
import support  # noqa: E402
from ledger import Ledger  # noqa: E402
from support import ECHO, HTTP_OK, wait_until  # noqa: E402

RELOADS = int(os.environ.get("REACTOR_RELOADS", "20"))
PROGRAMS = ((HTTP_OK, ledger.Http, support.is_ok), (ECHO, ledger.Echo, support.echoes))


def reload(server, count):
    """Sends HUP and waits until there are `count` workers and none is an old one."""
    old = set(server.workers())
    server.signal(signal.SIGHUP)
    wait_until(lambda: len(server.workers()) == count and not old & set(server.workers()),
               "all workers replaced")


def is_served(connection):
    """Returns whether an answer comes within a second."""
    try:
        wait_until(lambda: select.select([connection], [], [], 0)[0], "an answer", 1)
        return True
    except AssertionError:
        return False


class NothingLost(support.BackendTest):
    def assert_all_answered(self, book):
        book.stop()
        self.assertEqual(set(book.counts), {ledger.ANSWERED}, book.said())


@support.on_each_backend
class Reload(NothingLost):
    def under_load(self, program, protocol, reloads, *options, **more):
        with self.server(program, *options, **more) as server:
            with Ledger(server.addresses[0], protocol, kept=8, fresh=8, pause=0.003) as book:
                for _ in range(reloads):
                    book.wait_for(20)
                    reload(server, 2)
                book.wait_for(100)
                self.assert_all_answered(book)

    def test_http_under_load(self):
        self.under_load(HTTP_OK, ledger.Http, RELOADS)

    def test_echo_under_load(self):
        self.under_load(ECHO, ledger.Echo, RELOADS)

    def test_one_listener_for_all(self):
        for program, protocol, _ in PROGRAMS:
            self.under_load(program, protocol, RELOADS // 4, "--reuse-port", "off")

    def test_unix_sockets(self):
        for program, protocol, _ in PROGRAMS:
            with tempfile.TemporaryDirectory() as folder:
                self.under_load(program, protocol, RELOADS // 4, bind=(f"unix:{folder}/socket",))

    def test_again_before_the_last_one_is_through(self):
        with self.server(HTTP_OK, "-w", "4") as server:
            with Ledger(server.addresses[0], kept=8, fresh=8, pause=0.003) as book:
                old = set(server.workers())
                for _ in range(10):
                    book.wait_for(5)
                    server.signal(signal.SIGHUP)
                wait_until(lambda: len(server.workers()) == 4 and not old & set(server.workers()),
                           "all workers replaced")
                self.assert_all_answered(book)

    def test_idle_connections_go_on_with_the_new_workers(self):
        count = 1000 if self.backend != "select" else 400
        for program, _, works in PROGRAMS:
            with self.subTest(program=program), self.server(program) as server:
                idle = [server.connect() for _ in range(count)]
                self.assertTrue(all(works(connection) for connection in idle))
                old = server.workers()
                server.signal(signal.SIGHUP)
                wait_until(lambda: server.log().count("is ready") == 4, "the new workers")
                wait_until(lambda: not set(old) & set(server.workers()), "the old ones gone", 5)
                self.assertTrue(all(works(connection) for connection in idle))
                self.assertNotIn("lost", server.log())
                for connection in idle:
                    connection.close()

    def test_workers_at_their_descriptor_limit_lose_none(self):
        few = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))}
        for number, ready in ((signal.SIGHUP, 4), (signal.SIGTTOU, 2)):
            with self.subTest(number=number), self.server(ECHO, **few) as server:
                idle = []
                while len(idle) < 100:  # until neither worker has room for another
                    idle.append(server.connect())
                    idle[-1].sendall(b"hello")
                    if not is_served(idle[-1]):
                        break
                    self.assertEqual(support.read_exactly(idle[-1], 5), b"hello")
                idle.pop().close()
                self.assertGreater(len(idle), 30)
                server.signal(number)
                wait_until(lambda: server.log().count("is ready") == ready, "the new workers")
                for _ in range(3):  # while connections move, or come back
                    self.assertTrue(all(support.echoes(connection) for connection in idle))
                self.assertNotIn("lost", server.log())
                for connection in idle:
                    connection.close()

    def test_a_request_in_the_middle_is_finished_by_the_old_one(self):
        with self.server(HTTP_OK, "-w", "1") as server, server.connect() as connection:
            self.assertTrue(support.is_ok(connection))
            (old,) = server.workers()
            connection.sendall(support.GET[:10])
            with server.connect() as other:
                self.assertTrue(support.is_ok(other))  # by then the server has read the part
            server.signal(signal.SIGHUP)
            wait_until(lambda: server.log().count("is ready") == 2, "a successor")
            self.assertIn(old, server.workers())
            connection.sendall(support.GET[10:])
            self.assertEqual(support.read_response(connection)[1], b"OK\n")
            wait_until(lambda: old not in server.workers(), "its end")


@support.on_each_backend
class Resize(NothingLost):
    def resize(self, server, number, count):
        server.signal(number)
        wait_until(lambda: len(server.workers()) == count, f"{count} workers")

    def test_under_load(self):
        for program, protocol, _ in PROGRAMS:
            for reuse in ("on", "off"):
                with self.server(program, "-w", "3", "--reuse-port", reuse) as server:
                    address = server.addresses[0]
                    with Ledger(address, protocol, kept=4, fresh=8, pause=0.003) as book:
                        for most in (3, 5, 4):
                            for count in range(len(server.workers()) - 1, 0, -1):
                                self.resize(server, signal.SIGTTOU, count)
                                book.wait_for(30)
                            for count in range(2, most + 1):
                                self.resize(server, signal.SIGTTIN, count)
                                book.wait_for(30)
                        reload(server, 3)  # back to the number in the configuration
                        book.wait_for(100)
                        self.assert_all_answered(book)
                    self.assertLess(book.slowest, 1)  # so no SYN was sent twice

    def test_a_new_slot_amid_a_reload(self):
        with self.server(HTTP_OK) as server:
            with Ledger(server.addresses[0], kept=4, fresh=8, pause=0.003) as book:
                for round_ in range(6):
                    server.signal(signal.SIGHUP)  # sets the number of workers back to 2
                    for count in range(3, 4 + round_):
                        server.signal(signal.SIGTTIN)
                        said = f" {count} workers from now on"
                        wait_until(lambda: server.log().count(said) > round_ + 3 - count, said)
                    book.wait_for(30)
                wait_until(lambda: len(server.workers()) == 8, "8 workers")
                for count in range(7, 0, -1):
                    self.resize(server, signal.SIGTTOU, count)
                book.wait_for(100)
                self.assert_all_answered(book)

    def test_who_waits_in_a_retired_queue_is_served(self):
        for program, _, works in PROGRAMS:
            with self.subTest(program=program), self.server(program) as server:
                first, second = server.workers()
                for pid in (first, second):
                    os.kill(pid, signal.SIGSTOP)
                waiting = [server.connect() for _ in range(40)]
                server.signal(signal.SIGTTOU)
                wait_until(lambda: "1 workers from now on" in server.log(), "the new number")
                os.kill(first, signal.SIGCONT)  # one of these is slot 0, the other is retiring
                os.kill(second, signal.SIGCONT)
                self.assertTrue(all(works(connection) for connection in waiting))
                for connection in waiting:
                    connection.close()
                wait_until(lambda: len(server.workers()) == 1, "one worker")

    def test_never_none(self):
        with self.server(ECHO, "-w", "1") as server:
            (worker,) = server.workers()
            server.signal(signal.SIGTTOU)
            wait_until(lambda: "the number of workers stays" in server.log(), "the warning")
            self.assertEqual(server.workers(), [worker])


@support.on_each_backend
class MaxRequests(NothingLost):
    def test_workers_are_replaced_and_nothing_is_lost(self):
        for program, protocol, _ in PROGRAMS:
            with self.subTest(program=program):
                with self.server(program, "--max-requests", "100") as server:
                    old = server.workers()
                    with Ledger(server.addresses[0], protocol, kept=4, fresh=8) as book:
                        wait_until(lambda: server.log().count("is ready") >= 12, "12 workers")
                        self.assert_all_answered(book)
                    self.assertFalse(set(old) & set(server.workers()))
                    self.assertNotIn("killed", server.log())


@unittest.skipUnless(os.getuid() == 0, "only root can start workers as another user")
@support.on_each_backend
class Failure(support.BackendTest):
    """The workers of a reload can't open their access log, as their user may not enter its folder."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        os.chmod(folder.name, 0o755)
        os.mkdir(os.path.join(folder.name, "closed"), 0o700)
        self.config, self.log, closed = (os.path.join(folder.name, name)
                                         for name in ("conf", "log", "closed/log"))
        self.good = f"user = {pwd.getpwnam('nobody').pw_name}\naccess-log = {self.log}\n"
        self.bad = self.good.replace(self.log, closed)

    def configure(self, *texts):
        with open(self.config, "w", encoding="ascii") as file:
            file.writelines(texts)

    @contextlib.contextmanager
    def started(self, *options):
        self.configure(self.good, "workers = 2\n")
        with support.Server(HTTP_OK, "-c", self.config, "--backend", self.backend, *options) as server:
            yield server.ready()

    def fails(self, server, *texts):
        self.configure(self.bad, *texts)
        failures = server.log().count("going on with the old configuration")
        server.signal(signal.SIGHUP)
        wait_until(lambda: server.log().count("going on with the old configuration") > failures,
                   "a word about the failure")

    def test_logs_stay_as_they_were(self):
        """The new log level would hide why the reload failed."""
        with self.started() as server:
            before = server.workers()
            self.fails(server, "workers = 2\nlog-level = off\n")
            self.assertEqual(server.workers(), before)
            os.rename(self.log, self.log + ".1")
            server.signal(signal.SIGUSR1)  # the workers could not make the new file
            wait_until(lambda: os.path.exists(self.log), "the new file")
            for _ in range(2):
                with server.connect() as connection:
                    self.assertTrue(support.is_ok(connection))
            wait_until(lambda: os.path.getsize(self.log) > 0, "lines in the new file")

    def test_sockets_stay_as_they_were(self):
        with self.started("--pin", "auto") as server:
            before = support.descriptors_of(server.pid)
            self.fails(server, "workers = 5\n")
            self.assertEqual(support.descriptors_of(server.pid), before)
            self.assertEqual(server.log().count("steered by processor"), 1)

    def test_a_worker_more_stays_one_more(self):
        with self.started() as server:
            self.configure(self.bad, "workers = 2\n")
            before = server.workers()
            server.signal(signal.SIGHUP)
            server.signal(signal.SIGTTIN)
            wait_until(lambda: "going on with the old configuration" in server.log(), "a failure")
            wait_until(lambda: len(server.workers()) == 3, "three workers")
            self.assertTrue(set(before) <= set(server.workers()))

    def test_the_next_one_works(self):
        with self.started() as server:
            self.fails(server, "workers = 2\n")
            self.configure(self.good, "workers = 3\n")
            reload(server, 3)
            self.assertNotIn("refused", server.log())


@support.need("unshare", "mount")
class Names(unittest.TestCase):
    def test_no_name_is_looked_up_again(self):
        with tempfile.TemporaryDirectory() as folder:
            hosts, resolver = os.path.join(folder, "hosts"), os.path.join(folder, "resolv.conf")
            for path, text in ((hosts, "127.0.0.1 server.internal\n"), (resolver, "")):
                with open(path, "w", encoding="ascii") as file:
                    file.write(text)
            script = (f"mount --bind {hosts} /etc/hosts && mount --bind {resolver} /etc/resolv.conf && "
                      'exec "$@"')
            inside = ("unshare", "--mount", "sh", "-c", script, "sh")
            if support.run(*inside, "true")[0] != 0:
                self.skipTest("unshare(2) or mount(2) is denied")
            with support.Server(HTTP_OK, "-w", "1", bind=("server.internal:0",), wrapper=inside) as server:
                server.ready()
                with open(hosts, "w", encoding="ascii") as file:
                    file.write("127.0.0.1 localhost\n")
                self.assertEqual(support.run(*inside, HTTP_OK, "-b", "server.internal:0", "-t")[0], 2)
                reload(server, 1)
                self.assertNotIn("refused", server.log())
                self.assertNotIn("wait for a restart", server.log())
                with server.connect() as connection:
                    self.assertTrue(support.is_ok(connection))


if __name__ == "__main__":
    support.main()
