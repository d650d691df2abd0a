# SPDX-License-Identifier: MIT
"""Lets system calls of one process fail. strace(1) injects the errors. ptrace(2) stops a child
before it runs."""

import contextlib
import ctypes
import os
import re
import select
import signal
import subprocess
import time

LIMIT = 60  # seconds

# ptrace(2), linux/ptrace.h
CONT, DETACH, SEIZE, LISTEN, GETEVENTMSG = 7, 17, 0x4206, 0x4208, 0x4201
TRACE_BIRTHS = 0x2 | 0x4 | 0x8  # fork, vfork, clone
EVENT_STOP = 128
WALL = 0x40000000

CALL = re.compile(r"^(?:<\.\.\. )?(\w+)(\(| resumed>)")


def ptrace(request, pid, data=0):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(request, pid, None, data) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"ptrace {request:#x}: {os.strerror(error)}")


class Catcher:
    """Waits for the next child of `pid`, and stops it before it has run."""

    def __init__(self, pid):
        self.pid = pid
        ptrace(SEIZE, pid, TRACE_BIRTHS)

    def catch(self, limit=LIMIT):
        """Returns the pid of the child, which is stopped and no longer traced. Returns None if the
        parent ended or made no child in time."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, WALL | os.WNOHANG)
            if pid == 0:
                time.sleep(0.002)
            elif not os.WIFSTOPPED(status):
                return None
            elif child := self.birth(status):
                return child
        self.let_go()
        return None

    def birth(self, status):
        event, number = status >> 16, os.WSTOPSIG(status)
        if event in (1, 2, 3):
            message = ctypes.c_ulong()
            ptrace(GETEVENTMSG, self.pid, ctypes.addressof(message))
            os.waitpid(message.value, WALL)
            os.kill(message.value, signal.SIGSTOP)
            ptrace(DETACH, message.value)
            ptrace(DETACH, self.pid)
            return message.value
        if event == EVENT_STOP and number in (signal.SIGSTOP, signal.SIGTSTP):
            ptrace(LISTEN, self.pid)
        else:
            ptrace(CONT, self.pid, 0 if event else number)
        return None

    def let_go(self):
        """Detaches from the parent, which ptrace(2) allows only while it is stopped."""
        with contextlib.suppress(OSError, ChildProcessError):
            os.kill(self.pid, signal.SIGCONT)
            os.waitpid(self.pid, WALL)
            ptrace(DETACH, self.pid)


class Trace:
    """strace(1) on one process. It records the calls, or lets one call fail."""

    def __init__(self, pid, record, inject=None):
        """`inject` is (call, error, occurrence). Without it, all calls are recorded."""
        self.record = record
        command = ["strace", "-o", record, "-p", str(pid)]
        if inject:
            call, error, when = inject
            command += ["-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={when}"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def __enter__(self):
        """Returns once strace is attached."""
        said = b""
        descriptor = self.process.stderr.fileno()
        while b"attached" not in said:
            ready = select.select([descriptor], [], [], LIMIT)[0]
            chunk = os.read(descriptor, 4096) if ready else b""
            if not chunk:
                self.end()
                raise RuntimeError(f"strace: {said.decode(errors='replace')}")
            said += chunk
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        """Ends strace, which detaches."""
        self.process.terminate()
        self.process.wait()
        self.process.stderr.close()

    def lines(self):
        with open(self.record, errors="replace") as record:
            return record.read().splitlines()

    def injected(self):
        return any("(INJECTED)" in line for line in self.lines())


def called(lines):
    """Returns the names of the calls in a record, in order."""
    found = (CALL.match(line) for line in lines)
    return [match[1] for match in found if match and match[2] == "("]


def may_trace():
    """Returns why processes can't be traced here, or "" if they can."""
    try:
        sleeper = subprocess.Popen(["sleep", "60"])
    except OSError as error:
        return str(error)
    try:
        with Trace(sleeper.pid, os.devnull):
            return ""
    except (OSError, RuntimeError) as error:
        return str(error)
    finally:
        sleeper.kill()
        sleeper.wait()
