# SPDX-License-Identifier: MIT
"""A server with clients, the operations on it, and the verdict on how it ended."""

import contextlib
import ctypes
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "servers"))
import support  # noqa: E402

LIMIT = 60  # seconds per step, more than the server's own timeouts
AFTERWARDS = 5  # the same after one step took too long
TIMEOUT, GRACE = 12, 24  # --timeout and --graceful-timeout of the servers
# A process spins if it uses more than IDLE of a processor in each of WINDOWS windows of WINDOW s.
WINDOW, IDLE, WINDOWS = 0.25, 0.04, 40
STOPPED = ["sh", "-c", 'kill -STOP $$; exec "$@"', "sh"]  # runs its arguments after SIGCONT

TROUBLE = re.compile(r" (?:warning|error|critical) (.*)|^reactor-[a-z-]+: (.*)")
HARMLESS = re.compile(r"^serving as root|^slow (?:batch|callback)")
CRASH = re.compile(r"was killed by signal (4|5|6|7|8|11|31)\b|CHECK|terminate called|AddressSanitizer")
DATAGRAMS = ("udp:", "unixgram:")
REPLACED = re.compile(r"worker \d+ \(pid \d+\) (exited|was killed).*; next start in")
REFUSED = re.compile(
    r"reload refused|going on with the old configuration|no upgrade: |"
    r"this program goes on as before|can't reopen|no room for worker")
# A worker has ended as it starts so often that its next start is put off.
PUT_OFF = re.compile(r"exited with 1; next start in [1-9]")

CONFIGURATION = """\
workers = {workers}
bind = 127.0.0.1:0
bind = unix:{folder}/socket
pid = {folder}/pid
log = {folder}/log
timeout = {timeout}
graceful-timeout = {grace}
"""


