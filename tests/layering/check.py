#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the sources against the layers and doors of docs/architecture.md. A door is the only file
that may use a certain header or call.

usage: check.py ROOT            prints each breach as FILE:LINE: RULE; exits 1 if there is one
       check.py --self-test     checks the rules on invented files, good and bad
"""

import pathlib
import re
import sys
import tempfile

# The layers that each layer may include besides itself.
LAYERS = {
    "base": [],
    "poller": ["base"],
    "loop": ["poller", "base"],
    "net": ["loop", "poller", "base"],
    "http": ["net", "loop", "poller", "base"],
    "coro": ["http", "net", "loop", "poller", "base"],
    "prefork": ["net", "loop", "poller", "base"],
    "tls": ["net", "loop", "poller", "base"],
    "dns": ["net", "loop", "poller", "base"],
    "admin": ["http", "prefork", "net", "loop", "poller", "base"],
}

# Headers, and the files that alone may include each.
INCLUDE_DOORS = [
    (r"sys/epoll\.h", r"reactor/poller/epoll_poller\.(cc|h)"),
    (r"sys/event\.h", r"reactor/poller/kqueue_\w+\.(cc|h)"),
    (r"sys/select\.h", r"reactor/poller/select_poller\.(cc|h)"),
    (r"spdlog/.*|fmt/.*", r"reactor/base/log_spdlog\.cc|servers/.*"),
    (r"openssl/.*", r"reactor/tls/.*"),
    (r"coroutine", r"reactor/coro/.*"),
    (r"CLI/.*", r"servers/options\.cc"),
    (r"ares\w*\.h", r"reactor/dns/.*\.cc"),
    (r"(\.\./)*tests/.*", r"tests/.*"),
]

# Calls, and the files that alone may use each.
CALL_DOORS = [
    (r"(?<![\w.>])(::)?epoll_(create1?|ctl|p?wait2?)\s*\(", r"reactor/poller/epoll_poller\.cc"),
    (r"(?<![\w.>])::(kqueue|kevent)\s*\(", r"reactor/poller/kqueue_\w+\.(cc|h)"),
    (r"(?<![\w.>])(::)?p?select\s*\(", r"reactor/poller/select_poller\.cc"),
    (r"(?<![\w.>])(::)?sigaction\s*\(", r"reactor/loop/signals\.cc|reactor/prefork/.*"),
    (r"(?<![\w.>])::(accept4?|recv|send)\s*\(", r"reactor/net/socket\.(cc|h)|reactor/base/write_line\.cc"),
    (r"(?<![\w.>])::(recv|send)mmsg\s*\(", r"reactor/net/datagram_batch\.cc"),
]

# Conditions on the platform, which only some files may contain.
PLATFORM_IF = re.compile(
    r"^\s*#\s*(if|ifdef|ifndef|elif)\b.*(__linux__|__APPLE__|__(Free|Net|Open)BSD__|__DragonFly__|"
    r"__unix__|_WIN32|__has_include\s*\(\s*<sys/)"
)
PLATFORM_FILES = re.compile(
    r"reactor/poller/\w*poller\.cc|reactor/poller/kqueue_\w+\.(cc|h)|reactor/loop/(wakeup|children)\.cc|"
    r"reactor/net/(socket|datagram_(socket|batch)|unix_\w+)\.cc|reactor/prefork/.*|reactor/base/process\.cc"
)

MAX_LINES = 450
LONG_FILES = re.compile(r"reactor/http/parser\.cc")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
# Comments and string literals contain no calls.
NOISE = re.compile(r'//.*|/\*.*?\*/|"(\\.|[^"\\])*"')


def public_headers(root):
    """Returns the installed headers, from each REACTOR_..._HDRS of Makefile.inc."""
    makefile = root / "Makefile.inc"
    if not makefile.exists():
        return None
    text = makefile.read_text().replace("\\\n", " ")
    found = set()
    for name, value in re.findall(r"^REACTOR_(\w+)_HDRS *=(.*)$", text, re.M):
        if not name.endswith("_PRIV"):
            found.update(value.split())
    return found


def included_layer(path):
    match = re.match(r"reactor/(\w+)/", path)
    return match.group(1) if match else None


def check_include(file, included, public):
    """Yields the rules that one #include in `file` breaks."""
    if file.startswith(("tests/", "bench/")):
        return
    for pattern, door in INCLUDE_DOORS:
        if re.fullmatch(pattern, included) and not re.fullmatch(door, file):
            yield f"<{included}> may be included by {door} only"
    if not file.startswith("reactor/"):
        if included.startswith("reactor/") and public is not None and included not in public:
            yield f"{included} is not a public header of Makefile.inc"
        return
    if included.startswith(("servers/", "examples/", "bench/")):
        yield f"reactor/ never includes {included}"
    mine, theirs = included_layer(file), included_layer(included)
    if theirs and mine and theirs != mine and theirs not in LAYERS.get(mine, []):
        yield f"{mine} must not include {theirs} ({included})"
    if included == "reactor/reactor.h":
        yield "the umbrella is for users"


def check_first_include(root, file, lines):
    """Checks that a source includes its own header first. So each header compiles alone."""
    header = re.sub(r"\.cc$", ".h", file)
    if header == file or not (root / header).exists():
        return
    includes = [(number, INCLUDE.match(line)) for number, line in enumerate(lines, 1)]
    number, first = next((entry for entry in includes if entry[1]), (1, None))
    if not first or first.group(1) != header:
        yield number, f"the first include is not {header}"


