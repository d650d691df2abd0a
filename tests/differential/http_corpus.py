# SPDX-License-Identifier: MIT
"""Generates streams of valid and invalid HTTP requests, the same ones for the same seed."""

import random

NEXT = b"GET /next HTTP/1.1\r\nHost: next\r\n\r\n"

METHODS = [b"GET", b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH", b"TRACE",
           b"PROPFIND"]
TARGETS = [b"/", b"/a/b?c=d", b"/%41%aF", b"/?", b"//x", b"/a;b=c,d", b"/!$&'()*+:@~_?[]=%00",
           b"http://h.example/p?q", b"http://h.example", b"https://[::1]:8443/x", b"HTTP://H/"]
HOSTS = [b"a", b"a.example", b"a.example:80", b"127.0.0.1:8080", b"[::1]", b"[fe80::1]:9", b"a_b",
         b"a%20b", b"xn--nxa.example.", b""]
FIELDS = [(b"Accept", b"*/*"), (b"X-Empty", b""), (b"x_odd!#$%&'*+-.^`|~9", b"v"),
          (b"Cookie", b"a=b; c=\"d\""), (b"X-Tab", b"a\tb"), (b"X-Octets", b"\x80\xc3\xa9\xff"),
          (b"Content-Type", b"text/plain;charset=utf-8"), (b"X-Colon", b"a:b:c"),
          (b"Connection", b"keep-alive"), (b"Connection", b"close"), (b"Connection", b"Foo, bar"),
          (b"Expect", b"100-continue"), (b"X-Long", b"v" * 300), (b"Content-Lengthy", b"9"),
          (b"Transfer-Encodings", b"chunked"), (b"Trailer", b"T"), (b"TE", b"trailers")]
EXTENSIONS = [b"", b"", b"", b";a", b";a=b", b";a=\"q;\\\"\"", b"; a = b ;c", b";\ta",
              b" ;a", b"\t ; a=b"]
TRAILERS = [b"", b"", b"T: v\r\n", b"T:\r\nContent-Length: 3\r\n",
            b"Transfer-Encoding: chunked\r\n"]
CONTENTS = [b"", b"x", b"hello", b"0\r\n\r\n", NEXT, bytes(range(256))]
BLANKS = [b"", b" ", b" ", b" ", b"  ", b"\t"]

# A mutation inserts these, or overwrites other bytes with them.
OCTETS = [bytes([octet]) for octet in
          b"\r\n\t :,;/*\"#+-0159aFx_@[]%?\0\x01\x0b\x0c\x7f\x80\xa0\xff"]
SPLINTERS = [b"\r\n", b"\r", b"\n", b"\n\n", b"\r\n\r\n", b"\r\r\n", b"\r\n ", b"\r\n\t", b" :",
             b"0x", b"+",
             b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.10", b"HTTP/1.2",
             b"http/1.1",
             b"Host: a\r\n", b"Host : a\r\n", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n",
             b"Content-Length: 5, 5\r\n", b"Transfer-Encoding: chunked\r\n",
             b"Transfer-Encoding: x\r\n",
             b"Transfer-Encoding: gzip, chunked\r\n", b"Connection: close\r\n", b"chunked",
             b"identity",
             b"0\r\n\r\n", b"5\r\nhello\r\n", b"ffffffffffffffff", b"10000000000000000",
             b"18446744073709551616"]

# The framing fields of the header section, and the bytes after the head. They cover RFC 9112 and
# known ways of request smuggling.
CHUNKED = b"Transfer-Encoding: chunked"
LENGTHS = [b"5", b"+5", b"-5", b"05", b"0x5", b"5 ", b"5\t", b" 5", b"5 5", b"5,5", b"5, 5", b"5,",
           b",5", b"",
           b"5.0", b"5e0", b"5;", b"\"5\"", b"0", b"-0", b"5_0", b"\xef\xbc\x95", b"five",
           b"18446744073709551615",
           b"18446744073709551616", b"18446744073709551617", b"18446744073709551621",
           b"9223372036854775808",
           b"99999999999999999999999", b"0000000000000000000000000000005", b"5\x0b", b"5\0",
           b"\x0b5"]
