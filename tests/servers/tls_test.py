#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The servers over TLS, with the clients of others: curl, openssl, wrk, Python, a browser."""

import contextlib
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import support  # noqa: E402
from support import ECHO, HTTP_OK, LIMIT, BackendTest, need, on_each_backend, wait_until  # noqa: E402

FOLDER = tempfile.TemporaryDirectory()
BUILT = HTTP_OK and "--tls-cert" in support.run(HTTP_OK, "--help")[1]
MOST_MEMORY = 25_000  # octets of an idle connection; some 15,000 were measured


def certificate(name):
    """A certificate for localhost that vouches for itself, and its key."""
    cert, key = (os.path.join(FOLDER.name, name + end) for end in (".pem", ".key"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", key, "-out", cert, "-days", "2", "-subj", f"/CN={name}",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    return cert, key


def client_context(cert):
    return ssl.create_default_context(cafile=cert)


def ensure_certificates():
    global CERT, KEY, OTHER_CERT, OTHER_KEY
    CERT, KEY = certificate("first")
    OTHER_CERT, OTHER_KEY = certificate("second")


def subject(connection):
    return dict(pair[0] for pair in connection.getpeercert()["subject"])["commonName"]


class TlsTest(BackendTest):
    @contextlib.contextmanager
    def tls_server(self, program, *options, cert=None, key=None, **more):
        with self.server(program, "--tls-cert", cert or CERT, "--tls-key", key or KEY, *options, **more) as server:
            yield server

    def connect(self, server, context=None, session=None):
        return (context or client_context(CERT)).wrap_socket(
            server.connect(), server_hostname="localhost", session=session)


@unittest.skipUnless(BUILT, "built without TLS")
@on_each_backend
class Clients(TlsTest):
    @need("curl")
    def test_curl(self):
        with self.tls_server(HTTP_OK) as server:
            url = f"https://localhost:{server.port}/"
            for version in ("--tlsv1.2", "--tlsv1.3"):
                done = support.run("curl", "-sS", version, "--tls-max", version[-3:], "--cacert", CERT, url,
                                   url, "-w", "%{http_version} %{num_connects}\n")
                self.assertEqual(done, (0, "OK\n1.1 1\nOK\n1.1 0\n", ""))
            code, _, err = support.run("curl", "-sS", "--cacert", OTHER_CERT, url)
            self.assertEqual(code, 60, err)
            code, out, _ = support.run("curl", "-sS", url.replace("https", "http"))
            self.assertNotEqual((code, out), (0, "OK\n"))
            self.assertEqual(support.run("curl", "-sS", "--cacert", CERT, url)[:2], (0, "OK\n"))

    @need("openssl")
    def test_openssl(self):
        with self.tls_server(ECHO) as server:
            for version in ("-tls1_2", "-tls1_3"):
                done = subprocess.run(
                    ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-CAfile", CERT, "-quiet",
                     "-verify_return_error", "-no_ign_eof", version],
                    input=b"hello\n", capture_output=True, timeout=LIMIT, check=False)
                self.assertEqual(done.returncode, 0, done.stderr)
            done = subprocess.run(
                ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_1", "-cipher",
                 "ALL:@SECLEVEL=0"], input=b"", capture_output=True, timeout=LIMIT, check=False)
            self.assertNotEqual(done.returncode, 0, "an old version")

    @need("wrk")
    def test_wrk(self):
        with self.tls_server(HTTP_OK) as server:
            code, out, err = support.run("wrk", "-c", "8", "-t", "1", "-d", "1",
                                         f"https://127.0.0.1:{server.port}/")
            self.assertEqual(code, 0, err)
            self.assertNotIn("Socket errors", out)
            self.assertNotIn("Non-2xx", out)

    def test_echo_in_full_and_half_close(self):
        """What Python sends comes back; after its end too."""
        data = os.urandom(1 << 20)
        with self.tls_server(ECHO) as server, self.connect(server) as connection:
            self.assertTrue(support.echoes(connection))
            connection.setblocking(False)
            sent, got = 0, b""
            while len(got) < len(data):
                with contextlib.suppress(ssl.SSLWantWriteError, ssl.SSLWantReadError):
                    if sent < len(data):
                        sent += connection.send(data[sent:sent + 65536])
                with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    got += connection.recv(1 << 16)
            self.assertEqual(got, data)
            connection.settimeout(LIMIT)
            connection.unwrap()  # close_notify both ways, or it fails

    def test_sessions_go_on_at_any_worker(self):
        context = client_context(CERT)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        for model in ("prefork", "fork"):
            with self.tls_server(HTTP_OK, "-w", "3", "--model", model) as server:
                with self.connect(server, context) as first:
                    self.assertTrue(support.is_ok(first))
                    session = first.session
                for _ in range(6):
                    with self.connect(server, context, session) as next_one:
                        self.assertTrue(next_one.session_reused)
                        self.assertTrue(support.is_ok(next_one))

    def test_a_proxys_header_comes_first(self):
        with self.tls_server(HTTP_OK, "--proxy-protocol", "v1", "--proxy-allow-from", "127.0.0.1") as server:
            plain = server.connect()
            plain.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n")
            with client_context(CERT).wrap_socket(plain, server_hostname="localhost") as connection:
                self.assertTrue(support.is_ok(connection))

    def test_garbage_ends_its_connection_only(self):
        with self.tls_server(HTTP_OK) as server, self.connect(server) as good:
            for garbage in (support.GET, os.urandom(4096), b"\x16\x03\x01\xff\xff" + b"x" * 70000):
                with server.connect() as bad, contextlib.suppress(ConnectionError):
                    bad.sendall(garbage)
                    self.assertNotIn(b"HTTP", support.read_all(bad))
            self.assertTrue(support.is_ok(good))
            self.assertEqual(len(server.workers()), 2)

    def test_drain_ends_politely(self):
        for program, word in ((ECHO, lambda c: support.echoes(c)), (HTTP_OK, support.is_ok)):
            with self.tls_server(program) as server, self.connect(server) as connection:
                self.assertTrue(word(connection))
                server.signal(signal.SIGTERM)
                self.assertEqual(connection.recv(1), b"", "close_notify, else it is an SSLEOFError")
                connection.close()
                self.assertEqual(server.wait(), 0)


