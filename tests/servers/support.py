# SPDX-License-Identifier: MIT
"""Runs reactor-echo and reactor-http-ok as whole processes for the tests beside this file."""

import contextlib
import fcntl
import os
import pathlib
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid

ECHO = os.environ.get("REACTOR_ECHO", "")
HTTP_OK = os.environ.get("REACTOR_HTTP_OK", "")
BACKENDS = os.environ.get("REACTOR_BACKENDS", "epoll select").split()
# The longest time, in seconds, that a test waits for anything. It is many times what a step needs,
# because machines are shared. It is shorter than the servers' timeouts, so that an end that only a
# timeout causes does not pass as an end in time.
LIMIT = 20
SKIPPED = 77
NOBODY = 54321  # a user id that owns nothing


class Stopwatch:
    """Counts the seconds in which this process could run, to check that something was fast enough.

    A busy machine may stop a test and its servers for tens of milliseconds at any moment. The
    stopwatch counts such a stop as two ticks. To check that something did not come too early, use
    time.monotonic(), and read it first before the cause.
    """

    def __init__(self, tick=0.005):
        self.tick = tick
        self.counted = 0.0, time.monotonic()  # the seconds counted so far, and when
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.counted = 0.0, time.monotonic()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    @property
    def seconds(self):
        return self.count(time.monotonic())

    def count(self, now):
        seconds, last = self.counted
        return seconds + min(now - last, 2 * self.tick)

    def run(self):
        while not self.over.wait(self.tick):
            now = time.monotonic()
            self.counted = self.count(now), now


def wait_until(condition, what, limit=LIMIT):
    """Returns the first true value of condition(); fails after `limit` seconds by a Stopwatch."""
    value = condition()
    if value:
        return value
    with Stopwatch() as watch:
        while watch.seconds < limit:
            time.sleep(0.002)
            value = condition()
            if value:
                return value
    raise AssertionError(f"not within {limit} s: {what}")


def stat_of(pid):
    """Returns the state letter and the parent of a process, or None if the process is gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2:].split()
    return fields[0], int(fields[1])


def alive(pid):
    stat = stat_of(pid)
    return stat is not None and stat[0] not in "ZX"


def children_of(pid):
    with contextlib.suppress(OSError):  # not every kernel has the list
        tasks = pathlib.Path(f"/proc/{pid}/task").glob("*/children")
        listed = [int(child) for task in tasks for child in task.read_text().split()]
        if listed:
            return sorted(listed)
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            stat = stat_of(int(entry))
            if stat is not None and stat[1] == pid:
                found.append(int(entry))
    return sorted(found)


MARKS = {}  # the pid of a Server's first process -> the mark in its processes' environment


def in_group(server):
    """Returns the living processes that a Server started, and their descendants. It looks for the
    mark in their environment, because each worker has its own session."""
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            if entry.isdigit() and alive(int(entry)):
                if MARKS[server] in pathlib.Path(f"/proc/{entry}/environ").read_bytes():
                    found.append(int(entry))
    return found


def descriptors_of(pid):
    """Returns the open descriptors of a process: number -> target."""
    result = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            result[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
    return result


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


def spent(pid):
    """Returns the seconds that a process ran, and the seconds that it waited for a processor."""
    try:
        ran, waited, _ = pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()
    except FileNotFoundError:  # this kernel does not count them
        return processor_time(pid), 0.0
    return int(ran) / 1e9, int(waited) / 1e9


def need(*programs):
    """Skips a test if one of these commands is missing."""
    missing = [program for program in programs if not shutil.which(program)]
    return unittest.skipIf(missing, f"not installed: {' '.join(missing)}")


def clean_environment(extra=None):
    """Returns our environment without REACTOR_*, so that a server gets only options of the test."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("REACTOR_")}
    environment.update(extra or {})
    return environment


def log_file():
    """Returns an empty file that a program writes to while the test reads it.

    The two share its offset, so each write has to go to the end. Mode "a" of tempfile only starts there.
    """
    file = tempfile.TemporaryFile()
    fcntl.fcntl(file, fcntl.F_SETFL, fcntl.fcntl(file, fcntl.F_GETFL) | os.O_APPEND)
    return file


