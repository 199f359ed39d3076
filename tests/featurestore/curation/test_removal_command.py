"""What `duplicates --delete` asks and prints, and what `index --restore` refuses."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from featurestore import FeatureStore
from featurestore.curation import DuplicatesReport, duplicates
from tests.featurestore.commands import Run, answer
from tests.featurestore.curation.stems import KNOWN, stems


def asked(monkeypatch: pytest.MonkeyPatch, answer: bool) -> list[str]:
    """Answer what the command asks on a terminal; gives what it asks."""
    questions: list[str] = []

    def confirm(text: str, **_: Any) -> bool:
        questions.append(text)
        return answer

    monkeypatch.setattr("click.confirm", confirm)
    for stream in ("stdin", "stderr"):
        monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True)
    return questions


def test_the_command_asks(run: Run, copied: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = asked(monkeypatch, False)
    status, out, _ = run("duplicates", copied.path, "--delete")
    assert (status, out.splitlines()[-1]) == (0, "nothing was deleted")
    assert questions == [
        f"3 items (test 3) of 24 will be deleted from {copied.path}, and written to a file before. Their images stay. Delete them?"
    ]
    assert len(stems(copied)) == 24
    asked(monkeypatch, True)
    assert run("duplicates", copied.path, "--delete")[1].splitlines()[-2].startswith("3 items deleted; what")
    assert len(stems(copied)) == 21


def test_without_a_terminal_it_needs_yes(run: Run, copied: FeatureStore) -> None:
    status, out, err = run("duplicates", copied.path, "--delete")
    assert (status, out) == (1, "")
    assert "there is no terminal to ask on; add --yes to delete without being asked" in err
    for option in (["--yes"], ["--out", "x.csv"]):
        assert "add --delete" in run("duplicates", copied.path, *option)[2]
    assert len(stems(copied)) == 24


def test_the_command_that_it_prints_brings_all_back(run: Run, copied: FeatureStore) -> None:
    before = copied.sql(KNOWN).to_pylist()
    status, out, err = run("duplicates", copied.path, "--delete", "--yes", "-n", "0", "--out", "what is gone.csv")
    assert (status, err) == (0, "")
    *_, deleted, back = out.splitlines()
    assert deleted == "3 items deleted; what the store knew of them is in what is gone.csv"
    said, _, command = back.partition(": featurestore ")
    assert said == "to have them back"
    status, out, _ = run(*shlex.split(command))
    assert (status, out.splitlines()[-1]) == (0, "3 labels set, 0 changed, 0 kept")
    assert copied.sql(KNOWN).to_pylist() == before


def test_json_has_the_groups_and_what_was_deleted(run: Run, copied: FeatureStore, tmp_path: Path) -> None:
    report: DuplicatesReport = duplicates(copied, min_score=0.99)
    found = answer(run, "duplicates", copied.path, "--delete", "--yes", "--min-score", "0.99", "--out", "gone.csv")
    assert found == json.loads(json.dumps(report.to_json())) | {"deleted": report.superfluous, "left": 0, "file": "gone.csv"}  # fmt: skip
    assert {"sha256", "score"} <= set(found["groups"][0]["items"][0])
    again = answer(run, "duplicates", copied.path, "--delete", "--yes", "--min-score", "0.99", "--out", "more.csv")
    assert (again["deleted"], again["file"]) == (0, None)
    assert not (tmp_path / "more.csv").exists()
    assert (
        "exists, and is not overwritten" in run("duplicates", copied.path, "--delete", "--yes", "--out", "gone.csv")[2]
    )


def test_files_that_are_none_of_these_are_refused(run: Run, copied: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path,label\na.png,rose\n")
    (tmp_path / "bad.csv").write_text("path,label,split,id,sha256,kept,kind,score,week\n/a.png,rose,,1,00,/b.png,near,1,monday\n")  # fmt: skip
    for name, message in (
        ("labels.csv", "expected what duplicates --delete wrote, with the columns path, label, split, id"),
        ("none.csv", "no such file"),
        ("bad.csv", "monday"),
    ):
        status, out, err = run("index", copied.path, "--restore", name)
        assert (status, out) == (1, "")
        assert message in err
    assert "leave out --labels" in run("index", copied.path, "--restore", "labels.csv", "--labels", "folders")[2]