CODINGS = [b"chunked", b"Chunked", b"CHUNKED", b" chunked ", b"\tchunked", b"xchunked", b"chunkedx",
           b"x chunked",
           b"chunked, chunked", b"chunked,chunked", b"chunked, foo", b"foo, chunked",
           b"gzip, chunked",
           b"chunked, identity", b"identity", b"identity, chunked", b"", b",chunked", b"chunked,",
           b", chunked",
           b", ,chunked ,", b"chunked,,chunked", b",", b"foo;a=b, chunked",
           b"foo ; a = \"b,c\", chunked",
           b"foo;a=\", chunked\"", b"foo;a=\"b, chunked", b"foo;a, chunked", b"foo;, chunked",
           b"chunked;q=1", b"\"chunked\"", b"'chunked'", b"chunked\x0b", b"\x0bchunked",
           b"\x0cchunked", b"\0chunked",
           b"\xa0chunked", b"chunked\xa0", b"chun\xe2\x84\xaaed", b"chunke", b"cow", b"gzip",
           b"chunked\r\n ",
           b"\r\n chunked", b"\r\n\tchunked"]
SIZES = [b"5", b"05", b"000000000000005", b"0000000000000005", b"00000000000000005", b"5 ", b" 5",
         b"\t5", b"5\t",
         b"+5", b"-5", b"0x5", b"0X5", b"5_", b"5x", b"5;", b"5 ;a", b"5\t;a", b"5 ;",
         b"5 a", b"5\ta", b"5;a",
         b"5;a=b", b"5;a=", b"5;=b", b"5;;a",
         b"5;a=\"b\"", b"5;a=\"b", b"5;a=\"\\\"\"", b"5;\x01", b"5;\n", b"5;a\nb", b"5;a\rb", b"",
         b"g", b"5,", b"5.0",
         b"10000000000000005", b"fffffffffffffffff", b"ffffffffffffffff", b"100000000", b"80000000",
         b"5;a=b c",
         b"5;" + b"e" * 3000]


def head(line, *fields):
    return line + b"\r\n" + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


def post(*fields):
    return head(b"POST /p HTTP/1.1", b"Host: a", *fields)


def framing_vectors():
    for length in LENGTHS:
        yield post(b"Content-Length: " + length) + b"hello" + NEXT
    for name in (b"Content-Length ", b"Content-Length\t", b" Content-Length", b"Content_Length",
                 b"Content-Length\0",
                 b"Content\x0b-Length", b"CONTENT-LENGTH", b"Content-Length\r",
                 b"\x0bContent-Length"):
        yield post(name + b": 5") + b"hello" + NEXT
    for first, second in ((b"5", b"5"), (b"5", b"0"), (b"0", b"5"), (b"5", b""), (b"", b"5"), (b"5",
                          b"x")):
        yield post(b"Content-Length: " + first, b"Content-Length: " + second) + b"hello" + NEXT
    for coding in CODINGS:
        body = b"5\r\nhello\r\n0\r\n\r\n" + NEXT
        yield post(b"Transfer-Encoding: " + coding) + body
        yield post(b"Transfer-Encoding: " + coding, b"Content-Length: 15") + body
        yield post(b"Content-Length: 4", b"Transfer-Encoding: " + coding) + body
        yield head(b"POST /p HTTP/1.0", b"Host: a", b"Transfer-Encoding: " + coding) + body
        yield post(CHUNKED, b"Transfer-Encoding: " + coding) + body
    for name in (b"Transfer-Encoding ", b"Transfer-Encoding\t", b" Transfer-Encoding",
                 b"Transfer_Encoding",
                 b"Transfer-Encoding\0", b"Transfer\x0b-Encoding", b"X: y\rTransfer-Encoding",
                 b"X: y\nTransfer-Encoding",
                 b"X:\r\n Transfer-Encoding", b"\x00Transfer-Encoding", b"Transfer-Encoding\r\n "):
        yield post(name + b": chunked", b"Content-Length: 5") + b"0\r\n\r\n" + NEXT
        yield post(b"Content-Length: 5", name + b": chunked") + b"0\r\n\r\n" + NEXT