class Server:
    """A running server. It is killed at the end of the `with` block, whatever happened in it."""

    def __init__(self, program, *options, bind=("127.0.0.1:0",), environment=None, stdout=None,
                 stderr=None, wrapper=(), **popen):
        """`wrapper` is a command that executes the command after its own arguments."""
        arguments = [*wrapper, program]
        for address in bind:
            arguments += ["--bind", address]
        self.errors = log_file()
        mark = f"STARTED_BY_TEST={uuid.uuid4()}"
        environment = dict(environment or {}, STARTED_BY_TEST=mark.partition("=")[2])
        self.process = subprocess.Popen(
            arguments + list(options), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if stdout is None else stdout,
            stderr=self.errors if stderr is None else stderr, env=clean_environment(environment), start_new_session=True, **popen)
        self.pid = self.process.pid
        MARKS[self.pid] = mark.encode()
        self.pending = b""
        self.addresses = []

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print(self.log(), file=sys.stderr)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.errors.close()

    def read_line(self, limit=LIMIT):
        """Returns the next line of standard output without its newline, or None at the end."""
        end = time.monotonic() + limit
        descriptor = self.process.stdout.fileno()
        while b"\n" not in self.pending:
            left = end - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                raise AssertionError(f"no line on standard output within {limit} s")
            chunk = os.read(descriptor, 4096)
            if not chunk:
                return None
            self.pending += chunk
        line, _, self.pending = self.pending.partition(b"\n")
        return line.decode()

    def ready(self):
        """Reads standard output up to `ready`. Stores the listening addresses in self.addresses."""
        while True:
            line = self.read_line()
            if line is None:
                raise AssertionError(f"ended with {self.wait()} before it was ready")
            if line == "ready":
                return self
            word, on, address = line.split(" ", 2)
            assert (word, on) == ("listening", "on"), line
            self.addresses.append(address)

    def log(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, limit=LIMIT):
        """Waits for the end. Returns the exit code, or minus the signal that killed the server."""
        wait_until(lambda: self.process.poll() is not None, "its end", limit)
        return self.process.returncode

    def workers(self):
        return [pid for pid in children_of(self.pid) if alive(pid)]

    @property
    def port(self):
        return int(self.addresses[0].rpartition(":")[2])

    def connect(self, index=0, limit=LIMIT):
        return connect(self.addresses[index], limit)

    def refuses(self):
        """Returns whether the server listens no more."""
        try:
            self.connect().close()
            return False
        except (ConnectionRefusedError, FileNotFoundError):
            return True


def connect(address, limit=LIMIT):
    """Connects to an address in the form that the servers print."""
    if address.startswith("unix:"):
        path = address[len("unix:"):]
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(limit)
        try:
            connection.connect("\0" + path[1:] if path.startswith("@") else path)
        except OSError:
            connection.close()
            raise
        return connection
    host, _, port = address.rpartition(":")
    host = {"[::]": "127.0.0.1", "0.0.0.0": "127.0.0.1"}.get(host, host).strip("[]")
    return socket.create_connection((host, int(port)), timeout=limit)


def read_all(connection):
    chunks = []
    while True:
        chunk = connection.recv(1 << 16)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)


def read_exactly(connection, count):
    data = b""
    while len(data) < count:
        chunk = connection.recv(count - len(data))
        if not chunk:
            break
        data += chunk
    return data


def echoes(connection, data=b"hello"):
    """Returns whether the server sends the same bytes back."""
    connection.sendall(data)
    return read_exactly(connection, len(data)) == data


GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


