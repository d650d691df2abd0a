#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests the datagrams to a service manager (sd_notify(3)): their text, order and sender."""

import os
import re
import signal
import socket
import struct
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import support  # noqa: E402
from support import ECHO, HTTP_OK, Server, wait_until  # noqa: E402

START = "import os, sys; os.environ['WATCHDOG_PID'] = str(os.getpid()); os.execv(sys.argv[1], sys.argv[1:])"
RELOADING = "RELOADING=1\nMONOTONIC_USEC=N"


class Manager(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.pid_file = os.path.join(self.folder, "pid")
        self.file = os.path.join(self.folder, "conf")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        self.path = os.path.join(self.folder, "notify")
        self.socket.bind(self.path)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.settimeout(support.LIMIT)

    def hear(self, watchdog=False):
        """Returns the next datagram and its sender's pid. Numbers that vary are replaced by N."""
        while True:
            data, controls, _, _ = self.socket.recvmsg(4096, 256)
            sender = struct.unpack("iII", controls[0][2])[0]
            text = re.sub(r"(process|USEC=| pid )[ ]?\d+", r"\1N", data.decode())
            if (text == "WATCHDOG=1") == watchdog:
                return text, sender

    def expect(self, sender, *texts):
        self.assertEqual([self.hear() for _ in texts], [(text, sender) for text in texts])

    def configure(self, text):
        with open(self.file, "w", encoding="ascii") as file:
            file.write(text + "\n")

    def server(self, *options, program=HTTP_OK, bind=("127.0.0.1:0",)):
        """Starts a server as systemd does: WATCHDOG_PID is the pid of the server's process."""
        if not os.path.exists(self.file):
            self.configure("")
        server = Server(sys.executable, "-c", START, program, *options, "-c", self.file, "-p",
                        self.pid_file, bind=(), environment={
                            "NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": "1500000",
                            "REACTOR_BIND": ",".join(bind)})
        return server

    def test_what_happens_to_workers(self):
        self.configure("workers = 2")
        with self.server() as server:
            self.expect(server.pid, "READY=1\nSTATUS=2 workers")
            self.assertEqual(self.hear(watchdog=True)[1], server.pid)
            server.signal(signal.SIGTTIN)
            self.expect(server.pid, "STATUS=2 of 3 workers serve", "STATUS=3 workers")
            server.signal(signal.SIGTTOU)
            self.expect(server.pid, "STATUS=2 workers")
            os.kill(server.workers()[0], signal.SIGKILL)
            self.expect(server.pid, "STATUS=1 of 2 workers serve", "STATUS=2 workers")
            server.signal(signal.SIGTERM)
            self.expect(server.pid, "STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=N")
            self.assertEqual(server.wait(), 0)

    def test_reloads(self):
        self.configure("workers = 2")
        with self.server() as server:
            self.expect(server.pid, "READY=1\nSTATUS=2 workers")
            server.signal(signal.SIGHUP)
            self.expect(server.pid, RELOADING, "READY=1\nSTATUS=2 workers")
            refused = "READY=1\nSTATUS=2 workers; the last reload was refused: "
            for text in ("workerz = 2", "workers = 0"):
                self.configure(text)
                server.signal(signal.SIGHUP)
                self.expect(server.pid, RELOADING, refused + "the log says why")
            self.configure("workers = 1")
            server.signal(signal.SIGHUP)
            self.expect(server.pid, RELOADING, "STATUS=2 workers", "READY=1\nSTATUS=1 worker")

    def test_an_upgrade(self):
        self.configure("workers = 2")
        with self.server() as server:
            self.expect(server.pid, "READY=1\nSTATUS=2 workers")
            self.configure("workers = 3")
            server.signal(signal.SIGUSR2)
            self.expect(server.pid, "STATUS=2 workers; an upgrade starts as processN")
            main = None
            while main is None:  # the old program has the last word before the new one
                data, controls, _, _ = self.socket.recvmsg(4096, 256)
                self.assertEqual(struct.unpack("iII", controls[0][2])[0], server.pid)
                found = re.fullmatch(r"MAINPID=(\d+)\nREADY=1", data.decode())
                main = int(found[1]) if found else None
            try:
                self.expect(main, "READY=1\nSTATUS=3 workers")
                self.assertEqual(server.wait(), 0)
                for _ in range(3):
                    self.assertEqual(self.hear(watchdog=True)[1], main)
                os.kill(main, signal.SIGHUP)
                self.expect(main, RELOADING, "READY=1\nSTATUS=3 workers")
                os.kill(main, signal.SIGTERM)
                self.expect(main, "STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=N")
                wait_until(lambda: not support.alive(main), "the end")
            finally:
                if support.alive(main):
                    os.kill(main, signal.SIGKILL)

    def fill(self):
        """Fills the manager's queue, as other services may."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            for _ in range(100000):
                try:
                    other.sendto(b"other", self.path)
                except BlockingIOError:
                    return
        self.fail("the queue is never full")

    def hear_main(self):
        """Reads up to MAINPID. Returns its sender and the pid."""
        while True:
            data, controls, _, _ = self.socket.recvmsg(4096, 256)
            if found := re.fullmatch(r"MAINPID=(\d+)\nREADY=1", data.decode()):
                return struct.unpack("iII", controls[0][2])[0], int(found[1])

    def test_an_upgrade_waits_for_a_manager_that_reads_late(self):
        with self.server("-w", "2") as server:
            self.expect(server.pid, "READY=1\nSTATUS=2 workers")
            server.ready()
            self.fill()
            server.signal(signal.SIGUSR2)
            wait_until(lambda: server.log().count(") is ready") == 4, "the new workers")
            for _ in range(50):
                with server.connect() as connection:
                    self.assertTrue(support.is_ok(connection))
            self.assertNotIn("this program ends", server.log())
            sender, main = self.hear_main()
            try:
                self.assertEqual(sender, server.pid)
                self.expect(main, "READY=1\nSTATUS=2 workers")
                self.assertEqual(server.wait(), 0)
            finally:
                if support.alive(main):
                    os.kill(main, signal.SIGKILL)

    def test_an_upgrade_that_the_manager_never_hears_of_is_undone(self):
        with self.server("-w", "2", "--timeout", "3") as server:
            self.expect(server.pid, "READY=1\nSTATUS=2 workers")
            server.ready()
            self.fill()
            server.signal(signal.SIGUSR2)
            wait_until(lambda: "this program goes on as before" in server.log(), "the end of the upgrade")
            self.assertIn("the service manager can't be told in time, and is ended", server.log())
            with server.connect() as connection:
                self.assertTrue(support.is_ok(connection))

    def test_without_workers_a_manager_that_reads_late_hears_all(self):
        self.fill()
        with self.server("-w", "0") as server:
            server.ready()
            wait_until(lambda: "; trying again" in server.log(), "the first attempt")
            while self.hear() == ("other", os.getpid()):
                pass
            server.signal(signal.SIGHUP)
            self.expect(server.pid, RELOADING, "READY=1\nSTATUS=serving without workers")

    def test_an_upgrade_that_fails(self):
        self.configure("workers = 2")
        with self.server() as server:
            self.expect(server.pid, "READY=1\nSTATUS=2 workers")
            self.configure("workers = 0")
            server.signal(signal.SIGUSR2)
            self.expect(server.pid, "STATUS=2 workers; an upgrade starts as processN",
                        "STATUS=2 workers; the last upgrade failed: processN exited with 1 before it "
                        "took over")
            self.assertEqual(self.hear(watchdog=True)[1], server.pid)

    def test_without_workers(self):
        for program in (ECHO, HTTP_OK):
            with self.server("-w", "0", program=program) as server:
                self.expect(server.pid, "READY=1\nSTATUS=serving without workers")
                for _ in range(3):
                    self.assertEqual(self.hear(watchdog=True)[1], server.pid)
                server.signal(signal.SIGHUP)
                self.expect(server.pid, RELOADING, "READY=1\nSTATUS=serving without workers")
                with server.ready().connect():
                    server.signal(signal.SIGTERM)
                    self.expect(server.pid, "STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=N")
                self.assertEqual(server.wait(), 0)


if __name__ == "__main__":
    support.main()
