"""Patterns of files to leave out, in the form of .gitignore."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

IGNORE_FILE = ".featurestoreignore"
STAR = "[^/]*"
ANY_FOLDERS = ("(?:.*/)?", ".+")  # for **
POSIX = {  # character classes within [...]
    "alnum": r"a-zA-Z0-9", "alpha": r"a-zA-Z", "digit": r"0-9", "lower": r"a-z", "upper": r"A-Z", "space": r"\s", "xdigit": r"0-9a-fA-F",
    "punct": r"!-/:-@\[-`{-~",
}  # fmt: skip


class Rule(NamedTuple):
    matches: re.Pattern[str]  # of a path relative to where the pattern stands
    negated: bool  # takes what it matches in again
    folders_only: bool


class IgnoreRules:
    """The rules of one .gitignore, or of the patterns of one command line. The last rule that matches decides."""

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self._rules = [rule for line in lines if (rule := _parse(line)) is not None]

    def __bool__(self) -> bool:
        return bool(self._rules)

    def verdict(self, path: str, is_folder: bool) -> bool | None:
        """Return whether a path, relative to where the rules stand, is left out; None when no rule matches it."""
        for rule in reversed(self._rules):
            if (is_folder or not rule.folders_only) and rule.matches.fullmatch(path):
                return not rule.negated
        return None


@dataclass(frozen=True)
class Excludes:
    """All rules that hold in a folder: those given for the source come first, then those of the innermost folder."""

    given: IgnoreRules = field(default_factory=IgnoreRules)
    files: tuple[tuple[str, IgnoreRules], ...] = ()  # the folder of each, relative to the source, and its rules

    def __bool__(self) -> bool:
        return bool(self.given or self.files)

    def within(self, folder: str, text: str) -> "Excludes":
        """Add the rules of the ignore file of a folder; its path is relative to the source and ends in "/", or is empty."""
        return replace(self, files=((folder, IgnoreRules(text.split("\n"))), *self.files))

    def cover(self, path: str, is_folder: bool) -> bool:
        """Return whether a file or folder is left out whose folders are not."""
        for folder, rules in (("", self.given), *self.files):
            if (verdict := rules.verdict(path[len(folder) :], is_folder)) is not None:
                return verdict
        return False

    def cover_file(self, path: str) -> bool:
        """Return whether a file is left out, by itself or with one of its folders."""
        parts = path.split("/")
        above = ("/".join(parts[:depth]) for depth in range(1, len(parts)))
        return any(self.cover(folder, True) for folder in above) or self.cover(path, False)


def _parse(line: str) -> Rule | None:
    """Read one line; None for blank lines, comments, and patterns that can match nothing."""
    text = re.sub(r"(?<!\\)((?:\\\\)*)[ ]+$", r"\1", line.removesuffix("\r"))
    if not text or text.startswith("#"):
        return None
    negated = text.startswith("!")
    text = text.removeprefix("!")
    folders_only = text.endswith("/")
    text = text.removesuffix("/")
    anchored = "/" in text
    expression = _translate(text.removeprefix("/"))
    if not text or expression is None:
        return None
    try:
        return Rule(re.compile(("" if anchored else "(?:.*/)?") + expression, re.DOTALL), negated, folders_only)
    except re.error:
        return None  # such as [z-a]


def _translate(pattern: str) -> str | None:
    """Return a pattern as a regular expression, None when it is not complete."""
    found, at = [], 0
    while at < len(pattern):
        if pattern.startswith("**/", at) and (at == 0 or pattern[at - 1] == "/"):
            found.append(ANY_FOLDERS[0])
            at += 3
        elif pattern[at:] == "**" and pattern[at - 1 : at] == "/":
            found.append(ANY_FOLDERS[1])
            at += 2
        elif pattern[at] == "*":
            while pattern[at : at + 1] == "*":
                at += 1
            found.append(STAR)
        elif pattern[at] == "?":
            found.append("[^/]")
            at += 1
        elif pattern[at] == "[":
            group = _group(pattern, at)
            if group is None:
                return None
            found.append(group[0])
            at = group[1]
        else:
            at += pattern[at] == "\\"
            if at == len(pattern):
                return None
            found.append(re.escape(pattern[at]))
            at += 1
    return _without_second_tries(found)


def _without_second_tries(parts: list[str]) -> str:
    """Join the parts of an expression. A star before another star takes the least it can and keeps it, as the later one takes the rest.

    Otherwise a pattern of many stars would try a path in more ways than anybody can wait for.
    """
    expression, fixed, settled = "", "", False  # from the end; settled: a star comes next
    for part in reversed(parts):
        if part == STAR:
            expression = (f"(?>{STAR}?{fixed})" if settled else f"{STAR}{fixed}") + expression
            fixed, settled = "", True
        elif part in ANY_FOLDERS:
            expression, fixed, settled = part + fixed + expression, "", False
        else:
            fixed = part + fixed
    return fixed + expression


def _group(pattern: str, start: int) -> tuple[str, int] | None:
    """Return the characters in brackets as a regular expression and the place after them, None without a closing bracket."""
    at = start + 1
    negated = pattern[at : at + 1] in ("!", "^") and bool(pattern[at : at + 1])
    at += negated
    members, first = [], at
    while at < len(pattern) and (pattern[at] != "]" or at == first):
        if (named := re.match(r"\[:(\w+):\]", pattern[at:])) is not None:
            if named[1] not in POSIX:
                return None
            members.append(POSIX[named[1]])
            at += named.end()
        else:
            is_range = pattern[at] == "-" and at > first and pattern[at + 1 : at + 2] not in ("", "]")
            at += pattern[at] == "\\"
            if at == len(pattern):
                return None
            members.append("-" if is_range else re.escape(pattern[at]))
            at += 1
    if at >= len(pattern):
        return None
    return f"(?!/)[{'^' * negated}{''.join(members)}]", at + 1
