# SPDX-License-Identifier: MIT
"""Runs a test program that may do anything: in a process namespace of its own, with limits."""

import os
import re
import resource
import subprocess
import tempfile
import time

# A changed kill() may mean all processes. A shell is the first process of the namespace, and with
# it ends whatever the tests have left.
NAMESPACE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
FIRST = ["sh", "-c", '"$@"; exit $?', "sh"]
MEMORY = 16 << 30  # bytes of address space
FAILED = re.compile(r"^\[  FAILED  \] (\S+?),? ", re.MULTILINE)
STARTED = re.compile(r"^\[ RUN      \] (\S+)", re.MULTILINE)
PASSED = re.compile(r"^\[       OK \] (\S+) \((\d+) ms\)", re.MULTILINE)
SLOW = 60  # milliseconds
# Most changes are noticed on each backend, so the last ones wait until the first has passed.
LATER_BACKENDS = ["*/select", "*/kqueue"]
SILENCE = 6  # seconds without a test that begins or ends: it hangs


def namespace():
    for more in ([], ["--user", "--map-root-user"]):
        command = [NAMESPACE[0], *more, *NAMESPACE[1:]]
        if subprocess.run([*command, "true"], check=False, capture_output=True).returncode == 0:
            return command + FIRST
    raise SystemExit("mutants: unshare(1) can't make a process namespace here; without one, a changed "
                     "kill() could end every process of the user")


class Shard:
    """A part of the tests of one program, running."""

    def __init__(self, prefix, program, silence, only, index=0, shards=1):
        self.output = tempfile.TemporaryFile("w+", errors="replace")
        self.silence = silence
        self.written, self.heard = 0, time.monotonic()
        environment = {**os.environ, "GTEST_TOTAL_SHARDS": str(shards), "GTEST_SHARD_INDEX": str(index)}
        command = [*prefix, str(program), f"--gtest_filter={only}", "--gtest_fail_fast", "--gtest_color=no"]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output,
            start_new_session=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)))

    def is_silent(self):
        written = os.fstat(self.output.fileno()).st_size
        if written != self.written:
            self.written, self.heard = written, time.monotonic()
        return time.monotonic() - self.heard > self.silence

    def poll(self):
        """None while it runs; afterwards the name of the test that failed, or "" if none did."""
        code = self.process.poll()
        if code is None and not self.is_silent():
            return None
        self.stop()
        text = self.text()
        self.output.close()
        if code == 0:
            return ""
        if code is not None and (failed := FAILED.search(text)):
            return failed.group(1)
        started = STARTED.findall(text)
        return f"{started[-1] if started else '?'} ({'no end' if code is None else f'ended by {code}'})"

    def text(self):
        self.output.seek(0)
        return self.output.read()

    def stop(self):
        self.process.kill()  # unshare, and by --kill-child all of the namespace
        self.process.wait()


def first_failure(shards):
    """Waits for all of them or for the first failure, which ends the others."""
    running = list(shards)
    try:
        while running:
            for shard in list(running):
                result = shard.poll()
                if result:
                    return result
                if result == "":
                    running.remove(shard)
            time.sleep(0.02)
        return ""
    finally:
        for shard in running:
            shard.stop()
            shard.output.close()


class Tests:
    """Runs the tests of programs, each in several processes at once."""

    def __init__(self, shards, silence=SILENCE):
        self.prefix = namespace()
        self.shards = shards
        self.silence = silence
        self.slow = {}

    def measure(self, program):
        """Notes which tests of the unchanged program are slow. All must pass."""
        shard = Shard(self.prefix, program, 60, "*")
        shard.process.wait(timeout=600)
        text = shard.text()
        if failed := shard.poll():
            raise SystemExit(f"mutants: {program.name} fails without a change: {failed}")
        self.slow[program.name] = [name for name, took in PASSED.findall(text) if int(took) > SLOW]

    def killer(self, program, original, first=()):
        """The test that fails, "" if all pass. One that fails only once, or without the change too,
        does not count. The tests in `first` are the first to run, the slow ones the last."""
        later = ":".join(LATER_BACKENDS + self.slow.get(program.name, []))
        for only, shards in [(":".join(first), 1), (f"-{later}", self.shards), (later, self.shards)]:
            for _ in range(3 if only else 0):
                failed = first_failure([Shard(self.prefix, program, self.silence, only, index, shards)
                                        for index in range(shards)])
                if not failed:
                    break
                if self.is_real(program, original, failed):
                    return failed
        return ""

    def is_real(self, program, original, failed):
        name = failed.partition(" ")[0]
        return name == "?" or self.fails(program, name) and not (original and self.fails(original, name))

    def fails(self, program, name):
        return first_failure([Shard(self.prefix, program, self.silence, name)]) != ""
