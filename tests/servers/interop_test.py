#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs reactor-http-ok with HTTP clients of other projects, on every backend.

clients_test.py has the plain calls of curl, wrk and h2load. See also proxies_test.py.
"""

import contextlib
import http.client
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import support  # noqa: E402
from support import HTTP_OK, Server, ask, need, pieces  # noqa: E402

OK = b"OK\n"

# Counts each answer that is not 200 with the expected body. wrk prints the output of done().
WRK = """
local thread_list = {}
function setup(thread) table.insert(thread_list, thread) end
function init()
  bad = 0
  good = 0
  batch = wrk.format("GET") .. wrk.format("POST", "/2", nil, string.rep("x", 5000)) ..
      wrk.format("OPTIONS", "*")
end
function request() return batch end
function response(status, headers, body)
  if status == 200 and headers["Content-Length"] == "3" and body == "OK\\n" then
    good = good + 1
  else
    bad = bad + 1
  end
end
function done()
  local bad, good = 0, 0
  for _, t in ipairs(thread_list) do bad = bad + t:get("bad"); good = good + t:get("good") end
  io.write(string.format("good %d bad %d\\n", good, bad))
end
"""

NODE = """
const base = process.argv[1];
const body = 'x'.repeat(100000);
async function check(path, options) {
  const answer = await fetch(base + path, options);
  const text = await answer.text();
  const wanted = options?.method === 'HEAD' ? '' : 'OK\\n';
  if (answer.status !== 200 || text !== wanted || answer.headers.get('content-length') !== '3' ||
      answer.headers.get('content-type') !== 'text/plain' || !answer.headers.get('date')) {
    throw new Error(`${path}: ${answer.status} ${JSON.stringify(text)}`);
  }
}
function stream() {
  let left = 20;
  return new ReadableStream({ pull(c) {
    if (left-- === 0) c.close(); else c.enqueue(new TextEncoder().encode('y'.repeat(left * 100)));
  } });
}
for (let i = 0; i < 50; ++i) await check('/one-by-one/' + i);
for (const method of ['HEAD', 'OPTIONS', 'DELETE', 'PATCH', 'PROPFIND']) await check('/', { method });
await Promise.all(Array.from({ length: 200 }, (_, i) => check('/at-once/' + i)));
await Promise.all(Array.from({ length: 50 }, () => check('/', { method: 'POST', body })));
await Promise.all(Array.from({ length: 50 }, () =>
  check('/', { method: 'PUT', body: stream(), duplex: 'half' })));
