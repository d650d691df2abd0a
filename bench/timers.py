#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the timer workload (timer_cases.h) on each library that was built, in turn, for several
rounds. Prints one table with the best round of each library and its median round in brackets.

usage: timers.py [BUILD] [--rounds N]     BUILD holds bench_timers_*; default build/release
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys

OURS = "reactor"
CASES = ["insert", "cancel", "rearm", "fire"]


def find_programs(build):
    found = {}
    for path in sorted(build.glob("**/bench_timers_*")):
        if path.is_file() and os.access(path, os.X_OK):
            found[path.name.removeprefix("bench_timers_")] = path
    if OURS not in found:
        sys.exit(f"timers.py: no bench_timers_{OURS} below {build}; build the bench first")
    return {OURS: found.pop(OURS), **found}


def run(program, cpu):
    command = [program] if cpu is None else [program, str(cpu)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
                          text=True)
    return {name: float(value) for name, value in map(str.split, done.stdout.splitlines())}


def table(results):
    def cell(name, case):
        values = [result[case] for result in results[name]]
        text = f"{min(values):.1f} ({statistics.median(values):.1f})"
        if name == OURS:
            return text
        ours = min(result[case] for result in results[OURS])
        return f"{text} x{min(values) / ours:.1f}"

    lines = ["| ns each: best (median) | " + " | ".join(CASES) + " |", "|---" * 5 + "|"]
    for name in results:
        lines.append(f"| {name} | " + " | ".join(cell(name, case) for case in CASES) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("build", nargs="?", default="build/release", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    programs = find_programs(arguments.build)
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    cpu = cpus[-1] if len(cpus) > 1 else None
    results = {name: [] for name in programs}
    for number in range(arguments.rounds):
        print(f"timers: round {number + 1} of {arguments.rounds}", file=sys.stderr)
        for name, program in programs.items():
            results[name].append(run(program, cpu))
    print(table(results))


if __name__ == "__main__":
    main()
