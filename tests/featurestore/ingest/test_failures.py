"""Images that cannot be used, or have no vector."""

import os
from pathlib import Path
from typing import Any

import pytest

from featurestore import FeatureStore
from tests.featurestore.fakes import paint
from tests.featurestore.ingest.ingested import by_name, counts


def test_failures_appear_and_disappear(empty: FeatureStore, source: Path) -> None:
    good = (source / "red.png").read_bytes()
    (source / "red.png").write_bytes(good[:50])
    (source / "notes.jpg").write_text("rose, tulip")
    (source / "nothing.png").touch()
    assert counts(empty.index(source)) == (5, 0, 0, 0, 3)
    assert {Path(f.path).name: f.reason.split(":")[0] for f in empty.failures()} == {
        "nothing.png": "empty file (0 bytes)", "notes.jpg": "not an image, or of a format without a decoder here", "red.png": "cut off or damaged",
    }  # fmt: skip
    assert counts(empty.index(source)) == (0, 0, 5, 0, 3)
    assert len(empty.failures()) == 3

    (source / "red.png").write_bytes(good)
    (source / "notes.jpg").unlink()
    assert counts(empty.index(source)) == (1, 0, 5, 0, 1)
    assert [Path(f.path).name for f in empty.failures()] == ["nothing.png"]


def test_an_item_whose_file_breaks_is_removed_until_it_is_whole_again(empty: FeatureStore, source: Path) -> None:
    empty.index(source)
    before, good = by_name(empty), (source / "red.png").read_bytes()
    (source / "red.png").write_bytes(b"")
    assert counts(empty.index(source)) == (0, 0, 5, 0, 1)
    assert "red" not in by_name(empty)
    (source / "red.png").write_bytes(good)
    assert counts(empty.index(source)) == (1, 0, 5, 0, 0)
    assert by_name(empty) == before


def test_what_lies_in_an_unreadable_folder_stays(
    empty: FeatureStore, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint(source / "locked" / "x.png", (5, 5, 5))
    empty.index(source)
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert counts(empty.index(source)) == (0, 0, 6, 0, 1)
    assert "x" in by_name(empty)
    [failure] = empty.failures()
    assert (Path(failure.path).name, failure.reason) == ("locked", "folder not readable: Permission denied")
    monkeypatch.undo()
    assert counts(empty.index(source)) == (0, 0, 7, 0, 0)
    assert empty.failures() == []
