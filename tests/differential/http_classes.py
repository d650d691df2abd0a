# SPDX-License-Identifier: MIT
"""The known disagreements with other HTTP parsers.

If our parser refuses a request and a peer does not, the class is the rule of http_grammar.py that
the request breaks. If our parser accepts a request that a peer refuses, or goes on after one at
which a peer closes the connection, the class is one of TAKEN.
"""

import re
from typing import Callable, NamedTuple

import http_grammar

LLHTTP = {"llhttp", "node"}  # Node contains a newer llhttp.
KNOWN = [b"ACL", b"BIND", b"CHECKOUT", b"CONNECT", b"COPY", b"DELETE", b"GET", b"HEAD", b"LINK",
         b"LOCK", b"M-SEARCH",
         b"MERGE", b"MKACTIVITY", b"MKCALENDAR", b"MKCOL", b"MOVE", b"NOTIFY", b"OPTIONS", b"PATCH",
         b"POST", b"PROPFIND",
         b"PROPPATCH", b"PURGE", b"PUT", b"QUERY", b"REBIND", b"REPORT", b"SEARCH", b"SOURCE",
         b"SUBSCRIBE", b"TRACE",
         b"UNBIND", b"UNLINK", b"UNLOCK", b"UNSUBSCRIBE"]


class Disagreement(NamedTuple):
    peer: str
    kind: str  # OURS/THEIRS of "message", "error", "waits", "closed"; or "differ"
    message: bytes  # ours if it is whole, else all the rest
    previous: bytes  # the message before it


class Class(NamedTuple):
    name: str
    peers: set
    kinds: set
    applies: Callable
    why: str
    source: str


TAKES = {"message/error", "waits/error"}
GOES_ON = {"message/closed", "waits/closed", "error/closed"}


def has(pattern):
    compiled = re.compile(pattern, re.I | re.S)
    return lambda each: compiled.search(each.message) is not None


def head(message):
    return message.lstrip(b"\r\n").partition(b"\r\n\r\n")[0] + b"\r\n"


def head_has(pattern):
    compiled = re.compile(pattern, re.I)
    return lambda each: compiled.search(head(each.message)) is not None


def trailer_has(names, text):
    pattern = rb"\n0+(?:;[^\r\n]*)?\r\n(?:[^\r\n]+\r\n)*(?:" + names + rb"):"
    return re.search(pattern, text, re.I) is not None


def unknown_method(each):
    method = re.match(rb"[\r\n]*(" + http_grammar.TOKEN + rb")( ?)", each.message)
    if method is None:
        return False
    if method[2]:
        return method[1] not in KNOWN
    return not any(known.startswith(method[1]) for known in KNOWN)


def was_1_0(each):
    return re.match(rb"[^\r\n]* HTTP/1\.0\r\n", head(each.previous)) is not None


def offers_upgrade(each):
    return re.search(rb"\nupgrade:", head(each.previous), re.I) is not None


def late(each):
    if b"\r\n\r\n" in each.message:
        return False
    broken, _ = http_grammar.faults(each.message + b"\r\n\r\n")
    return broken != set()


TAKEN = [
    Class("extension method", LLHTTP, TAKES, unknown_method,
          "any token is a method, a handler answers 405 or 501; llhttp has a list",
          "RFC 9110 9.1"),
    Class("HTTP/1.2 to 1.9", LLHTTP, TAKES, head_has(rb"^[^\r\n]* HTTP/1\.[2-9]\r\n"),
          "a higher minor version is read like 1.1; llhttp knows 1.0 and 1.1", "RFC 9110 2.5, 6.2"),
    Class("HTAB behind a length", LLHTTP, TAKES,
          head_has(rb"\ncontent-length:[ \t]*[0-9]+[ ]*\t[ \t]*\r\n"),
          "blanks around a value are SP or HTAB; llhttp takes SP alone", "RFC 9110 5.5, 5.6.3"),
    Class("HTAB behind chunked", LLHTTP, TAKES,
          head_has(rb"\ntransfer-encoding:[ \t]*chunked[ ]*\t[ \t]*\r\n"),
          "blanks around a value are SP or HTAB; llhttp takes SP alone", "RFC 9110 5.5, 5.6.3"),
    Class("framing field in a trailer", LLHTTP | {"h11"}, TAKES,
          lambda each: trailer_has(rb"content-length|transfer-encoding", each.message),
          "trailers never reach the framing here: they are checked and dropped; peers read them "
          "like fields of the head", "RFC 9110 6.5.1, RFC 9112 7.1.2"),
    Class("Connection in a trailer", LLHTTP, TAKES | GOES_ON,
          lambda each: trailer_has(rb"connection|upgrade", each.previous),
          "a trailer does not decide about the connection", "RFC 9110 6.5.1, RFC 9112 7.1.2"),
    Class("blank before a chunk extension", LLHTTP | {"h11"}, TAKES, has(rb"\n[0-9a-f]+[ \t]+;"),
          "the grammar has BWS before each ';', which has to be taken; llhttp and h11 have none "
          "behind a size", "RFC 9112 7.1.1, RFC 9110 5.6.3"),
    Class("blank in a chunk extension", LLHTTP, TAKES, has(rb"\n[0-9a-f]+;[^\r\n]*[ \t]"),
          "the grammar has BWS on both sides of each ';' and '='; llhttp has none",
          "RFC 9112 7.1.1, RFC 9110 5.6.3"),
    Class("empty element of Transfer-Encoding", LLHTTP | {"h11"}, TAKES | {"differ"},
          head_has(rb"\ntransfer-encoding:(?:[ \t]*(?:,[^\r\n]*)?|[^\r\n]*,[ \t]*)\r\n"),
          "a recipient has to ignore empty elements; h11 takes chunked alone, llhttp sees another "
          "coding", "RFC 9110 5.6.1.2"),
    Class("quoted pair in a chunk extension", LLHTTP, TAKES,
          has(rb"\n[0-9a-f]+;[^\r\n]*=\"[^\r\n]*\\"),
          "quoted-string has quoted-pair; llhttp 8 does not know it",
          "RFC 9112 7.1.1, RFC 9110 5.6.4"),
    Class("empty line first", {"h11"}, TAKES, has(rb"^\r"),
          "one at least SHOULD be ignored; h11 does not", "RFC 9112 2.2"),
    Class("judged late", LLHTTP, {"waits/error"}, late,
          "the form of the target and the meaning of fields are judged, and refused, at the end of "
          "the head", "none: only what is sent, not when"),
    Class("keep-alive in 1.0", LLHTTP | {"h11"}, GOES_ON, was_1_0,
          "Connection: keep-alive counts in any list and with any blanks; h11 never goes on, "
          "llhttp overlooks some", "RFC 9112 9.3"),
    Class("Upgrade without Connection", {"h11"}, GOES_ON, offers_upgrade,
          "Upgrade counts where Connection names it only; h11 pauses for any", "RFC 9110 7.8"),
]


def explain(each):
    """Returns the name of the first class that the disagreement belongs to, or None."""
    if each.kind in ("error/message", "error/waits", "error/closed"):
        broken, _ = http_grammar.faults(each.message)
        if broken:
            return f"refused: {min(broken, key=list(http_grammar.RULES).index)}"
    for known in TAKEN:
        if each.peer in known.peers and each.kind in known.kinds and known.applies(each):
            return f"taken: {known.name}"
    return None
