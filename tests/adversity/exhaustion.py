#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Lets a resource run out at each step of a server's life: descriptors, processes, memory, disk
space, mailboxes or ports.

usage: exhaustion.py --bin DIR [RESOURCE STEP AMOUNT]
exhaustion.tsv says how each step has to end. AMOUNT is the amount of the resource that is left. It
rises until the step succeeds. Each combination, called a cell, has its own network, and changes
nothing outside of it.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import ctypes
import fcntl
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from phases import PHASES  # noqa: E402
from scene import Scene, adopt_orphans, support  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
SECONDS = float(os.environ.get("REACTOR_ADVERSITY_SECONDS", "0"))
AT_ONCE = 8 * (os.cpu_count() or 1)  # cells at a time; most of them wait
INSIDE = "REACTOR_ADVERSITY_INSIDE"  # set if we run in our own namespaces
PAGE = resource.getpagesize()

Cell = collections.namedtuple("Cell", "resource step amount")
Rule = collections.namedtuple("Rule", "resource step amounts ends reason")


class Missing(Exception):
    """Raised if a resource can't be limited here. The text says why."""


class Resource:
    """squeeze() leaves only `amount` of it, relieve() gives it back, then check() is called."""

    kept = 6
    scene = {}  # arguments for the Scene

    def squeeze(self, scene, amount):
        pass

    def relieve(self, scene):
        pass

    def check(self, scene, amount):
        pass


class Descriptors(Resource):
    """Limits the new descriptors of one process, and of its later children."""

    def __init__(self, worker):
        self.worker = worker

    def squeeze(self, scene, amount):
        pid = scene.workers()[0] if self.worker else scene.pid
        used = support.descriptors_of(pid)
        limit = 0
        while amount >= 0:
            amount -= limit not in used
            limit += 1
        # Before the start it sets the hard limit too, because a server raises the soft limit to its
        # need.
        set_limit(scene, [pid], "nofile", limit - 1, hard=not scene.addresses)

    def relieve(self, scene):
        set_limit(scene, scene.family(), "nofile", resource.getrlimit(resource.RLIMIT_NOFILE)[0])


class Processes(Resource):
    """Limits the new processes of a user who runs only this server. Root would have no limit."""

    @property
    def scene(self):
        first, _, count = map(int, pathlib.Path("/proc/self/uid_map").read_text().split()[-3:])
        if count < 1 << 16:
            raise Missing("root is the only user in this namespace")
        return {"user": first + random.randrange(count // 4, count // 2)}

    def squeeze(self, scene, amount):
        set_limit(scene, scene.family(), "nproc", len(scene.family()) + amount)

    def relieve(self, scene):
        set_limit(scene, scene.family(), "nproc", 1000)


def set_limit(scene, processes, name, value, hard=False):
    """Sets the soft limit. Not every user of this program could raise a hard limit again."""
    other = {"user": scene.user, "group": scene.user, "extra_groups": []} if scene.user else {}
    for pid in processes:
        subprocess.run(["prlimit", f"--pid={pid}", f"--{name}={value}:{value if hard else ''}"],
                       check=False, capture_output=True, **other)


class Memory(Resource):
    """Limits the new pages of address space of one process, and of its later children."""

    def __init__(self, worker):
        self.worker = worker

    def squeeze(self, scene, amount):
        pid = scene.workers()[0] if self.worker else scene.pid
        pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[0])
        set_limit(scene, [pid], "as", (pages + amount) * PAGE)

    def relieve(self, scene):
        set_limit(scene, scene.family(), "as", "unlimited")


class Disk(Resource):
    """Limits the free pages of the disk with the logs, the pid file and the sockets."""

    scene = {"disk": "size=256k"}

    def squeeze(self, scene, amount):
        for name in ("log", "access"):  # fills the last page of the log, which has room for lines
            with contextlib.suppress(FileNotFoundError), (scene.folder / name).open("ab") as file:
                file.write(b"." * ((-file.tell() - 1) % PAGE) + b"\n")
        filler = scene.folder / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * PAGE)
            except OSError:
                pass
            os.truncate(filler, max(0, filler.stat().st_size - amount * PAGE))

    def relieve(self, scene):
        (scene.folder / "filler").unlink()

    def check(self, scene, amount):
        """Checks that the log goes on, and says how many lines are lost."""
        if "can't write the log" in scene.log():
            scene.until(lambda: re.search(r"\d+ lines? of the log", scene.log()),
                        "the number of lines that are lost")


