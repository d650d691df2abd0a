#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""try_echo.py PROGRAM: starts the echo server PROGRAM, reads the port that it prints, sends a few
bytes and expects the same bytes back."""

import socket
import subprocess
import sys

with subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True) as program:
    try:
        port = int(program.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
            peer.sendall(b"hello")
            peer.shutdown(socket.SHUT_WR)
            answer = b""
            while chunk := peer.recv(100):
                answer += chunk
    finally:
        program.terminate()
if answer != b"hello":
    sys.exit(f"expected b'hello', got {answer}")
