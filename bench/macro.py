#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs our servers, a floor, nginx and small servers on other libraries, and prints a table of
ratios for each workload. bench/README.md tells how to read it.

usage: macro.py [BUILD] [OPTION...]      BUILD: where the project was built; default build/release
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field

FLOOR = "floor"
START_SECONDS = 10
NGINX = """
daemon off; master_process off; worker_processes 1; worker_rlimit_nofile 20000;
pid {folder}/pid; error_log /dev/null;
events {{ worker_connections 19000; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 75s;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{
    listen 0.0.0.0:{port} backlog=4096 reuseport;
    location / {{ default_type text/plain; return 200 "OK\\n"; }}
  }}
}}
"""


@dataclass
class Workload:
    title: str
    kind: str  # the server's command to run: "http", "echo" or "style"
    load: list  # arguments of the load client
    unit: str = "request"
    quick: list = field(default_factory=list)  # more arguments for --quick; the last wins


WORKLOADS = {
    "keep-alive": Workload("keep-alive, 64 connections", "http", ["keep-alive", "-c", "64"]),
    "pipelined": Workload("pipelined 16 deep, 64 connections", "http",
                          ["keep-alive", "-c", "64", "-d", "16"]),
    "many": Workload("keep-alive, 1,000 connections", "http", ["keep-alive", "-c", "1000"],
                     quick=["-c", "200"]),
    "close": Workload("a connection for each request, 64 at a time", "http",
                      ["close", "-c", "64", "-a", "16"], "connection"),
    "echo": Workload("echo of 64 bytes, 64 connections", "echo",
                     ["echo", "-c", "64", "-s", "64"], "message"),
    "styles": Workload("echo of 64 bytes, 64 connections, by callback and by coroutine", "style",
                       ["echo", "-c", "64", "-s", "64"], "message"),
    "bulk": Workload("echo of 64 KiB, 8 connections", "echo",
                     ["echo", "-c", "8", "-s", "65536"], "message"),
}


def say(text):
    print(f"macro: {text}", file=sys.stderr, flush=True)


class Machine:
    """Pins the servers to one CPU and the client to another, if there are two."""

    def __init__(self):
        cpus = sorted(os.sched_getaffinity(0))
        self.pinned = len(cpus) > 1
        self.server_cpu, self.client_cpu = cpus[0], cpus[-1]
        if not self.pinned:
            say("only one CPU: server and client share it, and nothing is pinned")

    def child_setup(self, cpu):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

        def setup():
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            if self.pinned:
                os.sched_setaffinity(0, {cpu})

        return setup


