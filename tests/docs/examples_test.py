#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that each example prints one line that says which argument is wrong and why, and ends with
an error."""
import os
import socket
import subprocess
import unittest
from pathlib import Path

SOURCE = Path(os.environ["SOURCE"]) / "examples"
EXAMPLES = Path(os.environ["REACTOR_EXAMPLES"])
LONG = "unix:/tmp/" + "x" * 200
NO_ADDRESS = ["", "nonsense", "127.0.0.1:99999", "127.0.0.1:x", "[::1", LONG]
STREAMS = [*([one] for one in [*NO_ADDRESS, "192.0.2.1:0", "unix:/nonexistent/socket", "TAKEN"]), ["127.0.0.1:0", "surplus"]]
DATAGRAMS = [*([one] for one in ["", "nonsense", "127.0.0.1:0", "udp:127.0.0.1:99999", "udp:192.0.2.1:0", "udp:TAKEN",
                                 "unixgram:/nonexistent/socket"]), ["udp:127.0.0.1:0", "surplus"]]
# For each example, lists of arguments. The last one, or the one that begins with `!`, is wrong.
WRONG = {
    "connect": [[], *([one] for one in NO_ADDRESS), ["!nonsense", "127.0.0.1:1"]],
    "counter": [],  # passes its arguments on to its next version, so none is wrong
    "process": [[], ["/nonexistent/program"], ["!/dev/null", "-x"]],
    "tls_coro": [[], ["!/nonexistent/certificate", "/dev/null"], ["!/dev/null", "/dev/null"]],
    "tls_echo": [[], ["!/nonexistent/certificate", "/dev/null"], ["!/dev/null", "/dev/null"]],
    "udp_echo": DATAGRAMS,
    "clients": [[], *([one] for one in [*NO_ADDRESS, "unix:/nonexistent/socket", "CLOSED"]), ["127.0.0.1:1", "surplus"]],
    "datagram_server": DATAGRAMS,
    "dispatcher": [["x"], ["-1"], ["5x"], ["99999999999"], ["5", "frok"], ["!5x", "fork"], ["5", "fork", "surplus"]],
    "forking_echo": STREAMS,
    "handle_request": STREAMS,
    "prefork_ok": STREAMS,
    "stream_server": STREAMS,
}


def name_of(sock):
    return "%s:%d" % sock.getsockname()


class WrongArguments(unittest.TestCase):
    def setUp(self):
        stream = socket.create_server(("127.0.0.1", 0))
        datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        closed = socket.socket()  # bound, but does not listen
        for one in (datagram, closed):
            one.bind(("127.0.0.1", 0))
        for one in (stream, datagram, closed):
            self.addCleanup(one.close)
        self.names = {"TAKEN": name_of(stream), "udp:TAKEN": "udp:" + name_of(datagram), "CLOSED": name_of(closed)}

    def check(self, program, arguments):
        command = [self.names.get(one, one.removeprefix("!")) for one in arguments]
        marked = [one[1:] for one in arguments if one.startswith("!")]
        culprit = (marked or command[-1:] or ["usage: "])[0]
        done = subprocess.run([program, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
        self.assertIn(done.returncode, {1, 2, 4, 127}, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"\A[^\n]+\n\Z")
        self.assertIn(culprit, done.stderr)

    def test_each_is_named(self):
        for source in sorted(SOURCE.rglob("*.cc")):
            if "int main(int argc" not in source.read_text():
                continue
            folder = source.parent.relative_to(SOURCE)
            program = EXAMPLES / folder / f"{folder.name or 'example'}_{source.stem}"
            if source.stem.startswith("tls_") and not program.exists():
                continue
            for arguments in WRONG[source.stem]:
                with self.subTest(source.stem, arguments=arguments):
                    self.check(program, arguments)

    def test_an_input_that_can_not_be_watched(self):
        with open(__file__) as regular:
            done = subprocess.run([EXAMPLES / "example_embed"], stdin=regular, capture_output=True, text=True, timeout=20)
        if done.returncode != 0:  # some pollers can watch files
            self.assertEqual((done.returncode, done.stderr), (1, "embed: regular files can't be watched: they are always ready\n"))


if __name__ == "__main__":
    unittest.main()
