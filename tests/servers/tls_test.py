#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the servers over TLS with curl, openssl, wrk, Python and a browser as clients."""

import contextlib
import os
import pathlib
import select
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
MOST_MEMORY = 25_000  # bytes per idle connection; about 15,000 were measured


def certificate(name):
    """Creates a self-signed certificate for localhost. Returns its path and the path of its key."""
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
        """The server echoes a large message in full duplex, and answers a close_notify."""
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
            connection.unwrap()  # fails if the server sends no close_notify

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

    @unittest.skipUnless(os.getuid() == 0, "only root can start workers as another user")
    def test_a_failed_reload_to_tls_can_be_taken_back(self):
        """TLS never ran, so a reload without it is no reload that switches it off."""
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            closed = pathlib.Path(folder, "closed")
            closed.mkdir(0o700)
            config = pathlib.Path(folder, "server.conf")
            config.write_text("")
            with self.server(HTTP_OK, "-c", str(config), "-u", "nobody") as server:
                config.write_text(f"tls-cert = {CERT}\ntls-key = {KEY}\naccess-log = {closed}/log\n")
                server.signal(signal.SIGHUP)
                wait_until(lambda: "going on with the old configuration" in server.log(), "a failure")
                before = server.workers()
                config.write_text("")
                server.signal(signal.SIGHUP)
                wait_until(lambda: not set(before) & set(server.workers()), "new workers")
                self.assertNotIn("refused", server.log())
                with server.connect() as connection:
                    self.assertTrue(support.is_ok(connection))

    def test_switched_off_it_is_refused(self):
        """A reload that removes TLS is refused, so no client is answered in plaintext."""
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder, "server.conf")
            config.write_text(f"tls-cert = {CERT}\ntls-key = {KEY}\n")
            with self.server(HTTP_OK, "--config", str(config)) as server:
                before = server.workers()
                config.write_text("")
                server.signal(signal.SIGHUP)
                wait_until(lambda: "reload refused" in server.log(), "a word about it")
                self.assertIn("--tls-cert and --tls-key are missing", server.log())
                self.assertEqual(server.workers(), before)
                with self.connect(server) as connection:
                    self.assertTrue(support.is_ok(connection))

    def test_without_workers_the_certificate_is_renewed(self):
        cert, key = (os.path.join(FOLDER.name, f"alone.{self.backend}.{end}") for end in ("pem", "key"))
        config = os.path.join(FOLDER.name, f"alone.{self.backend}.conf")

        def install(new_cert, new_key):
            pathlib.Path(cert).write_bytes(pathlib.Path(new_cert).read_bytes())
            pathlib.Path(key).write_bytes(pathlib.Path(new_key).read_bytes())

        for program, word in ((ECHO, support.echoes), (HTTP_OK, support.is_ok)):
            install(CERT, KEY)
            pathlib.Path(config).write_text("max-connections = 100\n")
            with self.tls_server(program, "-w", "0", "--config", config, cert=cert, key=key) as server:
                with self.connect(server) as old:
                    self.assertTrue(word(old))
                    install(OTHER_CERT, KEY)
                    server.signal(signal.SIGHUP)
                    wait_until(lambda: "reload refused" in server.log(), "a word about the wrong key")
                    install(OTHER_CERT, OTHER_KEY)
                    pathlib.Path(config).write_text("log-level = warn\npid = new.pid\n")
                    server.signal(signal.SIGHUP)
                    wait_until(lambda: "wait for a restart" in server.log(), "a word about the rest")
                    self.assertIn("changes of max-connections, pid wait for a restart", server.log())
                    with self.connect(server, client_context(OTHER_CERT)) as new:
                        self.assertEqual(subject(new), "second")
                        self.assertTrue(word(new))
                    self.assertTrue(word(old), "it goes on")
                self.assertEqual(server.pid, server.process.pid)
                server.signal(signal.SIGTERM)
                self.assertEqual(server.wait(), 0)