class Server:
    """A running server and all its child processes."""

    def __init__(self, name, command, port, machine, wrapper=()):
        self.name = name
        self.process = subprocess.Popen(
            [*wrapper, *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, start_new_session=True,
            preexec_fn=machine.child_setup(machine.server_cpu))
        self.port = port or self.read_port()
        self.wait_until_up()

    def read_port(self):
        for line in self.process.stdout:
            match = re.match(r"listening on .*:(\d+)$", line)
            if match:
                return int(match.group(1))
        raise RuntimeError(f"{self.name} did not start")

    def wait_until_up(self):
        for _ in range(START_SECONDS * 50):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise RuntimeError(f"{self.name} did not start")

    def pids(self):
        children = {}
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                parent = path.read_text().rsplit(")", 1)[1].split()[1]
                children.setdefault(int(parent), []).append(int(path.parent.name))
        found = [self.process.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    def cpu_seconds(self):
        return sum(cpu_seconds_of(pid) for pid in self.pids())

    def own_memory(self):
        """Returns the anonymous memory of all its processes, in bytes."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                status = pathlib.Path(f"/proc/{pid}/status").read_text()
                match = re.search(r"RssAnon:\s+(\d+)", status)
                total += int(match.group(1)) * 1024 if match else 0
        return total

    def stop(self, number=signal.SIGKILL, pids=None):
        for pid in reversed(pids or self.pids()):
            with contextlib.suppress(OSError):
                os.kill(pid, number)
        self.process.wait()
        self.process.stdout.close()


def cpu_seconds_of(pid):
    total = 0
    with contextlib.suppress(OSError):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            try:
                total += int((task / "schedstat").read_text().split()[0]) / 1e9
            except OSError:  # this kernel has no schedstats, so ticks are counted
                fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
                total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def free_port():
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        return probe.getsockname()[1]


class Catalogue:
    """The servers: name -> kind -> command. A command may need a port that we choose for it."""

    def __init__(self, build, folder):
        self.build = build
        self.folder = folder
        self.commands = {}
        floor_echo = self.program("bench_floor", "echo")
        self.add(FLOOR, http=self.program("bench_floor", "http"), echo=floor_echo,
                 style=floor_echo)
        self.add("floor, eager", http=self.program("bench_floor", "http-eager"))
        ours = ["-w", "1", "-b", "0.0.0.0:0"]
        self.add("reactor", http=self.program("reactor-http-ok", *ours),
                 echo=self.program("reactor-echo", *ours))
        for peer in ("libuv", "libevent"):
            self.add(peer, http=self.program(f"bench_server_{peer}", "http"),
                     echo=self.program(f"bench_server_{peer}", "echo"))
        self.add("callback", style=self.program("bench_echo_callback"))
        self.add("coroutine", style=self.program("bench_echo_coro"))
        self.add("Asio's coroutines", style=self.program("bench_echo_asio"))
        self.nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if self.nginx:
            self.commands["nginx"] = {"http": None}
        else:
            say("no nginx here")
        if "floor" not in self.commands:
            sys.exit(f"macro.py: no bench_floor below {build}; build the bench first")

    def program(self, name, *arguments):
        for path in self.build.glob(f"**/{name}"):
            if path.is_file() and os.access(path, os.X_OK):
                return [str(path), *arguments]
        return None

    def add(self, name, **commands):
        present = {kind: command for kind, command in commands.items() if command}
        if present:
            self.commands[name] = present
        else:
            say(f"no {name} below {self.build}")

    def names(self, workload):
        return [name for name, commands in self.commands.items()
                if workload.kind in commands and (name != "floor, eager" or "close" in workload.load)]

    def start(self, name, kind, machine, wrapper=()):
        if name != "nginx":
            return Server(name, self.commands[name][kind], None, machine, wrapper)
        port = free_port()
        folder = tempfile.mkdtemp(dir=self.folder)
        os.chmod(folder, 0o755)
        configuration = pathlib.Path(folder, "nginx.conf")
        configuration.write_text(NGINX.format(folder=folder, port=port))
        command = [self.nginx, "-p", folder, "-c", str(configuration), "-e", "/dev/null"]
        return Server(name, command, port, machine, wrapper)


class Bench:
    def __init__(self, arguments, folder):
        self.arguments = arguments
        self.machine = Machine()
        self.catalogue = Catalogue(arguments.build, folder)
        self.load = self.catalogue.program("bench_load")
        self.failed = False
        if not self.load:
            sys.exit(f"macro.py: no bench_load below {arguments.build}; build the bench first")

    def client(self, server, load, **streams):
        command = [*self.load, load[0], f"127.0.0.1:{server.port}", *load[1:]]
        if not self.machine.pinned and not load[0].startswith("idle"):
            command.append("--sleep")
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                preexec_fn=self.machine.child_setup(self.machine.client_cpu),
                                **streams)

    def slice(self, server, load):
        """Runs one window of load. Returns the client's results, with the CPU time per answer. On a
        busy machine a short window may pass without an answer, or the kernel may not have counted
        the server's time yet: then it runs a longer one."""
        for factor in (1, 4, 16):
            at = load.index("-t") + 1
            longer = [*load[:at], str(float(load[at]) * factor), *load[at + 1:]]
            result, error = self.window(server, longer)
            if error or result.get("cpu_us", 0) > 0:
                break
        if error or not result or not result["answers"]:
            say(f"{server.name}: {error or 'no answers'}")
            return None
        return result

    def window(self, server, load):
        """Returns the results of one window, and what the client says went wrong."""
        before = after = None
        result = {}
        with self.client(server, load) as client:
            for line in client.stdout:
                if line.startswith("start"):
                    before = server.cpu_seconds()
                elif line.startswith("stop"):
                    after = server.cpu_seconds()
                else:
                    result = json.loads(line)
            error = client.stderr.read().strip()
        if result and result["answers"]:
            result["cpu_us"] = (after - before) * 1e6 / result["answers"]
            error = ""
        return result, error

    def measure(self, workload):
        """Runs all servers at the same time and loads them by turns. Returns name -> results."""
        load = [*workload.load, "-t", str(self.arguments.slice), "-w", "0.05"]
        if self.arguments.quick:
            load += workload.quick
        results = {}
        with contextlib.ExitStack() as stack:
            servers = []
            for name in self.catalogue.names(workload):
                server = self.start(name, workload.kind)
                if server:
                    servers.append(server)
                    stack.callback(server.stop)
                    results[name] = []
            for _ in range(self.arguments.rounds):
                for server in servers:
                    results[server.name].append(self.slice(server, load))
        return results

    def start(self, name, kind, wrapper=()):
        try:
            return self.catalogue.start(name, kind, self.machine, wrapper)
        except (RuntimeError, OSError) as error:
            say(error)
            self.failed = True
            return None

    def run(self, workload):
        results = self.measure(workload)
        floor = results[FLOOR]
        print(f"\n## {workload.title}\n")
        print(f"| server | CPU x floor | CPU us/{workload.unit} | {workload.unit}s/s | p50 us "
              "| p99 us | errors |")
        print("|---|---|---|---|---|---|---|")
        for name, rounds in results.items():
            self.print_row(name, rounds, floor)

    def print_row(self, name, rounds, floor):
        good = [result for result in rounds if result]
        ratios = [result["cpu_us"] / base["cpu_us"] for result, base in zip(rounds, floor)
                  if result and base and base["cpu_us"] > 0]
        if len(good) < len(rounds) or not ratios:
            self.failed = True
        if not good or not ratios:
            print(f"| {name} | failed | | | | | |")
            return

        def median(key):
            return statistics.median(result[key] for result in good)

        errors = sum(result["errors"] for result in good)
        self.failed |= errors > 0
        print(f"| {name} | {statistics.median(ratios):.2f} | {median('cpu_us'):.2f} "
              f"| {median('rate'):,.0f} | {median('p50_us'):.0f} | {median('p99_us'):.0f} "
              f"| {errors} |", flush=True)

    def run_memory(self, kind):
        count = 200 if self.arguments.quick else self.arguments.idle
        print(f"\n## memory for each of {count} idle connections, {kind}\n")
        print("| server | bytes |\n|---|---|")
        workload = Workload("", kind, [])
        for name in self.catalogue.names(workload):
            server = self.start(name, kind)
            if not server:
                continue
            try:
                print(f"| {name} | {self.idle_memory(server, kind, count)} |", flush=True)
            finally:
                server.stop()

    def idle_memory(self, server, kind, count):
        time.sleep(0.2)
        before = server.own_memory()
        with self.client(server, [f"idle-{kind}", "-c", str(count)],
                         stdin=subprocess.PIPE) as client:
            if not client.stdout.readline():
                self.failed = True
                return f"failed: {client.stderr.read().strip()}"
            time.sleep(0.3)
            used = (server.own_memory() - before) / count
            client.stdin.close()
        return f"{used:.0f}"

    def run_calls(self, workload):
        """Prints the system calls per answer. The difference of two runs leaves out the start."""
        few, many = (2000, 12000) if "close" not in workload.load else (500, 2500)
        print(f"\n## system calls for each {workload.unit}: {workload.title}\n")
        print("| server | all | which |\n|---|---|---|")
        for name in self.catalogue.names(workload):
            first = self.count_calls(name, workload, few)
            second = self.count_calls(name, workload, many)
            if not first or not second:
                print(f"| {name} | failed | |")
                continue
            answers = second.pop("answers") - first.pop("answers")
            each = {call: (number - first.get(call, 0)) / answers
                    for call, number in second.items()}
            text = ", ".join(f"{call} {number:.2f}" for call, number in
                             sorted(each.items(), key=lambda item: -item[1]) if number > 0.004)
            print(f"| {name} | {sum(each.values()):.2f} | {text} |", flush=True)

    def count_calls(self, name, workload, answers):
        with tempfile.NamedTemporaryFile("r") as report:
            wrapper = ["strace", "-f", "-qq", "-c", "-U", "name,calls", "-o", report.name]
            server = self.start(name, workload.kind, wrapper)
            if not server:
                return None
            result = self.slice(server, [*workload.load, "-n", str(answers)])
            server.stop(signal.SIGTERM, server.pids()[1:])  # strace stays and writes its report
            if not result:
                return None
            calls = re.findall(r"^(\w+)\s+(\d+)\s*$", report.read(), re.MULTILINE)
        counted = {call: int(number) for call, number in calls if call != "total"}
        return {**counted, "answers": result["answers"]}


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("build", nargs="?", default="build/release", type=pathlib.Path)
    parser.add_argument("--workloads", default=",".join([*WORKLOADS, "memory"]),
                        help="of " + ", ".join([*WORKLOADS, "memory"]))
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--slice", type=float, default=0.25, help="seconds for each turn")
    parser.add_argument("--idle", type=int, default=5000, help="connections for memory")
    parser.add_argument("--calls", action="store_true", help="count system calls, with strace")
    parser.add_argument("--quick", action="store_true",
                        help="a smoke test: the figures mean nothing; fails where a server does")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.slice = 1, 0.1
    return arguments


def main():
    arguments = read_arguments()
    if not pathlib.Path("/proc/self/stat").exists():
        sys.exit("macro.py: needs /proc to tell the servers' CPU time")
    if arguments.calls and not shutil.which("strace"):
        sys.exit("macro.py: --calls needs strace")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="reactor-bench-") as folder:
        os.chmod(folder, 0o755)
        bench = Bench(arguments, folder)
        for name in arguments.workloads.split(","):
            if name == "memory":
                bench.run_memory("http")
                bench.run_memory("echo")
            elif arguments.calls:
                bench.run_calls(WORKLOADS[name])
            else:
                bench.run(WORKLOADS[name])
    sys.exit(1 if bench.failed and arguments.quick else 0)


if __name__ == "__main__":
    main()
