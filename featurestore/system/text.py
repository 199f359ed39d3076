"""Text from files, paths and errors, made safe for terminals and pages, and short enough for messages."""

import re
import shlex
from collections.abc import Iterator
from unicodedata import category

# What no name in a store may hold: control characters, and surrogates, which stand for bytes of a path that are not UTF-8.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# Unicode's categories of control, format, surrogate, and line and paragraph separator.
UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
JOINERS = "\u200c\u200d"  # format characters that Persian, Indian scripts and emoji need between two letters
MARKS = ("Mn", "Me")  # drawn over the letter before them
MOST_MARKS = 8  # on one letter; no writing needs more
LONGEST = 200  # characters of a library's error that a message repeats


def printable(text: str) -> str:
    """Spell out by its hexadecimal code what acts on a terminal, reorders or hides text, or starts a line.

    These are control and format characters, such as those that turn the direction of writing, line separators, and bytes that are not
    UTF-8. Of marks piled on one letter the first eight are shown.
    """
    return text if text.isascii() and text.isprintable() else "".join(_spelled(text))


def _spelled(text: str) -> Iterator[str]:
    marks, before = 0, ""
    for letter in text:
        kind = category(letter)
        marks = marks + 1 if kind in MARKS else 0
        joins = letter in JOINERS and not before.isascii() and before not in JOINERS
        if marks <= MOST_MARKS:
            yield letter if kind not in UNSEEN or joins else _code(letter)
        elif marks == MOST_MARKS + 1:
            yield "…"
        before = letter


def _code(letter: str) -> str:
    return f"\\x{ord(letter):02x}" if letter.isascii() else letter.encode("ascii", "backslashreplace").decode("ascii")


def is_utf8(text: str) -> bool:
    """Whether a text has no surrogates, as Python reads bytes of a name that are not UTF-8."""
    return re.search(r"[\ud800-\udfff]", text) is None


def shortened(text: str, most: int) -> str:
    """Cut a text after `most` characters, and say how many are left out."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} more characters)"


def as_argument(value: object) -> str:
    """Write a value as one argument of a command that a message suggests, for a shell."""
    return shlex.quote(str(value))


def counted(n: int, one: str, more: str | None = None) -> str:
    """Write a number with its noun, in the singular or plural."""
    return f"{n:,} {one if n == 1 else more or one + 's'}"


def describe_error(error: BaseException) -> str:
    """Describe in a few words why a file could not be read."""
    match error:
        case FileNotFoundError():
            return "no such file, or it has vanished"
        case PermissionError():
            return "not readable: permission denied"
        case IsADirectoryError():
            return "not a file but a folder"
        case MemoryError():
            return "not enough memory"
        case OSError(strerror=str(reason)):
            return f"not readable: {reason}"
    return f"{type(error).__name__}: {one_line(error)}"


def one_line(error: BaseException) -> str:
    """Give an error's message on one line, shortened: some libraries repeat the content of the file."""
    text = "".join(letter if letter.isprintable() else "?" for letter in str(error))
    return text[:LONGEST] or type(error).__name__


def first_line(error: BaseException) -> str:
    """Give the first line of an error's message, shortened: some libraries write many lines."""
    lines = "".join(letter if letter.isprintable() else "\n" for letter in str(error)).split("\n")
    return next((line for line in lines if line), type(error).__name__)[:LONGEST]
