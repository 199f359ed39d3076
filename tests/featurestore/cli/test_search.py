"""`search` and `neighbours`: what they print and write, and how options become arguments."""

import json
import shutil
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from featurestore import FeatureStore, Matches
from featurestore.storage import Storage
from tests.featurestore.commands import Run, answer
from tests.featurestore.fakes import unit


@pytest.fixture
def store_path(indexed: Path) -> Path:
    """The shared store itself: these commands only read."""
    return indexed


def test_search_prints_a_table_or_json(run: Run, store_path: Path, colours: Path) -> None:
    red = colours / "primary" / "red.png"
    status, out, err = run("search", store_path, red, "-k", "2", "--with-self")
    assert (status, err) == (0, "")
    assert [line.split() for line in out.splitlines()] == [
        ["rank", "score", "id", "label", "path"],
        ["1", "1.0000", "6", "primary", str(red.resolve())],
        ["2", "0.7070", "2", "mixed", str(colours.resolve() / "mixed" / "yellow.png")],
    ]
    found = answer(run, "search", store_path, "id:6", "--where", "label = 'mixed'")
    assert [hit["id"] for hit in found] == [2, 1]
    assert [list(hit) for hit in found] == [["rank", "score", "id", "path", "label", "labels"]] * 2
    assert found[0]["score"] == pytest.approx(0.7071, abs=1e-3)


def test_a_query_that_is_an_item_is_left_out_and_told(
    run: Run, store_path: Path, colours: Path, tmp_path: Path
) -> None:
    red = colours / "primary" / "red.png"
    _, out, err = run("search", store_path, red, "--k", "1")
    assert out.splitlines()[1].split()[:3] == ["1", "0.7070", "2"]
    assert err == "item 6 is a query itself and left out of its hits; to keep it: --with-self\n"
    assert run("search", store_path, "--id", "6", "-k", "1")[2] == ""  # the user knows
    copy = shutil.copy(red, tmp_path / "copy.png")
    assert [hit["id"] for hit in answer(run, "search", store_path, copy, "-k", "1")] == [6]  # a copy is a hit
    (tmp_path / "q.txt").write_text(f"{red}\n{colours}/mixed/cyan.png\n{copy}\n")
    _, out, err = run("search", store_path, "--batch", tmp_path / "q.txt", "-k", "1", "--json")
    assert [json.loads(line)["hits"][0]["id"] for line in out.splitlines()] == [2, 3, 6]
    assert err == "2 items are queries themselves and left out of their hits; to keep them: --with-self\n"
    _, out, err = run("search", store_path, "--batch", tmp_path / "q.txt", "-k", "1", "--json", "--with-self")
    assert [json.loads(line)["hits"][0]["id"] for line in out.splitlines()] == [6, 1, 6]
    assert err == ""


def test_search_draws_a_sheet_and_a_page(run: Run, store_path: Path, tmp_path: Path) -> None:
    files = tmp_path / "hits.png", tmp_path / "hits.html"
    assert run("search", store_path, "--id", "6", "--sheet", files[0], "--html", files[1])[0] == 0
    with Image.open(files[0]) as sheet:
        assert sheet.format == "PNG"
    assert files[1].read_text().count("<img ") == 6
    status, _, err = run("search", store_path, "--id", "6", "--sheet", tmp_path / "hits.pdf")
    assert (status, "a contact sheet is written as .png, .jpg, .jpeg, .webp; found .pdf" in err) == (1, True)
    status, _, err = run("search", store_path, "--id", "6", "--html", tmp_path / "hits.png")
    assert (status, "a page is written as .html, .htm; found .png" in err) == (1, True)


def test_an_image_in_a_container_is_a_query_and_is_drawn(
    run: Run, tmp_path: Path, encoder: Path, colours: Path
) -> None:
    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        archive.add(colours, "colours")
    store, member = tmp_path / "my.store", f"{tmp_path}/shard.tar::colours/primary/red.png"
    status, out, _ = run("index", store, tmp_path / "shard.tar", "--encoder", encoder, "--labels", "folders", "--json")
    assert (status, json.loads(out)["added"]) == (0, 6)
    [hit] = answer(run, "search", store, member, "-k", "1", "--with-self", "--sheet", tmp_path / "hits.png")
    assert (hit["path"], hit["label"]) == (member, "primary")
    assert (tmp_path / "hits.png").stat().st_size > 1000
    status, out, err = run("index", store, tmp_path, "--json")
    assert (status, json.loads(out)["removed"]) == (0, 0)  # the folder around the tar does not list its members
    assert err == f"passed over: 1 .tar (to take the images inside, name {tmp_path}/*.tar), 1 store\n"


