# SPDX-License-Identifier: MIT
"""The phases of a server's life: how each of them begins, and when it is over."""

import contextlib
import os
import pathlib
import re
import signal
import socket

from scene import support


class Phase:
    """`processes` lists the processes whose calls may fail in this phase. "master" and "worker" run
    already. "child" is a process that the master forks in this phase, up to its execve(2) if it
    becomes a new program. "program" is the main() of that new program."""

    processes = ("master", "worker", "child")
    fresh = False  # the server starts in this phase
    ends = False  # the server ends in this phase
    workers = 2
    kept = 6  # clients that are connected before the phase

    def begin(self, scene):
        """Starts the phase."""

    def settle(self, scene):
        """Called if a resource is scarce: waits until each process has done its part."""

    def over(self, scene):
        """Waits until the phase is over."""


class Start(Phase):
    processes = ("master", "child")
    fresh = True

    def begin(self, scene):
        scene.resume()

    def over(self, scene):
        if scene.ready():
            scene.connect(8)
            scene.ask()


class Alone(Start):
    """Runs without workers: a single process starts and serves."""

    processes = ("master",)
    workers = 0


class Serve(Phase):
    processes = ("worker",)

    def over(self, scene):
        for _ in range(2):
            scene.ask()
        scene.begin(12)
        scene.complete()
        if not scene.speaks_http:
            self.ask_by_datagrams(scene)
        scene.ask()
        scene.begin(12)  # a worker that could not accept has to accept again
        scene.complete()

    def ask_by_datagrams(self, scene):
        host, port = scene.addresses[2].removeprefix("udp:").split(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(0.5)
            client.connect((host, int(port)))
            for _ in range(12):
                client.send(b"a datagram")
                with contextlib.suppress(TimeoutError):  # the datagram may be lost
                    client.recv(100)


class Reopen(Phase):
    processes = ("master", "worker")

    def begin(self, scene):
        for name in ("log", "access"):
            os.rename(scene.folder / name, scene.folder / f"{name}.1")
        scene.signal(signal.SIGUSR1)

    def settle(self, scene):
        # A client must not get the descriptor with which a worker is to open its file.
        scene.until(lambda: all(self.decided(scene, pid) for pid in scene.family()),
                    "each process with new files, or why not")

    def over(self, scene):
        old = scene.folder / "log.1"
        scene.until(lambda: (scene.folder / "log").exists() or "can't reopen" in old.read_text(),
                    "a new log file")
        scene.ask()
        scene.begin(6)
        scene.complete()

    def decided(self, scene, pid):
        """Returns whether this process has left its old files, or has logged that it can't."""
        old = {str(scene.folder / f"{name}.1") for name in ("log", "access")}
        open_files = set()
        for entry in pathlib.Path(f"/proc/{pid}/fd").glob("*"):
            with contextlib.suppress(OSError):
                open_files.add(os.readlink(entry))
        logged = "".join(path.read_text() for path in scene.folder.glob("log*"))
        return not old & open_files or re.search(rf"(?m)^\S+ {pid} .*can't reopen", logged)


class Reload(Phase):
    def begin(self, scene):
        self.before = scene.workers()
        scene.signal(signal.SIGHUP)
        scene.begin(8)

    def over(self, scene):
        scene.complete()
        scene.until(lambda: self.settled(scene), "two new workers, or why not")
        scene.ask()
        scene.begin(6)
        scene.complete()

    def settled(self, scene):
        workers = scene.workers()
        if scene.exit_code() is not None:
            return True
        new = len(workers) == 2 and not set(workers) & set(self.before)
        return new or (len(workers) == 2 and scene.refusal())


class More(Phase):
    """TTIN adds a worker."""

    def begin(self, scene):
        scene.signal(signal.SIGTTIN)
        scene.begin(8)

    def over(self, scene):
        scene.complete()
        scene.until(lambda: len(scene.workers()) == 3 or scene.refusal() or scene.tries_later(),
                    "a third worker")
        scene.ask()


class Fewer(Phase):
    """TTOU removes a worker."""

    def begin(self, scene):
        scene.signal(signal.SIGTTOU)
        scene.begin(8)

    def over(self, scene):
        scene.complete()
        scene.until(lambda: len(scene.workers()) == 1, "only one worker")
        scene.ask()
        scene.begin(6)
        scene.complete()


class Upgrade(Phase):
    processes = ("master", "worker", "child", "program")

    def begin(self, scene):
        scene.signal(signal.SIGUSR2)
        scene.begin(8)

    def over(self, scene):
        scene.complete()
        scene.until(lambda: self.settled(scene), "a new master, or why not")
        scene.follow()
        scene.ask()
        scene.begin(6)
        scene.complete()

    def settled(self, scene):
        if scene.refusal():
            return len(scene.workers()) == 2
        return scene.exit_code() is not None


class Drain(Phase):
    """Ends the server. Clients that have sent a part of an HTTP request get their answers."""

    ends = True
    processes = ("master", "worker", "child")

    def begin(self, scene):
        if scene.speaks_http:
            scene.begin(4, part=0.5)
        scene.ask()  # by then the workers have accepted all earlier clients
        scene.signal(signal.SIGTERM)

    def over(self, scene):
        scene.complete()
        scene.until(lambda: scene.exit_code() is not None, "its end")


class WorkerDeath(Phase):
    """Kills a worker. It loses its connections, but its backlog and later clients are served."""

    kept = 0

    def begin(self, scene):
        self.victim = scene.workers()[-1]
        scene.victims.add(self.victim)
        os.kill(self.victim, signal.SIGSTOP)
        scene.until(lambda: support.stat_of(self.victim)[0] == "T", "it is stopped")
        scene.begin(8)
        os.kill(self.victim, signal.SIGKILL)

    def over(self, scene):
        scene.complete()
        scene.until(lambda: self.settled(scene), "another worker")
        scene.begin(12)
        scene.complete()

    def settled(self, scene):
        workers = scene.workers()
        if scene.exit_code() is not None or scene.tries_later():
            return True
        return len(workers) == 2 and self.victim not in workers


class MasterDeath(Phase):
    """Kills the master. The workers die with it, whatever failed as they started."""

    processes = ("child",)
    fresh = True
    ends = True

    def begin(self, scene):
        scene.resume()

    def over(self, scene):
        if not scene.ready():
            return
        scene.connect(8)
        scene.ask()
        scene.fatal = signal.SIGKILL
        scene.signal(signal.SIGKILL)
        scene.until(lambda: scene.exit_code() is not None, "the end of the master")
        scene.until(lambda: not scene.family(), "the end of its workers")
        scene.clients.clear()


PHASES = {"start": Start, "alone": Alone, "serve": Serve, "reopen": Reopen, "reload": Reload,
          "more": More, "fewer": Fewer, "upgrade": Upgrade, "drain": Drain,
          "worker-death": WorkerDeath, "master-death": MasterDeath}
