#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the programs and commands in the documentation. Each program must be the same as the example
in the tree."""
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(os.environ["SOURCE"])
EXAMPLES = Path(os.environ["REACTOR_EXAMPLES"])
SERVERS = EXAMPLES.parent / "servers"
BLOCK = re.compile(r"<!-- (.+?) -->\n```(\w+)\n(.*?)```", re.S)


def blocks():
    for page in [SOURCE / "README.md", *sorted((SOURCE / "docs").glob("*.md"))]:
        yield from ((page.name, *match) for match in BLOCK.findall(page.read_text()))


class Program:
    """A running program. Its standard output is read by lines. It is killed when the block ends."""

    def __init__(self, command, **options):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def address(self):
        line = self.process.stdout.readline()
        match = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", line)
        assert match, f"no address in {line!r}"
        return "127.0.0.1", int(match.group(1))

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def exchange(address, request):
    with socket.create_connection(address, 10) as connection:
        connection.settimeout(10)
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


class Documentation(unittest.TestCase):
    def test_every_block_is_one_that_a_test_knows(self):
        for page in [SOURCE / "README.md", *sorted((SOURCE / "docs").glob("*.md"))]:
            fences = len(re.findall(r"^```\w+$", page.read_text(), re.M))
            known = sum(1 for name, *_ in blocks() if name == page.name)
            self.assertEqual(fences, known, f"{page.name}: a code block without a test's mark above it")

    def test_programs_are_the_examples(self):
        shown = [(page, kind, text) for page, kind, language, text in blocks() if language == "cpp"]
        self.assertEqual(len(shown), len(list((SOURCE / "examples").rglob("*.cc"))))
        for page, kind, text in shown:
            example = (SOURCE / kind.removeprefix("file: ")).read_text().split("\n", 1)[1]
            self.assertEqual(text, example, kind)
            if page == "README.md":
                self.assertLessEqual(len([line for line in text.splitlines() if line.strip()]), 36, kind)

    def test_commands_run(self):
        ran = 0
        for _, kind, language, text in blocks():
            if language != "sh" or not kind.startswith("run: "):
                continue
            for line in text.splitlines():
                command = shlex.split(line)
                command[0] = str(SERVERS / command[0])
                self.run_command(kind.removeprefix("run: "), command)
                ran += 1
        self.assertEqual(ran, 4)

    def run_command(self, kind, command):
        if kind == "once":
            done = subprocess.run(command, capture_output=True, text=True, timeout=20)
            self.assertEqual((done.returncode, done.stderr), (0, ""), command)
            self.assertTrue(done.stdout, command)
            return
        with Program(command) as program:
            address = program.address()
            while program.process.stdout.readline() != "ready\n":
                self.assertIsNone(program.process.poll(), command)
            request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
            answer = exchange(address, request)
            self.assertIn(b"hello" if "hello" in command else request, answer)
            self.assertEqual(program.end(), 0)

    def test_dev_has_the_two_commands(self):
        help_text = subprocess.run([SOURCE / "dev", "help"], capture_output=True, text=True, timeout=20).stdout
        for word in ("serve", "test"):
            self.assertRegex(help_text, rf"(?m)^  {word} ")


class Examples(unittest.TestCase):
    def test_embed_counts_lines(self):
        done = subprocess.run([EXAMPLES / "example_embed"], input="a\nb\nc\n", capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 0)
        self.assertTrue(done.stdout.endswith("3 lines\n"), done.stdout)

    def test_later_answers_counts_and_tells_the_time(self):
        with Program([EXAMPLES / "example_http_later"]) as program:
            address = program.address()
            start = b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            self.assertTrue(exchange(address, b"GET /slow" + start + b"\r\n").endswith(b"\r\n\r\nat last\n"))
            upload = b"POST /count" + start + b"Content-Length: 3000000\r\n\r\n" + bytes(3000000)
            self.assertTrue(exchange(address, upload).endswith(b"\r\n\r\n3000000\n"))
            with socket.create_connection(address, 10) as connection:
                connection.settimeout(10)
                connection.sendall(b"GET /events" + start + b"\r\n")
                events = b""
                while not re.search(rb"\r\ndata: \d+\n\n\r\n", events):
                    chunk = connection.recv(65536)
                    self.assertTrue(chunk, events)
                    events += chunk
            self.assertEqual(program.end(), 0)

    def test_coroutines_echo_until_they_are_interrupted(self):
        with Program([EXAMPLES / "example_coro_echo"]) as program:
            address = program.address()
            for size in (1, 1000, 200000):
                self.assertEqual(exchange(address, b"x" * size), b"x" * size)
            program.process.send_signal(signal.SIGINT)
            self.assertEqual(program.process.wait(20), 0)

    def test_connect_takes_who_answers(self):
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))  # bound, but not listening
            there, not_there = (f"127.0.0.1:{one.getsockname()[1]}" for one in (server, nobody))
            done = subprocess.run([EXAMPLES / "example_connect", not_there, there], capture_output=True, text=True, timeout=20)
            self.assertEqual(done.stdout, f"connected to {there}\n{not_there}: Connection refused\n")
            self.assertEqual(done.returncode, 0)
            done = subprocess.run([EXAMPLES / "example_connect", not_there], capture_output=True, text=True, timeout=20)
            self.assertEqual((done.returncode, done.stdout.count("Connection refused")), (1, 2))

    def test_datagrams_echo(self):
        with Program([EXAMPLES / "example_udp_echo"]) as program, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            line = program.process.stdout.readline()
            port = int(re.fullmatch(r"listening on udp:127\.0\.0\.1:(\d+)\n", line).group(1))
            client.settimeout(20)
            client.connect(("127.0.0.1", port))
            client.send(b"hello")
            self.assertEqual(client.recv(100), b"hello")
            self.assertEqual(program.end(), 0)

    def test_process_shows_what_another_program_writes(self):
        script = "read line; echo $line; echo bad >&2; exit 3"
        done = subprocess.run([EXAMPLES / "example_process", "sh", "-c", script], input="hello\n", capture_output=True,
                              text=True, timeout=20)
        self.assertEqual(sorted(done.stdout.splitlines()), ["err: bad", "out: hello"])
        self.assertEqual(done.returncode, 3)

    def credentials(self, folder, name="localhost"):
        if not (EXAMPLES / "example_tls_echo").exists() or not shutil.which("openssl"):
            self.skipTest("no TLS here")
        key, certificate = f"{folder}/key.pem", f"{folder}/certificate.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-subj", f"/CN={name}", "-keyout", key, "-out", certificate],
                       check=True, capture_output=True, timeout=60)
        return certificate, key

    def test_tls_coroutines_greet(self):
        with tempfile.TemporaryDirectory() as folder:
            command = [EXAMPLES / "example_tls_coro", *self.credentials(folder)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=20)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "hello, client\n", ""))

    def test_tls_coroutines_tell_a_wrong_name(self):
        with tempfile.TemporaryDirectory() as folder:
            command = [EXAMPLES / "example_tls_coro", *self.credentials(folder, "somebody.else")]
            done = subprocess.run(command, capture_output=True, text=True, timeout=20)
            self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1), done.stderr)
            self.assertIn("example_tls_coro: ", done.stderr)

    def test_tls_echo(self):
        program = EXAMPLES / "example_tls_echo"
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = self.credentials(folder)
            with Program([program, certificate, key]) as server:
                context = ssl.create_default_context(cafile=certificate)
                context.check_hostname = False
                with socket.create_connection(server.address(), 20) as plain, context.wrap_socket(plain) as connection:
                    connection.sendall(b"hello")
                    self.assertEqual(connection.recv(100), b"hello")
                self.assertEqual(server.process.stdout.readline(), "TLSv1.3\n")

    def test_echo_echoes_from_two_workers(self):
        with Program([EXAMPLES / "example_echo"]) as program:
            address = program.address()
            for size in (1, 1000, 200000):
                self.assertEqual(exchange(address, b"x" * size), b"x" * size)
            self.assertEqual(program.end(), 0)

    def test_counter_goes_on_over_a_reload_and_an_upgrade(self):
        with Program([EXAMPLES / "example_counter"], start_new_session=True) as program:
            with socket.create_connection(program.address(), 10) as connection:
                connection.settimeout(10)
                lines = connection.makefile("rw")

                def next_number():
                    lines.write("x\n")
                    lines.flush()
                    return int(lines.readline())

                self.assertEqual([next_number(), next_number()], [1, 2])
                for number, said in ((signal.SIGHUP, 2), (signal.SIGUSR2, 2)):
                    program.process.send_signal(number)
                    ends = 0
                    while ends < said:  # then the connection has moved to a new worker
                        ends += " exited with 0" in program.process.stderr.readline()
                    before = next_number()
                    self.assertEqual(next_number(), before + 1)
                self.assertEqual(next_number(), 7)
            self.assertEqual(program.process.wait(20), 0)  # the old master's end
            os.killpg(program.process.pid, signal.SIGTERM)

    def test_http_answers(self):
        with Program([EXAMPLES / "example_http"]) as program:
            address = program.address()
            answer = exchange(address, b"GET /time HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertIn(b"HTTP/1.1 200 OK", answer)
            self.assertIn(b"HTTP/1.1 404 Not Found", answer)
            self.assertTrue(answer.endswith(b"1 such requests\n"), answer)
            self.assertEqual(program.end(), 0)


if __name__ == "__main__":
    unittest.main()
