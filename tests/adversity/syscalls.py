#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Lets each system call of the servers fail, in each phase of their life, with each error that its
man page lists, at the first, second and tenth occurrence.

usage: syscalls.py --bin DIR [PHASE CALL ERROR OCCURRENCE PROCESS]
DIR holds reactor-http-ok and reactor-echo. A phase may be written PROGRAM:PHASE (echo:serve).
"""

import argparse
import collections
import concurrent.futures
import fnmatch
import os
import pathlib
import random
import sys
import time

sys.dont_write_bytecode = True
from phases import PHASES  # noqa: E402
from scene import Scene, adopt_orphans  # noqa: E402
from tracing import Catcher, Trace, called, may_trace  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
SECONDS = float(os.environ.get("REACTOR_ADVERSITY_SECONDS", "0"))
OCCURRENCES = (1, 2, 10)
AT_ONCE = 7 * (os.cpu_count() or 1)  # servers at a time; most of them wait
MOST_SECONDS = 150  # at most, in the short form on a busy machine
ALIKE = [("more", "child"), ("worker-death", "child")]  # as in "start"; the long form has them
ECHO_PHASES = ("start", "serve", "reload", "drain")
ECHO_MORE = "bind = udp:127.0.0.1:0\nbind = unixgram:{folder}/datagrams\n"

Point = collections.namedtuple("Point", "phase call error occurrence process")
Rule = collections.namedtuple("Rule", "phase process call error time ends reason")


def rows(name):
    for line in (HERE / name).read_text().splitlines():
        if line and not line.startswith("#"):
            yield line.split("\t")


ERRORS = {call: errors.split() for call, errors in rows("errors.tsv")}
RULES = [Rule(*row) for row in rows("syscalls.tsv")]


def fits(value, patterns):
    return any(fnmatch.fnmatchcase(value, pattern) for pattern in patterns.split("|"))


def rule_for(point):
    """Returns the first row of syscalls.tsv that fits."""
    phase = point.phase.rpartition(":")[2]
    for rule in RULES:
        if (fits(phase, rule.phase) and fits(point.process, rule.process)
                and fits(point.call, rule.call) and fits(point.error, rule.error)
                and fits(str(point.occurrence), rule.time)):
            given_up = "refused" if phase in ("reload", "upgrade") else "replaced"
            return rule._replace(ends=rule.ends.replace("given-up", given_up))
    raise LookupError(f"no row of syscalls.tsv for {' '.join(map(str, point))}")


class Stage:
    """Plays one phase, with one process under strace."""

    def __init__(self, bin_dir, name):
        program, _, phase = name.rpartition(":")
        self.phase = PHASES[phase]()
        self.program = os.path.join(bin_dir, f"reactor-{program or 'http-ok'}")
        self.more = ECHO_MORE if program == "echo" else ""

    def play(self, process, inject=None):
        """Plays the phase. Returns the verdict, whether a call failed, the trace, and a report."""
        with Scene(self.program, self.phase.workers, self.more, self.phase.fresh) as scene:
            if not self.phase.fresh:
                if not scene.ready():
                    raise RuntimeError(f"it does not start:\n{scene.story()}")
                scene.connect(self.phase.kept)
                scene.ask()
            trace = self.trace(scene, process, inject)
            try:
                self.phase.over(scene)
            finally:
                if trace:
                    trace.end()
            self.end(scene)
            hit = trace is not None and trace.injected()
            calls = trace.lines() if trace else []
            return scene.end(), hit, calls, scene.story()

    def trace(self, scene, process, inject):
        record = str(scene.folder / "trace")
        if process in ("master", "worker"):
            pid = scene.pid if process == "master" else scene.workers()[0]
            trace = Trace(pid, record, inject).__enter__()
            self.phase.begin(scene)
            return trace
        catcher = Catcher(scene.pid)
        self.phase.begin(scene)
        child = catcher.catch()
        if child is None:
            return None
        trace = Trace(child, record, inject).__enter__()
        scene.resume(child)
        return trace

    def end(self, scene):
        if self.phase.ends or scene.exit_code() is not None:
            return
        scene.watch_idleness()
        scene.finish()


def offsets(calls, phase, process):
    """Returns how often each call comes before main(), from exec(2) and the loader."""
    if process == "program" or (process == "master" and phase.fresh):
        for index, line in enumerate(calls):
            if "server.conf" in line and "openat" in line:
                return collections.Counter(called(calls[:index]))
    return collections.Counter()


class Sweep:
    def __init__(self, bin_dir):
        self.bin_dir = bin_dir
        self.before = {}  # (phase, process) -> the offsets() of its calls

    def record(self, name, process):
        """Returns how often a process makes each call in a phase."""
        stage = Stage(self.bin_dir, name)
        end, _, calls, story = stage.play(process)
        if end != "goes-on" and not stage.phase.ends:
            raise RuntimeError(f"{name} {process} without any fault: {end}\n{story}")
        if process == "child":  # the calls after execve(2) are the loader's
            calls = calls[:1 + next((i for i, line in enumerate(calls) if "execve(" in line), len(calls))]
        before = offsets(calls, stage.phase, process)
        self.before[name, process] = before
        return collections.Counter(called(calls)) - before

    def points(self, name, process):
        counts = self.record(name, process)
        points = [Point(name, call, error, occurrence, process)
                  for call, count in sorted(counts.items()) for error in ERRORS.get(call, ())
                  for occurrence in OCCURRENCES if occurrence <= count]
        return [point for point in points if rule_for(point).ends != "skip"]

    def attempt(self, point):
        """Returns "" or what went wrong, or None if the call was never reached."""
        before = self.before.get((point.phase, point.process), {})
        when = point.occurrence + before.get(point.call, 0)
        end, hit, _, story = Stage(self.bin_dir, point.phase).play(
            point.process, (point.call, point.error, when))
        if not hit:
            return None
        rule = rule_for(point)
        if end in rule.ends.split("|"):
            return ""
        return f"{' '.join(map(str, point))}: {end}, not {rule.ends} ({rule.reason})\n{story}"


def everywhere():
    for name, phase in PHASES.items():
        for process in phase.processes:
            if SECONDS or (name, process) not in ALIKE:
                yield name, process
    if not SECONDS:
        return
    for name in ECHO_PHASES:
        for process in PHASES[name].processes:
            yield f"echo:{name}", process


def short_form(points):
    """Returns the first occurrence of each call in each phase, with its most telling error."""
    telling = {(point.phase, point.process, point.call): point for point in reversed(points)
               if point.occurrence == 1}
    return list(telling.values())


def run(sweep, points, seconds, bin_dir):
    begin, tried, found = time.monotonic(), 0, []
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = {}
        for point in points:
            if time.monotonic() - begin > seconds:
                break
            waiting[pool.submit(sweep.attempt, point)] = point
            while len(waiting) >= AT_ONCE:
                tried += collect(waiting, found, bin_dir)
        while waiting:
            tried += collect(waiting, found, bin_dir)
    return tried, found


def collect(waiting, found, bin_dir):
    """Takes the results that are ready. Returns how many of them reached their fault."""
    done, _ = concurrent.futures.wait(
        waiting, return_when=concurrent.futures.FIRST_COMPLETED)
    hits = 0
    for future in done:
        point = waiting.pop(future)
        wrong = future.result()
        hits += wrong is not None
        if wrong:
            found.append(point)
            print(f"{wrong}replay: tests/adversity/syscalls.py --bin {bin_dir} "
                  f"{' '.join(map(str, point))}\n", flush=True)
    return hits


def sweep_all(bin_dir):
    sweep = Sweep(bin_dir)
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        listed = list(pool.map(lambda where: sweep.points(*where), everywhere()))
    points = [point for some in listed for point in some]
    if not SECONDS:
        points = short_form(points)
    random.shuffle(points)
    tried, found = run(sweep, points, SECONDS or MOST_SECONDS, bin_dir)
    print(f"{tried} of {len(points)} points, {len(found)} ended otherwise than the table says")
    return bool(found)


def replay(bin_dir, arguments):
    point = Point(*arguments)._replace(occurrence=int(arguments[3]))
    sweep = Sweep(bin_dir)
    sweep.record(point.phase, point.process)
    wrong = sweep.attempt(point)
    print(wrong or ("as the table says" if wrong == "" else "the fault did not occur"))
    return bool(wrong)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("point", nargs="*", help="PHASE CALL ERROR OCCURRENCE PROCESS")
    options = parser.parse_args()
    if why := may_trace():
        print(f"skipped: no process can be traced here: {why}")
        return 77
    adopt_orphans()
    if options.point:
        return replay(options.bin, options.point)
    return sweep_all(options.bin)


if __name__ == "__main__":
    sys.exit(main())