def check_file(root, path, public):
    file = path.relative_to(root).as_posix()
    lines = path.read_text().splitlines()
    breaches = list(check_first_include(root, file, lines)) if file.startswith("reactor/") else []
    product = file.startswith(("reactor/", "servers/"))
    for number, line in enumerate(lines, 1):
        include = INCLUDE.match(line)
        if include:
            breaches += [(number, rule) for rule in check_include(file, include.group(1), public)]
        if not file.startswith("reactor/"):
            continue
        if PLATFORM_IF.match(line) and not PLATFORM_FILES.fullmatch(file):
            breaches.append((number, "a platform #if has no place in this file"))
        code = NOISE.sub("", line)
        for pattern, door in CALL_DOORS:
            if re.search(pattern, code) and not re.fullmatch(door, file):
                breaches.append((number, f"this call is for {door} only"))
    if product and len(lines) > MAX_LINES and not LONG_FILES.fullmatch(file):
        breaches.append((len(lines), f"longer than {MAX_LINES} lines"))
    if not lines or lines[0] != "// SPDX-License-Identifier: MIT":
        breaches.append((1, "the first line is not the licence"))
    return [f"{file}:{number}: {rule}" for number, rule in breaches]


def check(root):
    public = public_headers(root)
    breaches = []
    for folder in ("reactor", "servers", "examples", "bench", "tests"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".cc", ".h") and path.is_file():
                breaches += check_file(root, path, public)
    return breaches


# Invented files, each with its number of breaches.
SAMPLES = [
    ("reactor/net/a.cc", '#include "reactor/loop/loop.h"\n#include <sys/socket.h>', 0),
    ("reactor/base/a.cc", '#include "reactor/loop/loop.h"', 1),
    ("reactor/http/a.cc", '#include "reactor/prefork/worker.h"', 1),
    ("reactor/prefork/a.cc", '#include "reactor/http/server.h"', 1),
    ("reactor/net/b.cc", '#include "tests/support/guard.h"', 1),
    ("reactor/net/c.cc", '#include "reactor/reactor.h"', 1),
    ("reactor/net/d.cc", '#include "servers/echo.h"', 1),
    ("reactor/loop/a.cc", "#include <sys/epoll.h>", 1),
    ("reactor/poller/epoll_poller.cc", "#include <sys/epoll.h>\nint n = ::epoll_wait(1, e, 2, 3);", 0),
    ("reactor/poller/select_poller.cc", "#if __has_include(<sys/event.h>)\nint n = ::select(1);", 0),
    ("reactor/net/e.cc", "#include <sys/event.h>\n#include <spdlog/spdlog.h>\n#include <coroutine>", 3),
    ("reactor/net/first.h", "int first();", 0),
    ("reactor/net/first.cc", '#include "reactor/net/first.h"\n#include <vector>', 0),
    ("reactor/net/last.h", "int last();", 0),
    ("reactor/net/last.cc", '#include <vector>\n#include "reactor/net/last.h"', 1),
    ("reactor/net/never.h", "int never();", 0),
    ("reactor/net/never.cc", "int never() { return 0; }", 1),
    ("reactor/base/log_spdlog.cc", "#include <spdlog/spdlog.h>", 0),
    ("reactor/net/f.cc", "auto n = ::recv(fd, p, n, 0);\nauto m = ::send(fd, p, n, 0);", 2),
    ("reactor/net/socket.cc", "auto n = ::recv(fd, p, n, 0);\n#ifdef __linux__", 0),
    ("reactor/dns/a.cc", '#include <ares.h>\n#include "reactor/net/address.h"', 0),
    ("reactor/net/k.cc", '#include <ares.h>\n#include "reactor/dns/resolver.h"', 2),
    ("reactor/net/g.cc", "auto n = socket.recv(b);\n// ::recv(fd)\nlog(\"::send(\");", 0),
    ("reactor/net/h.cc", "::sigaction(1, &a, nullptr);\nstruct sigaction a;", 1),
    ("reactor/net/i.cc", "#if defined(__APPLE__)", 1),
    ("reactor/net/j.cc", "int a;\n" * 500, 1),
    ("reactor/http/parser.cc", "int a;\n" * 500, 0),
    ("tests/net/a.cc", '#include "tests/support/guard.h"\n#include "reactor/poller/poller.h"', 0),
    ("bench/a.cc", "#include <sys/epoll.h>", 0),
    ("reactor/net/ssl.cc", "#include <openssl/ssl.h>", 1),
    ("reactor/tls/a.cc", '#include "reactor/net/transport.h"\n#include <openssl/ssl.h>', 0),
    ("servers/a.cc", '#include "reactor/poller/poller.h"\n#include <CLI/CLI.hpp>', 2),
    ("servers/options.cc", '#include "reactor/net/address.h"\n#include <CLI/CLI.hpp>', 0),
    ("examples/a.cc", '#include "reactor/poller/poller.h"', 1),
]


def self_test():
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "Makefile.inc").write_text(
            "REACTOR_CORE_HDRS = \\\n  reactor/net/address.h\nREACTOR_CORE_PRIV_HDRS = reactor/poller/poller.h\n")
        for name, text, _ in SAMPLES:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"// SPDX-License-Identifier: MIT\n{text}\n")
        (root / "reactor/net/unlicensed.cc").write_text("int a;\n")
        breaches = check(root)
        for name, expected in [(n, e) for n, _, e in SAMPLES] + [("reactor/net/unlicensed.cc", 1)]:
            found = [b for b in breaches if b.startswith(name + ":")]
            if len(found) != expected:
                failures += 1
                print(f"self-test: {name}: {expected} breaches expected, found {found}")
    return failures


def main(arguments):
    if arguments == ["--self-test"]:
        return 1 if self_test() else 0
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    breaches = check(pathlib.Path(arguments[0]).resolve())
    for breach in breaches:
        print(breach)
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
