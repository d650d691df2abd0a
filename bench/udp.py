#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares servers that echo datagrams: Datagram with and without batches, and libuv. They run in
turn for several rounds. Each workload has one table. It shows the server's CPU time per datagram,
divided by the time of one call per datagram in the same round. bench/README.md tells more.

usage: udp.py [BUILD] [--rounds N] [--slice SECONDS]      BUILD: default build/release
"""
import argparse
import contextlib
import json
import pathlib
import statistics
import subprocess
import sys

import macro

BASE = "reactor, one call per datagram"
SERVERS = {
    BASE: ("bench_udp_echo", "plain"),
    "reactor, batches": ("bench_udp_echo", "batches"),
    "reactor, batches and offload": ("bench_udp_echo", "offload"),
    "libuv": ("bench_udp_libuv", "plain"),
    "libuv, UV_UDP_RECVMMSG": ("bench_udp_libuv", "mmsg"),
}
WORKLOADS = {
    "64 senders, one datagram of 64 bytes each": ["-c", "64", "-d", "1"],
    "4 senders, bursts of 32 datagrams of 64 bytes":
        ["-c", "4", "-d", "32", "--take-joined"],
    "4 senders, bursts of 32 of 64 bytes in one piece":
        ["-c", "4", "-d", "32", "--joined"],
    "2 senders, bursts of 32 of 1,200 bytes in one piece":
        ["-c", "2", "-d", "32", "-s", "1200", "--joined"],
}


class Server(macro.Server):
    def wait_until_up(self):  # a server that has printed its port is up
        pass


def find(build, name):
    return next((path for path in build.glob(f"**/{name}") if path.is_file()), None)


def slice_of(server, load, arguments, machine, workload):
    """Runs one window of load. Returns the client's results, with the CPU time per datagram."""
    command = [load, str(server.port), *workload, "-t", str(arguments.slice)]
    marks = {}
    result = None
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                          preexec_fn=machine.child_setup(machine.client_cpu)) as client:
        for line in client.stdout:
            if line.startswith("{"):
                result = json.loads(line)
            else:
                marks[line.strip()] = server.cpu_seconds()
    if not result or not result["answers"]:
        sys.exit(f"udp.py: {server.name}: no answers")
    result["cpu_us"] = (marks["stop"] - marks["start"]) * 1e6 / result["answers"]
    return result


def measure(arguments, machine, workload):
    results = {}
    load = find(arguments.build, "bench_udp_load")
    with contextlib.ExitStack() as stack:
        servers = []
        for name, (program, mode) in SERVERS.items():
            path = find(arguments.build, program)
            if not path:
                macro.say(f"no {program} below {arguments.build}")
                continue
            servers.append(Server(name, [path, mode], None, machine))
            stack.callback(servers[-1].stop)
            results[name] = []
        for _ in range(arguments.rounds):
            for server in servers:
                results[server.name].append(slice_of(server, load, arguments, machine, workload))
    return results


def print_table(title, results):
    print(f"\n## {title}\n")
    print("| server | datagrams per CPU second, x one call each | CPU us | datagrams/s | lost |")
    print("|---|---|---|---|---|")
    for name, rounds in results.items():
        ratio = statistics.median(base["cpu_us"] / result["cpu_us"]
                                  for result, base in zip(rounds, results[BASE]))
        cpu, rate = (statistics.median(result[key] for result in rounds)
                     for key in ("cpu_us", "rate"))
        lost = sum(result["lost"] for result in rounds)
        print(f"| {name} | {ratio:.2f} | {cpu:.2f} | {rate:,.0f} | {lost} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("build", nargs="?", default="build/release", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--slice", type=float, default=0.25, help="seconds for each turn")
    arguments = parser.parse_args()
    if not find(arguments.build, "bench_udp_load"):
        sys.exit(f"udp.py: no bench_udp_load below {arguments.build}; build the bench first")
    machine = macro.Machine()
    for title, workload in WORKLOADS.items():
        print_table(title, measure(arguments, machine, workload))


if __name__ == "__main__":
    main()
