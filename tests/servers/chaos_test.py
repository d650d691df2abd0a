#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sends random signals to servers under load, and accounts for each connection and each request.
Each was answered, or lost because a worker was killed that had accepted it.

REACTOR_CHAOS_SEED repeats the signals of a run, though not at exactly the same times.
REACTOR_CHAOS_SECONDS is the length of each run. REACTOR_CHAOS_BACKENDS lists the backends. There
are four runs per backend."""

import contextlib
import os
import pathlib
import random
import signal
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
import ledger  # noqa: E402
import support  # noqa: E402
from ledger import Ledger  # noqa: E402
from support import BACKENDS, ECHO, HTTP_OK, Server, wait_until  # noqa: E402

SEED = int(os.environ.get("REACTOR_CHAOS_SEED", random.SystemRandom().randrange(1 << 32)))
SECONDS = float(os.environ.get("REACTOR_CHAOS_SECONDS", "15"))
SECONDS_SANITIZED = float(os.environ.get("REACTOR_CHAOS_SECONDS", "4"))
PLACES = os.environ.get("REACTOR_CHAOS_BACKENDS", BACKENDS[0]).split()
MOST_WORKERS = 6


def sockets_of(pid):
    """Returns the inodes of the sockets that a process has open."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return {target[8:-1] for target in support.descriptors_of(pid).values()
                if target.startswith("socket:[")}
    return set()


def start_of(pid):
    """Returns the auxiliary vector of a process. Its random addresses identify one exec(2)."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return pathlib.Path(f"/proc/{pid}/auxv").read_bytes()
    return b""


def peers_by_inode(port):
    """Returns inode -> port of the client, for all connections of a server's port."""
    found = {}
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == port:
            found[fields[9]] = int(fields[2].rpartition(":")[2], 16)
    return found


class Chaos:
    """Acts on one server. An upgrade replaces the master, so its pid is read from the pid file."""

    def __init__(self, pid_file, address, luck):
        self.pid_file = pid_file
        self.port = int(address.rpartition(":")[2])
        self.luck = luck
        self.stopped = []
        self.victims = []  # for each kill: its time, and the ports of the clients that it cut off
        self.done = []
        self.masters = set()
        self.actions = [(self.kill, 3), (self.stop, 3), (self.cont, 4), (self.reload, 3),
                        (self.more, 3), (self.fewer, 3), (self.upgrade, 1), (self.nothing, 4)]

    def master(self):
        pid = wait_until(lambda: self.pid_file.exists() and int(self.pid_file.read_text() or "0"),
                         "a pid in the file")
        self.masters.add(pid)
        return pid

    def workers(self):
        """Returns the workers. A new program of an upgrade does not count: it ran exec(2)."""
        master = self.master()
        return [pid for pid in support.children_of(master)
                if support.alive(pid) and start_of(pid) == start_of(master)]

    def signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.master(), number)

    def act(self):
        action = self.luck.choices([a for a, _ in self.actions], [w for _, w in self.actions])[0]
        self.done.append(action.__name__)
        action()

    def nothing(self):
        pass

    def kill(self):
        workers = self.workers()
        if len(workers) < 2:
            return
        victim = self.luck.choice(workers)
        with contextlib.suppress(ProcessLookupError):
            # The victim is stopped first, so that it neither accepts connections nor gives them
            # away while we look at its sockets.
            os.kill(victim, signal.SIGSTOP)
            wait_until(lambda: (support.stat_of(victim) or "Z")[0] in "TZX", "it stands still")
            held = sockets_of(victim)
            shared = set()
            for other in self.workers():
                if other != victim:
                    shared |= sockets_of(other)
            peers = peers_by_inode(self.port)
            lost = {peers[inode] for inode in held - shared if inode in peers}
            self.victims.append((time.monotonic(), lost))
            os.kill(victim, signal.SIGKILL)
        self.stopped = [pid for pid in self.stopped if pid != victim]

    def stop(self):
        workers = self.workers()
        if len(self.stopped) < max(1, len(workers) // 2) and workers:
            victim = self.luck.choice(workers)
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGSTOP)
                self.stopped.append(victim)

    def cont(self):
        if self.stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.stopped.pop(0), signal.SIGCONT)

    def cont_all(self):
        while self.stopped:
            self.cont()

    def reload(self):
        self.signal(signal.SIGHUP)

    def more(self):
        if len(self.workers()) < MOST_WORKERS:
            self.signal(signal.SIGTTIN)

    def fewer(self):
        self.signal(signal.SIGTTOU)

    def upgrade(self):
        self.cont_all()  # the old master would wait for a stopped worker
        self.signal(signal.SIGUSR2)

    def explains(self, loss):
        """Returns whether the loss was caused by the kill of the worker that had accepted it."""
        return loss.kind in (ledger.RESET, ledger.UNANSWERED, ledger.CLOSED_IDLE) and any(
            loss.opened <= when <= loss.when and loss.port in ports
            for when, ports in self.victims)


class ChaosTest(unittest.TestCase):
    def test_http(self):
        self.play_everywhere(HTTP_OK, ledger.Http)

    def test_echo(self):
        self.play_everywhere(ECHO, ledger.Echo)

    def play_everywhere(self, program, protocol):
        for backend in PLACES:
            for reuse in ("on", "off"):
                self.play(program, protocol, "--backend", backend, "--reuse-port", reuse)

    def play(self, program, protocol, *options):
        name = " ".join((os.path.basename(program), *options))
        luck = random.Random(f"{SEED} {name}")
        with tempfile.TemporaryDirectory() as folder:
            pid_file = pathlib.Path(folder, "pid")
            with Server(program, "-w", "4", "--pid", str(pid_file), *options) as server:
                server.ready()
                seconds = SECONDS_SANITIZED if support.has_shadow_memory(server.pid) else SECONDS
                print(f"{name}: seed {SEED}, {seconds} s", flush=True)
                chaos = Chaos(pid_file, server.addresses[0], luck)
                with Ledger(server.addresses[0], protocol, kept=12, fresh=12, pause=0.005) as book:
                    self.let_go(chaos, book, seconds)
                    self.account(chaos, book)
                self.assertGreater(book.answers, 50 * book.watch.seconds)
                self.end(chaos.master())

    def let_go(self, chaos, book, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and book.failure is None:
            chaos.act()
            time.sleep(chaos.luck.uniform(0.01, 0.3))
        chaos.cont_all()
        wait_until(chaos.workers, "workers")
        book.wait_for(500)

    def account(self, chaos, book):
        book.stop()
        lost = [loss for loss in book.losses if chaos.explains(loss)]
        unexplained = [loss for loss in book.losses if not chaos.explains(loss)]
        print(f"  {len(chaos.done)} signals, {len(chaos.victims)} kills, "
              f"{len(chaos.masters)} masters; {book.connections} connections, "
              f"{book.answers} answers, {len(lost)} lost with a killed worker, "
              f"{len(unexplained)} unexplained; slowest {book.slowest:.3f} s", flush=True)
        self.assertEqual(unexplained, [], f"seed {SEED}; {chaos.done}; {chaos.victims}")

    def end(self, master):
        """Kills the master, and waits until all its processes are gone."""
        group = os.getpgid(master)
        os.kill(master, signal.SIGKILL)
        wait_until(lambda: not support.in_group(group), "nobody left")


if __name__ == "__main__":
    support.main()
