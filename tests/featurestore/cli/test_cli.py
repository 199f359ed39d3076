"""The command line as a whole: exit codes, help, commands of other packages, and a pipe that closes."""

import io
import os
import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import click
import pytest

from featurestore import __version__, cli
from tests.featurestore.commands import Run, answer
from tests.featurestore.fakes import write_encoder


def test_label(run: Run, store_path: Path, colours: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(f"path,label\n{colours}/plain/white.png,pale\nnowhere.png,x\n")
    status, out, err = run("label", store_path, tmp_path / "labels.csv")
    assert (status, out) == (0, "0 labels set, 1 changed, 0 kept\n")
    assert err == "1 path without an item in the store: 'nowhere.png'\n"
    assert answer(run, "label", store_path, tmp_path / "labels.csv") == {
        "labelled": 1, "unknown": ["nowhere.png"], "key": "path", "set": 0, "changed": 0, "removed": 0, "kept": 0, "splits": 0, "empty": 0, "notes": [],
    }  # fmt: skip


def test_named_errors_are_one_line_and_status_1(run: Run, store_path: Path, tmp_path: Path, colours: Path) -> None:
    red = colours / "primary" / "red.png"
    half = write_encoder(tmp_path / "bare.onnx", card=None)
    for arguments in (
        *((command, tmp_path / "absent.store") for command in ("info", "optimize", "verify", "failures", "knn")),
        ("delete", tmp_path / "absent.store", "--where", "id = 1"),
        ("export-vectors", tmp_path / "absent.store", "x.parquet"),
        ("search", store_path, tmp_path / "absent.png"),
        ("search", store_path, red, "--where", "nothing = 1"),
        ("search", store_path, red, "--sheet", tmp_path / "hits.xyz"),
        ("search", store_path, "id:x"),
        ("search", store_path, "--batch", red),
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
    for arguments in (("nothing",), ("search",), ("search", store_path), ("info", store_path, "--nothing"), ("label", store_path), ("search", store_path, "x", "-k", "many")):  # fmt: skip
        status, out, err = run(*arguments)
        assert (status, out) == (2, ""), arguments
        assert "Usage: " in err
        assert "Traceback" not in err


def install(monkeypatch: pytest.MonkeyPatch, name: str, function: str) -> None:
    """Let a command be one of another package."""
    point = EntryPoint(name, function, "featurestore.commands")
    monkeypatch.setattr(cli, "entry_points", lambda **chosen: [point] if chosen.get("name", name) == name else [])


def test_help_and_version(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "train", "package_without_torch:train")
    status, out, _ = run("--help")
    assert status == 0
    for command in ("index", "search", "knn", "info", "failures", "sql", "label", "train"):
        assert f"\n  {command} " in out
    needs = (
        "featurestore: train needs package_without_torch, which is not installed: pip install 'featurestore[train]'\n"
    )
    assert run("train", "photos", "--out", "run") == (1, "", needs)
    assert run("trian")[0] == 2
    assert run("search", "--help")[0] == 0
    assert run("--version")[1].strip().endswith(__version__)


def test_help_has_a_short_line_for_every_command_under_a_heading(run: Run) -> None:
    out = run("--help")[1]
    assert max(map(len, out.splitlines())) <= 80
    listed = out.partition("Make an encoder:\n")[2].splitlines()
    assert [line for line in listed if line.strip() and not line.startswith("  ")] == [
        "Use it:", "Measure it:", "Clean it:", "Label:", "Keep a store:",
    ]  # fmt: skip
    described = [line.split(maxsplit=1) for line in listed if line.startswith("  ")]
    assert sorted(name for name, _ in described) == sorted(cli.cli.list_commands(click.Context(cli.cli)))
    assert all(text.endswith(".") and not text.endswith("...") for _, text in described)


def test_commands_of_other_packages_have_a_heading_of_their_own(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "embroider", "package_without_torch:embroider")
    assert re.search(r"\n\nOther commands:\n  embroider +\(needs package_without_torch", run("--help")[1])


def test_the_nearest_command_is_suggested(run: Run) -> None:
    assert "No such command 'serach'. Did you mean search?" in run("serach", "x.store")[2]
    assert run("zzz")[2].endswith("No such command 'zzz'.\n")


def test_a_new_store_without_encoder_or_source_says_what_to_add(run: Run, tmp_path: Path, encoder: Path) -> None:
    store = tmp_path / "new.store"
    _, _, err = run("index", store, "photos")
    assert "a new one needs an encoder: add --encoder FILE; to train one: featurestore train photos --out run" in err
    _, _, err = run("index", store, "--encoder", encoder)
    assert f"is a new store; name where its images are: featurestore index {store} SOURCE" in err
    (tmp_path / "run").mkdir()
    _, _, err = run("index", store, "photos", "--encoder", tmp_path / "run")
    assert "expected an ONNX file, found: a folder without encoder.onnx" in err
    assert not store.exists()


def test_an_empty_folder_is_no_encoder_of_a_store(run: Run, store_path: Path, tmp_path: Path) -> None:
    _, _, err = run("search", store_path, "id:6", "--encoder", tmp_path)
    assert "found: a folder without encoder.onnx" in err


def test_commands_of_other_packages_are_loaded_when_called(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "info-twice", "featurestore.cli.store:info")
    assert run("info-twice", "absent.store")[0] == 1


def test_an_interrupt_is_status_130(run: Run, store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("featurestore.cli.store.summarise", stopped)
    status, out, err = run("info", store_path)
    assert (status, out, err.strip()) == (130, "", "featurestore: interrupted")


def test_a_reader_that_has_seen_enough_is_no_error(store_path: Path) -> None:
    statement = "SELECT range FROM range(100000)"
    call = [sys.executable, "-c", "from featurestore.cli import main; main()", "sql", str(store_path), statement]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_another_encoding_than_utf_8_is_left_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths of a catalog are UTF-8, so the same command starts again in Python's UTF-8 mode."""
    started: list[list[str]] = []
    monkeypatch.setattr(os, "environ", {"PYTHONUTF8": "0"})
    monkeypatch.setattr(os, "execv", lambda program, words: started.append(words))
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    cli._use_utf8()
    assert started == [[sys.executable, *sys.orig_argv[1:]]]
    assert os.environ["PYTHONUTF8"] == "1"
    assert os.environ["PYTHONIOENCODING"].endswith(":backslashreplace")
    cli._use_utf8()
    assert len(started) == 1  # where UTF-8 mode has no effect, no second time


def test_a_character_that_the_terminal_does_not_know_is_spelled_out(monkeypatch: pytest.MonkeyPatch) -> None:
    data = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(data, encoding="latin-1"))
    cli._use_utf8()
    print("ü 日", flush=True)
    assert data.getvalue() == b"\xfc \\u65e5\n"
