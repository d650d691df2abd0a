#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the sources against the layers, folders and doors of docs/architecture.md. A door is the only
file that may use a certain header or call.

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
    "process": ["net", "loop", "poller", "base"],
    "spdlog": ["base"],
    "http": ["net", "loop", "poller", "base"],
    "coro": ["http", "net", "loop", "poller", "base"],
    "prefork": ["net", "loop", "poller", "base"],
    "tls": ["net", "loop", "poller", "base"],
    "dns": ["net", "loop", "poller", "base"],
    "admin": ["http", "prefork", "net", "loop", "poller", "base"],
}

# Layers other than its own that may include an internal header.
INTERNAL_DOORS = [
    (r"reactor/base/internal/.*", list(LAYERS)),
    (r"reactor/poller/internal/(poller|file_identity)\.h", ["loop"]),
    (r"reactor/loop/internal/signals\.h", ["process"]),
    (r"reactor/net/internal/socket_options\.h", ["prefork"]),
    (r"reactor/net/datagram/internal/datagram_socket\.h", ["prefork"]),
]

# A reader can look over a folder with this many files.
MAX_FILES = 30

# Names of headers that say the same in each layer that has one, each in its own namespace.
SAME_IDEA = {"datagram.h", "listener.h", "server.h", "stream.h"}

# Headers, and the files that alone may include each.
INCLUDE_DOORS = [
    (r"sys/epoll\.h", r"reactor/poller/internal/epoll_poller\.(cc|h)"),
    (r"sys/event\.h", r"reactor/poller/internal/kqueue_\w+\.(cc|h)"),
    (r"sys/select\.h", r"reactor/poller/internal/select_poller\.(cc|h)"),
    (r"spdlog/.*|fmt/.*", r"reactor/spdlog/log_spdlog\.cc|servers/.*"),
    (r"openssl/.*", r"reactor/tls/.*"),
    (r"coroutine", r"reactor/coro/.*"),
    (r"CLI/.*", r"servers/settings/options\.cc"),
    (r"ares\w*\.h", r"reactor/dns/.*\.cc"),
    (r"(\.\./)*tests/.*", r"tests/.*"),
]

# Calls, and the files that alone may use each.
CALL_DOORS = [
    (r"(?<![\w.>])(::)?epoll_(create1?|ctl|p?wait2?)\s*\(", r"reactor/poller/internal/epoll_poller\.cc"),
    (r"(?<![\w.>])::(kqueue|kevent)\s*\(", r"reactor/poller/internal/kqueue_\w+\.(cc|h)"),
    (r"(?<![\w.>])(::)?p?select\s*\(", r"reactor/poller/internal/select_poller\.cc"),
    (r"(?<![\w.>])(::)?sigaction\s*\(", r"reactor/loop/internal/signals\.cc|reactor/prefork/.*"),
    (r"(?<![\w.>])::(accept4?|recv|send)\s*\(", r"reactor/net/socket\.(cc|h)|reactor/base/write_line\.cc"),
    (r"(?<![\w.>])::(recv|send)mmsg\s*\(", r"reactor/net/datagram/internal/datagram_batch\.cc"),
]

# Conditions on the platform, which only some files may contain.
PLATFORM_IF = re.compile(
    r"^\s*#\s*(if|ifdef|ifndef|elif)\b.*(__linux__|__APPLE__|__(Free|Net|Open)BSD__|__DragonFly__|"
    r"__unix__|_WIN32|__has_include\s*\(\s*<sys/)"
)
PLATFORM_FILES = re.compile(
    r"reactor/poller/internal/\w*poller\.cc|reactor/poller/internal/kqueue_\w+\.(cc|h)|reactor/loop/internal/(wakeup|children)\.cc|"
    r"reactor/net/(socket|unix_\w+|internal/unix_\w+)\.cc|reactor/net/datagram/internal/datagram_(socket|batch)\.cc|"
    r"reactor/process/internal/unix_\w+\.cc|reactor/prefork/.*|reactor/base/internal/fork_count\.cc"
)

MAX_LINES = 450
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
# Comments and string literals contain no calls.
NOISE = re.compile(r'//.*|/\*.*?\*/|"(\\.|[^"\\])*"')