@unittest.skipUnless(BUILT, "built without TLS")
@on_each_backend
class Reload(TlsTest):
    def test_a_renewed_certificate(self):
        cert, key = (os.path.join(FOLDER.name, f"{self.backend}.{end}") for end in ("pem", "key"))

        def install(new_cert, new_key):
            pathlib.Path(cert).write_bytes(pathlib.Path(new_cert).read_bytes())
            pathlib.Path(key).write_bytes(pathlib.Path(new_key).read_bytes())

        install(CERT, KEY)
        with self.tls_server(HTTP_OK, cert=cert, key=key) as server:
            with self.connect(server) as old:
                self.assertEqual(subject(old), "first")
                self.assertTrue(support.is_ok(old))
                before = server.workers()
                install(OTHER_CERT, KEY)
                server.signal(signal.SIGHUP)
                wait_until(lambda: "reload refused" in server.log(), "a word about the wrong key")
                self.assertIn("--tls-key", server.log())
                self.assertIn("does not belong to the certificate", server.log())
                self.assertEqual(server.workers(), before)
                self.assertTrue(support.is_ok(old))
                install(OTHER_CERT, OTHER_KEY)
                server.signal(signal.SIGHUP)
                self.assertEqual(old.recv(1), b"", "asked politely to end")
            wait_until(lambda: not set(before) & set(server.workers()), "new workers")
            with self.connect(server, client_context(OTHER_CERT)) as new:
                self.assertEqual(subject(new), "second")
                self.assertTrue(support.is_ok(new))