@unittest.skipUnless(BUILT, "built without TLS")
@on_each_backend
class Handshakes(TlsTest):
    """Bounds the work that a client can cause before it sends a request."""

    @need("openssl")
    def test_expensive_groups_are_refused(self):
        def agrees(server, group):
            done = subprocess.run(
                ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-groups", group],
                input=b"", capture_output=True, timeout=LIMIT, check=False)
            return b"Cipher is TLS_" in done.stdout

        with self.tls_server(HTTP_OK, "-w", "0") as server:
            for group in ("X25519", "P-256", "P-384"):
                self.assertTrue(agrees(server, group), group)
            for group in ("P-521", "X448", "ffdhe2048", "ffdhe8192"):
                self.assertFalse(agrees(server, group), group)
        with self.tls_server(HTTP_OK, "-w", "0", "--tls-groups", "P-521:X25519") as server:
            self.assertTrue(agrees(server, "P-521"))
            self.assertFalse(agrees(server, "P-256"))

    def test_why_they_fail_is_in_the_log(self):
        with self.tls_server(HTTP_OK, "-w", "0", "--log-level", "debug") as server:
            with server.connect() as plain:
                port = plain.getsockname()[1]
                plain.sendall(support.GET)
                support.read_all(plain)
                wait_until(lambda: f"handshake with 127.0.0.1:{port} failed: TLS: http request" in server.log(),
                           "the peer and the reason")

    def test_a_burst_of_them_keeps_nobody_waiting(self):
        """A client waits much less than the whole burst takes: the burst fills several turns."""
        context = client_context(CERT)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        with contextlib.suppress(ssl.SSLWantReadError):
            context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
        hello = outgoing.read()
        with self.tls_server(HTTP_OK, "-w", "1", "--backlog", "4096") as server, self.connect(server) as busy, \
                contextlib.ExitStack() as stack:
            self.assertTrue(support.is_ok(busy))
            [worker] = server.workers()
            os.kill(worker, signal.SIGSTOP)
            clients = []
            for _ in range(300):
                clients.append(stack.enter_context(server.connect()))
                clients[-1].sendall(hello)
            os.kill(worker, signal.SIGCONT)
            waits, answered = [], 0
            watch = stack.enter_context(support.Stopwatch())
            while answered < len(clients) and watch.seconds < LIMIT:
                before = watch.seconds
                self.assertTrue(support.is_ok(busy))
                waits.append(watch.seconds - before)
                answered = sum(bool(select.select([c], [], [], 0)[0]) for c in clients[answered:]) + answered
            whole = watch.seconds
            self.assertEqual(answered, len(clients))
            print(f"longest wait {max(waits) * 1000:.1f} ms of {whole * 1000:.0f}", file=sys.stderr)
            self.assertLess(sorted(waits)[-2], whole / 4)


CA_CONFIG = """
[ca]
default_ca = this
[this]
database = {0}/index
new_certs_dir = {0}
rand_serial = yes
default_md = sha256
policy = any
[any]
commonName = supplied
"""


def expired_certificate():
    """Like certificate(), but valid on one day of 2020. `openssl req` can't set a past date."""
    with tempfile.TemporaryDirectory() as folder:
        path = {name: os.path.join(folder, name) for name in ("config", "index", "request")}
        cert, key = (os.path.join(FOLDER.name, "old" + end) for end in (".pem", ".key"))
        pathlib.Path(path["config"]).write_text(CA_CONFIG.format(folder))
        pathlib.Path(path["index"]).touch()
        for command in (
                ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
                 "-out", path["request"], "-subj", "/CN=old"],
                ["ca", "-config", path["config"], "-batch", "-selfsign", "-notext", "-keyfile", key, "-in",
                 path["request"], "-out", cert, "-startdate", "20200101000000Z", "-enddate", "20200102000000Z"]):
            subprocess.run(["openssl", *command], check=True, capture_output=True)
    return cert, key


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
        self.assertEqual(self.complaint("--tls-groups", "X25519:P-257"),
                         "--tls-groups 'X25519:P-257': OpenSSL knows no group 'P-257'; "
                         "give names with colons between them, like X25519:P-256:P-384\n")
        self.assertIn("not a list of different groups", self.complaint("--tls-groups", "P-256:P-256"))
        self.assertEqual(support.run(ECHO, "-t", "--tls-cert", CERT, "--tls-key", KEY),
                         (0, "configuration ok\n", ""))

    def test_an_expired_one_is_served_and_reported(self):
        """The server reports it at start, in --check-config and at a reload."""
        old, old_key = expired_certificate()
        code, out, err = support.run(HTTP_OK, "-t", "--tls-cert", old, "--tls-key", old_key)
        self.assertEqual((code, out), (0, "configuration ok\n"))
        self.assertRegex(err, rf"--tls-cert '{old}': expired at 2020-01-02 00:00:00 UTC, and clients refuse it; renew it")
        cert, key = os.path.join(FOLDER.name, "renewed.pem"), os.path.join(FOLDER.name, "renewed.key")

        def install(new_cert, new_key):
            pathlib.Path(cert).write_bytes(pathlib.Path(new_cert).read_bytes())
            pathlib.Path(key).write_bytes(pathlib.Path(new_key).read_bytes())

        install(old, old_key)
        with support.Server(HTTP_OK, "-w", "1", "--tls-cert", cert, "--tls-key", key) as server:
            server.ready()
            self.assertEqual(server.log().count(": expired at "), 1)
            before = server.workers()
            install(CERT, KEY)
            server.signal(signal.SIGHUP)
            wait_until(lambda: server.workers() and not set(before) & set(server.workers()), "a new worker")
            self.assertEqual(server.log().count(": expired at "), 1)
            install(old, old_key)
            server.signal(signal.SIGHUP)
            wait_until(lambda: server.log().count(": expired at ") == 2, "a word at the reload")

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
            print(f"an idle connection: {each:.0f} bytes", file=sys.stderr)
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
