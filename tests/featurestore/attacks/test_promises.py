"""The page of promises names a test for each of them, and the tests exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
ROWS = [
    row.strip("|").split("|")
    for row in (ROOT / "docs/reference/security.md").read_text(encoding="utf-8").splitlines()
    if row.startswith("|") and not row.startswith(("|---", "| promise"))
]
PLACES = ("tests/featurestore/attacks/", "tests/trainers/attacks/", "")


def test_each_promise_has_tests_and_a_limit_or_none() -> None:
    assert len(ROWS) > 40
    assert [row for row in ROWS if len(row) != 3 or "::" not in row[1]] == []


def test_the_tests_that_the_page_names_exist() -> None:
    named = re.findall(r"`([\w/.]+)::(\w+)`", " ".join(row[1] for row in ROWS))
    missing = [
        f"{file}::{function}"
        for file, function in named
        if not any(
            f"def {function}(" in (ROOT / place / file).read_text(encoding="utf-8")
            for place in PLACES
            if (ROOT / place / file).is_file()
        )
    ]
    assert missing == []
