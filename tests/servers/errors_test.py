#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that each mistake gets one line with flag, value, reason and remedy, and its exit code."""

import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import support  # noqa: E402
from support import ECHO, HTTP_OK, Server  # noqa: E402

# Arguments, and the words that the message must contain besides them.
BAD_OPTIONS = [
    (["--workers", "many"], ["auto"]),
    (["--workers", "-1"], ["auto"]),
    (["--workers", "99999"], ["1024"]),
    (["--workers", ""], ["auto"]),
    (["--backlog", "0"], ["1.."]),
    (["--backlog", "12x"], ["number"]),
    (["--max-connections", "lots"], ["number"]),
    (["--max-connections", "99999999999999999999999"], ["range"]),
    (["--model", "thread"], ["prefork or fork"]),
    (["--max-children", "0"], ["1.."]),
    (["--graceful-timeout", "soon"], ["number"]),
    (["--timeout", "-1"], ["number"]),
    (["--pin", "some"], ["some", "list"]),
    (["--pin", "-1"], ["'-1'", "list"]),
    (["--pin", "0,,1"], ["'0,,1'", "list"]),
    (["--pin", "0-4096"], ["'0-4096'", "list"]),
    (["--pin", "3-1"], ["ends before it begins"]),
    (["--pin", ""], ["list"]),
    (["--pin", "4000"], ["may not run"]),
    (["--max-requests", "many"], ["number"]),
    (["--backend", "poll"], ["select"]),
    (["--reuse-port", "yes"], ["on or off"]),
    (["--proxy-protocol", "v3"], ["off, v1, v2 or auto"]),
    (["--proxy-protocol", "auto"], ["no proxy is allowed", "--proxy-allow-from"]),
    (["--proxy-allow-from", "10.0.0.1/8"], ["10.0.0.0/8"]),
    (["--proxy-allow-from", "::1,proxy.example"], ["not a network"]),
    (["--proxy-allow-from", ""], ["not a network"]),
    (["--log-level", "loud"], ["warn"]),
    (["--bind", "nonsense"], ["HOST:PORT"]),
    (["--bind", "127.0.0.1:65536"], ["65535"]),
    (["--bind", "127.0.0.1:"], ["HOST:PORT"]),
    (["--bind", "127.0.0.1:x"], ["HOST:PORT"]),
    (["--bind", "300.0.0.1:80"], ["HOST:PORT"]),
    (["--bind", "[::1"], ["[V6]:PORT"]),
    (["--bind", "[::1]"], ["'[::1]'", "[V6]:PORT"]),
    (["--bind", "[a,b]"], ["'[a,b]'"]),
    (["--bind", "unix:"], ["unix:PATH"]),
    (["--bind", ""], ["HOST:PORT"]),
    (["--bind", "fd:"], ["fd:3"]),
    (["--bind", "fd:-1"], ["fd:3"]),
    (["--bind", "fd:3x"], ["fd:3"]),
    (["--bind", "fd:99999999999"], ["fd:3"]),
    (["--bind", "unix:/" + "x" * 200], ["107"]),
    (["--bind", "no-such-host.invalid:8080"], ["resolve"]),
    (["--bind", "localhost:99999"], ["65535"]),
    (["--log", "/no/such/directory/log"], ["No such file or directory"]),
    (["--log", "/"], ["directory"]),
    (["--log", "off"], ["probably", "./off", "--log-level off"]),
    (["--log", "On"], ["./On"]),
    (["--pid", "none"], ["probably", "leave it out", "./none"]),
    (["--pid", "true"], ["./true"]),
    (["--user", "no-such-user"], ["unknown user"]),
    (["--user", "4294967295"], ["unknown user"]),
    (["--user", "54321"], ["--group"]),
    (["--group", "no-such-group"], ["unknown group"]),
    (["--pid", "/no/such/directory/pid"], ["No such file or directory"]),
    (["--pid", "/"], ["directory"]),
    (["--pid", "/dev/null"], ["something other than a pid"]),
    (["--signal", "restart"], ["reload, stop, quit, reopen, upgrade or status"]),
    (["--signal", "reload"], ["--pid FILE"]),
    (["--config", "/no/such/file"], ["No such file or directory", "KEY = VALUE"]),
    (["--config", "/"], ["regular file"]),
    (["--config", "/dev/zero"], ["regular file"]),
]
BAD_HTTP_OPTIONS = [
    (["--keep-alive", "long"], ["number"]),
    (["--content-type", "text/plain\r\nX: y"], []),
    (["--content-type", ""], ["text/plain"]),
    (["--content-type", "plain"], ["text/plain"]),
    (["--content-type", "text/"], ["text/plain"]),
    (["--header-timeout", "0"], ["1.."]),
    (["--header-timeout", "1.5"], ["number"]),
    (["--body-timeout", "never"], ["number"]),
    (["--body-timeout", "0"], ["1.."]),
    (["--body-rate", "4294967296"], ["4294967295"]),
    (["--write-timeout", "-1"], ["number"]),
    (["--write-timeout", "99999999"], ["range"]),
    (["--max-line", "0"], ["1.."]),
    (["--max-line", "8k"], ["number"]),
    (["--max-header", "1073741825"], ["1073741824"]),
    (["--max-fields", "65536"], ["65535"]),
    (["--max-body", "all"], ["number"]),
    (["--max-body", "9223372036854775808"], ["9223372036854775807"]),
    (["--access-log-format", "xml"], ["json"]),
    (["--access-log", ""], ["No such file or directory", "off"]),
    (["--access-log", "/no/such/directory/log"], ["No such file or directory"]),
    (["--access-log", "/"], ["directory"]),
    (["--access-log", "on"], ["probably", "./on", "or off"]),
]
# The environment's names of options of reactor-http-ok, without REACTOR_.
HTTP_ENVIRONMENT = ["HEADER_TIMEOUT", "BODY_TIMEOUT", "BODY_RATE", "WRITE_TIMEOUT", "MAX_LINE",
                    "MAX_HEADER", "MAX_FIELDS", "MAX_BODY", "ACCESS_LOG", "ACCESS_LOG_FORMAT"]