def chunk_vectors():
    for size in SIZES:
        yield post(CHUNKED) + size + b"\r\nhello\r\n0\r\n\r\n" + NEXT
        yield post(CHUNKED) + b"1\r\nx\r\n" + size + b"\r\nhello\r\n0\r\n\r\n" + NEXT
    for first in (b"5\nhello\r\n", b"5\r\nhello\n", b"5\r\nhello", b"5\r\nhello\r\r\n",
                  b"5\r\nhelloxx", b"5\rXhello\r\n",
                  b"5\r\nhello\rX", b"5\r\nhello\r\n\r\n", b"5\r\nhello \r\n", b"5\r\rhello\r\n",
                  b"3\r\nhello\r\n",
                  b"7\r\nhello\r\n", b"2;\nxx\r\n5\r\nhello\r\n"):
        yield post(CHUNKED) + first + b"0\r\n\r\n" + NEXT
    for last in (b"0\n\r\n", b"0\r\n\n", b"0\n\n", b"0\r\n\r", b"0\r\n\rX", b"0\r\nX",
                 b"00\r\n\r\n", b"0;a\r\n\r\n", b"0\r\n",
                 b"-0\r\n\r\n", b"0\r\nT: v\n\r\n", b"0\r\nT: v\r\n\n", b"0\r\nT v\r\n\r\n",
                 b"0\r\nT : v\r\n\r\n",
                 b"0\r\n T: v\r\n\r\n", b"0\r\nT: v\r\n w\r\n\r\n", b"0\r\nT: \0\r\n\r\n",
                 b"0\r\nHost: b\r\n\r\n",
                 b"0\r\nContent-Length: 5\r\n\r\n", b"0\r\n: v\r\n\r\n", b"0\r\nT:\rv\r\n\r\n"):
        yield post(CHUNKED) + b"5\r\nhello\r\n" + last + NEXT


def line_vectors():
    host = b"\r\nHost: a\r\n\r\n"
    for version in (b"HTTP/1.0", b"HTTP/1.2", b"HTTP/1.9", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/3.0",
                    b"HTTP/9.1", b"HTTP/1.",
                    b"HTTP/1", b"HTTP/11.1", b"HTTP/1.10", b"HTTP/1.01", b"HTTP/1,1", b"http/1.1",
                    b"HTTP /1.1",
                    b"HTTP/ 1.1", b"HTTP/1.1 ", b"HTTP/1.1 x", b"HTTP/4294967297.1", b"HTTP/1.-1",
                    b"HTTP/a.b",
                    b"XTTP/1.1", b"", b"HTTP/1.1\t", b"RTSP/1.0", b"ICE/1.0"):
        yield b"GET / " + version + host + NEXT
    for line in (b"GET  / HTTP/1.1", b"GET /  HTTP/1.1", b" GET / HTTP/1.1", b"GET\t/ HTTP/1.1",
                 b"GET /\tHTTP/1.1",
                 b"GET /a b HTTP/1.1", b"GET", b"GET ", b"GET /", b"GET HTTP/1.1",
                 b"GE(T / HTTP/1.1", b"get / HTTP/1.1",
                 b"G\0T / HTTP/1.1", b"\x80 / HTTP/1.1", b"GET,POST / HTTP/1.1",
                 b"M-SEARCH * HTTP/1.1",
                 b"FOO / HTTP/1.1", b"PRI * HTTP/2.0", b"GET / HTTP/1.1\r", b"GET\r\n/ HTTP/1.1",
                 b"G:T / HTTP/1.1"):
        yield line + host + NEXT
    for target in (b"*", b"a", b"a/b", b"../", b"?x", b"a:80", b"http://", b"http:///x",
                   b"http://:80/", b"http:/x",
                   b"ftp://h/", b"http://u@h/", b"http://h:x/", b"http://h:99999/", b"http://[::1/",
                   b"/\x80", b"/\x7f",
                   b"/\0", b"/\x01", b"/#f", b"/a\rb", b"/a\nb", b"http://h#f", b"http://h?q",
                   b"//h/x", b"http://h h/", b"/\"", b"/a<b", b"/>", b"/a\\b", b"/?a^b", b"/`",
                   b"/{a}", b"/?a|b", b"/a}", b"/[a]?b[]=c", b"/%", b"/%2", b"/%zz", b"/%2z",
                   b"/a%20b%", b"http://h/|"):
        yield b"GET " + target + b" HTTP/1.1" + host + NEXT
    for method, target in ((b"OPTIONS", b"*"), (b"CONNECT", b"h:443"), (b"CONNECT", b"/"),
                           (b"CONNECT", b"h"),
                           (b"CONNECT", b"h:"), (b"CONNECT", b"http://h:1/"), (b"CONNECT",
                           b"[::1]:1"), (b"POST", b"*")):
        yield method + b" " + target + b" HTTP/1.1" + host + NEXT
    for before in (b"\r\n", b"\r\n\r\n", b"\r\n\r\n\r\n", b"\n", b"\r", b"\n\r\n", b" \r\n", b"\0",
                   b"\xef\xbb\xbf"):
        yield before + NEXT + before + NEXT