def adopt_orphans():
    """Makes us the parent of masters and workers that lose theirs: PR_SET_CHILD_SUBREAPER."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


UNANSWERED = f"unanswered for {LIMIT} s"


class Lost(Exception):
    """Raised if a client gets no answer. The text says what happened to it."""


class Client:
    """A connection that sends requests and receives answers. Raises Lost if it fails."""

    def __init__(self, scene, address):
        self.scene = scene
        try:
            self.socket = support.connect(address, LIMIT)
        except OSError as error:
            raise Lost(f"refused: {error}") from error

    def send(self, data=None):
        try:
            self.socket.sendall(data or self.scene.request)
        except OSError as error:
            raise Lost(f"reset: {error}") from error

    def receive(self):
        self.socket.settimeout(self.scene.patience)
        try:
            if self.scene.speaks_http:
                head, body = support.read_response(self.socket)
                right = head.startswith(b"HTTP/1.1 200 ") and body == b"OK\n"
            else:
                head = support.read_exactly(self.socket, len(self.scene.request))
                right = head == self.scene.request
        except TimeoutError as error:
            self.scene.patience = AFTERWARDS
            raise Lost(UNANSWERED) from error
        except OSError as error:
            raise Lost(f"reset: {error}") from error
        if not right:
            raise Lost(f"wrong: {head[:80]!r}" if head else "closed")

    def complete(self):
        """Sends the rest of a request, and receives the answer."""
        if rest := self.scene.request[self.sent:]:
            self.send(rest)
        self.receive()

    def close(self):
        self.socket.close()


class Scene:
    """The server's folder, its processes and its clients. Use it as a context manager."""

    def __init__(self, program, workers=2, more="", stopped=False, user=0, disk=""):
        """`more` has further lines of the configuration. If `stopped`, the server waits for
        resume(). `disk` has the options of a tmpfs for the folder. `user` is the server's user."""
        self.program = program
        self.speaks_http = program.endswith("http-ok")
        self.request = support.GET if self.speaks_http else b"what is sent comes back" * 40
        self.directory = tempfile.TemporaryDirectory(prefix="reactor-test-")
        self.folder = pathlib.Path(self.directory.name)
        self.disk, self.user = disk, user
        if disk:
            subprocess.run(["mount", "-t", "tmpfs", "-o", disk, "tmpfs", self.folder], check=True)
        if user:
            os.chown(self.folder, user, user)
        access = "access-log = {folder}/access\n" if self.speaks_http else ""
        text = CONFIGURATION + access + more
        self.file = self.folder / "server.conf"
        self.file.write_text(text.format(folder=self.folder, workers=workers, timeout=TIMEOUT,
                                         grace=GRACE))
        self.wrapper = STOPPED if stopped else []
        self.clients, self.pending, self.losses = [], [], []
        self.addresses, self.codes = [], {}
        self.late = []  # the events that did not happen in time
        self.patience = LIMIT
        self.spins = ""
        self.pid = 0
        self.fatal = 0  # the signal that may end the server
        self.victims = set()  # workers whose deaths are expected
        self.scarce = False  # the server lacks a resource

    def __enter__(self):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [*self.wrapper, self.program, "--config", str(self.file)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=self.errors, env=support.clean_environment(),
            start_new_session=True, preexec_fn=self.drop_privileges if self.user else None)
        self.pid = self.first_pid = self.process.pid
        self.process.returncode = 0  # we call waitpid(2) ourselves
        if self.wrapper:
            support.wait_until(lambda: support.stat_of(self.pid)[0] == "T", "it is stopped")
        return self

    def __exit__(self, *_):
        for client in [*self.clients, *self.pending]:
            client.close()
        for pid in {self.first_pid, self.pid, *self.family()}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        self.process.stdout.close()
        self.errors.close()
        if self.disk:
            subprocess.run(["umount", "-l", self.folder], check=False)
        self.directory.cleanup()

    def drop_privileges(self):
        os.setgroups([])
        os.setgid(self.user)
        os.setuid(self.user)

    # ---- Processes ----

    def resume(self, pid=None):
        os.kill(pid or self.pid, signal.SIGCONT)

    def family(self):
        """Returns the living processes that have the server's configuration as an argument."""
        name = str(self.file).encode()
        found = []
        for entry in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                if entry.isdigit() and name in pathlib.Path(f"/proc/{entry}/cmdline").read_bytes():
                    if support.alive(int(entry)):
                        found.append(int(entry))
        return sorted(found)

    def workers(self):
        listing = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children")
        with contextlib.suppress(OSError):
            return [pid for pid in map(int, listing.read_text().split()) if support.alive(pid)]
        return []

    def signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def exit_code(self, pid=None):
        """Returns the exit code, minus the signal that killed it, or None while it runs."""
        pid = pid or self.pid
        if pid not in self.codes:
            with contextlib.suppress(ChildProcessError):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    self.codes[pid] = os.waitstatus_to_exitcode(status)
        return self.codes.get(pid)

    def refusal(self):
        """Returns whether the log says that the server refused to do something."""
        log = self.log()
        return REFUSED.search(log) or (self.scarce and "can't start worker" in log)

    def tries_later(self):
        """Returns whether no more comes for now from a server that lacks a resource."""
        return self.scarce and (self.refusal() or PUT_OFF.search(self.log()))

    def follow(self):
        """Goes on with the new master of an upgrade. The old one's end made it our child."""
        if self.exit_code() != 0:
            return
        mine = [pid for pid in self.family() if support.stat_of(pid)[1] == os.getpid()]
        if len(mine) == 1:
            self.pid = mine[0]
        else:
            self.late.append(f"one new master, but {mine}")

    def until(self, condition, what):
        """Waits for the condition. Returns False if it did not come true in time."""
        end = time.monotonic() + self.patience
        pause = 0.004
        while not condition():
            if time.monotonic() > end:
                self.late.append(what)
                self.patience = AFTERWARDS
                return False
            time.sleep(pause)
            pause = min(2 * pause, 0.03)
        return True

    def ready(self):
        """Reads standard output up to `ready`. Returns whether that came before the end."""
        text, end = b"", time.monotonic() + LIMIT
        descriptor = self.process.stdout.fileno()
        while not text.endswith(b"ready\n"):
            if not select.select([descriptor], [], [], max(0, end - time.monotonic()))[0]:
                self.late.append("ready")
                return False
            chunk = os.read(descriptor, 4096)
            if not chunk:
                self.until(lambda: self.exit_code() is not None, "its end")
                return False
            text += chunk
        self.addresses = [line.split(" ", 2)[2] for line in text.decode().splitlines()[:-1]]
        self.streams = [name for name in self.addresses if not name.startswith(DATAGRAMS)]
        return True

    # ---- Clients ----

    def attempt(self, action):
        try:
            return action()
        except Lost as lost:
            self.losses.append(str(lost))
            return None

    def connect(self, count):
        """Connects more clients, by turns to each stream address, and keeps them."""
        for index in range(count):
            address = self.streams[index % len(self.streams)]
            if client := self.attempt(lambda a=address: Client(self, a)):
                self.clients.append(client)

    def ask(self):
        """Each client sends one more request. Clients without an answer are lost."""
        for step in (Client.send, Client.receive):
            for client in list(self.clients):
                before = len(self.losses)
                self.attempt(lambda c=client, s=step: s(c))
                if len(self.losses) > before:
                    self.clients.remove(client)
                    client.close()

    def begin(self, count, part=1.0):
        """Connects clients that send a request, or a part of it, and wait for complete()."""
        for index in range(count):
            address = self.streams[index % len(self.streams)]
            if client := self.attempt(lambda a=address: Client(self, a)):
                client.sent = int(len(self.request) * part)
                before = len(self.losses)
                self.attempt(lambda c=client: c.send(self.request[:c.sent]))
                if len(self.losses) == before:  # the send succeeded
                    self.pending.append(client)
                else:
                    client.close()

    def complete(self):
        """Lets the clients of begin() send the rest, and receives their answers."""
        for client in self.pending:
            self.attempt(client.complete)
            client.close()
        self.pending.clear()

    # ---- The end ----

    def watch_idleness(self):
        """Checks that no process spins. No request is in flight, so the processes should soon be
        idle. Time in which a process waited for a processor does not count."""
        for _ in range(WINDOWS):
            before, start = self.spent(), time.monotonic()
            time.sleep(WINDOW)
            took, after = time.monotonic() - start, self.spent()
            shares = {pid: (ran - before[pid][0]) / max(took - (waited - before[pid][1]), WINDOW / 10)
                      for pid, (ran, waited) in after.items() if pid in before}
            if all(share <= IDLE for share in shares.values()):
                return
        self.spins = str(shares)

    def spent(self):
        """Returns pid -> support.spent(pid) of each process."""
        result = {}
        for pid in (self.pid, *self.workers()):
            with contextlib.suppress(OSError):
                result[pid] = support.spent(pid)
        return result

    def finish(self):
        """Sends TERM and waits for the end. end() then checks the exit code."""
        for client in self.clients:
            client.close()
        self.clients.clear()
        self.signal(signal.SIGTERM)
        self.until(lambda: self.exit_code() is not None, "its end after TERM")

    def log(self):
        texts = [os.pread(self.errors.fileno(), 1 << 16, 0).decode(errors="replace")]
        for name in ("log.1", "log"):
            with contextlib.suppress(FileNotFoundError):
                texts.append((self.folder / name).read_text(errors="replace"))
        return "".join(texts)

    def trouble(self):
        """Returns the warnings and errors in the log, without expected ones."""
        found = []
        for line in self.log().splitlines():
            match = TROUBLE.search(line)
            message = match and (match[1] or match[2])
            if not message or HARMLESS.match(message):
                continue
            if not any(f"(pid {pid}) was killed" in message for pid in self.victims):
                found.append(message)
        return found

    def end(self):
        """Returns the verdict: one of the words that the tables use, or crash, hang or spin."""
        log, code = self.log(), self.exit_code()
        if any(code < 0 and -code != self.fatal for code in self.codes.values()) or CRASH.search(log):
            return "crash"
        if self.late or UNANSWERED in self.losses:
            return "hang"
        if self.spins:
            return "spin"
        if code not in (None, 0, -self.fatal):
            return f"exit-{code}"
        trouble = self.trouble()
        if self.refusal():
            end = "refused"
        elif any(map(REPLACED.match, trouble)):
            end = "replaced"
        elif self.losses:
            end = "one-connection" if len(self.losses) == 1 else "connections"
        else:
            end = "goes-on"
        return end if trouble or end in ("goes-on", "one-connection") else "silent-" + end

    def story(self):
        """Returns a report for a failure."""
        return (f"exit {self.codes}, late {self.late}, losses {self.losses}, spins {self.spins}\n"
                + self.log())