class Files(Resource):
    """Limits the new files on the same disk."""

    scene = {"disk": "size=1m,nr_inodes=32"}

    def squeeze(self, scene, amount):
        made = []
        try:
            while True:
                made.append(scene.folder / f"filler{len(made)}")
                made[-1].touch()
        except OSError:
            pass
        for path in made[:amount]:
            path.unlink(missing_ok=True)

    def relieve(self, scene):
        for path in scene.folder.glob("filler*"):
            path.unlink()


class Mailboxes(Resource):
    """Has more idle connections than the mailboxes hold. The amount means nothing here."""

    kept = 300


class Ports(Resource):
    """Limits the free ports in the range that the kernel chooses from."""

    RANGE = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range")  # ip(7)
    FIRST = 40000

    def squeeze(self, scene, amount):
        scene.range = self.RANGE.read_text()
        self.set_range(f"{self.FIRST} {self.FIRST + 3}")
        scene.squatters = [listening(self.FIRST + number) for number in range(4 - amount)]

    def relieve(self, scene):
        self.set_range(scene.range)
        for squatter in scene.squatters:
            squatter.close()

    def set_range(self, text):
        try:
            self.RANGE.write_text(text)
        except OSError as error:
            raise Missing(f"{self.RANGE}: {error.strerror}") from error


class Address(Resource):
    """The new configuration binds an address that is in use."""

    def squeeze(self, scene, amount):
        scene.squatters = [listening(0)]
        host, port = scene.squatters[0].getsockname()
        scene.text = scene.file.read_text()
        scene.file.write_text(f"{scene.text}bind = {host}:{port}\n")

    def relieve(self, scene):
        scene.file.write_text(scene.text)
        scene.squatters[0].close()


def listening(port):
    squatter = socket.socket()
    squatter.bind(("127.0.0.1", port))
    squatter.listen()
    return squatter


RESOURCES = {"descriptors-master": Descriptors(False), "descriptors-worker": Descriptors(True),
             "processes": Processes(), "memory-master": Memory(False), "memory-worker": Memory(True),
             "disk": Disk(), "files": Files(), "mailboxes": Mailboxes(), "ports": Ports(),
             "address": Address()}


def rules():
    for line in (HERE / "exhaustion.tsv").read_text().splitlines():
        if line and not line.startswith("#"):
            yield Rule(*line.split("\t"))


def amounts_of(text):
    """Yields the numbers in a column of the table, such as "0-5,8"."""
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def play(bin_dir, cell):
    """Plays one cell. Returns how it ended, and a report for a failure."""
    limited, step = RESOURCES[cell.resource], PHASES[cell.step]()
    with Scene(os.path.join(bin_dir, "reactor-http-ok"), stopped=step.fresh,
               **limited.scene) as scene:
        if not step.fresh:
            assert scene.ready(), scene.story()
            scene.connect(limited.kept if step.kept else 0)
            scene.ask()
        scene.scarce = True
        limited.squeeze(scene, cell.amount)
        step.begin(scene)
        step.settle(scene)
        step.over(scene)
        if scene.exit_code() is not None:
            limited.relieve(scene)
        else:
            scene.watch_idleness()
            limited.relieve(scene)
            recover(scene, step)
            limited.check(scene, cell.amount)
        return scene.end(), scene.story()


