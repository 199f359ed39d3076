"""What users and files say reaches the terminal without control characters: labels, splits, columns, paths."""

from pathlib import Path

import duckdb
import pytest

from tests.featurestore.commands import Run

EVIL = "\x1b]0;title\x07\x1b[31mred\nnext line"


@pytest.mark.parametrize(
    "words",
    [
        ["info"], ["knn", "--k", "1"], ["lowshot", "--shots", "5"], ["lowshot", "--shots", "1", "--tries", "2"], ["retrieval"],
        ["search", "--id", "6"], ["sql", "SELECT label, split FROM items"], ["classify", "--train", "--name", "kind", "--method", "ridge"],
        ["knn", "--encoder", EVIL], ["failures"],
    ],
)  # fmt: skip
def test_no_control_character_reaches_the_terminal(run: Run, store_path: Path, words: list[str]) -> None:
    with duckdb.connect(str(store_path / "catalog.duckdb")) as opened:
        opened.execute("UPDATE all_items SET label = ? WHERE label = 'primary'", [EVIL])
        opened.execute("INSERT INTO failures VALUES (?, ?, now()::TIMESTAMP)", [f"/{EVIL}.png", EVIL])
    command, *others = words
    _, out, err = run(command, store_path, *others)
    assert not set(out + err) & {"\x1b", "\x07"}
    assert "\nnext line" not in out + err
    assert out + err