BAD_USAGE = [["stray"], ["--workers"], ["-Z"], ["--bind"]]
SLIPS = [["--wrokers", "2"], ["--wrokers=2"], ["--woker", "2", "-t"], ["stray", "--worker", "2"]]


class Errors(unittest.TestCase):
    def complains(self, program, arguments, code, parts, **more):
        with self.subTest(program=os.path.basename(program), arguments=arguments):
            got, out, err = support.run(program, *arguments, **more)
            self.assertEqual((got, out), (code, ""), err)
            lines = err.splitlines()
            self.assertEqual(len(lines), 1, err)
            self.assertTrue(lines[0].startswith(os.path.basename(program) + ": "), err)
            for part in parts:
                self.assertIn(part, lines[0])

    def test_bad_values(self):
        for program, table in ((ECHO, BAD_OPTIONS), (HTTP_OK, BAD_OPTIONS + BAD_HTTP_OPTIONS)):
            for arguments, parts in table:
                flag, value = arguments
                value = value.splitlines()[0] if value else ""
                self.complains(program, arguments, 2, [flag, value, ";"] + parts)

    def test_a_slip_of_an_option_is_told_what_was_meant(self):
        for program in (ECHO, HTTP_OK):
            for arguments in SLIPS:
                self.complains(program, arguments, 2, [": no such option; did you mean --workers?"])

    def test_long_values_are_cut(self):
        for arguments in (["--tls-groups", "X" * 5000], ["--bind", "unix:/" + "x" * 5000],
                          ["--" + "x" * 5000], ["--config", "/" + "x/" * 2000]):
            code, _, err = support.run(HTTP_OK, *arguments)
            self.assertEqual(code, 2)
            self.assertEqual(err.count("\n"), 1)
            self.assertLessEqual(len(err), 4096)

    def test_bad_usage(self):
        for program in (ECHO, HTTP_OK):
            for arguments in BAD_USAGE:
                self.complains(program, arguments, 2, [arguments[0], "--help"])
        for flag in ("--body", "--max-body", "--access-log"):
            self.complains(ECHO, [flag, "x"], 2, [flag])

    def test_environment_names(self):
        for name in HTTP_ENVIRONMENT:
            flag = "--" + name.lower().replace("_", "-")
            bad = {"REACTOR_" + name: "/no/such/thing"}
            self.complains(HTTP_OK, [], 2, [flag, "/no/such/thing"], environment=bad)
            code, out, err = support.run(HTTP_OK, "--help", environment=bad)
            self.assertEqual((code, err), (0, ""))
            self.assertIn("REACTOR_" + name, out)
            self.assertIn(flag + " ", out)

    def test_a_flag_wins_over_its_environment_name(self):
        with Server(HTTP_OK, "-w", "0", "--max-line", "100",
                    environment={"REACTOR_MAX_LINE": "many"}) as server:
            server.ready()

    def test_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            address = "127.0.0.1:%d" % other.getsockname()[1]
            for workers in ("0", "1", "3"):
                self.complains(ECHO, ["-w", workers, "-b", address], 4,
                               ["--bind", address, "Address already in use", "another port"])

    def test_a_second_server_is_refused_and_the_first_loses_nothing(self):
        for reuse in ("on", "off"):
            with Server(ECHO, "-w", "2", "--reuse-port", reuse) as server:
                address = server.ready().addresses[0]
                self.complains(ECHO, ["-w", "2", "-b", address], 4, ["--bind", address, "in use"])
                for _ in range(50):
                    with server.connect() as connection:
                        self.assertTrue(support.echoes(connection))

    def test_an_address_of_another_machine(self):
        self.complains(ECHO, ["-b", "192.0.2.1:80"], 4, ["--bind", "192.0.2.1:80", "address", ";"])

    def test_privileged_port(self):
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as setting:
            if int(setting.read()) <= 81:
                self.skipTest("all ports are open to every user here")
        with support.for_everybody(HTTP_OK) as (program, how):
            for workers in ("0", "2"):
                self.complains(program, ["-w", workers, "-b", "127.0.0.1:81"], 4,
                               ["--bind", "127.0.0.1:81", "Permission denied", "1024",
                                "CAP_NET_BIND_SERVICE"], **how)

    def test_unwritable_log(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o555)
            path = os.path.join(folder, "log")
            for program, flag in ((ECHO, "--log"), (HTTP_OK, "--log"), (HTTP_OK, "--access-log")):
                with support.for_everybody(program) as (copy, how):
                    self.complains(copy, ["-b", "127.0.0.1:0", flag, path], 2,
                                   [flag, path, "Permission denied", ";"], **how)
            os.chmod(folder, 0o755)

    def test_no_access_log_is_made_where_the_start_fails(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "access")
            self.complains(HTTP_OK, ["--access-log", path, "--log-level", "loud"], 2, ["loud"])
            self.assertFalse(os.path.exists(path))

    def test_unix_sockets(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "socket")
            self.complains(ECHO, ["-b", f"unix:{folder}/none/socket"], 4, ["--bind", "none/socket", ";"])
            with open(path, "w", encoding="ascii") as file:
                file.write("precious")
            self.complains(ECHO, ["-b", f"unix:{path}"], 4, ["--bind", path, "in use"])
            with open(path, encoding="ascii") as file:
                self.assertEqual(file.read(), "precious")
            os.unlink(path)
            for workers in ("0", "2"):
                with Server(ECHO, "-w", workers, bind=(f"unix:{path}",)) as server:
                    server.ready()
                    self.complains(ECHO, ["-b", f"unix:{path}"], 4, ["--bind", path, "in use"])
                    with server.connect() as connection:
                        self.assertTrue(support.echoes(connection))
                    server.signal(signal.SIGKILL)  # the file of the socket is left
                    server.wait()
                    support.wait_until(server.refuses, "the workers' end")
                self.assertTrue(os.path.exists(path))

    def test_a_failure_at_the_second_address_leaves_no_file_of_the_first(self):
        with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as other:
            path = os.path.join(folder, "socket")
            address = "127.0.0.1:%d" % other.getsockname()[1]
            self.complains(ECHO, ["-b", f"unix:{path}", "-b", address], 4, [address])
            self.assertFalse(os.path.exists(path))

    def test_errors_at_start_also_go_to_the_log_file(self):
        with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as other:
            address = "127.0.0.1:%d" % other.getsockname()[1]
            path = os.path.join(folder, "log")
            self.complains(ECHO, ["-b", address, "--log", path], 4, [address])
            with open(path, encoding="utf-8") as log:
                self.assertIn(address, log.read())



