"""The command line: what it prints, in text and JSON, and how it ends."""

import json
import math
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from featurestore import FeatureStore, Matches, __version__, cli
from tests.featurestore.commands import Run, answer
from tests.featurestore.fakes import paint, unit, write_encoder

# -- index


def test_index(run: Run, tmp_path: Path, encoder: Path, colours: Path) -> None:
    status, out, err = run(
        "index", tmp_path / "my.store", colours, "--encoder", encoder, "--labels", "folders", "--workers", "1"
    )
    assert (status, err) == (0, "")
    assert out.startswith("6 added, 0 updated, 0 unchanged, 0 removed, 0 failed  (")
    assert out.endswith(" images/s)\n")


def test_index_json(run: Run, store_path: Path, colours: Path) -> None:
    assert answer(run, "index", store_path, colours) == {
        "added": 0, "updated": 0, "unchanged": 6, "removed": 0, "failed": 0, "images_per_second": 0.0,
    }  # fmt: skip


def test_index_points_to_its_failures(run: Run, tmp_path: Path, encoder: Path) -> None:
    paint(tmp_path / "s" / "a.png", (1, 2, 3))
    (tmp_path / "s" / "b.png").touch()
    path = tmp_path / "my.store"
    status, out, err = run("index", path, tmp_path / "s", "--encoder", encoder)
    assert status == 0
    assert "1 added, 0 updated, 0 unchanged, 0 removed, 1 failed" in out
    assert err == f"1 files could not be used; to list them: featurestore failures {path}\n"
    assert answer(run, "failures", path) == [
        {"path": str(tmp_path.resolve() / "s" / "b.png"), "reason": "empty file (0 bytes)"}
    ]
    assert run("failures", path)[1].splitlines()[1].endswith("b.png  empty file (0 bytes)")


# -- search


def test_search(run: Run, store_path: Path, colours: Path) -> None:
    status, out, err = run("search", store_path, colours / "primary" / "red.png", "-k", "2")
    assert (status, err) == (0, "")
    head, first, second = out.splitlines()
    assert head.split() == ["rank", "score", "id", "label", "path"]
    assert first.split() == ["1", "1.0000", "6", "primary", str(colours.resolve() / "primary" / "red.png")]
    assert second.split() == ["2", "0.7070", "2", "mixed", str(colours.resolve() / "mixed" / "yellow.png")]


def test_search_json(run: Run, store_path: Path, colours: Path) -> None:
    found = answer(run, "search", store_path, colours / "primary" / "red.png", "--where", "label = 'mixed'")
    assert [hit["id"] for hit in found] == [2, 1]
    assert [list(hit) for hit in found] == [["rank", "score", "id", "path", "label"]] * 2
    assert found[0]["score"] == pytest.approx(0.7071, abs=1e-3)


def test_search_draws_a_sheet(run: Run, store_path: Path, colours: Path, tmp_path: Path) -> None:
    assert run("search", store_path, colours / "primary" / "red.png", "--sheet", tmp_path / "hits.png")[0] == 0
    with Image.open(tmp_path / "hits.png") as sheet:
        assert sheet.format == "PNG"


def test_search_names_the_encoder_it_is_to_use(
    run: Run, store_path: Path, colours: Path, other_encoder: Path, encoder: Path
) -> None:
    FeatureStore.open(store_path, other_encoder).index(colours)
    query = colours / "primary" / "red.png"
    status, out, err = run("search", store_path, query)
    assert (status, out) == (1, "")
    assert "2 encoders, which never mix" in err
    assert len(answer(run, "search", store_path, query, "--encoder", encoder)) == 6


