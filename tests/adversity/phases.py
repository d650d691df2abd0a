# SPDX-License-Identifier: MIT
"""The phases of a server's life: how each begins, and how it is over."""

import contextlib
import os
import signal
import socket

from scene import support


class Phase:
    """`processes`: whose calls may fail in it. master and worker are there already; child is what
    the master makes in it, up to execve(2) if it is a new program; program is that one's main()."""

    processes = ("master", "worker", "child")
    fresh = False  # the server starts in it
    ends = False  # the server ends in it
    workers = 2
    kept = 6  # clients that are there before

    def begin(self, scene):
        """What starts it."""

    def over(self, scene):
        """Until it is over."""


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
    """Without workers: the one process starts and serves."""

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
        scene.begin(12)  # whoever could not accept for a moment has to accept again
        scene.complete()

    def ask_by_datagrams(self, scene):
        host, port = scene.addresses[2].removeprefix("udp:").split(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(0.5)
            client.connect((host, int(port)))
            for _ in range(12):
                client.send(b"a datagram")
                with contextlib.suppress(TimeoutError):  # it may be lost
                    client.recv(100)


class Reopen(Phase):
    processes = ("master", "worker")

    def begin(self, scene):
        for name in ("log", "access"):
            os.rename(scene.folder / name, scene.folder / f"{name}.1")
        scene.signal(signal.SIGUSR1)

    def over(self, scene):
        old = scene.folder / "log.1"
        scene.until(lambda: (scene.folder / "log").exists() or "can't reopen" in old.read_text(),
                    "a new log file")
        scene.ask()
        scene.begin(6)
        scene.complete()


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
    """TTIN."""

    def begin(self, scene):
        scene.signal(signal.SIGTTIN)
        scene.begin(8)

    def over(self, scene):
        scene.complete()
        scene.until(lambda: len(scene.workers()) == 3 or scene.refusal(), "a third worker")
        scene.ask()


class Fewer(Phase):
    """TTOU."""

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
    """Clients whose HTTP requests came in part are served to their end; to echo they are idle."""

    ends = True
    processes = ("master", "worker", "child")

    def begin(self, scene):
        if scene.speaks_http:
            scene.begin(4, part=0.5)
        scene.ask()  # all that were accepted before are the workers' now
        scene.signal(signal.SIGTERM)

    def over(self, scene):
        scene.complete()
        scene.until(lambda: scene.exit_code() is not None, "its end")


class WorkerDeath(Phase):
    """What waited in its queue and comes later is served; its connections are lost with it."""

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
        if scene.exit_code() is not None or (scene.scarce and scene.refusal()):
            return True
        return len(workers) == 2 and self.victim not in workers


class MasterDeath(Phase):
    """Workers die with the master, whatever went wrong as they started."""

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
