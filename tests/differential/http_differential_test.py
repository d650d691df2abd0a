#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the HTTP parser's verdicts on a corpus with the verdicts of llhttp, h11 and Node.

usage: http_differential_test.py HTTP_VERDICTS [--llhttp=PROGRAM] [--seed=N] [--cases=N]

Each disagreement has to belong to a class of http_classes.py. The grammar of http_grammar.py is
always compared too, and has to agree in full. A peer that is not installed is left out.
"""

import argparse
import collections
import json
import pathlib
import shutil
import struct
import subprocess
import sys

import http_classes
import http_corpus
import http_grammar

FOLDER = pathlib.Path(__file__).resolve().parent
SKIPPED = 77


def verdicts(command, cases):
    """Returns one verdict per case, or None if the command says that its peer is not installed."""
    stream = b"".join(struct.pack("<I", len(case)) + case for case in cases)
    done = subprocess.run(command, input=stream, stdout=subprocess.PIPE, timeout=100, check=False)
    if done.returncode == SKIPPED:
        return None
    lines = done.stdout.splitlines()
    if done.returncode != 0 or len(lines) != len(cases):
        raise SystemExit(f"{command}: exit code {done.returncode}, {len(lines)} verdicts for "
                         f"{len(cases)} cases")
    return [json.loads(line) for line in lines]


def peers(llhttp):
    """Returns a list of (name, commands to try)."""
    found = [("llhttp", [[llhttp]] if llhttp else [])]
    # Only Debian's interpreter finds the package of Debian.
    pythons = dict.fromkeys([sys.executable, "/usr/bin/python3"])
    found.append(("h11", [[python, str(FOLDER / "h11_verdicts.py")] for python in pythons
                          if pathlib.Path(python).exists()]))
    node = shutil.which("node")
    found.append(("node", [[node, str(FOLDER / "node_verdicts.js")]] if node else []))
    return found


def ask(commands, cases):
    for command in commands:
        found = verdicts(command, cases)
        if found is not None:
            return found
    return None


def end_of(verdict, index):
    """Returns a reader's verdict on one message: "message", "error", "closed" or "waits"."""
    if index < len(verdict["messages"]):
        return "message"
    return {"error": "error", "closed": "closed"}.get(verdict["end"], "waits")


def plain(message):
    """Returns the message with field names and transfer coding in lower case, as h11 has them."""
    fields = []
    for name, value in message["fields"]:
        name, value = bytes.fromhex(name).lower(), bytes.fromhex(value)
        fields.append((name, value.lower() if name == b"transfer-encoding" else value))
    return {**message, "fields": fields}


def same(ours, theirs):
    return plain(ours) == plain(theirs)


def first_difference(ours, theirs):
    """Returns (index of the message, kind as in http_classes), or None."""
    for index in range(len(ours["messages"]) + 1):
        own, other = end_of(ours, index), end_of(theirs, index)
        if own == "closed":
            return None
        if own != other:
            return index, f"{own}/{other}"
        if own == "message" and not same(ours["messages"][index], theirs["messages"][index]):
            return index, "differ"
        if own != "message":
            return None
    return None


def part(case, verdict, index):
    """Returns the bytes of one message: up to its end if it is whole, or else all the rest."""
    starts = verdict["starts"] + [None]
    return case[starts[index]:starts[index + 1]] if index >= 0 else b""


def compare(peer, cases, ours, theirs):
    """Returns (hits of each class, disagreements that belong to no class)."""
    hits, strange = collections.Counter(), []
    for case, own, other in zip(cases, ours, theirs):
        found = first_difference(own, other)
        if found is None:
            continue
        index, kind = found
        message = part(case, own, index)
        name = http_classes.explain(http_classes.Disagreement(
            peer, kind, message, part(case, own, index - 1)))
        if name is None:
            strange.append((kind, case, message, own, other))
        else:
            hits[name] += 1
    return hits, strange


def breaks_grammar(case, own):
    """Returns (message, text) if the grammar disagrees about a message of the case, or None."""
    for index in range(len(own["starts"])):
        message, end = part(case, own, index), end_of(own, index)
        broken, whole = http_grammar.faults(message) if message else (set(), False)
        if end == "message" and (broken or not whole):
            return message, f"taken, but {broken or 'not whole'}"
        if end == "error" and not broken:
            return message, f"refused with {own['status']} for nothing"
        if end == "waits" and whole:
            return message, f"waited for more, but {broken or 'whole'}"
    return None


def check_grammar(cases, ours):
    failures = 0
    for case, own in zip(cases, ours):
        found = breaks_grammar(case, own)
        if found is not None:
            failures += 1
            if failures <= 10:
                print(f"grammar: {found[1]}, {bytes.fromhex(own['reason'])!r}\n  {found[0]!r}")
    return failures


def text(digits):
    return bytes.fromhex(digits)


def show(name, verdict):
    print(f"  {name:8} {verdict['end']} {verdict['status']} {text(verdict['reason'])!r}, "
          f"{len(verdict['messages'])} messages")
    for each in verdict["messages"]:
        fields = [(text(name), text(value)) for name, value in each["fields"]]
        print(f"           {text(each['method'])!r} {text(each['target'])!r} {fields} "
              f"{text(each['body'])!r}")


def report(peer, strange):
    for kind, case, message, own, other in sorted(strange, key=lambda each: len(each[2]))[:10]:
        print(f"{peer}: {kind}, in no class\n  stream   {case!r}\n  message  {message!r}")
        show("ours", own)
        show("theirs", other)
    return len(strange)


def refused(good, ours):
    """Returns the valid streams that the parser did not accept to their end."""
    bad = [(case, own) for case, own in zip(good, ours) if own["end"] not in ("clean", "closed")]
    for case, own in bad[:10]:
        print(f"valid, but {own['end']} {own['status']} {text(own['reason'])!r}\n  {case!r}")
    return len(bad)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("http_verdicts")
    parser.add_argument("--llhttp")
    parser.add_argument("--seed", type=int, default=9112)
    parser.add_argument("--cases", type=int, default=6000)
    options = parser.parse_args()
    good, rest = http_corpus.corpus(options.seed, options.cases // 6, options.cases)
    cases = good + rest
    ours = verdicts([options.http_verdicts], cases)
    failures = refused(good, ours) + check_grammar(cases, ours)
    taken = sum(own["end"] != "error" for own in ours)
    print(f"{len(cases)} streams of seed {options.seed}, {taken} of them without an error")
    for peer, commands in peers(options.llhttp):
        theirs = ask(commands, cases)
        if theirs is None:
            print(f"{peer}: not installed, left out")
            continue
        hits, strange = compare(peer, cases, ours, theirs)
        print(f"{peer}: {sum(hits.values())} explained disagreements, {len(strange)} others")
        for name, count in hits.most_common():
            print(f"  {count:5} {name}")
        failures += report(peer, strange)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
