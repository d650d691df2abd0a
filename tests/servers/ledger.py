# SPDX-License-Identifier: MIT
"""Clients that send requests all the time, and a ledger of how each of them ended."""

import collections
import contextlib
import errno
import selectors
import socket
import threading
import time

import support

# The outcomes of a request, or of a connection that has no request in flight.
ANSWERED = "answered"
REFUSED = "refused"  # the connect failed or timed out
RESET = "reset"
UNANSWERED = "unanswered"  # the connection ended without an answer
LATE = "late"  # no whole answer came within the patience
WRONG = "wrong"
CLOSED_IDLE = "closed while idle"  # and the last answer did not announce it

Loss = collections.namedtuple("Loss", "kind when opened port detail")


class Http:
    request = support.GET

    @staticmethod
    def is_whole(data):
        return data.endswith(b"\r\n\r\nOK\n")

    @staticmethod
    def is_right(data):
        return data.startswith(b"HTTP/1.1 200 ") and data.count(b"HTTP/1.1") == 1

    @staticmethod
    def closes(data):
        return b"\r\nConnection: close\r\n" in data


class Echo:
    request = b"what is sent comes back"

    @staticmethod
    def is_whole(data):
        return len(data) >= len(Echo.request)

    @staticmethod
    def is_right(data):
        return data == Echo.request

    @staticmethod
    def closes(_):
        return False


class Client:
    """Sends one request after another, on one connection or, if `fresh`, on a new one each time."""

    def __init__(self, fresh):
        self.fresh = fresh
        self.socket = None
        self.data = b""
        self.asking = False
        self.sent = False
        self.opened = self.asked = self.begun = self.due = 0.0
        self.port = 0


class Ledger:
    """Runs clients in its own thread from `with` to stop(). The `kept` clients hold their
    connection as long as they can. The `fresh` ones connect for each request. Each client rests for
    `pause` seconds after a request."""

    def __init__(self, address, protocol=Http, kept=0, fresh=0, pause=0.0, patience=support.LIMIT):
        self.address = address
        self.protocol = protocol
        self.pause = pause
        self.patience = patience
        self.counts = collections.Counter()
        self.losses = []  # a Loss for each outcome but ANSWERED
        self.watch = support.Stopwatch()
        self.times = []  # of fresh clients: seconds from connect to answer
        self.slowest = 0.0
        self.connections = 0
        self.reconnects = True
        self.clients = [Client(False) for _ in range(kept)] + [Client(True) for _ in range(fresh)]
        self.resting = collections.deque(self.clients)
        self.selector = selectors.DefaultSelector()
        self.ending = threading.Event()
        self.failure = None
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Waits for the answers to the requests in flight, and ends the thread."""
        self.ending.set()
        if self.thread.is_alive():
            self.thread.join()
        if self.failure is not None:
            raise self.failure

    @property
    def answers(self):
        return self.counts[ANSWERED]

    def wait_for(self, answers):
        """Waits until this many more requests have been answered."""
        goal = self.answers + answers
        support.wait_until(lambda: self.answers >= goal or self.failure, f"{answers} answers")

    def said(self):
        """Returns the counts and the first losses, for messages."""
        return f"{dict(self.counts)}, {self.connections} connections; {self.losses[:5]}"

    # ---- Runs in the thread ----

    def run(self):
        try:
            with self.watch:
                while not self.ending.is_set() or any(client.asking for client in self.clients):
                    self.turn()
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error
        finally:
            for client in self.clients:
                if client.socket is not None:
                    client.socket.close()
            self.selector.close()

    def turn(self):
        now = time.monotonic()
        while self.resting and self.resting[0].due <= now and not self.ending.is_set():
            self.ask(self.resting.popleft())
        wait = 0.05
        if self.resting and not self.ending.is_set():
            wait = min(wait, max(0.0, self.resting[0].due - now))
        for key, _ in self.selector.select(wait):
            if key.data.socket is key.fileobj:
                self.ready(key.data)
        self.look_for_late()

    def look_for_late(self):
        now = time.monotonic()
        for client in self.clients:
            if client.asking and now - client.asked > self.patience:
                self.lose(client, LATE if client.sent else REFUSED, "timeout")

    def ask(self, client):
        if client.socket is None and not self.reconnects:
            return
        client.asked, client.begun = time.monotonic(), self.watch.seconds
        client.asking = True
        client.sent = False
        client.data = b""
        try:
            if client.socket is None:
                self.open(client)
            self.send(client)
        except BlockingIOError:
            pass
        except OSError as error:
            self.fail(client, error)

    def open(self, client):
        unix = self.address.startswith("unix:")
        client.opened = client.asked
        client.socket = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        client.socket.setblocking(False)
        host, _, port = self.address.rpartition(":")
        error = client.socket.connect_ex(self.address[len("unix:"):] if unix else (host, int(port)))
        if error == errno.EAGAIN:  # the backlog of a unix socket is full
            client.socket.close()
            client.socket = None
            client.asking = False
            self.rest(client)
            raise BlockingIOError
        if error not in (0, errno.EINPROGRESS):
            raise OSError(error, "connect")
        self.connections += 1
        client.port = 0 if unix else client.socket.getsockname()[1]
        self.selector.register(client.socket, selectors.EVENT_READ, client)

    def send(self, client):
        try:
            client.socket.send(self.protocol.request)
        except BlockingIOError:
            self.selector.modify(client.socket, selectors.EVENT_WRITE, client)
            raise
        client.sent = True

    def ready(self, client):
        try:
            if client.asking and not client.sent:
                self.send(client)
                self.selector.modify(client.socket, selectors.EVENT_READ, client)
                return
            chunk = client.socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError as error:
            self.fail(client, error)
            return
        if not chunk:
            self.lose(client, UNANSWERED if client.asking else CLOSED_IDLE, repr(client.data))
            return
        client.data += chunk
        if not client.asking:
            self.lose(client, WRONG, repr(client.data))
        elif self.protocol.is_whole(client.data):
            self.answered(client)

    def answered(self, client):
        if not self.protocol.is_right(client.data):
            self.lose(client, WRONG, repr(client.data))
            return
        took = self.watch.seconds - client.begun
        self.slowest = max(self.slowest, took)
        if client.fresh:
            self.times.append(took)
        client.asking = False
        self.counts[ANSWERED] += 1
        if client.fresh or self.protocol.closes(client.data):
            self.close(client)
        self.rest(client)

    def fail(self, client, error):
        kind = RESET if client.asking else CLOSED_IDLE
        if isinstance(error, (ConnectionRefusedError, FileNotFoundError)):
            kind = REFUSED
        self.lose(client, kind, str(error))

    def lose(self, client, kind, detail):
        self.counts[kind] += 1
        self.losses.append(Loss(kind, time.monotonic(), client.opened, client.port, detail))
        was_asking = client.asking
        client.asking = False
        self.close(client)
        if was_asking:  # otherwise it is resting already
            self.rest(client)

    def rest(self, client):
        client.due = time.monotonic() + self.pause
        self.resting.append(client)

    def close(self, client):
        with contextlib.suppress(KeyError, ValueError):
            self.selector.unregister(client.socket)
        client.socket.close()
        client.socket = None