def test_search_by_examples(run: Run, store_path: Path, colours: Path) -> None:
    red, blue = colours / "primary" / "red.png", colours / "primary" / "blue.png"
    store = FeatureStore.open(store_path)
    cases: list[tuple[tuple[Any, ...], list[Any], list[Any], list[float] | None]] = [
        ((red, blue), [red, blue], [], None),
        (("--id", "6", "--id", "4"), [6, 4], [], None),
        (("id:6", "id:4"), [6, 4], [], None),
        ((red, "--id", "4", "--weight", "3", "--weight", "1"), [red, 4], [], [3, 1]),
        (("--weight", "3", "--id", "4", red, "--weight", "1"), [red, 4], [], [3, 1]),
        (("--not", "id:2", red, "--not", blue), [red], [2, blue], None),
    ]
    for words, examples, exclude, weights in cases:
        expected = store.search(examples, exclude=exclude, weights=weights).to_json()
        assert answer(run, "search", store_path, *words) == expected
    found = answer(run, "search", store_path, "--id", "6", "--id", "4")  # red and blue
    assert [hit["id"] for hit in found] == [3, 1, 2, 5]
    assert [hit["score"] for hit in found] == pytest.approx([math.sqrt(2 / 3), 0.5, 0.5, 0], abs=2e-3)


def test_search_above_a_score(run: Run, store_path: Path) -> None:
    for words, ids in ((("--above", "0.5"), [2, 3]), (("--above", "0.5", "-k", "1"), [2]), (("--above", "0.99"), [])):
        assert [hit["id"] for hit in answer(run, "search", store_path, "--id", "6", *words)] == ids


def test_search_for_what_is_not_alike(run: Run, store_path: Path, colours: Path) -> None:
    red = colours / "primary" / "red.png"
    for words, ids in (
        (("--unique", "0.7"), [6, 3, 4, 5]),  # yellow goes with red, cyan with white
        (("--unique",), [6, 2, 3, 1, 4, 5]),
        (("--unique", "0.7", "-k", "2"), [6, 3]),
    ):
        assert [hit["id"] for hit in answer(run, "search", store_path, red, *words)] == ids