def recover(scene, step):
    """Checks that all is as before: a reload succeeds and keeps all clients."""
    old = set(scene.workers())
    if not step.fresh:
        scene.signal(signal.SIGHUP)
        scene.until(lambda: len(scene.workers()) == 2 and not old & set(scene.workers()),
                    "two new workers, when all is there again")
    scene.ask()
    scene.finish()


def attempt(bin_dir, shown, rule, cell):
    """Plays one cell. Returns "" or a report. `shown` is the folder in the replay command."""
    own_network()
    end, story = play(bin_dir, cell)
    if end in rule.ends.split("|"):
        return ""
    name = " ".join(map(str, cell))
    return (f"{name}: {end}, not {rule.ends} ({rule.reason})\n{story}"
            f"replay: tests/adversity/exhaustion.py --bin {shown} {name}\n")


def run(bin_dir, shown, cells):
    """Plays all cells once, or in the long form again and again until the time is over."""
    end = time.monotonic() + SECONDS
    ended, missing = collections.Counter(), set()
    while not ended or time.monotonic() < end:
        random.shuffle(cells)
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            for done in concurrent.futures.as_completed(
                    [pool.submit(attempt, bin_dir, shown, *cell) for cell in cells]):
                ended[outcome(done, missing)] += 1
    for why in sorted(missing):
        print(f"left out: {why}")
    print(f"{ended['right'] + ended['wrong']} cells, "
          f"{ended['wrong']} ended otherwise than the table says")
    return bool(ended["wrong"])


def outcome(done, missing):
    try:
        wrong = done.result()
    except Missing as why:
        missing.add(str(why))
        return "missing"
    print(wrong, end="", flush=True)
    return "wrong" if wrong else "right"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("cell", nargs="*", help="RESOURCE STEP AMOUNT")
    options = parser.parse_args()
    if INSIDE not in os.environ:
        return enter_namespaces()
    adopt_orphans()
    cells = [(rule, Cell(rule.resource, rule.step, amount))
             for rule in rules() for amount in amounts_of(rule.amounts)]
    if options.cell:
        wanted = Cell(*options.cell[:2], int(options.cell[2]))
        cells = [cell for cell in cells if cell[1] == wanted]
    elif not SECONDS:
        cells = [(rule, cell) for rule, cell in cells if is_edge(rule, cell)]
    with copied(options.bin) as bin_dir:
        return run(bin_dir, options.bin, cells)


def is_edge(rule, cell):
    amounts = list(amounts_of(rule.amounts))
    return cell.amount in (amounts[0], amounts[-1])


@contextlib.contextmanager
def copied(bin_dir):
    """Yields a folder with a copy of the program that every user can run."""
    with tempfile.TemporaryDirectory(prefix="reactor-test-") as folder:
        os.chmod(folder, 0o755)
        shutil.copy2(os.path.join(bin_dir, "reactor-http-ok"), folder)
        yield folder


def own_network():
    """Gives this thread, and the processes that it starts from now on, a network namespace with
    only a loopback interface. No port is in use there. unshare(2); SIOCSIFFLAGS, netdevice(7)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x40000000):  # CLONE_NEWNET
        error = ctypes.get_errno()
        raise OSError(error, f"unshare: {os.strerror(error)}")
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh22x", b"lo", 0x1 | 0x40))


def enter_namespaces():
    """Runs this program again as root of new namespaces, to mount and to create networks."""
    if missing := [name for name in ("unshare", "mount", "prlimit") if not shutil.which(name)]:
        print(f"skipped: not installed: {' '.join(missing)}")
        return 77
    unshare = ["unshare", "--mount", *([] if os.getuid() == 0 else ["--map-root-user"])]
    if subprocess.run([*unshare, "--net", "true"], check=False).returncode:
        print("skipped: no namespaces of one's own here")
        return 77
    return subprocess.run([*unshare, sys.executable, *sys.argv], check=False,
                          env={**os.environ, INSIDE: "yes"}).returncode


if __name__ == "__main__":
    sys.exit(main())
