#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests the programs' output, their listening addresses, and the sources of options."""

import os
import re
import socket
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import support  # noqa: E402
from support import BACKENDS, ECHO, HTTP_OK, Server, wait_until  # noqa: E402


def has_v6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


class Lines(unittest.TestCase):
    def test_one_line_per_address_then_ready_and_nothing_more(self):
        for backend in BACKENDS:
            for workers in ("0", "1", "3"):
                with self.subTest(backend=backend, workers=workers), tempfile.TemporaryDirectory() as folder:
                    path = os.path.join(folder, "socket")
                    bind = ("127.0.0.1:0", f"unix:{path}", "127.0.0.2:0")
                    with Server(ECHO, "-w", workers, "--backend", backend, bind=bind) as server:
                        self.assertRegex(server.read_line(), r"^listening on 127\.0\.0\.1:[1-9]\d*$")
                        self.assertEqual(server.read_line(), f"listening on unix:{path}")
                        self.assertRegex(server.read_line(), r"^listening on 127\.0\.0\.2:[1-9]\d*$")
                        self.assertEqual(server.read_line(), "ready")
                        said = ["reloaded: ", "signal 12 ignored", "signal 21 ignored",
                                "signal 22 ignored"]  # HUP USR2 TTIN TTOU: only in the log
                        if workers != "0":
                            said = ["reload: ", "", f" {int(workers) + 1} workers from now on",
                                    f" {workers} workers from now on"]
                        for number, line in zip((1, 12, 21, 22), said):
                            if line:
                                server.signal(number)
                                wait_until(lambda: line in server.log(), line)
                        server.signal(15)
                        self.assertEqual(server.wait(), 0)
                        self.assertIsNone(server.read_line())

    @unittest.skipUnless(has_v6(), "no IPv6 here")
    def test_v6_forms(self):
        with Server(ECHO, "-w", "2", bind=("[::1]:0", ":0")) as server:
            server.ready()
            self.assertRegex(server.addresses[0], r"^\[::1\]:[1-9]\d*$")
            self.assertRegex(server.addresses[1], r"^\[::\]:[1-9]\d*$")
            for index in range(2):
                with server.connect(index) as connection:
                    self.assertTrue(support.echoes(connection))
            port = int(server.addresses[1].rpartition(":")[2])
            with socket.create_connection(("::1", port), timeout=support.LIMIT) as connection:
                self.assertTrue(support.echoes(connection))

    def test_port_0_is_the_same_for_all_workers(self):
        for reuse in ("on", "off"):
            with self.subTest(reuse_port=reuse):
                with Server(ECHO, "--workers", "5", "--reuse-port", reuse, bind=(":0",)) as server:
                    server.ready()
                    self.assertEqual(len(server.addresses), 1)
                    self.assertEqual(len(server.workers()), 5)
                    inodes = set()
                    for pid in server.workers():
                        inodes |= listening_on(pid, server.port)
                    self.assertEqual(len(inodes), 5 if reuse == "on" else 1)

    def test_a_name_is_resolved(self):
        name = socket.gethostname()
        try:
            expected = {entry[4][0] for entry in socket.getaddrinfo(name, 0, type=socket.SOCK_STREAM)}
        except OSError:
            self.skipTest("this host's own name does not resolve")
        with Server(ECHO, "-w", "0", bind=(f"{name}:0",)) as server:
            server.ready()
            self.assertEqual(len(server.addresses), len(expected))

    def test_workers_auto_is_one_per_processor(self):
        with Server(ECHO) as server:
            server.ready()
            self.assertEqual(len(server.workers()), len(os.sched_getaffinity(0)))
        with Server(ECHO, "-w", "auto", preexec_fn=lambda: os.sched_setaffinity(
                0, {min(os.sched_getaffinity(0))})) as server:
            server.ready()
            self.assertEqual(len(server.workers()), 1)

    def test_a_closed_standard_output_is_ignored(self):
        for workers in ("0", "2"):
            for how in ("closed", "reader gone"):
                with self.subTest(workers=workers, how=how):
                    self.serve_without_output(workers, how)

    def serve_without_output(self, workers, how):
        reader, writer = os.pipe()
        os.close(reader)
        stdout = {"closed": None, "reader gone": writer}[how]
        with tempfile.TemporaryDirectory() as folder:
            address = f"unix:{folder}/socket"
            process = subprocess.Popen(
                [ECHO, "-w", workers, "-b", address], stdin=subprocess.DEVNULL,
                stdout=stdout, stderr=subprocess.DEVNULL, env=support.clean_environment(),
                preexec_fn=(lambda: os.close(1)) if how == "closed" else None)
            os.close(writer)
            try:
                with wait_until(lambda: try_connect(address), "a connection") as connection:
                    self.assertTrue(support.echoes(connection))
                process.terminate()
                self.assertEqual(process.wait(support.LIMIT), 0)
            finally:
                process.kill()
                process.wait()


