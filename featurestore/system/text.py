"""Text from files, paths and errors, made safe for terminals and short enough for messages."""

import re

# Control characters, and surrogates, which stand for bytes of a path that are not UTF-8.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
LONGEST = 200  # characters of a library's error that a message repeats


def printable(text: str) -> str:
    """Replace control characters and bytes that are not UTF-8 by their hexadecimal codes."""
    encoded = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return UNPRINTABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", encoded)


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