def is_internal(header):
    return "/internal/" in header


def included_layer(path):
    match = re.match(r"reactor/(\w+)/", path)
    return match.group(1) if match else None


def check_include(file, included):
    """Yields the rules that one #include in `file` breaks."""
    if file.startswith(("tests/", "bench/")):
        return
    for pattern, door in INCLUDE_DOORS:
        if re.fullmatch(pattern, included) and not re.fullmatch(door, file):
            yield f"<{included}> may be included by {door} only"
    if not file.startswith("reactor/"):
        if included.startswith("reactor/") and is_internal(included):
            yield f"{included} is internal"
        return
    if included.startswith(("servers/", "examples/", "bench/")):
        yield f"reactor/ never includes {included}"
    mine, theirs = included_layer(file), included_layer(included)
    if theirs and mine and theirs != mine and theirs not in LAYERS.get(mine, []):
        yield f"{mine} must not include {theirs} ({included})"
    if theirs and mine != theirs and is_internal(included):
        doors = [layers for pattern, layers in INTERNAL_DOORS if re.fullmatch(pattern, included)]
        if not any(mine in layers for layers in doors):
            yield f"{included} is internal to {theirs}"
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


def check_file(root, path):
    file = path.relative_to(root).as_posix()
    lines = path.read_text().splitlines()
    breaches = list(check_first_include(root, file, lines)) if file.startswith("reactor/") else []
    product = file.startswith(("reactor/", "servers/"))
    for number, line in enumerate(lines, 1):
        include = INCLUDE.match(line)
        if include:
            breaches += [(number, rule) for rule in check_include(file, include.group(1))]
        if not file.startswith("reactor/"):
            continue
        if PLATFORM_IF.match(line) and not PLATFORM_FILES.fullmatch(file):
            breaches.append((number, "a platform #if has no place in this file"))
        code = NOISE.sub("", line)
        for pattern, door in CALL_DOORS:
            if re.search(pattern, code) and not re.fullmatch(door, file):
                breaches.append((number, f"this call is for {door} only"))
    if product and len(lines) > MAX_LINES:
        breaches.append((len(lines), f"longer than {MAX_LINES} lines"))
    if not lines or lines[0] != "// SPDX-License-Identifier: MIT":
        breaches.append((1, "the first line is not the licence"))
    return [f"{file}:{number}: {rule}" for number, rule in breaches]


def check_folders(root):
    """Yields the folders of reactor/ and servers/ that have too many files."""
    for top in ("reactor", "servers"):
        folders = [path for path in (root / top).rglob("*") if path.is_dir()] + [root / top]
        for folder in sorted(folders):
            files = sum(1 for path in folder.glob("*") if path.is_file())
            if files > MAX_FILES:
                yield f"{folder.relative_to(root).as_posix()}: more than {MAX_FILES} files"


def check_names(root):
    """Yields the headers of reactor/ that share a file name with another one."""
    first = {}
    for path in sorted((root / "reactor").rglob("*.h")):
        file = path.relative_to(root).as_posix()
        if path.name in SAME_IDEA:
            continue
        if path.name in first:
            yield f"{file}: {first[path.name]} has this name already"
        first.setdefault(path.name, file)


def check_circles(root):
    """Yields the headers of reactor/ that include themselves through others."""
    graph = {}
    for path in sorted((root / "reactor").rglob("*.h")):
        found = [INCLUDE.match(line) for line in path.read_text().splitlines()]
        graph[path.relative_to(root).as_posix()] = [match.group(1) for match in found if match]
    done = set()

    def visit(file, path):
        if file in path:
            yield f"{file}: includes itself: {' -> '.join(path[path.index(file):] + [file])}"
        elif file in graph and file not in done:
            for included in graph[file]:
                yield from visit(included, path + [file])
            done.add(file)

    for file in graph:
        yield from visit(file, [])