def read_response(connection):
    """Reads one answer that has a Content-Length. Returns its head and its body."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(1 << 16)
        if not chunk:
            return data, b""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            body += read_exactly(connection, int(line.split(b":")[1]) - len(body))
    return head, body


def is_ok(connection):
    """Returns whether the server answers a GET on this connection with the default body."""
    connection.sendall(GET)
    head, body = read_response(connection)
    return head.startswith(b"HTTP/1.1 200 ") and body == b"OK\n"


STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5]\d\d) [\t\x20-\x7e]*")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t\x20-\x7e]*)")


class Answer:
    """One answer: its status, its fields by lower-case names, and its body or None."""

    def __init__(self, head):
        lines = head.split(b"\r\n")
        status = STATUS_LINE.fullmatch(lines[0])
        assert status, f"bad status line {lines[0]!r}"
        self.status = int(status[1])
        self.fields = {}
        self.body = None
        for line in lines[1:]:
            field = FIELD.fullmatch(line)
            assert field, f"bad field {line!r}"
            name = field[1].lower()
            assert name not in self.fields, f"{name!r} twice"
            self.fields[name] = field[2].strip()

    @property
    def closes(self):
        return self.fields.get(b"connection", b"").lower() == b"close"


def parse_answers(data):
    """Returns all answers in `data`. Raises AssertionError if one is malformed or incomplete.

    If the length of an answer is not 0, but its head is followed by the next status line or by
    nothing, it counts as an answer to HEAD. So no body may begin with a status line.
    """
    answers = []
    at = 0
    while at < len(data):
        end = data.find(b"\r\n\r\n", at)
        assert end >= 0, f"a head that is cut off: {data[at:at + 200]!r}"
        answer = Answer(data[at:end])
        answers.append(answer)
        at = end + 4
        if answer.status < 200:
            assert b"content-length" not in answer.fields, "an interim answer with a length"
            continue
        assert b"date" in answer.fields, "no Date"
        length = int(answer.fields[b"content-length"])
        if at == len(data) or data.startswith(b"HTTP/1.1 ", at):
            answer.body = b"" if length == 0 else None
            continue
        answer.body = data[at:at + length]
        assert len(answer.body) == length, f"a body that is cut off: {answer.body[:200]!r}"
        at += length
    return answers


def ask(client, method, path, body=None, chunked=False):
    """Sends a request on a persistent connection. Returns the status and the body of the answer."""
    headers = {"Transfer-Encoding": "chunked"} if chunked else {}
    client.request(method, path, body=body, headers=headers, encode_chunked=chunked)
    answer = client.getresponse()
    return answer.status, answer.read()


def pieces(data, size):
    return (data[at:at + size] for at in range(0, len(data), size))


def run(program, *arguments, environment=None, limit=LIMIT, **popen):
    """Runs a program until it ends. Returns its exit code, standard output and standard error."""
    done = subprocess.run(
        [program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=limit,
        env=clean_environment(environment), check=False, **popen)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def drop_privileges():
    """Turns root into an ordinary user. Use it as preexec_fn."""
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


@contextlib.contextmanager
def for_everybody(program):
    """Yields a copy of a program that every user can run, and the Popen arguments to start it."""
    if os.getuid() != 0:
        yield program, {}
        return
    folder = tempfile.mkdtemp(prefix="reactor-test-")
    try:
        os.chmod(folder, 0o755)
        copy = shutil.copy2(program, folder)
        os.chmod(copy, 0o755)
        yield copy, {"preexec_fn": drop_privileges, "cwd": "/"}
    finally:
        shutil.rmtree(folder)


class BackendTest(unittest.TestCase):
    """The base of test cases that run on every backend; see on_each_backend."""

    backend = None

    @contextlib.contextmanager
    def server(self, program, *options, **more):
        """Yields a server that is ready. It has two workers unless the options say otherwise."""
        with Server(program, "-w", "2", "--backend", self.backend, *options, **more) as server:
            yield server.ready()


def on_each_backend(case):
    """Replaces a test class by one copy per backend, in the module of the class."""
    module = sys.modules[case.__module__]
    for backend in BACKENDS:
        name = f"{case.__name__}_{backend}"
        setattr(module, name, type(name, (case,), {"backend": backend, "__module__": case.__module__}))
    return None


def main():
    if not ECHO or not HTTP_OK:
        print("set REACTOR_ECHO and REACTOR_HTTP_OK to the programs' paths")
        sys.exit(SKIPPED)
    if not os.path.exists("/proc/self/stat"):
        print("skipped: this system has no /proc")
        sys.exit(SKIPPED)
    unittest.main()