def field_vectors():
    line = b"GET / HTTP/1.1"
    for field in (b"X : y", b"X\t: y", b": y", b"X", b"X y", b" X: y", b"X:y", b"X:\0", b"X: \x01",
                  b"X: \x7f", b"X: \x0b",
                  b"X: a\rb", b"X: a\nb", b"X: a\r b", b"X(: y", b"X@: y", b"\x80: y", b"X\0: y",
                  b"X: y\r\n z", b"X: y\r\n\tz",
                  b"X:\r\n ", b"X: y\r", b"X: \x80\xff", b"X: \x85", b"\"X\": y", b"X/: y",
                  b"X: y\r\n \r\n z"):
        yield head(line, b"Host: a", field) + NEXT
        yield head(line, field, b"Host: a") + NEXT
    for end in (b"\n", b"\r\r\n", b"\r\n\n", b"\n\r\n", b"\n\n", b"\r\r", b"\rX\r\n\r\n",
                b"\r\n\rX", b"\r\n\r\r\n"):
        yield line + b"\r\nHost: a" + end + NEXT
        yield line + end.replace(b"\r\n\r\n", b"\r\n") + b"Host: a\r\n\r\n" + NEXT
    yield head(line) + NEXT
    yield head(line, b"Host: a", b"Host: a") + NEXT
    yield head(line, b"Host: a", b"Host: b") + NEXT
    yield head(line, b"Host:", b"host: b") + NEXT
    yield head(b"GET / HTTP/1.0") + NEXT
    yield head(b"GET / HTTP/1.0", b"Connection: keep-alive") + NEXT
    yield head(b"GET / HTTP/1.0", b"Host: a", b"Host: b") + NEXT
    for host in (b"a b", b"a,b", b"a/b", b"a\\b", b"a@b", b"u:p@a", b"a:b", b"a:-1", b"a:65536",
                 b"a:99999999999", b"a:",
                 b":80", b"[::1", b"[::1]x", b"[1::2::3]", b"[::1%25eth0]", b"[v1.a]", b"::1",
                 b"a?b", b"a#b", b"a%zz", b"a%2",
                 b"a\x80", b"a<b", b"\"a\"", b"http://a", b"a;b", b"(a)", b"[]", b"[:]", b"*"):
        yield head(line, b"Host: " + host) + NEXT
    for option in (b"close", b"Close", b"closed", b"keep-alive, close", b"close, keep-alive",
                   b"x,close", b",close,",
                   b"clo se", b"close\x0b", b"\"close\"", b"upgrade", b"Upgrade, close",
                   b"keep-alive", b"", b"close;"):
        yield head(line, b"Host: a", b"Connection: " + option) + NEXT
        yield head(line, b"Host: a", b"Connection: " + option, b"Upgrade: ws") + NEXT
        yield head(b"GET / HTTP/1.0", b"Host: a", b"Connection: " + option) + NEXT
    for expectation in (b"100-continue", b"100-Continue", b"101-continue", b"", b"100-continue, x",
                        b"x"):
        yield post(b"Expect: " + expectation, b"Content-Length: 5") + b"hello" + NEXT


