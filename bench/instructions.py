#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts the user instructions that an echo server spends per message, with callgrind.

usage: instructions.py [BUILD] [--connections N] [--messages N]

The count is the difference of two runs, so it leaves out the start and the end. Each program echoes
messages of 64 bytes. With one connection, each message takes a turn of the loop. With more, all
connections send and then all wait, so that one turn serves several messages.
"""

import argparse
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile

PROGRAMS = ["echo_callback", "echo_coro", "echo_asio"]
MESSAGE = b"x" * 64


def exchange(port, connections, messages):
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    for _ in range(messages // connections):
        for one in sockets:
            one.sendall(MESSAGE)
        for one in sockets:
            missing = len(MESSAGE)
            while missing:
                missing -= len(one.recv(missing))
    for one in sockets:
        one.close()


def count(program, connections, messages):
    """Returns the instructions of a whole run of `program`."""
    with tempfile.NamedTemporaryFile() as log:
        server = subprocess.Popen(
            ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
             f"--log-file={log.name}", program], stdout=subprocess.PIPE, text=True)
        try:
            port = int(server.stdout.readline().rsplit(":", 1)[1])
            exchange(port, connections, messages)
            server.send_signal(signal.SIGTERM)
            server.wait(60)
        finally:
            server.kill()
        return int(re.search(r"Collected : (\d+)", pathlib.Path(log.name).read_text())[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", nargs="?", default="build/release", type=pathlib.Path)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--messages", type=int, default=5000)
    arguments = parser.parse_args()
    base = None
    for name in PROGRAMS:
        program = arguments.build / "bench" / f"bench_{name}"
        if not program.exists():
            print(f"{name:15} not built")
            continue
        few, many = (count(program, arguments.connections, n * arguments.messages) for n in (1, 3))
        each = (many - few) / (2 * arguments.messages)
        base = base or each
        print(f"{name:15} {each:6.0f} instructions a message, {each / base:.2f} x callback")


if __name__ == "__main__":
    sys.exit(main())
