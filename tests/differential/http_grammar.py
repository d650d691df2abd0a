# SPDX-License-Identifier: MIT
"""A second implementation of the rules of RFC 9112 and of the parser's contract for a request. It
uses regular expressions on a whole request. faults() names the RULES that a request breaks."""

import ipaddress
import re

# name: (why our parser refuses a request that a peer may accept, source)
RULES = {
    "bare CR or LF": ("a line ends in CRLF; who takes less sees other lines than who does not",
                      "RFC 9112 2.2"),
    "empty lines": ("two before a request at most, else an endless stream of them costs for ever",
                    "RFC 9112 2.2"),
    "request line": ("single blanks between three parts; no repair", "RFC 9112 3"),
    "target octets": ("the characters of RFC 3986 without '#', and whole percent triplets; peers "
                      "take what browsers leave unencoded", "RFC 9112 3, 3.2, RFC 3986 2"),
    "target form": ("each form has its methods and its syntax", "RFC 9112 3.2.1 to 3.2.4"),
    "version": ("HTTP/1.DIGIT; other majors are answered 505", "RFC 9112 2.3"),
    "folded line": ("obs-fold is refused, and so is a blank before the first field",
                    "RFC 9112 2.2, 5.2"),
    "field name": ("a token with the colon right behind it", "RFC 9112 5.1"),
    "field value": ("no control octets but HTAB", "RFC 9110 5.5"),
    "no Host": ("required in HTTP/1.1", "RFC 9112 3.2"),
    "several Hosts": ("at most one", "RFC 9112 3.2"),
    "Host syntax": ("uri-host with an optional port", "RFC 9112 3.2, RFC 3986 3.2.2"),
    "Content-Length": ("one field of digits below 2^64; lists and repetitions are refused though "
                       "equal, for others take the first or the last", "RFC 9112 6.3 item 5"),
    "length and coding": ("Content-Length with Transfer-Encoding is an attempt to smuggle",
                          "RFC 9112 6.1, 6.3 item 3"),
    "coding in 1.0": ("its framing is faulty", "RFC 9112 6.1"),
    "Transfer-Encoding": ("chunked, once, last, and nothing else that is known (501); empty "
                          "elements are ignored", "RFC 9112 6.1, 6.3 item 4, RFC 9110 5.6.1.2"),
    "expectation": ("unknown ones are answered 417", "RFC 9110 10.1.1"),
    "chunk size": ("1*16 HEXDIG, then an extension or CRLF", "RFC 9112 7.1"),
    "chunk extension": ("its grammar with its bad whitespace, and 4096 octets in all",
                        "RFC 9112 7.1.1, RFC 9110 5.6.3"),
    "chunk end": ("CRLF right behind the data", "RFC 9112 7.1"),
    "chunked length": ("the sizes of all chunks are below 2^64 together (413)", "RFC 9112 7.1"),
    "trailer": ("field lines like those of the head", "RFC 9112 7.1.2"),
}

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
VALUE = rb"[\t\x20-\x7e\x80-\xff]*"
QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'
BWS = rb"[ \t]*"
ARGUMENT = BWS + rb"=" + BWS + rb"(?:" + TOKEN + rb"|" + QUOTED + rb")"
EXTENSION = BWS + rb";" + BWS + TOKEN + rb"(?:" + ARGUMENT + rb")?"
# Blanks at the end of the line belong to no extension.
EXTENSIONS = re.compile(rb"(?:" + EXTENSION + rb")+")
# An element of Transfer-Encoding, with the comma or the end after it.
CODING = re.compile(BWS + rb"(?:(" + TOKEN + rb")((?:" + BWS + rb";" + BWS + TOKEN + ARGUMENT +
                    rb")*))?" + BWS + rb"(,|$)")
TARGET = re.compile(rb"(?:[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")
FIELD = re.compile(rb"(" + TOKEN + rb"):(" + VALUE + rb")")
REG_NAME = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*")
SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")
MAX_LENGTH = (1 << 64) - 1


def is_authority(text, port_required=False):
    found = re.fullmatch(rb"(\[[0-9A-Fa-f:.]*\]|[^\[\]:]*)(?::([0-9]*))?", text)
    if found is None:
        return False
    host, port = found.groups()
    if port_required and (not host or not port):
        return False
    if port and int(port) > 65535:
        return False
    if not host.startswith(b"["):
        return REG_NAME.fullmatch(host) is not None
    try:
        ipaddress.IPv6Address(host[1:-1].decode())
    except ValueError:
        return False
    return True


def is_target(method, target):
    if method == b"CONNECT":
        return is_authority(target, port_required=True)
    if target == b"*":
        return method == b"OPTIONS"
    absolute = re.fullmatch(rb"https?://([^/?]*).*", target, re.I | re.S)
    if absolute is None:
        return target.startswith(b"/")
    authority = absolute[1]
    return not authority.startswith(b":") and authority != b"" and is_authority(authority)


