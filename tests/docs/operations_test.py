#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the commands of docs/operations.md, and lets systemd check the units of docs/systemd."""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(os.environ["SOURCE"])
SERVERS = Path(os.environ["REACTOR_EXAMPLES"]).parent / "servers"
PAGE = (SOURCE / "docs" / "operations.md").read_text()
BLOCK = re.compile(r"<!-- (.+?) -->\n```(\w+)\n(.*?)```", re.S)
UNITS = SOURCE / "docs" / "systemd"
SAFEST = 20  # the highest exposure that the units may have, in tenths


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Commands(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        address = f"127.0.0.1:{free_port()}"
        self.blocks = [(kind, text.replace("127.0.0.1:9090", address)) for kind, _, text in BLOCK.findall(PAGE)]
        for kind, text in self.blocks:
            if kind.startswith("file: "):
                Path(self.folder, kind.removeprefix("file: ")).write_text(text)

    def run_block(self, text):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("REACTOR_")}
        environment["PATH"] = f"{SERVERS}:{environment['PATH']}"
        with tempfile.TemporaryFile("w+") as output:
            shell = subprocess.Popen(["sh", "-eu", "-c", text], cwd=self.folder, env=environment, stdin=subprocess.DEVNULL,
                                     stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
            try:
                code = shell.wait(40)
            finally:
                try:
                    os.killpg(shell.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                shell.wait()
            output.seek(0)
            said = output.read()
        self.assertEqual(code, 0, f"{text}\n{said}")
        return said

    def run_mark(self, word):
        """Runs the block that contains `word`, and returns its output."""
        found = [text for kind, text in self.blocks if kind == "shell" and word in text]
        self.assertEqual(len(found), 1, word)
        return self.run_block(found[0])

    def test_every_block_is_known(self):
        self.assertEqual([kind for kind, _ in self.blocks], ["file: server.conf"] + ["shell"] * 3)

    def test_check(self):
        self.assertEqual(self.run_mark("--check-config"), "configuration ok\n" * 2)

    @unittest.skipUnless(shutil.which("curl"), "not installed: curl")
    def test_start_to_stop(self):
        said = self.run_mark("--signal stop")
        self.assertEqual(said.count('hello, "world" # no comment\n'), 2, said)
        self.assertRegex(said, r"(?m)^listening on unix:http\.socket$")
        self.assertRegex(said, r"(?m)^running, pid \d+$")
        self.assertTrue(Path(self.folder, "server.log").exists())
        self.assertFalse(Path(self.folder, "server.pid").exists())

    @unittest.skipUnless(shutil.which("curl") and shutil.which("systemd-socket-activate"),
                         "not installed: curl or systemd-socket-activate")
    def test_socket_activation(self):
        said = self.run_mark("systemd-socket-activate")
        self.assertRegex(said, r"(?m)^listening on 127\.0\.0\.1:\d+$")
        self.assertIn("OK\n", said)

    def test_every_option_that_is_named_exists(self):
        known = set()
        for program in ("reactor-http-ok", "reactor-echo"):
            text = subprocess.run([SERVERS / program, "--help"], capture_output=True, text=True, timeout=20).stdout
            known |= set(re.findall(r"--[a-z][a-z-]+", text))
        own = re.sub(r"(?m)^(curl|until curl|systemd-socket-activate|    systemctl).*$", "", PAGE)
        self.assertEqual(set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", own)) - known, set())


@unittest.skipUnless(shutil.which("systemd-analyze"), "not installed: systemd-analyze")
class Units(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.units = []
        for unit in sorted(UNITS.iterdir()):
            copy = Path(folder.name, unit.name)
            copy.write_text(unit.read_text().replace("/usr/local/bin", str(SERVERS)))
            self.units.append(copy)

    def analyze(self, *arguments):
        done = subprocess.run(["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def test_they_are_valid(self):
        code, said = self.analyze("verify", "--man=no", *self.units)
        self.assertEqual((code, said), (0, ""))

    def test_a_mistake_would_be_found(self):
        self.units[0].write_text(self.units[0].read_text().replace("ProtectHome=yes", "ProtectHoem=yes"))
        self.assertIn("ProtectHoem", self.analyze("verify", "--man=no", *self.units)[1])

    def test_services_are_hardened(self):
        services = [unit for unit in self.units if unit.suffix == ".service"]
        self.assertTrue(services)
        for service in services:
            code, said = self.analyze("security", "--offline=yes", f"--threshold={SAFEST}", "--no-pager", service)
            if "unrecognized option" in said:
                self.skipTest("this systemd-analyze can't judge a file")
            self.assertEqual(code, 0, said)
            score = re.search(r"exposure level for \S+: ([\d.]+)", said)
            self.assertLessEqual(float(score[1]), SAFEST / 10)

    def test_the_command_is_one(self):
        text = (UNITS / "reactor-http-ok.service").read_text()
        command = re.search(r"(?m)^ExecStart=/usr/local/bin/(.+)$", text)[1].split()
        done = subprocess.run([SERVERS / command[0], *command[1:], "--check-config"], capture_output=True, text=True, timeout=20)
        self.assertEqual((done.returncode, done.stdout), (0, "configuration ok\n"), done.stderr)


if __name__ == "__main__":
    unittest.main()
