"""Moved and renamed files keep their item: id, labels, columns and vectors."""

import os
import shutil
import tarfile
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from featurestore import Encoder, FeatureStore
from featurestore.catalog.changes import Changes
from featurestore.ingest import moves
from featurestore.progress import Listener
from tests.featurestore.fakes import paint
from tests.featurestore.ingest.ingested import by_name, labels_of, look


@pytest.fixture
def photos(tmp_path: Path, colours: Path) -> Path:
    """The six pictures in their folders, which a test may move."""
    return Path(shutil.copytree(colours, tmp_path / "photos"))


@pytest.fixture
def labelled(empty: FeatureStore, photos: Path, tmp_path: Path) -> FeatureStore:
    """A store of them with labels from a file, and a column of the user."""
    empty.index(photos)
    names = {path.stem: path for path in sorted(photos.rglob("*.png"))}
    lines = "".join(f"{path},my {name}\n" for name, path in names.items())
    for column in ("label", "title"):
        (tmp_path / f"{column}.csv").write_text(f"path,{column}\n{lines}")
    empty.label(tmp_path / "label.csv")
    empty.annotate(tmp_path / "title.csv")
    return empty


def titles(store: FeatureStore) -> dict[str, str]:
    rows = store.sql("SELECT path, title FROM items ORDER BY path").to_pylist()
    return {row["path"]: row["title"] for row in rows}


def test_a_renamed_folder_moves_its_items(labelled: FeatureStore, photos: Path, encoded: list[int]) -> None:
    before, wanted = look(labelled), labels_of(labelled)
    pictures = photos.rename(photos.parent / "pictures")
    report = labelled.index(pictures)
    assert (report.moved, report.added, report.removed, report.unchanged) == (6, 0, 0, 0)
    assert encoded == []
    assert look(labelled) == before
    assert labels_of(labelled) == wanted
    assert titles(labelled) == {str(path): f"my {path.stem}" for path in pictures.rglob("*.png")}
    assert labelled.index(pictures).unchanged == 6
    assert labelled.verify(labelled.path).findings == ()


def test_a_file_renamed_inside_its_source_moves(labelled: FeatureStore, photos: Path, encoded: list[int]) -> None:
    number = by_name(labelled)["red"]
    (photos / "primary" / "red.png").rename(photos / "mixed" / "rose.png")
    report = labelled.index(photos)
    assert (report.moved, report.unchanged, report.removed) == (1, 5, 0)
    assert by_name(labelled)["rose"] == number
    assert encoded == []


def test_a_label_from_the_new_folder_replaces_one_of_a_folder_and_none_of_a_file(
    empty: FeatureStore, photos: Path, tmp_path: Path
) -> None:
    empty.index(photos, labels="folders")
    (tmp_path / "l.csv").write_text(f"path,label\n{photos / 'primary' / 'red.png'},mine\n")
    empty.label(tmp_path / "l.csv")
    for name in ("red", "blue"):
        (photos / "primary" / f"{name}.png").rename(photos / "mixed" / f"{name}.png")
    report = empty.index(photos, labels="folders")
    assert (report.moved, report.labels_changed) == (2, 1)
    assert {name: labels_of(empty)[name][0] for name in ("red", "blue")} == {"red": "mine", "blue": "mixed"}


def test_identical_content_under_two_live_paths_stays_two_items(
    labelled: FeatureStore, photos: Path, tmp_path: Path, encoded: list[int]
) -> None:
    copies = Path(shutil.copytree(photos, tmp_path / "copies"))
    report = labelled.index(copies)  # the originals are no source of this run, so only the disk says that they live
    assert (report.moved, report.added) == (0, 6)
    assert sum(encoded) == 6
    assert labelled.info()["items"] == 12
    shutil.copy(copies / "plain" / "white.png", copies / "white2.png")
    assert labelled.index(photos, copies).added == 1