def line_faults(line):
    """Returns (faults, method, minor version)."""
    parts = line.split(b" ")
    if len(parts) != 3 or not re.fullmatch(TOKEN, parts[0]) or not parts[1]:
        return {"request line"}, b"", 1
    method, target, version = parts
    if not TARGET.fullmatch(target):
        return {"target octets"}, method, 1
    if not re.fullmatch(rb"HTTP/1\.[0-9]", version):
        return {"version"}, method, 1
    faults = set() if is_target(method, target) else {"target form"}
    return faults, method, int(version[-1:])


def field_faults(lines):
    """Returns (faults, fields)."""
    faults, fields = set(), []
    for line in lines:
        found = FIELD.fullmatch(line)
        if found is not None:
            fields.append((found[1].lower(), found[2].strip(b" \t")))
        elif line[:1] in (b" ", b"\t"):
            faults.add("folded line")
        elif re.match(TOKEN + rb":", line):
            faults.add("field value")
        else:
            faults.add("field name")
    return faults, fields


def values(fields, name):
    return [value for other, value in fields if other == name]


def host_faults(fields, minor):
    hosts = values(fields, b"host")
    if len(hosts) > 1:
        return {"several Hosts"}
    if not hosts:
        return {"no Host"} if minor else set()
    return set() if is_authority(hosts[0]) else {"Host syntax"}


def codings_of(value):
    """Returns the elements of Transfer-Encoding that are not empty, or None if it is malformed."""
    found, at, more = [], 0, True
    while more:
        element = CODING.match(value, at)
        if element is None:
            return None
        if element[1]:
            found.append((element[1].lower(), element[2]))
        at, more = element.end(), element[3] == b","
    return found


def is_chunked(values_of_fields):
    each = [codings_of(value) for value in values_of_fields]
    return None not in each and sum(each, []) == [(b"chunked", b"")]


def framing_faults(fields, minor):
    faults = set()
    lengths, codings = values(fields, b"content-length"), values(fields, b"transfer-encoding")
    if lengths and (len(lengths) > 1 or not re.fullmatch(rb"[0-9]+", lengths[0]) or
                    int(lengths[0]) > MAX_LENGTH):
        faults.add("Content-Length")
    if codings and lengths:
        faults.add("length and coding")
    if codings and minor == 0:
        faults.add("coding in 1.0")
    if codings and not is_chunked(codings):
        faults.add("Transfer-Encoding")
    expectations = [each.strip(b" \t").lower() for value in values(fields, b"expect")
                    for each in value.split(b",")]
    if minor and not set(expectations) <= {b"100-continue", b""}:
        faults.add("expectation")
    return faults


def size_line_faults(line, spent):
    """Returns (faults, size, bytes of extensions)."""
    size = SIZE.match(line)
    if size is None or line[size.end():size.end() + 1] not in (b"", b";", b" ", b"\t"):
        return {"chunk size"}, 0, spent
    extensions = line[size.end():]
    spent += len(extensions)
    if extensions and (spent > 4096 or not EXTENSIONS.fullmatch(extensions)):
        return {"chunk extension"}, 0, spent
    return set(), int(size[0], 16), spent


def chunk_faults(text):
    """Returns (faults, whether the body is whole)."""
    spent = total = 0
    while True:
        line, crlf, rest = text.partition(b"\r\n")
        if b"\r" in line or b"\n" in line:
            return {"bare CR or LF"}, False
        faults, size, spent = size_line_faults(line, spent)
        if faults:
            return faults, False
        total += size
        if total > MAX_LENGTH:
            return {"chunked length"}, False
        if not crlf:
            return set(), False
        if size == 0:
            return trailer_faults(rest)
        if len(rest) > size and not b"\r\n".startswith(rest[size:size + 2]):
            return {"chunk end"}, False
        if len(rest) < size + 2:
            return set(), False
        text = rest[size + 2:]


def trailer_faults(text):
    lines = text.split(b"\r\n")
    whole = b"" in lines[:-1]
    section = lines[:lines.index(b"")] if whole else lines
    if any(b"\r" in line or b"\n" in line for line in section):
        return {"bare CR or LF"}, whole
    faults, _ = field_faults(section)
    return ({"trailer"} if faults else set()), whole


def faults(message):
    """Returns (names of broken rules, whether the message is whole) of the request at the start of
    the bytes. If the request is not whole, it may also name rules that are not broken."""
    start = re.match(rb"(?:\r\n)*", message).end()
    if start > 4:
        return {"empty lines"}, False
    head, end, body = message[start:].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    broken = {"bare CR or LF"} if any(b"\r" in line or b"\n" in line for line in lines) else set()
    found, method, minor = line_faults(lines[0])
    broken |= found
    found, fields = field_faults(lines[1:])
    broken |= found
    if not end or broken - {"target form"}:
        return broken, False
    broken |= host_faults(fields, minor) | framing_faults(fields, minor)
    if broken or method == b"CONNECT":
        return broken, True
    if values(fields, b"transfer-encoding"):
        return chunk_faults(body)
    length = values(fields, b"content-length")
    return set(), len(body) >= int(length[0]) if length else True
