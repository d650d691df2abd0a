#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests pid files, --signal, users and groups, and descriptor limits."""

import contextlib
import fcntl
import grp
import os
import pwd
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import support  # noqa: E402
from support import ECHO, HTTP_OK, Server, wait_until  # noqa: E402

ROOT = os.getuid() == 0
CAP_SYS_RESOURCE = 1 << 24
NEEDS_ROOT = unittest.skipUnless(ROOT, "needs root, to become another user")


def entry_of(*names):
    """Returns the first of these users that exists. Skips the test if there is none."""
    for name in names:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise unittest.SkipTest("no unprivileged user: " + " ".join(names))


def status_of(pid):
    """Returns the fields of /proc/PID/status."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as lines:
        return dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)


def descriptors_allowed(pid):
    """Returns the soft limit of a process for open descriptors."""
    with open(f"/proc/{pid}/limits", encoding="ascii") as limits:
        return int(re.search(r"^Max open files +(\d+)", limits.read(), re.M)[1])


class FolderTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        os.chmod(self.folder, 0o755)
        self.pid_file = os.path.join(self.folder, "server.pid")

    def content(self):
        with open(self.pid_file, encoding="ascii") as file:
            return file.read()


class PidFiles(FolderTest):
    def test_it_is_there_while_the_server_runs(self):
        for program in (ECHO, HTTP_OK):
            for workers in ("0", "2"):
                with Server(program, "-w", workers, "--pid", self.pid_file) as server:
                    server.ready()
                    self.assertEqual(self.content(), f"{server.pid}\n")
                    server.signal(signal.SIGTERM)
                    self.assertEqual(server.wait(), 0)
                self.assertFalse(os.path.exists(self.pid_file))

    def test_a_second_server_is_refused_before_it_binds(self):
        with Server(HTTP_OK, "-w", "1", "-p", self.pid_file) as server:
            server.ready()
            code, out, err = support.run(HTTP_OK, "-p", self.pid_file, "-b", server.addresses[0])
            self.assertEqual((code, out), (1, ""))
            self.assertRegex(err, rf"^reactor-http-ok: --pid '{self.pid_file}': held by the running "
                                  rf"server with pid {server.pid}; .+\n$")
            self.assertEqual(self.content(), f"{server.pid}\n")
            with server.connect() as connection:
                self.assertTrue(support.is_ok(connection))

    def test_exactly_one_of_many_starts(self):
        for _ in range(5):
            with contextlib.ExitStack() as stack:
                servers = [stack.enter_context(Server(ECHO, "-w", "1", "-p", self.pid_file))
                           for _ in range(6)]
                first = [server.read_line() for server in servers]
                started = [s for s, line in zip(servers, first) if line is not None]
                self.assertEqual(len(started), 1)
                self.assertEqual(self.content(), f"{started[0].pid}\n")
                for server in servers:
                    if server is not started[0]:
                        self.assertEqual(server.wait(), 1)

    def test_one_that_a_crash_left_is_taken_over(self):
        with Server(ECHO, "-w", "2", "-p", self.pid_file) as server:
            server.ready()
            server.signal(signal.SIGKILL)
            server.wait()
            with Server(ECHO, "-w", "1", "-p", self.pid_file) as second:
                second.ready()
                self.assertEqual(self.content(), f"{second.pid}\n")

    def test_workers_do_not_keep_the_lock(self):
        with Server(ECHO, "-w", "2", "-p", self.pid_file) as server:
            server.ready()
            for worker in server.workers():
                self.assertNotIn(self.pid_file, support.descriptors_of(worker).values())

    @NEEDS_ROOT
    def test_what_serves_cannot_write_to_roots(self):
        for workers in ("0", "1"):
            with Server(HTTP_OK, "-w", workers, "-u", str(support.NOBODY), "-g", str(support.NOBODY),
                        "-p", self.pid_file) as server:
                server.ready()
                for pid in server.workers() or [server.pid]:
                    self.assertEqual(status_of(pid)["Uid"].split()[1], str(support.NOBODY))
                    for number, target in support.descriptors_of(pid).items():
                        if target != self.pid_file:
                            continue
                        with open(f"/proc/{pid}/fdinfo/{number}", encoding="ascii") as info:
                            flags = int(info.read().partition("flags:")[2].split()[0], 8)
                        self.assertEqual(flags & os.O_ACCMODE, os.O_RDONLY)
                self.assertEqual(self.control("status"), (0, f"running, pid {server.pid}\n", ""))
                self.assertEqual(support.run(ECHO, "-p", self.pid_file)[0], 1)
                self.assertEqual(self.control("stop"), (0, "", ""))
                self.assertEqual(server.wait(), 0)
            with Server(ECHO, "-w", "1", "-p", self.pid_file) as second:
                second.ready()  # takes over the file that is left

    def test_it_is_removed_after_a_failed_start(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            address = "127.0.0.1:%d" % other.getsockname()[1]
            self.assertEqual(support.run(ECHO, "-p", self.pid_file, "-b", address)[0], 4)
        self.assertFalse(os.path.exists(self.pid_file))

    def test_what_is_no_pid_file_is_left_alone(self):
        with open(self.pid_file, "w", encoding="ascii") as file:
            file.write("precious\n")
        for more in ([], ["-t"]):
            code, out, err = support.run(ECHO, "-p", self.pid_file, "-b", "127.0.0.1:0", *more)
            self.assertEqual((code, out), (2, ""))
            self.assertIn("something other than a pid", err)
        self.assertEqual(self.content(), "precious\n")

    def test_a_check_leaves_the_running_server_its_file(self):
        with Server(ECHO, "-w", "1", "-p", self.pid_file) as server:
            server.ready()
            self.assertEqual(support.run(ECHO, "-t", "-p", self.pid_file), (0, "configuration ok\n", ""))
            self.assertEqual(self.control("status"), (0, f"running, pid {server.pid}\n", ""))

    def control(self, command):
        return support.run(ECHO, "-s", command, "-p", self.pid_file)


class Signals(FolderTest):
    def control(self, command, program=HTTP_OK, **more):
        return support.run(program, "--signal", command, "--pid", self.pid_file, **more)

    def test_status(self):
        for program in (ECHO, HTTP_OK):
            with Server(program, "-w", "1", "-p", self.pid_file) as server:
                server.ready()
                self.assertEqual(self.control("status", program), (0, f"running, pid {server.pid}\n", ""))

    def test_no_server(self):
        for stale in (None, "", f"{os.getpid()}\n", "1\n"):
            if stale is not None:
                with open(self.pid_file, "w", encoding="ascii") as file:
                    file.write(stale)
            for command in ("reload", "stop", "quit", "reopen", "upgrade", "status"):
                code, out, err = self.control(command)
                self.assertEqual((code, out), (1, ""))
                self.assertRegex(err, rf"^reactor-http-ok: --signal '{command}': no server runs with "
                                      rf"the pid file {self.pid_file}; .+\n$")

    def test_stop_and_quit(self):
        for workers in ("0", "2"):
            for command in ("stop", "quit"):
                with Server(HTTP_OK, "-w", workers, "-p", self.pid_file) as server:
                    server.ready()
                    self.assertEqual(self.control(command), (0, "", ""))
                    self.assertEqual(server.wait(), 0)

    def test_signals_are_kept_as_soon_as_the_pid_file_is_there(self):
        for options in (("-w", "2"), ("-w", "0"), ("-w", "0", "--model", "fork")):
            with self.subTest(options=options):
                self.start_with_signals(options, signal.SIGTERM)
                lines = ["signal 21 ignored"] if "0" in options else ["reload", " 3 workers from now on"]
                self.start_with_signals(options, signal.SIGHUP, signal.SIGTTIN, then=lines)

    def start_with_signals(self, options, *numbers, then=()):
        """Sends signals while the server tries for 1 s to write `listening on` to a full pipe."""
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        os.write(writer, b"x" * 4096)
        path = os.path.join(self.folder, "socket")
        with os.fdopen(reader), os.fdopen(writer, "w") as output, Server(
                HTTP_OK, *options, "-p", self.pid_file, bind=(f"unix:{path}",), stdout=output) as server:
            wait_until(lambda: os.path.exists(self.pid_file) and self.content(), "the pid file")
            for number in numbers:
                server.signal(number)
            for line in then:
                wait_until(lambda: line in server.log(), line)
            if then:
                self.assertIsNone(server.process.poll())
                server.signal(signal.SIGTERM)
            self.assertEqual(server.wait(), 0)
            self.assertEqual(os.listdir(self.folder), [])

    def test_reopen(self):
        path = os.path.join(self.folder, "log")
        with Server(HTTP_OK, "-w", "1", "-p", self.pid_file, "--log", path) as server:
            server.ready()
            os.rename(path, path + ".1")
            self.assertEqual(self.control("reopen"), (0, "", ""))
            wait_until(lambda: os.path.exists(path), "a new log file")

    def test_each_command_sends_its_signal(self):
        """A stand-in for the master holds the lock and prints the signals that it gets."""
        # A master locks byte 0, which its successor shares, and byte 1 + its own pid.
        script = ("import fcntl, os, signal, struct, sys\n"
                  "fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)\n"
                  "def lock(how, at):\n"
                  "    fcntl.fcntl(fd, how, struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, at, 1, 0))\n"
                  "lock(fcntl.F_OFD_SETLK, 0)\n"
                  "print('starts', flush=True)\n"
                  "sys.stdin.readline()\n"
                  "lock(fcntl.F_SETLK, 1 + os.getpid())\n"
                  "heard = [signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2]\n"
                  "signal.pthread_sigmask(signal.SIG_BLOCK, heard)\n"
                  "print('ready', flush=True)\n"
                  "while True: print(signal.sigwait(heard).name, flush=True)\n")
        with subprocess.Popen([sys.executable, "-c", script, self.pid_file], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as master:
            try:
                self.assertEqual(master.stdout.readline(), "starts\n")
                code, _, err = self.control("stop")
                self.assertEqual(code, 1)
                self.assertIn("just starting; try again", err)
                master.stdin.write("\n")
                master.stdin.flush()
                self.assertEqual(master.stdout.readline(), "ready\n")
                for command, name in (("reload", "SIGHUP"), ("stop", "SIGTERM"), ("quit", "SIGQUIT"),
                                      ("reopen", "SIGUSR1"), ("upgrade", "SIGUSR2")):
                    self.assertEqual(self.control(command), (0, "", ""))
                    self.assertEqual(master.stdout.readline(), name + "\n")
            finally:
                master.kill()

    def test_a_command_needs_only_the_pid_file_of_a_configuration(self):
        config = os.path.join(self.folder, "conf")
        wrong = (f"nonsense\npid = {self.pid_file}\nwrokers = 1\nworkers = many\nworkers = 3\n"
                 "bind = no-such-host.invalid:80\ntls-cert = /no/such/file\nuser = no-such-user\n"
                 'body = "no end\n')
        with open(config, "w", encoding="ascii") as file:
            file.write(wrong)
        for workers in ("0", "1"):
            with Server(HTTP_OK, "-w", workers, "-p", self.pid_file) as server:
                server.ready()
                def control(command):
                    return support.run(HTTP_OK, "-s", command, environment={
                        "REACTOR_CONFIG": config, "REACTOR_WORKERS": "many"})
                self.assertEqual(control("status"), (0, f"running, pid {server.pid}\n", ""))
                self.assertEqual(control("stop"), (0, "", ""))
                self.assertEqual(server.wait(), 0)
        self.assertEqual(support.run(HTTP_OK, "-t", "-s", "stop", "-c", config)[0], 2)
        missing = support.run(HTTP_OK, "-c", "/no/such/file", "-s", "status", "-p", self.pid_file)
        self.assertIn("no server runs", missing[2])  # with the flag the file is not read
        for text, part in (("pid = a\npid = b\n", ":2: pid: is in line 1 already"),
                           ('pid = "a\n', ":1: pid: no"), ("workers = 1\n", "no pid file is given")):
            with open(config, "w", encoding="ascii") as file:
                file.write(text)
            code, out, err = support.run(HTTP_OK, "-c", config, "-s", "stop")
            self.assertEqual((code, out), (2, ""))
            self.assertIn(part, err)

    @NEEDS_ROOT
    @support.need("unshare")
    def test_the_server_of_another_pid_namespace(self):
        namespace = ("unshare", "--pid", "--fork", "--kill-child")
        if support.run(*namespace, "true")[0] != 0:
            self.skipTest("unshare(2) denies a pid namespace")
        with Server(HTTP_OK, "-w", "1", "-p", self.pid_file, wrapper=namespace) as server:
            (inside,) = server.ready().workers()
            self.assertEqual(self.content(), "1\n")
            self.assertEqual(self.control("status"), (0, f"running, pid {inside}\n", ""))
            for command in ("status", "stop", "quit"):  # pid 1 is another process here
                code, out, err = support.run(*namespace, HTTP_OK, "-s", command, "-p", self.pid_file)
                self.assertEqual((code, out), (1, ""))
                self.assertRegex(err, rf"--signal '{command}': the server of .* runs in another pid "
                                      r"namespace and has no pid in this one; .+\n$")
            with server.connect() as connection:
                self.assertTrue(support.is_ok(connection))
            self.assertEqual(self.control("stop"), (0, "", ""))
            self.assertEqual(server.wait(), 0)

    @NEEDS_ROOT
    def test_the_server_of_another_user(self):
        with Server(HTTP_OK, "-w", "1", "-p", self.pid_file) as server:
            server.ready()
            with support.for_everybody(HTTP_OK) as (program, how):
                code, out, err = self.control("stop", program, **how)
            self.assertEqual((code, out), (1, ""))
            self.assertRegex(err, rf"--signal 'stop': pid {server.pid}: Operation not permitted; .+\n$")

    def test_the_pid_file_may_come_from_the_environment_or_the_file(self):
        config = os.path.join(self.folder, "conf")
        with open(config, "w", encoding="ascii") as file:
            file.write(f"pid = {self.pid_file}\n")
        with Server(ECHO, "-w", "1", "-c", config) as server:
            server.ready()
            expected = (0, f"running, pid {server.pid}\n", "")
            self.assertEqual(support.run(ECHO, "-s", "status", "-c", config), expected)
            self.assertEqual(support.run(ECHO, "-s", "status",
                                         environment={"REACTOR_PID": self.pid_file}), expected)


@NEEDS_ROOT
class Users(FolderTest):
    def setUp(self):
        super().setUp()
        self.user = entry_of("nobody", "daemon")

    def is_dropped(self, pid, user, group):
        status = status_of(pid)
        self.assertEqual(status["Uid"].split(), [str(user)] * 4)
        self.assertEqual(status["Gid"].split(), [str(group)] * 4)
        self.assertNotIn("0", status["Groups"].split())
        self.assertEqual(status["NoNewPrivs"], "1")
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            self.assertEqual(int(status[name], 16), 0, name)

    def test_workers_change_and_the_master_stays(self):
        for user, group in ((self.user.pw_name, None), (str(self.user.pw_uid), None),
                            (self.user.pw_name, "daemon"), ("54321", "54322")):
            options = ["-u", user] + (["-g", group] if group else [])
            gid = self.user.pw_gid if group is None else \
                int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
            uid = int(user) if user.isdigit() else pwd.getpwnam(user).pw_uid
            with self.subTest(user=user, group=group):
                with Server(ECHO, "-w", "2", *options) as server:
                    server.ready()
                    for worker in server.workers():
                        self.is_dropped(worker, uid, gid)
                    self.assertEqual(status_of(server.pid)["Uid"].split(), ["0"] * 4)
                    self.assertNotIn("serving as root", server.log())
                    with server.connect() as connection:
                        self.assertTrue(support.echoes(connection))
                    server.signal(signal.SIGTERM)
                    self.assertEqual(server.wait(), 0)

    def test_without_workers_the_process_itself_changes(self):
        with Server(ECHO, "-w", "0", "-u", self.user.pw_name) as server:
            server.ready()
            self.is_dropped(server.pid, self.user.pw_uid, self.user.pw_gid)
            with server.connect() as connection:
                self.assertTrue(support.echoes(connection))

    def test_a_privileged_port_is_bound_before(self):
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as setting:
            if int(setting.read()) <= 81:
                self.skipTest("all ports are open to every user here")
        with Server(ECHO, "-w", "1", "-u", self.user.pw_name, bind=("127.0.0.81:81",)) as server:
            server.ready()
            with server.connect() as connection:
                self.assertTrue(support.echoes(connection))

    def test_workers_die_with_the_master_all_the_same(self):
        with Server(ECHO, "-w", "2", "-u", self.user.pw_name) as server:
            workers = server.ready().workers()
            for worker in workers:  # stopped, so only the kernel can end them
                os.kill(worker, signal.SIGSTOP)
            server.signal(signal.SIGKILL)
            server.wait()
            wait_until(lambda: not any(map(support.alive, workers)), "the workers' end")

    def test_logs_can_be_reopened_by_the_workers(self):
        log, access = (os.path.join(self.folder, name) for name in ("log", "access"))
        with Server(HTTP_OK, "-w", "1", "-u", self.user.pw_name, "--log", log, "--access-log",
                    access) as server:
            server.ready()
            for path in (log, access):
                self.assertEqual(os.stat(path).st_uid, self.user.pw_uid)
                os.rename(path, path + ".1")
            server.signal(signal.SIGUSR1)
            worker = server.workers()[0]
            wait_until(lambda: {log, access} <= set(support.descriptors_of(worker).values()),
                       "the worker has the new files")
            with server.connect() as connection:
                self.assertTrue(support.is_ok(connection))
            wait_until(lambda: os.path.getsize(access) > 0, "a line in the new access log")
            with open(log, encoding="utf-8") as lines:
                self.assertNotIn("can't", lines.read())

    def test_a_file_that_is_not_ours_to_give_keeps_its_owner(self):
        precious = os.path.join(self.folder, "precious")
        with open(precious, "w", encoding="ascii"):
            pass
        for how in (os.symlink, os.link):
            log = os.path.join(self.folder, "log")
            how(precious, log)
            with Server(ECHO, "-w", "1", "-u", self.user.pw_name, "--log", log) as server:
                with contextlib.suppress(AssertionError):
                    server.ready()
                self.assertEqual(os.stat(precious).st_uid, 0)
            os.unlink(log)

    def test_an_access_log_that_the_workers_cannot_open_is_named(self):
        path = os.path.join(self.folder, "access")
        with open(path, "w", encoding="ascii") as file:
            file.write("root's own\n")
        code, out, err = support.run(HTTP_OK, "-b", "127.0.0.1:0", "-w", "1", "-u", self.user.pw_name,
                                     "--access-log", path)
        self.assertEqual((code, out), (2, ""))
        self.assertIn(f"--access-log '{path}': the workers can't write it: Permission denied; ", err)

    def test_serving_as_root_is_logged(self):
        for options in ([], ["-u", "root"], ["-g", "daemon"]):
            for workers in ("0", "1"):
                with Server(ECHO, "-w", workers, *options) as server:
                    server.ready()
                    self.assertEqual(server.log().count("serving as root"), 1)

    def test_a_file_that_cannot_be_removed_any_more_is_held_by_nobody(self):
        with Server(ECHO, "-w", "0", "-u", self.user.pw_name, "-p", self.pid_file) as server:
            server.ready()
            self.assertEqual(self.content(), f"{server.pid}\n")
            server.signal(signal.SIGTERM)
            self.assertEqual(server.wait(), 0)
        code, _, err = support.run(ECHO, "-s", "stop", "-p", self.pid_file)
        self.assertEqual(code, 1)
        self.assertIn("no server runs", err)

    def test_others_than_root_cannot_change(self):
        with support.for_everybody(ECHO) as (program, how):
            for flag, value in (("--user", "daemon"), ("--group", "daemon"), ("--user", "root")):
                code, out, err = support.run(program, flag, value, "-b", "127.0.0.1:0", **how)
                self.assertEqual((code, out), (2, ""))
                self.assertRegex(err, rf"^reactor-echo: {flag} '{value}': only root can change it; .+\n$")
            self.assertEqual(support.run(program, "-t", "-u", "daemon", **how)[0], 0)
            with Server(program, "-w", "1", "-u", str(support.NOBODY), "-g", str(support.NOBODY),
                        **how) as server:  # the user and group that it already has
                server.ready()
                self.is_dropped(server.workers()[0], support.NOBODY, support.NOBODY)


class ServiceManager(FolderTest):
    def test_it_hears_ready_once_all_accept_and_then_stopping(self):
        for workers in ("0", "3"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                path = os.path.join(self.folder, "notify" + workers)
                manager.bind(path)
                manager.settimeout(support.LIMIT)
                with Server(ECHO, "-w", workers, environment={"NOTIFY_SOCKET": path}) as server:
                    def hear():
                        return manager.recv(4096).split(b"\n")[0]
                    heard = [hear()]
                    self.assertEqual(heard, [b"READY=1"])
                    self.assertEqual(len(server.workers()), int(workers))
                    with server.ready().connect() as connection:
                        self.assertTrue(support.echoes(connection))
                    server.signal(signal.SIGTERM)
                    while b"STOPPING=1" not in heard:
                        heard.append(hear())
                    self.assertEqual(server.wait(), 0)
                    self.assertEqual(heard.count(b"READY=1"), 1)


class Limits(FolderTest):
    def limit_of(self, soft, hard, *options, **more):
        with Server(ECHO, "-w", "2", *options, preexec_fn=lambda: resource.setrlimit(
                resource.RLIMIT_NOFILE, (soft, hard)), **more) as server:
            server.ready()
            limits = {descriptors_allowed(pid) for pid in server.workers()}
            self.assertEqual(len(limits), 1)
            return limits.pop(), server.log()

    def test_raised_to_what_is_needed_and_never_lowered(self):
        limit, log = self.limit_of(256, 4096, "--max-connections", "1000")
        self.assertTrue(1000 < limit < 1200, limit)
        self.assertNotIn("raise the limit", log)
        self.assertEqual(self.limit_of(2048, 4096, "--max-connections", "1000")[0], 2048)
        self.assertEqual(self.limit_of(256, 4096)[0], 256)

    def test_what_cannot_be_had_is_logged(self):
        with support.for_everybody(ECHO) as (program, how):
            change = how.pop("preexec_fn", lambda: None)
            def before():
                resource.setrlimit(resource.RLIMIT_NOFILE, (256, 512))
                change()
            with Server(program, "-w", "2", "--max-connections", "5000", preexec_fn=before,
                        **how) as server:
                server.ready()
                self.assertEqual(descriptors_allowed(server.workers()[0]), 512)
                self.assertRegex(server.log(), r"--max-connections '5000': each worker needs 5\d\d\d "
                                               r"descriptors and may have 512; raise the limit ")

    def many_workers(self, soft, hard):
        """Starts 16 workers at 16 addresses with these limits. They need more than 256 descriptors
        before the first connection. Returns the exit code or the raised limit, and the log."""
        with support.for_everybody(ECHO) as (program, how):
            change = how.pop("preexec_fn", lambda: None)
            def before():
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                change()
            with Server(program, "-w", "16", bind=("127.0.0.1:0",) * 16, preexec_fn=before,
                        **how) as server:
                if server.read_line() is None:
                    return server.wait(), server.log()
                before = set(server.ready().workers())
                self.assertEqual(len(before), 16)
                server.signal(signal.SIGHUP)
                wait_until(lambda: not before & set(server.workers()), "new workers")
                with server.connect(index=14) as connection:
                    self.assertTrue(support.echoes(connection))
                limit = descriptors_allowed(server.pid)
                server.signal(signal.SIGTERM)
                self.assertEqual(server.wait(), 0)
                self.assertNotIn("Too many open files", server.log())
                return limit, ""

    def test_what_workers_need_themselves_is_raised_to_or_named(self):
        code, error = self.many_workers(256, 256)
        self.assertEqual(code, 2)
        self.assertRegex(error, r"^reactor-echo: --workers '16': they need 4\d\d descriptors and may "
                                r"have 256; raise the limit .*, or use fewer workers\n$")
        needed = int(error.partition("need ")[2].split()[0])
        self.assertEqual(self.many_workers(256, needed)[0], needed)  # exactly enough
        self.assertGreater(self.many_workers(256, 4096)[0], 1000)

    def test_a_reload_to_more_workers_than_descriptors_is_refused(self):
        with support.for_everybody(ECHO) as (program, how):
            config = os.path.join(self.folder, "conf")
            os.chmod(self.folder, 0o755)
            change = how.pop("preexec_fn", lambda: None)
            def before():
                resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
                change()
            with open(config, "w", encoding="ascii") as file:
                file.write("workers = 1\n")
            with Server(program, "-c", config, preexec_fn=before, **how) as server:
                workers = server.ready().workers()
                for count, reason in (("60", "descriptors and may have 128"),
                                      ("0", "the workers can't become one process")):
                    with open(config, "w", encoding="ascii") as file:
                        file.write(f"workers = {count}\n")
                    server.signal(signal.SIGHUP)
                    wait_until(lambda: reason in server.log(), reason)
                self.assertEqual(server.log().count("reload refused, all stays as it is: "), 2)
                self.assertEqual(server.workers(), workers)

    def test_a_reload_raises_it_too(self):
        config = os.path.join(self.folder, "conf")
        with open(config, "w", encoding="ascii") as file:
            file.write("max-connections = 300\n")
        with Server(ECHO, "-w", "1", "-c", config, preexec_fn=lambda: resource.setrlimit(
                resource.RLIMIT_NOFILE, (256, 4096))) as server:
            before = server.ready().workers()
            with open(config, "w", encoding="ascii") as file:
                file.write("max-connections = 2000\n")
            server.signal(signal.SIGHUP)

            def raised():
                return [pid for pid in set(server.workers()) - set(before)
                        if descriptors_allowed(pid) > 2000]
            wait_until(raised, "a worker with a higher limit")

    @unittest.skipUnless(int(status_of("self")["CapEff"], 16) & CAP_SYS_RESOURCE,
                         "needs CAP_SYS_RESOURCE, to raise a hard limit")
    def test_root_may_go_beyond_the_hard_limit(self):
        self.assertGreater(self.limit_of(256, 512, "--max-connections", "5000")[0], 5000)


if __name__ == "__main__":
    support.main()