def test_search_tells_the_store_what_was_asked(run: Run, store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def search(self: FeatureStore, *arguments: Any, **named: Any) -> Matches:
        asked.append((arguments, named))
        return matches(["/a"], ("the index is old",) * 2)

    monkeypatch.setattr(FeatureStore, "search", search)
    status, out, err = run("search", store_path, "a.png", "--exact", "--where", "id > 3", "--encoder", "x", "-k", "7")
    assert (status, err) == (0, "the index is old\n")
    assert out.splitlines()[1].split() == ["1", "0.5000", "1", "/a"]
    assert asked == [((["a.png"], 7, "id > 3"), {"exclude": [], "weights": None, "above": None, "unique": None, "exact": True, "encoder": "x"})]  # fmt: skip
    assert run("search", store_path, "a.png", "--json")[2] == "the index is old\n"


def matches(paths: list[str], warnings: tuple[str, ...] = ()) -> Matches:
    n = len(paths)
    return Matches(np.arange(1, n + 1), np.full(n, 0.5, np.float32), paths, [None] * n, warnings=warnings)


def test_search_prints_paths(run: Run, store_path: Path, colours: Path) -> None:
    folder = colours.resolve()
    expected = f"{folder}/mixed/yellow.png\n{folder}/plain/white.png\n"
    assert run("search", store_path, "--id", "6", "-k", "2", "--paths") == (0, expected, "")
    assert run("search", store_path, "--id", "6", "--where", "FALSE", "--paths") == (0, "", "")


def test_a_terminal_gets_paths_spelt_out(run: Run, store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FeatureStore, "search", lambda *arguments, **named: matches(["/a\x1b[2J", "/b"]))
    assert run("search", store_path, "--id", "1", "--paths")[1] == "/a\x1b[2J\n/b\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run("search", store_path, "--id", "1", "--paths")[1] == "/a\\x1b[2J\n/b\n"


def test_search_writes_a_page(run: Run, store_path: Path, tmp_path: Path) -> None:
    assert run("search", store_path, "--id", "6", "--html", tmp_path / "hits.html")[0] == 0
    assert (tmp_path / "hits.html").read_text().count("<img ") == 6


def test_search_by_a_file_of_queries(run: Run, store_path: Path, colours: Path, tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text(f"# two\n{colours}/primary/red.png\nid:6\n")
    status, out, err = run("search", store_path, "--batch", tmp_path / "q.txt", "-k", "2", "--json")
    assert (status, err) == (0, "")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["query"] for line in lines] == [f"{colours}/primary/red.png", "id:6"]
    assert [[hit["id"] for hit in line["hits"]] for line in lines] == [[6, 2], [2, 3]]
    assert [list(hit) for hit in lines[0]["hits"]] == [["rank", "score", "id", "path", "label"]] * 2
    status, out, err = run("search", store_path, "--batch", tmp_path / "q.txt", "--where", "label = 'plain'")
    assert (status, err) == (0, "")
    assert [line.split()[:4] for line in out.splitlines()] == [
        ["query", "rank", "score", "id"],
        [f"{colours}/primary/red.png", "1", "0.5771", "3"],
        ["id:6", "1", "0.5771", "3"],
    ]


def test_search_by_an_array_of_vectors(run: Run, store_path: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "q.npy", np.stack([unit((0, 0, 9)), unit((9, 0, 0))]))
    out = run("search", store_path, "--batch", tmp_path / "q.npy", "-k", "1", "--json")[1]
    assert [(line["query"], line["hits"][0]["id"]) for line in map(json.loads, out.splitlines())] == [(0, 4), (1, 6)]


def test_a_batch_with_bad_queries_is_not_answered(run: Run, store_path: Path, colours: Path, tmp_path: Path) -> None:
    file = tmp_path / "q.txt"
    file.write_text(f"{colours}/primary/red.png\ngone.png\n\n{colours}\n")
    status, out, err = run("search", store_path, "--batch", file)
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    assert f"{file}, line 2: query '{tmp_path}/gone.png': expected an image file; no such file" in err
    assert f"{file}, line 4: query '{colours}': expected an image file; not a file but a folder" in err


# -- info, failures, sql, label


def test_info(run: Run, store_path: Path) -> None:
    status, out, err = run("info", store_path)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith(f"{store_path}: 6 items, 6 labelled, 0 removed, 0 failures, ")
    assert lines[1:3] == ["splits    (none) 6", "labels    mixed 2, plain 1, primary 3"]
    assert "6 vectors of 12, quadrants none at 8 px, trained on 0 images" in lines[3]
    assert answer(run, "info", store_path)["items"] == 6


def test_no_failures(run: Run, store_path: Path) -> None:
    assert run("failures", store_path) == (0, "no failures\n", "")
    assert answer(run, "failures", store_path) == []


def test_sql(run: Run, store_path: Path) -> None:
    statement = "SELECT label, count(*) AS n FROM items GROUP BY label ORDER BY label"
    status, out, err = run("sql", store_path, statement)
    assert (status, err) == (0, "")
    assert [line.split() for line in out.splitlines()] == [
        ["label", "n"],
        ["mixed", "2"],
        ["plain", "1"],
        ["primary", "3"],
    ]
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


def test_label(run: Run, store_path: Path, colours: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(f"path,label\n{colours}/plain/white.png,pale\nnowhere.png,x\n")
    status, out, err = run("label", store_path, tmp_path / "labels.csv")
    assert (status, out) == (0, "1 labelled\n")
    assert err == "1 paths are not items of the store, the first: nowhere.png\n"
    assert answer(run, "label", store_path, tmp_path / "labels.csv") == {"labelled": 1, "unknown": ["nowhere.png"]}


# -- exit statuses


def test_named_errors_are_one_line_and_status_1(run: Run, store_path: Path, tmp_path: Path, colours: Path) -> None:
    red = colours / "primary" / "red.png"
    half = write_encoder(tmp_path / "bare.onnx", card=None)
    for arguments in (
        ("info", tmp_path / "absent.store"),
        ("search", store_path, tmp_path / "absent.png"),
        ("search", store_path, red, "-k", "0"),
        ("search", store_path, red, "--where", "1=1 LIMIT 1"),
        ("search", store_path, red, "--where", "nothing = 1"),
        ("search", store_path, red, "--encoder", "nothing"),
        ("search", store_path, red, "--sheet", tmp_path / "hits.xyz"),
        ("search", store_path, red, "--html", tmp_path / "absent" / "hits.html"),
        ("search", store_path, "--id", "99"),
        ("search", store_path, "id:x"),
        ("search", store_path, red, "--not", "id:99"),
        ("search", store_path, red, "--weight", "0"),
        ("search", store_path, red, "--unique", "0"),
        ("search", store_path, "--batch", tmp_path / "absent.txt"),
        ("search", store_path, "--batch", red),
        ("sql", store_path, "DROP TABLE all_items"),
        ("sql", store_path, "SELECT *\nFROM\nnothing"),
        ("label", store_path, tmp_path / "absent.csv"),
        ("index", store_path, tmp_path / "absent"),
        ("index", tmp_path / "new.store", colours),
        ("index", tmp_path / "new.store", colours, "--encoder", half),
        ("index", colours, tmp_path, "--encoder", half),
    ):
        status, out, err = run(*arguments)
        assert (status, out) == (1, ""), arguments
        assert err.startswith("featurestore: "), arguments
        assert err.count("\n") == 1, arguments


def test_wrong_usage_is_status_2(run: Run, store_path: Path) -> None:
    for arguments in (("nothing",), ("search",), ("search", store_path), ("info", store_path, "--nothing"), ("index", store_path), ("search", store_path, "x", "-k", "many")):  # fmt: skip
        status, out, err = run(*arguments)
        assert (status, out) == (2, ""), arguments
        assert "Usage: " in err
        assert "Traceback" not in err


def test_options_of_a_search_that_contradict_one_another_are_status_2(run: Run, store_path: Path) -> None:
    for words, reason in (
        (("--not", "a.png"), "expected a query: a QUERY, --id N, or --batch FILE"),
        (("a.png", "--weight", "1", "--weight", "2"), "--weight: expected one for each of the 1 examples, found 2"),
        (("a.png", "--paths", "--json"), "--paths and --json exclude each other"),
        (("a.png", "--id", "3", "--batch", "q.txt"), "does not go with QUERY, --id"),
        (("--batch", "q.txt", "--above", "0", "--unique", "--paths"), "does not go with --above, --unique, --paths"),
        (("--batch", "q.txt", "--not", "a", "--weight", "1"), "does not go with --not, --weight"),
        (("--batch", "q.txt", "--sheet", "a.png", "--html", "a.html"), "does not go with --sheet, --html"),
        (("--unique", "a.png"), "'--unique': 'a.png' is not a score; before a QUERY write --unique=0.97"),
        (("a.png", "--above", "nan"), "'--above': nan is not a score: expected a number between -1 and 1"),
        (("a.png", "--above", "1.5"), "1.5 is not a score"),
        (("--id", "x"), "'x' is not a valid integer"),
    ):
        status, out, err = run("search", store_path, *words)
        assert (status, out) == (2, ""), words
        assert "Usage: " in err
        assert reason in " ".join(err.split()), words


def test_help_and_version(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("train", "tests.featurestore.cli.test_cli:absent", "featurestore.commands")
    monkeypatch.setattr(cli, "entry_points", lambda **chosen: [point] if chosen.get("name", "train") == "train" else [])

    def missing(self: EntryPoint) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(EntryPoint, "load", missing)
    status, out, _ = run("--help")
    assert status == 0
    for command in ("index", "search", "knn", "info", "failures", "sql", "label", "train"):
        assert f"\n  {command} " in out
    assert run("train", "photos", "--out", "run") == (
        1,
        "",
        "featurestore: train needs torch, which is not installed: pip install 'featurestore[train]'\n",
    )
    assert run("trian")[0] == 2
    assert run("search", "--help")[0] == 0
    assert run("--version")[1].strip().endswith(__version__)


def test_commands_of_other_packages_are_loaded_when_called(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("info-twice", "featurestore.cli.store:info", "featurestore.commands")
    monkeypatch.setattr(
        cli, "entry_points", lambda **chosen: [point] if chosen.get("name", "info-twice") == "info-twice" else []
    )
    assert run("info-twice", "absent.store")[0] == 1


def test_an_interrupt_is_status_130(run: Run, store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(FeatureStore, "info", stopped)
    status, out, err = run("info", store_path)
    assert (status, out, err.strip()) == (130, "", "featurestore: interrupted")


# -- as a process


def test_a_reader_that_has_seen_enough_is_no_error(store_path: Path) -> None:
    statement = "SELECT range FROM range(100000)"
    call = [sys.executable, "-c", "from featurestore.cli import main; main()", "sql", str(store_path), statement]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