def documented_codes():
    """Returns cause -> exit code, from the table of docs/operations.md."""
    text = (pathlib.Path(__file__).parents[2] / "docs/operations.md").read_text(encoding="utf-8")
    rows = re.search(r"\| exit code \| cause \|\n\|[-|]+\n((?:\|.*\n)+)", text)[1]
    return {cause.strip(): int(code) for code, cause in
            (row.strip().strip("|").split("|", 1) for row in rows.splitlines())}


class ExitCodes(unittest.TestCase):
    """Each cause has the documented exit code, with and without workers."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.pid_file = os.path.join(self.folder, "pid")

    def ends_with(self, cause, how, counts=("0", "2")):
        code = self.left.pop(cause)
        for workers in counts:
            with self.subTest(cause=cause, workers=workers):
                got, _, err = how("-b", "127.0.0.1:0", "-w", workers)
                self.assertEqual(got, code, err)
                self.assertIn("reactor-http-ok", err.splitlines()[-1] if code != 0 else "reactor-http-ok")

    def given(self, *more, **how):
        return lambda *options: support.run(HTTP_OK, *options, *more, **how)

    def stopped(self, number):
        def how(*options):
            with Server(HTTP_OK, *options, bind=()) as server:
                server.ready().signal(number)
                return server.wait(), "", server.log()
        return how

    def second(self, *options):
        with Server(HTTP_OK, "-w", "1", "-p", self.pid_file) as server:
            server.ready()
            return support.run(HTTP_OK, *options, "-p", self.pid_file)

    def few_descriptors(self, *options):
        with support.for_everybody(HTTP_OK) as (program, how):
            change = how.pop("preexec_fn", lambda: None)
            def before():
                resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
                change()
            return support.run(program, *options, preexec_fn=before, **how)

    def powerless(self, *options):
        """Runs a server as root without the right to become another user: each worker fails."""
        return support.run("setpriv", "--bounding-set", "-setuid", HTTP_OK, *options, "-u",
                           str(support.NOBODY), "-g", str(support.NOBODY))

    def test_each_of_the_documentation(self):
        self.left = documented_codes()
        config = os.path.join(self.folder, "conf")
        with open(config, "w", encoding="ascii") as file:
            file.write("nonsense\n")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            self.left["TERM, INT or QUIT"] = 0
            self.ends_with("TERM, INT or QUIT", self.stopped(number))
        self.ends_with("another server holds the pid file", self.second)
        self.ends_with("`--signal` without a server, or with one that has no pid here",
                       self.given("-s", "stop", "-p", self.pid_file))
        del self.left["the server failed after `ready`"]  # no way to cause it is known
        self.ends_with("bad option or value", self.given("--backlog", "0"))
        self.ends_with("bad configuration file", self.given("-c", config))
        cause = next(each for each in self.left if each.startswith("unknown host name"))
        for bad in (["-b", "no-such-host.invalid:80"], ["-u", "no-such-user"], ["-g", "no-such-group"]):
            self.left[cause] = 2
            self.ends_with(cause, self.given(*bad))
        cause = "`--log`, `--access-log` or `--pid` can't be opened"
        for flag in ("--log", "--access-log", "--pid"):
            self.left[cause] = 2
            self.ends_with(cause, self.given(flag, "/no/such/folder/file"))
        self.ends_with("too few descriptors for the workers", self.few_descriptors)
        with socket.create_server(("127.0.0.1", 0)) as other:
            self.ends_with("an address could not be bound",
                           self.given("-b", "127.0.0.1:%d" % other.getsockname()[1]))
        self.ends_with("an inherited socket can't be used", self.given("-b", "fd:99"))
        cause = "no worker became ready"
        if os.getuid() == 0 and shutil.which("setpriv"):
            self.ends_with(cause, self.powerless)
        self.assertEqual(set(self.left) - {cause}, set())

    @unittest.skipUnless(os.getuid() == 0, "needs root, to become another user")
    def test_an_access_log_that_only_root_could_write(self):
        os.chmod(self.folder, 0o700)
        for workers in ("0", "2"):
            code, out, err = support.run(
                HTTP_OK, "-b", "127.0.0.1:0", "-w", workers, "-u", str(support.NOBODY), "-g",
                str(support.NOBODY), "--access-log", os.path.join(self.folder, "access"))
            self.assertEqual((code, out), (2, ""))
            self.assertIn("access': the workers can't write it: Permission denied; ", err)

    @unittest.skipUnless(os.getuid() == 0, "needs root, to lose the right to become another user")
    @support.need("setpriv")
    def test_the_last_line_says_that_no_worker_became_ready(self):
        path = os.path.join(self.folder, "log")
        _, _, err = self.powerless("-b", "127.0.0.1:0", "-w", "3")
        lines = err.splitlines()
        self.assertIn("no worker became ready", lines[-1])
        self.assertEqual(err.count("no worker became ready"), 1)
        self.assertIn("can't become user", err)
        _, _, err = self.powerless("-b", "127.0.0.1:0", "-w", "3", "--log", path)
        self.assertEqual(err, f"reactor-http-ok: no worker became ready; {path} says why\n")


if __name__ == "__main__":
    support.main()