def check(root):
    breaches = [*check_folders(root), *check_names(root), *check_circles(root)]
    for folder in ("reactor", "servers", "examples", "bench", "tests"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".cc", ".h") and path.is_file():
                breaches += check_file(root, path)
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
    ("reactor/poller/internal/epoll_poller.cc", "#include <sys/epoll.h>\nint n = ::epoll_wait(1, e, 2, 3);", 0),
    ("reactor/poller/internal/select_poller.cc", "#if __has_include(<sys/event.h>)\nint n = ::select(1);", 0),
    ("reactor/net/e.cc", "#include <sys/event.h>\n#include <spdlog/spdlog.h>\n#include <coroutine>", 3),
    ("reactor/loop/i.cc", '#include "reactor/poller/internal/poller.h"', 0),
    ("reactor/net/l.cc", '#include "reactor/poller/internal/poller.h"', 1),
    ("reactor/net/m.cc", '#include "reactor/base/internal/check.h"', 0),
    ("reactor/tls/n.cc", '#include "reactor/net/datagram/internal/multicast.h"', 1),
    ("reactor/net/twin.h", "int twin();", 0),
    ("reactor/tls/twin.h", "int twin();", 1),
    ("reactor/net/stream.h", "int stream();", 0),
    ("reactor/coro/stream.h", "int stream();", 0),
    ("reactor/net/circle.h", '#include "reactor/net/arc.h"', 0),
    ("reactor/net/arc.h", '#include "reactor/net/circle.h"', 1),
    ("reactor/net/first.h", "int first();", 0),
    ("reactor/net/first.cc", '#include "reactor/net/first.h"\n#include <vector>', 0),
    ("reactor/net/last.h", "int last();", 0),
    ("reactor/net/last.cc", '#include <vector>\n#include "reactor/net/last.h"', 1),
    ("reactor/net/never.h", "int never();", 0),
    ("reactor/net/never.cc", "int never() { return 0; }", 1),
    ("reactor/spdlog/log_spdlog.cc", "#include <spdlog/spdlog.h>", 0),
    ("reactor/net/f.cc", "auto n = ::recv(fd, p, n, 0);\nauto m = ::send(fd, p, n, 0);", 2),
    ("reactor/net/socket.cc", "auto n = ::recv(fd, p, n, 0);\n#ifdef __linux__", 0),
    ("reactor/dns/a.cc", '#include <ares.h>\n#include "reactor/net/address.h"', 0),
    ("reactor/net/k.cc", '#include <ares.h>\n#include "reactor/dns/resolver.h"', 2),
    ("reactor/net/g.cc", "auto n = socket.recv(b);\n// ::recv(fd)\nlog(\"::send(\");", 0),
    ("reactor/net/h.cc", "::sigaction(1, &a, nullptr);\nstruct sigaction a;", 1),
    ("reactor/net/i.cc", "#if defined(__APPLE__)", 1),
    ("reactor/net/j.cc", "int a;\n" * 500, 1),
    ("tests/net/a.cc", '#include "tests/support/guard.h"\n#include "reactor/poller/internal/poller.h"', 0),
    ("bench/a.cc", "#include <sys/epoll.h>", 0),
    ("reactor/net/ssl.cc", "#include <openssl/ssl.h>", 1),
    ("reactor/tls/a.cc", '#include "reactor/net/transport.h"\n#include <openssl/ssl.h>', 0),
    ("servers/a.cc", '#include "reactor/poller/internal/poller.h"\n#include <CLI/CLI.hpp>', 2),
    ("servers/settings/options.cc", '#include "reactor/net/address.h"\n#include <CLI/CLI.hpp>', 0),
    ("examples/a.cc", '#include "reactor/poller/internal/poller.h"', 1),
]


def self_test():
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for number in range(MAX_FILES + 1):
            (root / "reactor/prefork").mkdir(parents=True, exist_ok=True)
            (root / f"reactor/prefork/{number}.h").write_text("// SPDX-License-Identifier: MIT\n")
        for name, text, _ in SAMPLES:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"// SPDX-License-Identifier: MIT\n{text}\n")
        (root / "reactor/net/unlicensed.cc").write_text("int a;\n")
        breaches = check(root)
        for name, expected in [(n, e) for n, _, e in SAMPLES] + [("reactor/net/unlicensed.cc", 1),
                                                                 ("reactor/prefork", 1)]:
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