console.log('all well');
process.exit(0);
"""

# The server answers each path with this page, so the script checks the length of each answer.
PAGE = """<!DOCTYPE html><title>t</title><p>OK</p><script>
const said = [];
for (const [method, size] of [['GET', 0], ['POST', 100000], ['PUT', 1], ['DELETE', 0]]) {
  const call = new XMLHttpRequest();
  call.open(method, '/by-script', false);
  call.send(size ? 'x'.repeat(size) : null);
  said.push(method + call.status + (call.responseText.length + 0 ==
      +call.getResponseHeader('content-length')));
}
document.querySelector('p').textContent = said.join(' ');
</script>"""


def command(*arguments, limit=support.LIMIT, **options):
    """Runs a program until it ends, then kills its children. Returns exit code, output, errors."""
    with subprocess.Popen(arguments, stdin=options.pop("stdin", subprocess.DEVNULL),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                          env=without_proxies(), **options) as process:
        try:
            output, errors = process.communicate(timeout=limit)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, output.decode(), errors.decode()


def without_proxies():
    return {k: v for k, v in support.clean_environment().items() if not k.lower().endswith("_proxy")}


def figure(text, label):
    """Returns the number after a label at the start of a line, or None if there is no label."""
    for line in text.splitlines():
        if line.startswith(label):
            return int(line[len(label):].split()[0])
    return None


@support.on_each_backend
class Clients(support.BackendTest):
    """One server runs for all clients, so no client may harm the next."""

    @classmethod
    def setUpClass(cls):
        stack = contextlib.ExitStack()
        cls.addClassCleanup(stack.close)
        cls.one = stack.enter_context(Server(HTTP_OK, "-w", "2", "--backend", cls.backend)).ready()
        cls.url = f"http://{cls.one.addresses[0]}/"
        cls.workers = cls.one.workers()

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def tearDown(self):
        self.assertEqual(self.one.workers(), self.workers)

    def file(self, name, content):
        path = pathlib.Path(self.folder, name)
        path.write_text(content)
        return str(path)

    @need("curl")
    def test_curl(self):
        big = self.file("big", "x" * 1_000_000)
        for options in (("-T", big), ("-T", big, "-H", "Transfer-Encoding: chunked"),
                        ("-T", big, "-H", "Expect: 100-continue", "--expect100-timeout", "19"),
                        ("-F", f"a=@{big}"), ("-X", "OPTIONS", "--request-target", "*"),
                        ("--request-target", self.url), ("-X", "BREW"), ("--http1.0", "-T", big),
                        ("-H", "Connection: close"), ("--tcp-nodelay", "-G", "-d", "q=" + "x" * 5000)):
            with self.subTest(options=options):
                done = command("curl", "-sS", "-f", *options, "-w", "%{http_code}", self.url)
                self.assertEqual(done, (0, "OK\n200", ""))

    @need("curl")
    def test_curl_in_parallel(self):
        done = command("curl", "-sS", "-f", "-Z", "--no-progress-meter", "--parallel-max", "20",
                       f"{self.url}[1-300]")
        self.assertEqual(done, (0, "OK\n" * 300, ""))

    @need("curl")
    def test_curl_gets_a_refusal_while_it_still_sends(self):
        # Without Expect, the answer comes while the client still sends a body that is never read.
        big = self.file("big", "x" * 3_000_000)
        done = command("curl", "-sS", "-H", "Expect:", "-H", "Content-Length: 99999999999",
                       "-T", big, "-w", "%{http_code}", self.url)
        self.assertEqual(done[1][-3:], "413", done)

    @need("wrk")
    def test_wrk_with_bodies_and_pipelining(self):
        script = self.file("script.lua", WRK)
        done, text, errors = command("wrk", "-t2", "-c20", "-d1", "-s", script, self.url)
        self.assertEqual(done, 0, text + errors)
        self.assertNotIn("Socket errors", text)
        self.assertNotIn("Non-2xx", text)
        good, bad = text.splitlines()[-1].split()[1::2]
        self.assertEqual(bad, "0", text)
        self.assertGreater(int(good), 100)

    @need("h2load")
    def test_h2load_with_bodies(self):
        data = self.file("data", "x" * 5000)
        for options in (("-m8",), ("-m1", "-d", data)):
            with self.subTest(options=options):
                _, text, errors = command("h2load", "--h1", "-n2000", "-c10", *options, self.url)
                self.assertIn("2000 succeeded, 0 failed, 0 errored, 0 timeout", text, errors)
                self.assertIn("status codes: 2000 2xx, 0 3xx, 0 4xx, 0 5xx", text)
                self.assertIn(f" ({2000 * len(OK)}) data", text)

    @need("ab")
    def test_ab(self):
        data = self.file("data", "x" * 5000)
        for options, kept in (((), 0), (("-k",), 1000), (("-k", "-p", data), 1000), (("-i",), 0)):
            with self.subTest(options=options):
                done, text, errors = command("ab", "-q", "-n1000", "-c10", *options, self.url)
                self.assertEqual(done, 0, errors)
                self.assertEqual(figure(text, "Complete requests:"), 1000, text)
                self.assertEqual(figure(text, "Failed requests:"), 0, text)
                self.assertEqual(figure(text, "Keep-Alive requests:") or 0, kept, text)
                self.assertIsNone(figure(text, "Non-2xx responses:"), text)
                self.assertIsNone(figure(text, "Write errors:"), text)
                wanted = 0 if options == ("-i",) else 1000 * len(OK)
                self.assertEqual(figure(text, "HTML transferred:"), wanted, text)

    def test_python_http_client(self):
        host, _, port = self.one.addresses[0].rpartition(":")
        client = http.client.HTTPConnection(host, int(port), timeout=support.LIMIT)
        client.connect()
        first = client.sock
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"):
            for size in (0, 1, 70_000, 1_000_000):
                for chunked in (False, True):
                    body = pieces(b"x" * size, 60_000) if chunked else b"x" * size
                    self.assertEqual(ask(client, method, f"/{size}", body, chunked), (200, OK))
        self.assertEqual(ask(client, "HEAD", "/"), (200, b""))
        client.request("GET", "/")
        answer = client.getresponse()
        self.assertEqual((answer.version, answer.reason, answer.will_close), (11, "OK", False))
        self.assertEqual(answer.read(), OK)
        self.assertIs(client.sock, first)  # all requests used one connection
        client.close()

    @need("node")
    def test_node_fetch(self):
        script = self.file("client.mjs", NODE.replace("process.argv[1]", "process.argv[2]"))
        done = command("node", script, self.url.rstrip("/"))
        self.assertEqual(done, (0, "all well\n", ""))


@support.on_each_backend
class Browser(support.BackendTest):
    def dump(self, *options):
        """Returns the DOM that Chromium builds from the page of a server."""
        with self.server(HTTP_OK, *options) as server, tempfile.TemporaryDirectory(
                ignore_cleanup_errors=True) as folder:
            done, text, errors = command(
                "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
                "--no-first-run", "--disable-background-networking", "--disable-component-update",
                "--disable-sync", "--disable-dev-shm-usage", "--no-proxy-server",
                f"--user-data-dir={folder}", "--dump-dom", f"http://{server.addresses[0]}/", limit=40)
            self.assertEqual(done, 0, errors)
            return text

    @need("chromium")
    def test_chromium_shows_ok(self):
        self.assertRegex(self.dump(), r"<body><pre[^>]*>OK\n</pre></body>")

    @need("chromium")
    def test_requests_of_a_page_s_script(self):
        text = self.dump("--content-type", "text/html", "--body", PAGE)
        self.assertIn("<p>GET200true POST200true PUT200true DELETE200true</p>", text)


if __name__ == "__main__":
    support.main()
