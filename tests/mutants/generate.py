# SPDX-License-Identifier: MIT
"""Generates small changes to a C++ source, called mutants."""

import dataclasses
import re

# Matches comments and literals, whose text is not code.
NO_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'', re.DOTALL)
# Lines that are not changed, because no test should notice: compile-time checks and log messages.
SKIPPED = re.compile(r"^\s*#|static_assert|REACTOR_CHECK|REACTOR_LOG|poison\(|PoisonAtExit|^\s*using |"
                     r"^\s*friend |\bwarn\(|\blog\(|= (default|delete);")

# Each rule replaces the match of its pattern on one line. {it} stands for the group of that name.
RULES = [
    ("negate", re.compile(r"\bif \((?!const |auto )(?P<it>.+?)\)"
                          r"(?= \{$| return\b| continue;| break;| [\w:.>-]+\(|$)"),
     "if (!({it}))"),
    ("negate", re.compile(r"\bwhile \((?!const |auto )(?P<it>.+)\)(?= \{$)"), "while (!({it}))"),
    ("negate", re.compile(r"(?<=return )!(?=\w)"), ""),
    ("equal", re.compile(r" == "), " != "),
    ("equal", re.compile(r" != "), " == "),
    ("bound", re.compile(r" < "), " <= "),
    ("bound", re.compile(r" > "), " >= "),
    ("bound", re.compile(r" <= "), " < "),
    ("bound", re.compile(r" >= "), " > "),
    ("one", re.compile(r" [+-] 1\b(?![.'])"), ""),
    ("one", re.compile(r"(?<=[\w)\]]) - (?=\w)"), " + "),
    ("one", re.compile(r"(?<=[\w)\]]) \+ (?=[a-z])"), " - "),
    ("logic", re.compile(r" && "), " || "),
    ("logic", re.compile(r" \|\| "), " && "),
    ("constant", re.compile(r"\btrue\b"), "false"),
    ("constant", re.compile(r"\bfalse\b"), "true"),
    ("constant", re.compile(r"std::min\b"), "std::max"),
    ("constant", re.compile(r"std::max\b"), "std::min"),
    ("error", re.compile(r"\bErrc::(?!invalid_argument\b|ok\b)\w+"), "Errc::invalid_argument"),
    ("error", re.compile(r"(?<=[=!]= )E[A-Z]{3,}\b"), "EDOM"),
]
# A call or an assignment on its own line, or after an `if` on the same line.
STATEMENT = re.compile(
    r"^(?P<before>\s+(?:(?:else )?if \(.*\) |else )?)(?P<it>"
    r"(?!return\b|continue;|break;|throw\b|else\b|if \(|for \(|while \(|case |delete )"
    r"(?:[\w:.>\[\]*&()-]+\(.*\)|[\w:.>\[\]*()-]+ (?:[+\-|&^]?=|<<=) .*"
    r"|(?:\+\+|--)[\w.>-]+|[\w.>-]+(?:\+\+|--));)$")
FUNCTION = re.compile(r"^(?!namespace|class|struct|enum|union|extern|\})(?P<it>\S.*)\{$")


@dataclasses.dataclass(frozen=True)
class Mutant:
    file: str
    line: int  # the first line is 1
    kind: str
    old: str  # the line without its indentation
    new: str

    def __str__(self):
        return f"{self.file}:{self.line}: {self.old} -> {self.new}"


def blanked(text):
    """Returns the text with spaces for comments, and dots for the content of literals."""
    def blank(match):
        found = match.group(0)
        if found[0] == "/":
            return re.sub(r"[^\n]", " ", found)
        return found[0] + "." * (len(found) - 2) + found[-1]
    return NO_CODE.sub(blank, text)


def is_void(lines, index):
    """Returns whether the function around this line returns void, or None outside functions."""
    for above in range(index, -1, -1):
        if lines[above].startswith("}"):
            return None
        match = FUNCTION.match(lines[above])
        if match:
            start = above
            while start > 0 and re.match(r"\s+\S", lines[start]):
                start -= 1
            return re.match(r"(static |inline )*void |[\w:<>]+::~?\w+\(", lines[start]) is not None
    return None


def statement_changes(lines, index):
    """Yields the changes to a line that is one statement: drop it, or return before it."""
    code = lines[index]
    match = STATEMENT.match(code)
    whole = match and code.count("(") == code.count(")")
    if not whole or index and not re.search(r"[;{}:]$|^$", lines[index - 1].strip()):
        return
    yield "drop", match.span("it"), ";"
    void = is_void(lines, index)
    if void is not None and not match.group("before").strip():
        yield "return", (match.start("it"), match.start("it")), "return; " if void else "return {}; "


def mutants(file, text):
    """Returns all mutants of the source `file`, whose content is `text`."""
    original = text.split("\n")
    lines = [line.rstrip() for line in blanked(text).split("\n")]
    result = []
    for index, code in enumerate(lines):
        line = original[index]
        if not line.startswith(" ") or SKIPPED.search(line):
            continue
        changes = list(statement_changes(lines, index))
        for kind, pattern, new in RULES:
            for match in pattern.finditer(code):
                it = line[slice(*match.span("it"))] if "it" in pattern.groupindex else ""
                changes.append((kind, match.span(), new.replace("{it}", it)))
        for kind, (begin, end), new in changes:
            changed = (line[:begin] + new + line[end:]).strip()
            result.append(Mutant(file, index + 1, kind, line.strip(), changed))
    return list(dict.fromkeys(result))


def applied(mutant, text):
    """Returns the text of the source with this change."""
    lines = text.split("\n")
    line = lines[mutant.line - 1]
    indent = line[:len(line) - len(line.lstrip())]
    if line.strip() != mutant.old:
        raise ValueError(f"the line is another by now: {mutant}")
    lines[mutant.line - 1] = indent + mutant.new
    return "\n".join(lines)
