"""`info`, `failures` and `sql`."""

import sys
from pathlib import Path

import duckdb
import pytest

from featurestore.cli.store import _info
from tests.featurestore.commands import Run, answer


def test_info(run: Run, store_path: Path) -> None:
    status, out, err = run("info", store_path)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith(f"{store_path}: 6 items, 6 labelled, 0 removed, 0 failures, ")
    assert lines[1:3] == ["splits    (none) 6", "labels    mixed 2, plain 1, primary 3"]
    assert "6 vectors of 12, quadrants none at 8 px, trained on 0 images" in lines[3]
    assert answer(run, "info", store_path)["items"] == 6


def test_info_names_the_weights_that_a_training_started_from(run: Run, store_path: Path) -> None:
    found = answer(run, "info", store_path)
    for count, text in ((24, "trained on 24 images from weights w.pth sha256:ab"), (0, "px, weights w.pth sha256:ab")):
        found["encoders"][0]["trained_on"] = {"count": count, "sha256": "", "weights": "w.pth sha256:ab"}
        assert list(_info(found))[3].endswith(text)


def test_no_failures(run: Run, store_path: Path) -> None:
    assert run("failures", store_path) == (0, "no failures\n", "")
    assert answer(run, "failures", store_path) == []


def test_sql(run: Run, store_path: Path) -> None:
    statement = "SELECT label, count(*) AS n FROM items GROUP BY label ORDER BY label"
    status, out, err = run("sql", store_path, statement)
    assert (status, err) == (0, "")
    assert out.split() == ["label", "n", "mixed", "2", "plain", "1", "primary", "3"]
    assert answer(run, "sql", store_path, statement) == [{"label": "mixed", "n": 2}, {"label": "plain", "n": 1}, {"label": "primary", "n": 3}]  # fmt: skip


def test_sql_with_times_nulls_and_columns_of_one_name(run: Run, store_path: Path) -> None:
    status, out, _ = run("sql", store_path, "SELECT id, id, split FROM items WHERE id = 3")
    assert (status, [line.split() for line in out.splitlines()]) == (0, [["id", "id", "split"], ["3", "3"]])
    assert run("sql", store_path, "SELECT id FROM items WHERE FALSE") == (0, "id\n", "")
    [row] = answer(run, "sql", store_path, "SELECT added_at, split FROM items LIMIT 1")
    assert row["added_at"].startswith("20")
    assert row["split"] is None


def test_sql_stops_in_time(run: Run, store_path: Path) -> None:
    status, _, err = run(
        "sql", store_path, "SELECT count(*) FROM range(1000000) a, range(1000000) b", "--seconds", "0.2"
    )
    assert (status, "took more than 0.2 s" in err) == (1, True)


def test_sql_is_bounded(run: Run, store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, _, err = run("sql", store_path, "SELECT repeat('x', 3000000000)")
    assert (status, "more memory than it may have" in err) == (1, True)
    assert run("sql", store_path, "SELECT repeat('x', 2000) AS x")[1] == f"x\n{'x' * 1000}… (1,000 more characters)\n"
    monkeypatch.setattr("featurestore.catalog.user_sql.RESULT_BYTES", 1 << 20)
    status, _, err = run("sql", store_path, "FROM range(1000000)")
    assert (status, "its result has more than 1 MB; select fewer columns, or add LIMIT" in err) == (1, True)


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_times_that_python_does_not_have_are_named(run: Run, store_path: Path, options: tuple[str, ...]) -> None:
    status, _, err = run("sql", store_path, "SELECT 'infinity'::DATE AS day", *options)
    assert (status, "a time that Python cannot hold" in err) == (1, True)


def test_a_terminal_gets_the_first_rows(run: Run, store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("sql", store_path, "FROM range(1001)")[1].count("\n") == 1002
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    _, out, err = run("sql", store_path, "FROM range(1001)")
    assert (out.count("\n"), err) == (
        1001,
        "the first 1000 of 1001 rows; for all of them, write to a file or use --json\n",
    )


def test_control_characters_are_spelled_out(run: Run, store_path: Path) -> None:
    with duckdb.connect(str(store_path / "catalog.duckdb")) as opened:  # no road leads them there
        opened.execute("UPDATE all_items SET label = ? WHERE id = 1", ["\x1b[31mred\x07"])
    assert run("sql", store_path, "SELECT label FROM items WHERE id = 1")[1].splitlines()[1] == r"\x1b[31mred\x07"
    assert "\x1b" not in run("knn", store_path, "--k", "1")[1]  # labels are headings of the confusion matrix too
