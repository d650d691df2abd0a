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


def namespace():
    for more in ([], ["--user", "--map-root-user"]):
        command = [NAMESPACE[0], *more, *NAMESPACE[1:]]
        if subprocess.run([*command, "true"], check=False, capture_output=True).returncode == 0:
            return command + FIRST
    raise SystemExit("mutants: unshare(1) can't make a process namespace here; without one, a changed "
                     "kill() could end every process of the user")


class Shard:
    """A part of the tests of one program, running."""

    def __init__(self, prefix, program, limit, index, shards, only):
        self.output = tempfile.TemporaryFile("w+", errors="replace")
        self.end = time.monotonic() + limit
        environment = {**os.environ, "GTEST_TOTAL_SHARDS": str(shards), "GTEST_SHARD_INDEX": str(index)}
        command = [*prefix, str(program), f"--gtest_filter={only}", "--gtest_fail_fast", "--gtest_color=no"]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output,
            start_new_session=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)))

    def poll(self):
        """None while it runs; afterwards the name of the test that failed, or "" if none did."""
        code = self.process.poll()
        if code is None and time.monotonic() < self.end:
            return None
        self.stop()
        with self.output:
            self.output.seek(0)
            text = self.output.read()
        if code == 0:
            return ""
        if code is not None and (failed := FAILED.search(text)):
            return failed.group(1)
        started = STARTED.findall(text)
        return f"{started[-1] if started else '?'} ({'no end' if code is None else f'ended by {code}'})"

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

    def __init__(self, shards):
        self.prefix = namespace()
        self.shards = shards
        self.limits = {}

    def measure(self, program):
        """What the unchanged program takes gives the limit. It must pass."""
        self.limits[program.name] = 600
        start = time.monotonic()
        if failed := self.killer(program, None):
            raise SystemExit(f"mutants: {program.name} fails without a change: {failed}")
        self.limits[program.name] = 20 + 5 * (time.monotonic() - start)

    def killer(self, program, original, first=()):
        """The test that fails, "" if all pass. One that fails only once, or without the change too,
        does not count."""
        if first:
            failed = first_failure([self.shard(program, only=":".join(first))])
            if failed and self.is_real(program, original, failed):
                return failed
        for _ in range(3):
            shards = [self.shard(program, index, self.shards) for index in range(self.shards)]
            failed = first_failure(shards)
            if not failed or self.is_real(program, original, failed):
                return failed
        return ""

    def is_real(self, program, original, failed):
        name, _, how = failed.partition(" ")
        if how == "(no end)" or name == "?":
            return True
        return (first_failure([self.shard(program, only=name)]) != "" and
                (original is None or first_failure([self.shard(original, only=name)]) == ""))

    def shard(self, program, index=0, shards=1, only="*"):
        return Shard(self.prefix, program, self.limits[program.name], index, shards, only)