def test_of_several_with_the_same_content_the_same_name_comes_first_and_then_the_oldest(
    empty: FeatureStore, source: Path
) -> None:
    for name in ("white", "yellow", "green"):
        shutil.copy(source / "red.png", source / f"{name}.png")
    empty.index(source)
    assert sorted(by_name(empty).values()) == [1, 2, 3, 4, 5, 6]  # in the order of the names: green is 3, yellow is 6
    (source / "sub").mkdir()
    for old, new in (("white", "1"), ("red", "2"), ("yellow", "sub/yellow"), ("green", "sub/new")):
        (source / f"{old}.png").rename(source / f"{new}.png")
    shutil.copy(source / "1.png", source / "sub" / "one more.png")
    report = empty.index(source)
    assert (report.moved, report.added, report.removed) == (4, 1, 0)
    assert by_name(empty) == {"1": 3, "2": 4, "blue": 1, "cyan": 2, "new": 5, "one more": 7, "yellow": 6}


def test_a_file_moved_in_two_runs_comes_back_as_its_item(
    labelled: FeatureStore, photos: Path, encoded: list[int]
) -> None:
    before = by_name(labelled)
    away = (photos / "primary").rename(photos.parent / "away")
    assert labelled.index(photos).removed == 3
    away.rename(photos / "basic")
    report = labelled.index(photos)
    assert (report.moved, report.added, report.unchanged) == (3, 0, 3)
    assert by_name(labelled) == before
    assert encoded == []


def test_what_was_deleted_does_not_come_back_by_a_move(
    labelled: FeatureStore, photos: Path, encoded: list[int]
) -> None:
    labelled.delete("path LIKE '%red.png'")
    photos = photos.rename(photos.parent / "pictures")
    report = labelled.index(photos)
    assert (report.moved, report.deleted, report.added) == (5, 1, 0)
    assert "red" not in by_name(labelled)
    assert encoded == []


def test_a_removed_item_that_returns_is_not_taken_by_a_copy(empty: FeatureStore, source: Path) -> None:
    empty.index(source)
    number = by_name(empty)["red"]
    away = (source / "red.png").rename(source.parent / "red.png")
    empty.index(source)
    shutil.copy(away, source / "a copy.png")
    away.rename(source / "red.png")
    report = empty.index(source)
    assert (report.added, report.moved) == (2, 0)
    assert by_name(empty)["red"] == number


def test_a_renamed_tar_moves_its_members(empty: FeatureStore, source: Path, tmp_path: Path, encoded: list[int]) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for path in sorted(source.iterdir()):
            archive.add(path, path.name)
    empty.index(tmp_path / "a.tar")
    before = empty.sql("SELECT id, path FROM items ORDER BY id").to_pylist()
    (tmp_path / "a.tar").rename(tmp_path / "b.tar")
    encoded.clear()
    assert empty.index(tmp_path / "b.tar").moved == 6
    after = empty.sql("SELECT id, path FROM items ORDER BY id").to_pylist()
    assert after == [{**row, "path": row["path"].replace("a.tar", "b.tar")} for row in before]
    assert encoded == []


