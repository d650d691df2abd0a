#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests sockets that another process opened: --bind fd:N and --bind systemd."""

import os
import signal
import socket
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import support  # noqa: E402
from support import BACKENDS, ECHO, HTTP_OK, Server, wait_until  # noqa: E402

# Does what systemd does before a service starts: passes descriptors from 3 on, and sets LISTEN_*.
ACTIVATE = """
import os, sys
high = [os.dup2(int(fd), 100 + i) for i, fd in enumerate(filter(None, sys.argv[1].split(',')))]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
    os.close(fd)
os.environ.update(LISTEN_PID=os.environ.get('PID', str(os.getpid())), LISTEN_FDS=str(len(high)),
                  LISTEN_FDNAMES=':'.join('name' for _ in high))
os.execv(sys.argv[2], sys.argv[2:])
"""


def activated(program, sockets, *options, **more):
    """Returns a server that gets these sockets in the way that systemd passes them."""
    numbers = [s.fileno() for s in sockets]
    return Server(sys.executable, "-c", ACTIVATE, ",".join(map(str, numbers)), program, *options,
                  bind=(), pass_fds=numbers, **more)


def listening_inodes(pid, port):
    """Returns the inodes of the process's sockets that listen on `port`."""
    own = set(support.descriptors_of(pid).values())
    found = set()
    with open("/proc/net/tcp", encoding="ascii") as lines:
        for line in list(lines)[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                found |= {fields[9]} & {inode[8:-1] for inode in own if inode.startswith("socket:")}
    return found


def tcp():
    return socket.create_server(("127.0.0.1", 0), backlog=128)


def address_of(listener):
    return "127.0.0.1:%d" % listener.getsockname()[1]


class Descriptors(unittest.TestCase):
    def test_a_tcp_socket_gets_siblings(self):
        for backend in BACKENDS:
            for workers, sockets in (("0", 1), ("1", 1), ("3", 3)):
                with self.subTest(backend=backend, workers=workers), tcp() as listener:
                    with Server(ECHO, "-w", workers, "--backend", backend, "--bind",
                                f"fd:{listener.fileno()}", bind=(),
                                pass_fds=[listener.fileno()]) as server:
                        self.assertEqual(server.ready().addresses, [address_of(listener)])
                        for _ in range(20):
                            with server.connect() as connection:
                                self.assertTrue(support.echoes(connection))
                        self.assertEqual(len(listening_inodes(server.pid, server.port)) or 1, sockets)

    def test_reuse_port_off_shares_it(self):
        with tcp() as listener:
            with Server(ECHO, "-w", "3", "--reuse-port", "off", "--bind", f"fd:{listener.fileno()}",
                        bind=(), pass_fds=[listener.fileno()]) as server:
                server.ready()
                self.assertEqual(len(listening_inodes(server.pid, server.port)), 1)

    @unittest.skipUnless(os.getuid() == 0, "needs root, to be another user than the socket's")
    def test_a_socket_of_another_user_is_shared_and_left_as_it_was(self):
        with tcp() as listener, support.for_everybody(ECHO) as (program, how):
            with Server(program, "-w", "3", "--bind", f"fd:{listener.fileno()}", bind=(),
                        pass_fds=[listener.fileno()], **how) as server:
                server.ready()
                for _ in range(20):
                    with server.connect() as connection:
                        self.assertTrue(support.echoes(connection))
                self.assertEqual(listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT), 0)

    @unittest.skipUnless(os.getuid() == 0, "needs root, to bind a socket to a device")
    def test_a_socket_of_one_device_is_shared(self):
        with tcp() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
            with Server(ECHO, "-w", "3", "--bind", f"fd:{listener.fileno()}", bind=(),
                        pass_fds=[listener.fileno()]) as server:
                server.ready()
                self.assertEqual(len(listening_inodes(server.pid, server.port)), 1)

    def test_unix_sockets_are_shared_and_their_files_stay(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
            path = os.path.join(folder, "socket")
            listener.bind(path)
            listener.listen()
            with Server(ECHO, "-w", "3", "--bind", f"fd:{listener.fileno()}", bind=(),
                        pass_fds=[listener.fileno()]) as server:
                self.assertEqual(server.ready().addresses, ["unix:" + path])
                with server.connect() as connection:
                    self.assertTrue(support.echoes(connection))
                server.signal(signal.SIGTERM)
                self.assertEqual(server.wait(), 0)
            self.assertTrue(os.path.exists(path))

    def test_an_upgrade_keeps_it_and_leaves_the_file_too(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
            path = os.path.join(folder, "socket")
            pid_file = os.path.join(folder, "pid")
            listener.bind(path)
            listener.listen()
            with Server(ECHO, "-w", "2", "-p", pid_file, "--bind", f"fd:{listener.fileno()}", bind=(),
                        pass_fds=[listener.fileno()]) as server:
                server.ready()
                server.signal(signal.SIGUSR2)

                def successor():
                    with open(pid_file, encoding="ascii") as file:
                        pid = file.read().strip()
                    return int(pid) if pid and int(pid) != server.pid else None
                pid = wait_until(successor, "the successor's pid")
                self.assertEqual(server.wait(), 0)
                with server.connect() as connection:
                    self.assertTrue(support.echoes(connection))
                os.kill(pid, signal.SIGTERM)
                wait_until(lambda: not support.alive(pid), "the successor's end")
            self.assertTrue(os.path.exists(path))
            self.assertFalse(os.path.exists(pid_file))

    def test_the_next_server_takes_the_same_socket(self):
        with tcp() as listener:
            for _ in range(3):
                with Server(HTTP_OK, "-w", "2", "--bind", f"fd:{listener.fileno()}", bind=(),
                            pass_fds=[listener.fileno()]) as server:
                    server.ready()
                    with server.connect() as connection:
                        self.assertTrue(support.is_ok(connection))
                    server.signal(signal.SIGTERM)
                    self.assertEqual(server.wait(), 0)

    def test_after_the_end_the_holder_itself_accepts(self):
        for workers in ("0", "2"):
            with tcp() as listener:
                with Server(HTTP_OK, "-w", workers, "--bind", f"fd:{listener.fileno()}", bind=(),
                            pass_fds=[listener.fileno()]) as server:
                    server.ready()
                    server.signal(signal.SIGTERM)
                    self.assertEqual(server.wait(), 0)
                listener.settimeout(support.LIMIT)

                def accepts_at_once():  # before the kernel sends a SYN again, after 1 s
                    with support.Stopwatch() as watch, support.connect(address_of(listener)):
                        connected = watch.seconds
                        listener.accept()[0].close()  # TCP_DEFER_ACCEPT may put it off
                        return connected < 0.9

                # On a busy machine the kernel may close the server's sockets after its end.
                wait_until(accepts_at_once, "a connection at once")

    def test_the_next_server_accepts_though_the_last_was_killed_amid_its_drain(self):
        with tcp() as listener:
            def start():
                return Server(HTTP_OK, "-w", "2", "--bind", f"fd:{listener.fileno()}", bind=(),
                              pass_fds=[listener.fileno()])

            def is_deaf():
                try:
                    support.connect(address_of(listener), 0.2).close()
                    return False
                except TimeoutError:
                    return True
            with start() as first, first.ready().connect() as busy:
                busy.sendall(support.GET[:10])
                first.signal(signal.SIGTERM)
                wait_until(is_deaf, "nobody gets in")
                os.killpg(first.pid, signal.SIGKILL)
                first.wait()
            wait_until(lambda: not support.in_group(first.pid), "the workers' end")
            with start() as second:
                second.ready()
                for _ in range(4):
                    with support.Stopwatch() as watch, second.connect() as connection:
                        self.assertTrue(support.is_ok(connection))
                        self.assertLess(watch.seconds, 0.9)

    def refused(self, fd, reason, *more, program=ECHO):
        code, out, err = support.run(program, "-w", "2", "-b", f"fd:{fd}", *more, pass_fds=[fd])
        self.assertEqual((code, out), (4, ""), err)
        self.assertRegex(err, rf"^reactor-[a-z-]+: --bind 'fd:{fd}': {reason}; .+\n$")

    def test_what_is_no_listening_stream_socket_is_refused(self):
        with socket.socket() as idle:
            self.refused(idle.fileno(), "not a listening stream socket")
        for family in (socket.AF_INET, socket.AF_UNIX):
            with socket.socket(family, socket.SOCK_DGRAM) as datagram:
                self.refused(datagram.fileno(), "a datagram socket that is not bound")
                self.refused(datagram.fileno(), "not a listening stream socket", program=HTTP_OK)
        with tempfile.TemporaryFile() as file:
            self.refused(file.fileno(), "not a listening stream socket")
        code, out, err = support.run(ECHO, "-b", "fd:977")
        self.assertEqual((code, out), (4, ""), err)
        self.assertIn("--bind 'fd:977': Bad file descriptor; ", err)

    def test_one_descriptor_twice_is_refused(self):
        with tcp() as listener:
            fd = listener.fileno()
            self.refused(fd, "Address already in use", "-b", f"fd:{fd}")


class Systemd(unittest.TestCase):
    def test_all_that_is_passed_in_order(self):
        with tempfile.TemporaryDirectory() as folder, tcp() as first, tcp() as second, \
                socket.socket(socket.AF_UNIX) as third:
            path = os.path.join(folder, "socket")
            third.bind(path)
            third.listen()
            for workers in ("0", "2"):
                with activated(ECHO, [first, second, third], "-b", "systemd", "-b", "127.0.0.2:0",
                               "-w", workers) as server:
                    server.ready()
                    self.assertEqual(server.addresses[:3],
                                     [address_of(first), address_of(second), "unix:" + path])
                    self.assertTrue(server.addresses[3].startswith("127.0.0.2:"))
                    for index in range(4):
                        with server.connect(index) as connection:
                            self.assertTrue(support.echoes(connection))
                    server.signal(signal.SIGTERM)
                    self.assertEqual(server.wait(), 0)

    def complains(self, code, parts, sockets=(), environment=None):
        with activated(ECHO, sockets, "-b", "systemd", environment=environment) as server:
            self.assertIsNone(server.read_line())
            self.assertEqual(server.wait(), code)
            self.assertRegex(server.log(), r"\Areactor-echo: --bind '.*\n\Z")
            for part in parts:
                self.assertIn(part, server.log())

    def test_nothing_passed(self):
        code, out, err = support.run(ECHO, "-b", "systemd")
        self.assertEqual((code, out), (4, ""))
        self.assertIn("--bind 'systemd': no sockets were passed to this process (LISTEN_FDS); ", err)
        self.complains(4, ["--bind 'systemd': no sockets"])

    def test_what_is_passed_to_another_process_is_not_ours(self):
        with tcp() as listener:
            self.complains(4, ["--bind 'systemd': no sockets"], [listener], {"PID": "1"})

    def test_a_socket_of_the_wrong_kind_is_named(self):
        with tcp() as listener, socket.socket() as idle:
            self.complains(4, ["--bind 'fd:4': not a listening"], [listener, idle])

    @support.need("systemd-socket-activate")
    def test_systemd_socket_activate(self):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            address = address_of(probe)
        with Server("systemd-socket-activate", "-l", address, HTTP_OK, "-w", "2", "--bind",
                    "systemd", bind=()) as server:
            def knock():
                try:
                    return support.connect(address)
                except ConnectionRefusedError:
                    return None
            with wait_until(knock, "a connection") as connection:  # this starts the server
                self.assertEqual(server.ready().addresses, [address])
                self.assertTrue(support.is_ok(connection))


if __name__ == "__main__":
    support.main()
