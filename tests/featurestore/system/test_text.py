"""Text that is safe to show."""

import pytest

from featurestore.system.text import as_argument, printable, shortened

ARABIC = "\u0634\u062c\u0631\u0629"
PERSIAN = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rose 1 ü 花", "rose 1 ü 花"),
        ("a\x1b[31m\n\t\x7f", "a\\x1b[31m\\x0a\\x09\\x7f"),
        ("\x85\x9b", "\\x85\\x9b"),
        ("caf\udce9", "caf\\udce9"),
        ("photo\u202egpj.exe", "photo\\u202egpj.exe"),
        ("a\u2028b\u2029c", "a\\u2028b\\u2029c"),
        (ARABIC, ARABIC),
        (PERSIAN, PERSIAN),  # a joiner between letters that need it
        ("👨\u200d👩", "👨\u200d👩"),
        ("ro\u200dse\u200d", "ro\\u200dse\\u200d"),  # and where nothing does
        ("é\u200d\u200d", "é\u200d\\u200d"),
        ("\U000e0041", "\\U000e0041"),
        ("e" + "\u0301" * 8, "e" + "\u0301" * 8),
        ("e" + "\u0301" * 9 + "e\u0301", "e" + "\u0301" * 8 + "…e\u0301"),
    ],
)
def test_what_acts_on_a_terminal_is_spelled_out(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown  # what is safe stays as it is


def test_a_long_text_says_how_much_is_left_out() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("abcd" * 1000, 3) == "abc… (3,997 more characters)"


def test_an_argument_is_one_word_of_a_shell() -> None:
    assert as_argument("photos.store") == "photos.store"
    assert as_argument("$(touch x) '") == """'$(touch x) '"'"''"""