def test_a_url_is_not_gone_unless_its_source_says_so(empty: FeatureStore, tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    data = paint(tmp_path / "a.png", (1, 2, 3)).read_bytes()
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/moves/a.png", data)
    memory.pipe_file("/moves/b.png", paint(tmp_path / "b.png", (3, 2, 1)).read_bytes())
    empty.index("memory://moves")
    memory.rm("/moves/a.png")
    assert empty.index(tmp_path).moved == 0  # nobody asked whether memory://moves/a.png is there
    memory.pipe_file("/moves/c.png", data)
    assert empty.index("memory://moves").moved == 1
    memory.rm("/moves", recursive=True)


def test_an_item_moves_with_its_first_vector_of_another_encoder(
    labelled: FeatureStore, photos: Path, other_encoder: Path, encoded: list[int]
) -> None:
    ids = by_name(labelled)
    photos = photos.rename(photos.parent / "pictures")
    report = FeatureStore.open(labelled.path, other_encoder).index(photos)
    assert (report.added, report.moved, report.removed) == (6, 0, 0)
    assert sum(encoded) == 6
    items = labelled.sql("SELECT id, path FROM items").to_pylist()
    assert {Path(row["path"]).stem: row["id"] for row in items} == ids
    assert [e["vectors"] for e in labelled.info()["encoders"]] == [6, 6]


def test_an_item_moves_though_another_encoder_cannot_use_its_file(
    labelled: FeatureStore, photos: Path, other_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = labels_of(labelled)
    photos = photos.rename(photos.parent / "pictures")
    encode = Encoder.encode

    def without_red(self: Encoder, pixels: Any) -> Any:
        red = (pixels[:, 0, 0] == (255, 0, 0)).all(axis=1)
        return np.where(red[:, None], np.nan, encode(self, pixels))

    monkeypatch.setattr(Encoder, "encode", without_red)
    report = FeatureStore.open(labelled.path, other_encoder).index(photos, labels="folders")
    assert (report.added, report.failed, report.removed, report.labels_kept) == (5, 1, 0, 6)
    assert sorted(titles(labelled)) == sorted(map(str, photos.rglob("*.png")))  # none is where no file is
    assert {name: label for name, (label, _) in labels_of(labelled).items()} == {
        name: label for name, (label, _) in wanted.items()
    }


def test_kept_labels_of_moved_and_of_other_items_are_counted_once(
    labelled: FeatureStore, photos: Path, tmp_path: Path
) -> None:
    (photos / "primary" / "red.png").rename(photos / "mixed" / "red.png")
    os.utime(photos / "primary" / "blue.png", (1, 1))
    report = labelled.index(photos, labels="folders")
    assert (report.moved, report.labels_kept) == (1, 6)


def test_files_that_exchange_their_contents_are_told(labelled: FeatureStore, photos: Path) -> None:
    """Labels stay with paths: an edited photo keeps its label. After renumbering that is wrong, so it must not be silent."""
    wanted = labels_of(labelled)
    red, green, blue = (photos / "primary" / f"{name}.png" for name in ("red", "green", "blue"))
    red.rename(photos / "away")
    green.rename(red)
    (photos / "away").rename(green)
    paint(blue, (1, 2, 3))
    heard: list[str] = []
    listener = Mock(Listener)
    listener.note = heard.append
    report = labelled.index(photos, listener=listener)
    assert (report.updated, report.exchanged, report.moved) == (3, 2, 0)
    assert labels_of(labelled) == wanted
    assert [line for line in heard if line.startswith("2 files")] == [
        "2 files now with the content that another file had, as after renumbering; ids, labels and columns stayed with the paths: check them"
    ]
    assert labelled.index(photos).exchanged == 0


def test_a_hash_that_only_begins_like_a_known_one_is_new(
    labelled: FeatureStore, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moves.Moves, "may_be_moved", lambda self, sha256: True)
    (photos / "primary" / "red.png").unlink()
    paint(photos / "violet.png", (200, 0, 255))
    report = labelled.index(photos)
    assert (report.added, report.moved, report.removed) == (1, 0, 1)


def test_a_stopped_run_leaves_each_item_under_one_of_its_paths(
    labelled: FeatureStore, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = by_name(labelled)
    pictures = photos.rename(photos.parent / "pictures")

    def stopped(*arguments: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(Changes, "commit", stopped)
        with pytest.raises(RuntimeError):
            labelled.index(pictures)
    assert set(titles(labelled)) == {os.fspath(photos / path.relative_to(pictures)) for path in pictures.rglob("*.png")}
    assert labelled.index(pictures).moved == 6
    assert by_name(labelled) == ids


def test_the_command_says_that_files_moved(run: Any, store_path: Path, photos: Path, encoder: Path) -> None:
    store = photos.parent / "b.store"
    run("index", store, photos, "--encoder", encoder)
    out = run("index", store, photos.rename(photos.parent / "pictures"))[1]
    assert out.startswith("0 added, 0 updated, 0 unchanged, 0 removed, 0 failed, 6 moved  (")