@unittest.skipUnless(BUILT, "built without TLS")
class Files(unittest.TestCase):
    def complaint(self, *options, program=HTTP_OK):
        code, out, err = support.run(program, "--bind", "127.0.0.1:0", *options)
        self.assertEqual((code, out, err.count("\n")), (2, "", 1), err)
        self.assertEqual(support.run(program, "-t", *options), (code, out, err))
        return err.split(": ", 1)[1]

    def test_wrong_ones(self):
        text = os.path.join(FOLDER.name, "text")
        pathlib.Path(text).write_text("text")
        sealed = os.path.join(FOLDER.name, "sealed")
        subprocess.run(["openssl", "pkey", "-in", KEY, "-out", sealed, "-aes256", "-passout", "pass:secret"], check=True)
        for program in (ECHO, HTTP_OK):
            self.assertEqual(self.complaint("--tls-cert", CERT, program=program),
                             f"--tls-cert '{CERT}': no key is given; name it by --tls-key FILE\n")
        self.assertEqual(self.complaint("--tls-key", KEY),
                         f"--tls-key '{KEY}': no certificate is given; name it by --tls-cert FILE\n")
        self.assertIn("--tls-cert '/no/file': No such file or directory; ",
                      self.complaint("--tls-cert", "/no/file", "--tls-key", KEY))
        self.assertIn(f"--tls-cert '{text}': no certificate in PEM form; ",
                      self.complaint("--tls-cert", text, "--tls-key", KEY))
        self.assertIn(f"--tls-key '{text}': no private key in PEM form; ",
                      self.complaint("--tls-cert", CERT, "--tls-key", text))
        self.assertIn(f"--tls-key '{sealed}': the private key is encrypted; decrypt it",
                      self.complaint("--tls-cert", CERT, "--tls-key", sealed))
        self.assertIn(f"--tls-key '{OTHER_KEY}': the private key does not belong to the certificate; ",
                      self.complaint("--tls-cert", CERT, "--tls-key", OTHER_KEY))
        self.assertEqual(support.run(ECHO, "-t", "--tls-cert", CERT, "--tls-key", KEY),
                         (0, "configuration ok\n", ""))

    @unittest.skipUnless(os.getuid() == 0, "only root can give its rights up")
    def test_the_key_is_roots(self):
        os.chmod(KEY, 0o600)
        with support.for_everybody(HTTP_OK) as (program, _):
            with support.Server(program, "-w", "1", "--user", "nobody", "--tls-cert", CERT, "--tls-key", KEY) as server:
                server.ready()
                with client_context(CERT).wrap_socket(server.connect(), server_hostname="localhost") as connection:
                    self.assertTrue(support.is_ok(connection))


@unittest.skipUnless(BUILT, "built without TLS")
class Memory(unittest.TestCase):
    def test_of_idle_connections(self):
        count = 100
        with support.Server(ECHO, "-w", "1", "--tls-cert", CERT, "--tls-key", KEY) as server:
            server.ready()
            [worker] = server.workers()
            if support.has_shadow_memory(worker):
                self.skipTest("a sanitizer's memory")
            context = client_context(CERT)
            with contextlib.ExitStack() as stack:
                def open_some(number):
                    for _ in range(number):
                        connection = context.wrap_socket(server.connect(), server_hostname="localhost")
                        stack.enter_context(connection)
                        self.assertTrue(support.echoes(connection, b"x" * 16384))
                open_some(20)
                before = support.resident(worker)
                open_some(count)
                each = (support.resident(worker) - before) / count
            print(f"an idle connection: {each:.0f} octets", file=sys.stderr)
            self.assertLess(each, MOST_MEMORY)


@unittest.skipUnless(BUILT, "built without TLS")
class Browser(unittest.TestCase):
    @need("chromium")
    def test_chromium(self):
        with support.Server(HTTP_OK, "-w", "1", "--tls-cert", CERT, "--tls-key", KEY, "--body",
                            "<p>read over TLS</p>", "--content-type", "text/html") as server:
            server.ready()
            with tempfile.TemporaryDirectory() as profile:
                done = subprocess.run(
                    ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--ignore-certificate-errors",
                     f"--user-data-dir={profile}", "--dump-dom", f"https://localhost:{server.port}/"],
                    stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
            self.assertIn(b"read over TLS", done.stdout, done.stderr)


if __name__ == "__main__":
    if BUILT:
        ensure_certificates()
    support.main()