def matches(paths: list[str], warnings: tuple[str, ...] = ()) -> Matches:
    n = len(paths)
    return Matches(np.arange(1, n + 1), np.full(n, 0.5, np.float32), paths, [None] * n, warnings=warnings)


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("a.png --exact --where id>3 --encoder x -k 7", {"where": "id>3", "exact": True, "encoder": "x", "k": 7}),
        ("a.png b.png", {"queries": ["a.png", "b.png"]}),
        ("--id 6 --id 4", {"queries": [6, 4]}),
        ("id:6 id:4", {"queries": [6, 4]}),
        ("--weight 3 --id 4 a.png --weight 1", {"queries": ["a.png", 4], "weights": (3, 1)}),
        ("--not id:2 a.png --not b.png", {"exclude": [2, "b.png"]}),
        ("a.png --above 0.5 --unique 0.7", {"above": 0.5, "unique": 0.7}),
        ("a.png --unique", {"unique": 0.97}),
        ("a.png --with-self --k 7", {"with_self": True, "k": 7}),
    ],
)
def test_options_become_arguments(
    run: Run, store_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, asked: dict[str, Any]
) -> None:
    unless_asked = {
        "queries": ["a.png"], "k": None, "where": None, "exclude": [], "weights": None, "above": None, "unique": None, "exact": False, "encoder": None,
        "with_self": False,
    }  # fmt: skip
    found: list[dict[str, Any]] = []

    def search(store: Storage, queries: Any, k: Any, where: Any, **named: Any) -> Matches:
        found.append({"queries": queries, "k": k, "where": where, **named})
        return matches(["/a"], ("the index is old",) * 2)

    monkeypatch.setattr("featurestore.cli.search.search_store", search)
    status, out, err = run("search", store_path, *words.split())
    assert (status, err) == (0, "the index is old\n")
    assert out.splitlines()[1].split() == ["1", "0.5000", "1", "/a"]
    assert run("search", store_path, *words.split(), "--json")[2] == "the index is old\n"
    assert found == [unless_asked | asked] * 2


def test_search_prints_paths_and_spells_them_out_for_a_terminal(
    run: Run, store_path: Path, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = colours.resolve()
    expected = f"{folder}/mixed/yellow.png\n{folder}/plain/white.png\n"
    assert run("search", store_path, "--id", "6", "-k", "2", "--paths") == (0, expected, "")
    assert run("search", store_path, "--id", "6", "--where", "id > 6", "--paths") == (
        0, "", "where 'id > 6': 0 of 6 items match; id: from 1 to 6\n",
    )  # fmt: skip
    monkeypatch.setattr(
        "featurestore.cli.search.search_store", lambda *arguments, **named: matches(["/a\x1b[2J", "/b\u202e"])
    )
    assert run("search", store_path, "--id", "1", "--paths")[1] == "/a\\x1b[2J\n/b\u202e\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run("search", store_path, "--id", "1", "--paths")[1] == "/a\\x1b[2J\n/b\\u202e\n"


def test_search_by_a_file_of_queries(run: Run, store_path: Path, colours: Path, tmp_path: Path) -> None:
    red, file = colours / "primary" / "red.png", tmp_path / "q.txt"
    file.write_text(f"# two\n{red}\nid:6\n")
    status, out, err = run("search", store_path, "--batch", file, "-k", "2", "--json", "--with-self")
    assert (status, err) == (0, "")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [(line["query"], [hit["id"] for hit in line["hits"]]) for line in lines] == [
        (str(red), [6, 2]),
        ("id:6", [6, 2]),
    ]
    assert [list(hit) for hit in lines[0]["hits"]] == [["rank", "score", "id", "path", "label", "labels"]] * 2
    status, out, err = run("search", store_path, "--batch", file, "--where", "label = 'plain'")
    assert (status, err) == (0, "")
    assert [line.split()[:4] for line in out.splitlines()] == [
        ["query", "rank", "score", "id"], [str(red), "1", "0.5771", "3"], ["id:6", "1", "0.5771", "3"],
    ]  # fmt: skip
    np.save(tmp_path / "q.npy", np.stack([unit((0, 0, 9)), unit((9, 0, 0))]))
    out = run("search", store_path, "--batch", tmp_path / "q.npy", "-k", "1", "--json")[1]
    assert [(line["query"], line["hits"][0]["id"]) for line in map(json.loads, out.splitlines())] == [(0, 4), (1, 6)]


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


def test_neighbours_are_those_of_searches(run: Run, store_path: Path, tmp_path: Path) -> None:
    file = tmp_path / "graph.parquet"
    expected = f"3 neighbours of each of 6 items written to {file}\n"
    assert run("neighbours", store_path, "--out", file, "-k", 3) == (0, expected, "")
    store = FeatureStore.open(store_path)
    for row in pq.read_table(file).to_pylist():
        hits = store.search(row["id"], k=3)
        assert row["neighbours"] == hits.ids.tolist()
        np.testing.assert_allclose(row["scores"], hits.scores, atol=1e-3)  # a search normalises the query again
    status, _, err = run("neighbours", store_path, "--out", tmp_path / "g.parquet", "-k", 6)
    assert (status, "expected from 1 to" in err) == (1, True)
    assert not (tmp_path / "g.parquet").exists()
