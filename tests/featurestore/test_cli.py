"""The command line: what it prints, in text and JSON, and how it ends."""

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from featurestore import FeatureStore, __version__, cli
from tests.featurestore.commands import Run, answer
from tests.featurestore.fakes import paint, write_encoder

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
    assert err == f"1 files could not be used: featurestore failures {path}\n"
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


# -- knn, info, failures, sql, label


def test_knn(run: Run, store_path: Path) -> None:
    status, out, err = run("knn", store_path, "--k", "1", "--k", "5")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("k-NN  leave-one-out, 6 train, 6 test, T = 0.07, encoder ")
    assert lines[1].split() == ["k", "top-1", "top-5"]
    assert [line.split()[0] for line in lines[2:4]] == ["1", "5"]
    assert [line.split()[0] for line in lines[6:]] == ["mixed", "plain", "primary"]


def test_knn_json(run: Run, store_path: Path) -> None:
    found = answer(run, "knn", store_path, "--k", "2", "--temperature", "0.5")
    assert {k: found[k] for k in ("protocol", "split", "temperature", "n_train", "n_test")} == {
        "protocol": "knn", "split": "leave-one-out", "temperature": 0.5, "n_train": 6, "n_test": 6,
    }  # fmt: skip
    assert len(found["encoder"]) == 64
    assert [set(r) for r in found["results"]] == [{"k", "top1", "top5"}]
    assert [set(c) for c in found["classes"]] == [{"label", "n", "recall", "precision"}] * 3
    assert 0 <= found["results"][0]["top1"] <= found["results"][0]["top5"] <= 1


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
    assert err == "1 paths are no item of the store, the first: nowhere.png\n"
    assert answer(run, "label", store_path, tmp_path / "labels.csv") == {
        "labelled": 1,
        "unknown": ["nowhere.png"],
    }


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
        ("knn", store_path, "--k", "0"),
        ("knn", store_path, "--k", "99"),
        ("knn", store_path, "--temperature", "0"),
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


def test_help_and_version(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("train", "tests.featurestore.test_cli:absent", "featurestore.commands")
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
    point = EntryPoint("info-twice", "featurestore.cli.using:info", "featurestore.commands")
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