class Sources(unittest.TestCase):
    """A flag overrides the environment, which overrides the default."""

    def test_environment_names(self):
        environment = {"REACTOR_WORKERS": "3", "REACTOR_BIND": "127.0.0.1:0,127.0.0.2:0",
                       "REACTOR_BODY": "from the environment"}
        with Server(HTTP_OK, bind=(), environment=environment) as server:
            server.ready()
            self.assertEqual([a.rpartition(":")[0] for a in server.addresses],
                             ["127.0.0.1", "127.0.0.2"])
            self.assertEqual(len(server.workers()), 3)
            with server.connect() as connection:
                connection.sendall(support.GET)
                self.assertEqual(support.read_response(connection)[1], b"from the environment")

    def test_a_flag_wins(self):
        environment = {"REACTOR_WORKERS": "3", "REACTOR_BIND": "127.0.0.2:0"}
        with Server(HTTP_OK, "--workers", "1", environment=environment) as server:
            server.ready()
            self.assertEqual(len(server.workers()), 1)
            self.assertTrue(server.addresses[0].startswith("127.0.0.1:"))

    def test_a_bad_value_in_the_environment(self):
        code, out, err = support.run(ECHO, environment={"REACTOR_WORKERS": "many"})
        self.assertEqual((code, out), (2, ""))
        self.assertIn("many", err)

    def test_help_names_every_option_and_none_that_is_not_built(self):
        for program in (ECHO, HTTP_OK):
            code, out, err = support.run(program, "--help")
            self.assertEqual((code, err), (0, ""))
            self.assertEqual(support.run(program, "-h"), (0, out, ""))
            options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", out))
            built = {"--bind", "--workers", "--backlog", "--max-connections", "--backend",
                     "--model", "--max-children", "--reuse-port", "--pin", "--graceful-timeout", "--timeout",
                     "--max-requests", "--log-level", "--log", "--version", "--help",
                     "--config", "--check-config", "--pid", "--user", "--group", "--signal",
                     "--proxy-protocol", "--proxy-allow-from"}
            if program == ECHO:
                built |= {"--reply", "--idle-timeout", "--udp-rate", "--udp-low-ports"}
            if "--tls-cert" in options:
                built |= {"--tls-cert", "--tls-key", "--tls-groups"}
            if program == HTTP_OK:
                built |= {"--keep-alive", "--body", "--content-type", "--header-timeout", "--body-timeout",
                          "--body-rate", "--write-timeout", "--max-body", "--max-header", "--max-line",
                          "--max-fields", "--access-log", "--access-log-format"}
            self.assertEqual(options, built)
            for option in built - {"--help", "--version", "--check-config", "--signal"}:
                self.assertIn("REACTOR_" + option[2:].upper().replace("-", "_"), out)

    def test_version(self):
        for program, name in ((ECHO, "reactor-echo"), (HTTP_OK, "reactor-http-ok")):
            for flag in ("-V", "--version"):
                code, out, err = support.run(program, flag)
                self.assertEqual((code, err), (0, ""))
                self.assertRegex(out, rf"^{name} \d+\.\d+\.\d+\n$")


class Log(unittest.TestCase):
    def test_lines_of_many_processes_are_whole(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "log")
            with Server(ECHO, "-w", "4", "--log", path) as server:
                server.ready()
                server.signal(15)
                self.assertEqual(server.wait(), 0)
                self.assertEqual(server.log(), "")
            with open(path, encoding="utf-8") as log:
                lines = log.read().splitlines()
        self.assertGreaterEqual(len(lines), 4)
        for line in lines:
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d \d+ "
                                   r"reactor-echo (info|warning|error) \S")
        self.assertEqual(len(lines), len(set(lines)))

    def test_usr1_opens_the_file_again(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "log")
            with Server(ECHO, "-w", "1", "--log", path) as server:
                server.ready()
                os.rename(path, path + ".1")
                server.signal(10)
                wait_until(lambda: os.path.exists(path), "a new log file")
                worker = server.workers()[0]
                wait_until(lambda: path in support.descriptors_of(worker).values(),
                           "the worker has the new file")
                server.signal(1)
                wait_until(lambda: os.path.getsize(path) > 0, "a line in the new file")


def try_connect(address):
    try:
        return support.connect(address)
    except (ConnectionRefusedError, FileNotFoundError):
        return None


def listening_on(pid, port):
    """Returns the inodes of the process's sockets that listen on `port`."""
    own = {target for target in support.descriptors_of(pid).values() if target.startswith("socket:")}
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not os.path.exists(table):
            continue
        with open(table, encoding="ascii") as lines:
            for line in list(lines)[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes |= {fields[9]} if f"socket:[{fields[9]}]" in own else set()
    return inodes


if __name__ == "__main__":
    support.main()
