"""Deleted items stay deleted, by path and by content, until they are asked for again."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featurestore import FeatureStore
from tests.featurestore.fakes import paint


@pytest.fixture
def source(tmp_path: Path, colours: Path) -> Path:
    return Path(shutil.copytree(colours, tmp_path / "source"))


@pytest.fixture
def opened(tmp_path: Path, encoder: Path, source: Path) -> FeatureStore:
    store = FeatureStore.open(tmp_path / "a.store", encoder)
    store.index(source, labels="folders")
    return store


def names(store: FeatureStore) -> set[str]:
    return {Path(row["path"]).stem for row in store.sql("SELECT path FROM items").to_pylist()}


def test_deleted_items_do_not_come_back(opened: FeatureStore, source: Path) -> None:
    assert opened.delete("label = 'primary'") == 3
    report = opened.index(source)
    assert (report.added, report.unchanged, report.removed, report.deleted) == (0, 3, 0, 3)
    assert names(opened) == {"yellow", "cyan", "white"}


def test_a_deleted_picture_under_another_name_stays_away(opened: FeatureStore, source: Path) -> None:
    opened.delete("label = 'primary'")
    (source / "primary" / "red.png").rename(source / "mixed" / "rose.png")
    paint(source / "mixed" / "violet.png", (200, 0, 255))
    report = opened.index(source, labels="folders")
    assert (report.added, report.deleted) == (1, 3)
    assert names(opened) == {"yellow", "cyan", "white", "violet"}
    [(score, hit)] = [(m["score"], Path(m["path"]).stem) for m in opened.search(source / "mixed" / "violet.png", k=1, with_self=True).to_json()]  # fmt: skip
    assert (hit, score) == ("violet", pytest.approx(1, abs=1e-3))  # rows and items still belong together


def test_the_twin_of_a_deleted_picture_that_is_an_item_stays(opened: FeatureStore, source: Path) -> None:
    shutil.copy(source / "primary" / "red.png", source / "plain" / "twin.png")
    opened.index(source)
    opened.delete("path LIKE '%red.png'")
    report = opened.index(source)
    assert (report.unchanged, report.deleted) == (6, 1)
    assert "twin" in names(opened)


def test_deleted_pictures_are_hashed_but_not_decoded(
    opened: FeatureStore, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.delete("label = 'primary'")
    (source / "primary").rename(source / "elsewhere")
    monkeypatch.setattr("featurestore.imaging.decode.decode", None)  # whatever is decoded fails
    report = opened.index(source)
    assert (report.deleted, report.failed, report.unchanged) == (3, 0, 3)


def test_a_deleted_picture_that_is_copied_over_another_stays_away(opened: FeatureStore, source: Path) -> None:
    opened.delete("path LIKE '%red.png'")
    white = (source / "plain" / "white.png").read_bytes()
    shutil.copy(source / "primary" / "red.png", source / "plain" / "white.png")
    report = opened.index(source)
    assert (report.updated, report.unchanged, report.removed, report.deleted) == (0, 4, 1, 2)
    assert "white" not in names(opened)
    (source / "plain" / "white.png").write_bytes(white)
    assert opened.index(source).added == 1
    assert opened.sql("SELECT id FROM items WHERE label = 'plain'").to_pylist() == [{"id": 3}]


def test_deleted_items_come_back_when_asked_for(opened: FeatureStore, source: Path) -> None:
    opened.delete("label = 'primary'")
    report = opened.index(source, include_deleted=True)
    assert (report.added, report.deleted) == (3, 0)
    assert opened.index(source).deleted == 0


def test_one_of_two_deleted_twins_comes_back_alone(opened: FeatureStore, source: Path) -> None:
    shutil.copy(source / "primary" / "red.png", source / "plain" / "twin.png")
    opened.index(source)
    opened.delete("path LIKE '%red.png' OR path LIKE '%twin.png'")
    assert opened.index(source / "primary" / "red.png", include_deleted=True).added == 1
    report = opened.index(source)
    assert (report.added, report.deleted) == (0, 1)
    assert "twin" not in names(opened)


def test_an_import_leaves_out_what_was_deleted(opened: FeatureStore, tmp_path: Path) -> None:
    opened.export_vectors(tmp_path / "v.parquet")
    opened.delete("label = 'primary'")
    report = opened.import_vectors(tmp_path / "v.parquet")
    assert (report.added, report.unchanged, report.deleted) == (0, 3, 3)
    assert opened.sql("SELECT count(*) AS n FROM deleted").to_pylist() == [{"n": 3}]


def test_forgetting_that_was_stopped_is_finished_by_the_same_command(
    opened: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("featurestore.maintenance.deletion.optimize", stopped)
        with pytest.raises(KeyboardInterrupt):
            opened.delete("id = 6", forget=True)
    assert opened.delete("id = 6", forget=True) == 0
    [file] = opened.layout.vectors.iterdir()
    assert file.stat().st_size == 5 * 12 * 2


def test_what_was_deleted_before_can_be_forgotten_later(opened: FeatureStore, source: Path) -> None:
    opened.delete("label = 'primary'")
    kept = "SELECT parse_filename(path) AS name, length(sha256) AS n FROM deleted ORDER BY name NULLS LAST"
    assert opened.delete("path LIKE '%red.png'", forget=True, dry_run=True) == 1
    assert opened.delete("label IS NULL", forget=True) == 0  # labels of deleted items are gone
    assert opened.delete("path LIKE '%red.png'", forget=True) == 1
    assert opened.sql(kept).to_pylist() == [{"name": name, "n": 64} for name in ("blue.png", "green.png", None)]
    assert b"red.png" not in b"".join(path.read_bytes() for path in opened.path.rglob("*") if path.is_file())
    assert opened.index(source).deleted == 3


def test_forgotten_items_leave_no_trace_but_the_hash(opened: FeatureStore, source: Path, tmp_path: Path) -> None:
    opened.index(source / "primary" / "red.png")  # as a source of its own
    (tmp_path / "l.csv").write_text("id,label\n6,secretlabel\n")
    opened.label(tmp_path / "l.csv")
    opened.search(1)
    assert opened.delete("id = 6", forget=True) == 1
    stored = b"".join(path.read_bytes() for path in opened.path.rglob("*") if path.is_file())
    assert b"red.png" not in stored
    assert b"secretlabel" not in stored
    red = np.array([1, 0, 0] * 4, np.float16) / np.float16(2)
    assert red.tobytes() not in stored
    assert opened.sql("SELECT path, length(sha256) AS n FROM deleted").to_pylist() == [{"path": None, "n": 64}]
    assert opened.index(source).deleted == 1
    assert "red" not in names(opened)


def test_the_commands_say_what_is_left_out(run: Any, store_path: Path, encoder: Path, colours: Path) -> None:
    assert run("delete", store_path, "--where", "id < 3") == (0, "2 items deleted\n", "")
    status, out, err = run("index", store_path, colours)
    assert (status, out.split("  ")[0]) == (0, "0 added, 0 updated, 4 unchanged, 0 removed, 0 failed")
    assert err.splitlines()[-1] == f"left out: 2 files deleted from {store_path} before; to add: --include-deleted"
    assert run("index", store_path, colours, "--include-deleted")[1].startswith("2 added")
    assert run("delete", store_path, "--where", "id = 3", "--forget")[1] == "1 item forgotten\n"
