#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs reactor-http-ok behind nginx and haproxy, on every backend."""

import contextlib
import csv
import http.client
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading

sys.dont_write_bytecode = True
import support  # noqa: E402
from support import HTTP_OK, ask, need, pieces, wait_until  # noqa: E402

os.environ["PATH"] += f"{os.pathsep}/usr/sbin"  # Debian installs them there

OK = b"OK\n"
CLIENTS = 4  # clients of a proxy at a time
REQUESTS = 100  # per client
BODY = bytes(range(256)) * 400

NGINX = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/errors warn;
worker_rlimit_nofile 512;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/bodies;
  proxy_temp_path {folder}/proxied;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_body_buffer_size 1m;
  keepalive_requests 100000;
  upstream ok {{ server 127.0.0.1:{port}; keepalive {clients}; keepalive_requests 100000; }}
  server {{
    listen unix:{folder}/front;
    location / {{
      proxy_pass http://ok;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }}
    location /streamed {{
      proxy_pass http://ok;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_request_buffering off;
    }}
    location /old {{ proxy_pass http://127.0.0.1:{port}; }}
  }}
}}
"""

HAPROXY = """
global
  stats socket {folder}/stats
defaults
  mode http
  timeout connect 10s
  timeout client 20s
  timeout server 20s
  option http-keep-alive
  http-reuse always
  retries 0
frontend front
  bind unix@{folder}/front
  default_backend ok
backend ok
  option httpchk
  http-check send meth OPTIONS uri * ver HTTP/1.1 hdr Host test
  server one 127.0.0.1:{port} check inter 10s
"""

# The front end is an inherited descriptor, so that the kernel can choose its port.
HAPROXY_SENDS = """
global
  stats socket {folder}/stats
defaults
  mode http
  timeout connect 10s
  timeout client 20s
  timeout server 20s
  http-reuse always
  retries 0
frontend front
  bind fd@{front}
  default_backend ok
backend ok
  option httpchk
  http-check send meth OPTIONS uri /check ver HTTP/1.1 hdr Host test
  server one 127.0.0.1:{port} {send} check {check} inter 10s
"""
CLIENT = "127.0.0.77"  # no other test uses this address


class UnixConnection(http.client.HTTPConnection):
    """An HTTPConnection that connects to the path of a unix socket."""

    def __init__(self, path):
        super().__init__("test", timeout=support.LIMIT)
        self.path = path

    def connect(self):
        self.sock = support.connect(f"unix:{self.path}")


def connections_to(port):
    """Returns how many TCP connections from 127.0.0.1 a local port has or had a moment ago."""
    here = f"0100007F:{port:04X}"
    lines = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ends = {line[2] for line in lines if line[1] == here}
    ends |= {line[1] for line in lines if line[2] == here}
    return len(ends - {"00000000:0000"})


@contextlib.contextmanager
def child(*arguments, until, errors, pass_fds=()):
    """Runs a program until the block ends. Waits for `until()` first. Its output goes to a file."""
    with open(errors, "ab") as log, subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=pass_fds) as process:
        try:
            wait_until(lambda: until() or process.poll() is not None, f"{arguments[0]} works")
            assert process.poll() is None, pathlib.Path(errors).read_text()
            yield process
        finally:
            process.kill()


def answers_at(path):
    client = UnixConnection(path)
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(client):
        client.request("GET", "/")
        return client.getresponse().status == 200
    return False


def haproxy_figures(folder):
    with support.connect(f"unix:{folder}/stats") as connection:
        connection.sendall(b"show stat\n")
        text = support.read_all(connection).decode()
    rows = csv.DictReader(text.removeprefix("# ").splitlines())
    return next(row for row in rows if (row["pxname"], row["svname"]) == ("ok", "one"))


@support.on_each_backend
class Proxies(support.BackendTest):
    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.folder = stack.enter_context(tempfile.TemporaryDirectory())
        self.server_ = stack.enter_context(self.server(HTTP_OK))
        self.front = f"{self.folder}/front"

    def configuration(self, text):
        path = pathlib.Path(self.folder, "configuration")
        path.write_text(text.format(folder=self.folder, port=self.server_.port, clients=CLIENTS))
        return str(path)

    def load(self):
        """Sends REQUESTS from each of CLIENTS, of all kinds. Returns the wrong answers."""
        wrong = []

        def one():
            client = UnixConnection(self.front)
            for number in range(REQUESTS):
                kind = number % 5
                try:
                    if kind == 0:
                        answer = ask(client, "POST", "/", BODY)
                    elif kind == 1:
                        answer = ask(client, "PUT", "/streamed", pieces(BODY, 7000), chunked=True)
                    else:
                        answer = ask(client, "GET" if kind < 4 else "HEAD", f"/{number}")
                except (OSError, http.client.HTTPException) as error:
                    answer = error
                if answer != (200, b"" if kind == 4 else OK):
                    wrong.append(answer)
            client.close()

        threads = [threading.Thread(target=one) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(2 * support.LIMIT)
        self.assertFalse([thread for thread in threads if thread.is_alive()], "it hangs")
        return wrong

    @need("nginx")
    def test_nginx(self):
        errors = f"{self.folder}/errors"
        with child("nginx", "-p", self.folder, "-e", errors, "-c", self.configuration(NGINX),
                   until=lambda: answers_at(self.front), errors=f"{self.folder}/start"):
            self.assertEqual(self.load(), [])
            # All were kept alive: one connection per client, and one of the check at the start.
            self.assertLessEqual(connections_to(self.server_.port), CLIENTS + 1)
            client = UnixConnection(self.front)
            for _ in range(20):  # in HTTP/1.0, with one connection per request
                self.assertEqual(ask(client, "POST", "/old", BODY), (200, OK))
            client.close()
        self.assertEqual(pathlib.Path(errors).read_text(), "")

    @need("haproxy")
    def test_haproxy(self):
        errors = f"{self.folder}/errors"
        with child("haproxy", "-db", "-q", "-f", self.configuration(HAPROXY),
                   until=lambda: answers_at(self.front), errors=errors):
            wait_until(lambda: haproxy_figures(self.folder)["status"] == "UP", "the check succeeds")
            self.assertEqual(self.load(), [])
            figures = haproxy_figures(self.folder)
        for name in ("econ", "eresp", "wretr", "wredis", "srv_abrt", "hrsp_4xx", "hrsp_5xx",
                     "chkfail", "chkdown"):
            self.assertEqual(int(figures[name]), 0, name)
        self.assertGreaterEqual(int(figures["hrsp_2xx"]), CLIENTS * REQUESTS)
        self.assertLessEqual(int(figures["connect"]), 2 * CLIENTS)
        self.assertGreaterEqual(int(figures["reuse"]), CLIENTS * (REQUESTS - 2))


@need("haproxy")
@support.on_each_backend
class ProxyProtocol(support.BackendTest):
    """haproxy sends the client's address in a PROXY header."""

    def test_v1(self):
        self.check("v1", "send-proxy", "check-send-proxy")

    def test_v2(self):
        self.check("v2", "send-proxy-v2", "check-send-proxy")

    def test_v2_with_more_than_addresses(self):
        self.check("v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id", "check-send-proxy")

    def test_auto(self):
        for send in ("send-proxy", "send-proxy-v2"):
            self.check("auto", send, "check-send-proxy")

    def check(self, protocol, send, check):
        with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as front, \
                self.server(HTTP_OK, "--proxy-protocol", protocol, "--proxy-allow-from", "127.0.0.1",
                            "--access-log", f"{folder}/access", "--access-log-format", "common") as server:
            path = pathlib.Path(folder, "configuration")
            path.write_text(HAPROXY_SENDS.format(folder=folder, port=server.port, send=send,
                                                 check=check, front=front.fileno()))
            with child("haproxy", "-db", "-q", "-f", str(path), pass_fds=[front.fileno()],
                       until=lambda: self.up(folder), errors=f"{folder}/errors"):
                port = front.getsockname()[1]
                client = http.client.HTTPConnection("127.0.0.1", port, timeout=support.LIMIT,
                                                    source_address=(CLIENT, 0))
                for number in range(20):
                    self.assertEqual(ask(client, "GET", f"/client/{number}"), (200, OK))
                client.close()
                other = http.client.HTTPConnection("127.0.0.1", port, timeout=support.LIMIT)
                self.assertEqual(ask(other, "GET", "/other"), (200, OK))
                other.close()
                figures = haproxy_figures(folder)
            lines = self.lines(folder)
        for name in ("econ", "eresp", "wretr", "chkfail", "chkdown", "hrsp_4xx", "hrsp_5xx"):
            self.assertEqual(int(figures[name]), 0, name)
        asked = {number: [line.split()[0] for line in lines if f" /{number} " in line]
                 for number in ("client/0", "client/19", "other")}
        self.assertEqual(asked, {"client/0": [CLIENT], "client/19": [CLIENT], "other": ["127.0.0.1"]})
        checks = {line.split()[0] for line in lines if " /check " in line}
        self.assertEqual(checks, {"127.0.0.1"}, "haproxy's own, which no client asked for")

    def up(self, folder):
        with contextlib.suppress(OSError, StopIteration):
            return haproxy_figures(folder)["check_status"] == "L7OK"
        return False

    def lines(self, folder):
        path = pathlib.Path(folder, "access")
        ends = (" /client/0 ", " /client/19 ", " /other ", " /check ")
        wait_until(lambda: all(end in path.read_text() for end in ends), "the access log is written")
        return path.read_text().splitlines()


if __name__ == "__main__":
    support.main()
