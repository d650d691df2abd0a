# SPDX-License-Identifier: MIT
"""Runs a test program that may do anything, in its own pid namespace and with limits."""

import os
import re
import resource
import subprocess
import tempfile
import time

# A changed kill() may signal every process, hence the namespace. A shell is its first process, and
# the kernel kills everything that the tests have left when the shell ends.
NAMESPACE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
FIRST = ["sh", "-c", '"$@"; exit $?', "sh"]
MEMORY = 16 << 30  # bytes of address space
FAILED = re.compile(r"^\[  FAILED  \] (\S+?),? ", re.MULTILINE)
STARTED = re.compile(r"^\[ RUN      \] (\S+)", re.MULTILINE)
PASSED = re.compile(r"^\[       OK \] (\S+) \((\d+) ms\)", re.MULTILINE)
SLOW = 60  # milliseconds
# Tests notice most changes on each backend, so these backends run only after the first has passed.
LATER_BACKENDS = ["*/select", "*/kqueue"]
SILENCE = 6  # seconds without output after which a program hangs


def namespace():
    for more in ([], ["--user", "--map-root-user"]):
        command = [NAMESPACE[0], *more, *NAMESPACE[1:]]
        if subprocess.run([*command, "true"], check=False, capture_output=True).returncode == 0:
            return command + FIRST
    raise SystemExit("mutants: unshare(1) can't make a process namespace here; without one, a changed "
                     "kill() could end every process of the user")


class Shard:
    """A running process that tests one part of the cases of a program."""

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
        """Returns None while it runs, then the name of the test that failed, or "" if none did."""
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
        self.process.kill()  # kills unshare, and --kill-child the namespace
        self.process.wait()


def first_failure(shards):
    """Waits until all shards pass, or one fails, which stops the others. Returns it or ""."""
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
    """Runs the tests of programs, each program in several processes at a time."""

    def __init__(self, shards, silence=SILENCE):
        self.prefix = namespace()
        self.shards = shards
        self.silence = silence
        self.slow = {}

    def measure(self, program):
        """Stores which tests of the unchanged program are slow. Exits if one of its tests fails."""
        shard = Shard(self.prefix, program, 60, "*")
        shard.process.wait(timeout=600)
        text = shard.text()
        if failed := shard.poll():
            raise SystemExit(f"mutants: {program.name} fails without a change: {failed}")
        self.slow[program.name] = [name for name, took in PASSED.findall(text) if int(took) > SLOW]

    def killer(self, program, original, first=()):
        """Returns the test that fails, or "" if all pass. A test does not count if it fails only
        once, or fails in the original program too. The tests in `first` run first, the slow ones
        last."""
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