def vectors():
    for source in (framing_vectors, chunk_vectors, line_vectors, field_vectors):
        yield from source()


def valid_request(rng, last):
    """Returns a random request that RFC 9112 allows, with or without a body."""
    minor = rng.choice([b"1"] * 16 + [b"0"] * 3 + [b"2"])
    fields = [(b"Host", rng.choice(HOSTS))] + rng.sample(FIELDS, rng.randrange(5))
    if not last:
        fields = [field for field in fields if field != (b"Connection", b"close")]
    content = rng.choice(CONTENTS) * rng.choice([1, 1, 3])
    body = b""
    framing = rng.choice(["none", "none", "length", "chunked"])
    if framing == "chunked" and minor != b"0":
        fields.append((rng.choice([b"Transfer-Encoding", b"transfer-encoding"]),
                       rng.choice([b"chunked", b"Chunked"])))
        body = chunks(rng, content)
    elif framing == "length":
        fields.append((rng.choice([b"Content-Length", b"CONTENT-LENGTH"]), b"%d" % len(content)))
        body = content
    rng.shuffle(fields)
    line = rng.choice(METHODS) + b" " + rng.choice(TARGETS) + b" HTTP/1." + minor
    lines = [name + b":" + rng.choice(BLANKS) + value + rng.choice([b""] * 8 + [b" ", b" ", b"\t"])
             for name, value in fields]
    return rng.choice([b""] * 15 + [b"\r\n"]) + head(line, *lines) + body


def chunks(rng, content):
    out = b""
    while content:
        size = rng.randrange(1, len(content) + 1)
        out += rng.choice([b"%x", b"%X", b"%04x"]) % size + rng.choice(EXTENSIONS) + b"\r\n"
        out += content[:size] + b"\r\n"
        content = content[size:]
    return out + b"0" + rng.choice(EXTENSIONS) + b"\r\n" + rng.choice(TRAILERS) + b"\r\n"


def valid_stream(rng):
    count = rng.choice([1, 2, 2, 3])
    return b"".join(valid_request(rng, last=i == count - 1) for i in range(count))


def mutated(rng, text):
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        at = rng.randrange(len(text) + 1)
        kind = rng.randrange(7)
        if kind == 0:
            text = text[:at] + rng.choice(OCTETS) + text[at + 1:]
        elif kind == 1:
            text = text[:at] + rng.choice(OCTETS) + text[at:]
        elif kind == 2:
            text = text[:at] + text[at + rng.choice([1, 1, 2, 5]):]
        elif kind == 3:
            text = text[:at] + rng.choice(SPLINTERS) + text[at:]
        else:
            text = with_changed_line(rng, text)
    return text


def with_changed_line(rng, text):
    lines = text.split(b"\r\n")
    at = rng.randrange(len(lines))
    kind = rng.randrange(5)
    if kind == 0:
        lines.insert(at, lines[at])
    elif kind == 1:
        del lines[at]
    elif kind == 2:
        lines.insert(at, rng.choice(SPLINTERS).removesuffix(b"\r\n"))
    elif kind == 3:
        lines[at] = lines[at].replace(b":", rng.choice([b" :", b"\t:", b"", b"::", b":\0"]), 1)
    else:
        lines[at:at + 2] = [rng.choice([b"\n", b"\r", b" ", b""]).join(lines[at:at + 2])]
    return b"\r\n".join(lines)


def corpus(seed, valid, damaged):
    """Returns (valid streams, streams that may be valid or invalid)."""
    rng = random.Random(seed)
    good = [valid_stream(rng) for _ in range(valid)]
    known = list(vectors())
    bad = [mutated(rng, rng.choice(rng.choice([good, known]))) for _ in range(damaged)]
    return good, known + bad
