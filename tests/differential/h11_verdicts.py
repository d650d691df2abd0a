#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints the verdicts of h11. Reads cases in the same format as http_verdicts.

Exits with 77 if h11 is not installed.
"""

import json
import struct
import sys

try:
    import h11
except ImportError:
    sys.exit(77)

END = {"reason": "", "status": 0}


def message_of(request, body):
    return {"method": request.method.hex(), "target": request.target.hex(),
            "minor": int(request.http_version.split(b".")[1]),
            "fields": [[name.hex(), value.hex()] for name, value in request.headers.raw_items()],
            "body": body.hex()}


def next_message(connection):
    """Returns (the next message, whether more may follow), or (None, False) if it is not whole."""
    request, body = None, b""
    while True:
        event = connection.next_event()
        if event in (h11.NEED_DATA, h11.PAUSED):
            return None, False
        if isinstance(event, h11.Request):
            request = event
            if request.method == b"CONNECT":  # the bytes after it belong to the tunnel
                return message_of(request, b""), False
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return message_of(request, body), True


def answer(connection):
    """Answers a request. Returns whether the connection stays open after the answer."""
    if connection.their_state is not h11.DONE:
        return False
    connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
    connection.send(h11.EndOfMessage())
    if connection.our_state is not h11.DONE:
        return False
    connection.start_next_cycle()
    return True


def judge(text):
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    messages = []
    try:
        connection.receive_data(text)
        while True:
            rest = bytes(connection.trailing_data[0])
            if rest == b"":
                return {"messages": messages, "end": "clean", **END}
            message, goes_on = next_message(connection)
            if message is None:
                return {"messages": messages, "end": "incomplete", **END}
            messages.append(message)
            if not goes_on or not answer(connection):
                return {"messages": messages, "end": "closed", **END}
    except h11.RemoteProtocolError as error:
        return {"messages": messages, "end": "error", "reason": str(error).encode().hex(),
                "status": error.error_status_hint}


def main():
    while True:
        prefix = sys.stdin.buffer.read(4)
        if len(prefix) < 4:
            return 0
        text = sys.stdin.buffer.read(struct.unpack("<I", prefix)[0])
        print(json.dumps(judge(text)))


if __name__ == "__main__":
    sys.exit(main())
