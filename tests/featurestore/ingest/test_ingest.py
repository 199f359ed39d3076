"""Bring a store up to date: what is new, changed, gone, and in which order it is written."""

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featurestore import FeatureStore
from featurestore.catalog.changes import Changes
from featurestore.catalog.connection import Database
from featurestore.encoders import encoder as running
from featurestore.errors import ConfigError, StoreBusy
from featurestore.ingest import ingest as indexing
from featurestore.ingest import run as store_module
from featurestore.ingest.find_files import find_files
from featurestore.progress import Listener
from featurestore.system import spool
from featurestore.system.lock import writer_lock
from tests.featurestore.fakes import CARD, COLOURS, paint, unit, write_encoder
from tests.featurestore.imaging.image_bytes import multiband
from tests.featurestore.ingest.ingested import as_stored, by_name, counts, look


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"workers": 0}, "workers 0: expected a whole number of threads from 1 to 1024, or None"),
        ({"workers": 1025}, "workers 1025: expected"),
        ({"workers": 2.5}, r"workers 2\.5: expected"),
        ({"image_seconds": 0.0}, r"image_seconds 0\.0: expected a number of seconds, at least 0\.1"),
        ({"image_seconds": float("nan")}, "image_seconds nan: expected"),
        ({"image_seconds": float("inf")}, "image_seconds inf: expected"),
        ({"image_seconds": "30"}, "image_seconds '30': expected"),
    ],
)
def test_limits_that_make_no_sense_are_refused_before_anything_is_created(
    empty: FeatureStore, source: Path, limits: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        empty.index(source, **limits)
    assert not empty.path.exists()


def test_a_first_run_adds_everything_and_a_second_encodes_and_writes_nothing(
    empty: FeatureStore, source: Path, encoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    report = empty.index(source)
    assert counts(report) == (6, 0, 0, 0, 0)
    assert report.images_per_second > 0
    assert report.to_json().keys() == {
        "added", "updated", "unchanged", "removed", "failed", "deleted", "moved", "exchanged", "images_per_second",
        "labels_set", "labels_changed", "labels_kept", "labels_found", "classes", "splits", "passed_over",
        "readings", "reasons", "encoder", "others", "not_run",
    }  # fmt: skip
    assert look(empty)[2] == {name: as_stored(colour) for name, colour in COLOURS.items()}
    monkeypatch.delattr(Database, "transaction")
    assert counts(empty.index(source)) == (0, 0, 6, 0, 0)
    assert sum(encoded) == 6


def test_an_encoder_with_bands_reads_them_and_the_report_says_how(tmp_path: Path) -> None:
    """A TIFF of five bands, each of one value; the encoder reads the fifth, fourth and third."""
    record = replace(CARD.preprocess, bands=(5, 4, 3))
    encoder = write_encoder(tmp_path / "bands.onnx", replace(CARD, preprocess=record))
    source = tmp_path / "tiles"
    source.mkdir()
    values = np.tile(np.array([9, 9, 500, 1000, 2000], np.uint16), (8, 8, 1))
    (source / "tile.tif").write_bytes(multiband(values))
    store = FeatureStore.open(tmp_path / "my.store", encoder)
    report = store.index(source)
    np.testing.assert_allclose(look(store)[2]["tile"], unit((2000 >> 3, 1000 >> 3, 500 >> 3)), atol=1e-3)
    how = "16 bits a channel, of which 11 are in use; scaled by these"
    assert report.to_json()["readings"] == {
        "images": 1, "ways": {how: 1}, "flat": 1, "flat_paths": [str((source / "tile.tif").resolve())],
    }  # fmt: skip
    found = store.search(source / "tile.tif", with_self=True)
    assert found.scores[0] > 0.999  # a query is read in the same way
    assert found.bands == (5, 4, 3)  # and pictures of hits, too


def test_a_touched_file_is_read_but_not_encoded(empty: FeatureStore, source: Path, encoded: list[int]) -> None:
    empty.index(source)
    os.utime(source / "red.png", ns=(1, 1))
    assert counts(empty.index(source)) == (0, 0, 6, 0, 0)
    assert sum(encoded) == 6
    assert empty.sql("SELECT mtime_ns FROM items WHERE path LIKE '%red%'").to_pylist() == [{"mtime_ns": 1}]


def test_changed_content_is_encoded_under_the_same_id_in_a_new_row(
    empty: FeatureStore, source: Path, encoded: list[int]
) -> None:
    empty.index(source)
    before, rows, _ = look(empty)
    paint(source / "red.png", COLOURS["blue"], size=16)
    assert counts(empty.index(source)) == (0, 1, 5, 0, 0)
    assert encoded == [6, 1]
    after, new_rows, vectors = look(empty)
    assert after == before
    assert new_rows == {**rows, before["red"]: 6}
    assert vectors["red"] == as_stored(COLOURS["blue"])
    assert empty.sql("SELECT width, height FROM items WHERE path LIKE '%red%'").to_pylist() == [
        {"width": 16, "height": 16}
    ]


def test_a_vanished_file_is_removed_and_comes_back_under_its_id(
    empty: FeatureStore, source: Path, encoded: list[int]
) -> None:
    empty.index(source)
    before, rows, _ = look(empty)
    (source / "red.png").rename(source.parent / "kept.png")
    assert counts(empty.index(source)) == (0, 0, 5, 1, 0)
    assert "red" not in by_name(empty)
    assert before["red"] not in empty.search(unit((255, 0, 0))).ids
    (source.parent / "kept.png").rename(source / "red.png")
    assert counts(empty.index(source)) == (1, 0, 5, 0, 0)
    assert look(empty)[:2] == (before, rows)
    assert sum(encoded) == 6
    (source / "red.png").unlink()
    empty.index(source)
    paint(source / "red.png", (9, 9, 200))  # other content
    assert counts(empty.index(source)) == (1, 0, 5, 0, 0)
    after, _, vectors = look(empty)
    assert after == before
    assert vectors["red"] == as_stored((9, 9, 200))


def test_ids_and_rows_are_never_used_again(empty: FeatureStore, source: Path) -> None:
    empty.index(source)
    for name in COLOURS:
        (source / f"{name}.png").unlink()
    for number in range(3):
        paint(source / f"new{number}.png", (number, 0, 77))
    assert counts(empty.index(source)) == (3, 0, 0, 6, 0)
    ids, rows, _ = look(empty)
    assert sorted(ids.values()) == [7, 8, 9]
    assert rows == {item: item - 1 for item in range(1, 10)}


def test_only_what_lies_under_the_given_sources_is_removed(empty: FeatureStore, tmp_path: Path) -> None:
    for number, name in enumerate(("a/1.png", "a/2.png", "ab/3.png", "ab/4.png")):
        paint(tmp_path / name, (number, 1, 1))
    assert counts(empty.index(tmp_path / "a", tmp_path / "ab")) == (4, 0, 0, 0, 0)
    (tmp_path / "a" / "1.png").unlink()
    (tmp_path / "ab" / "3.png").unlink()
    assert counts(empty.index(tmp_path / "a" / "2.png")) == (0, 0, 1, 0, 0)  # under a file lies nothing
    assert counts(empty.index(tmp_path / "a")) == (0, 0, 1, 1, 0)
    assert set(by_name(empty)) == {"2", "3", "4"}


def test_an_empty_source_beside_another_removes_nothing(empty: FeatureStore, tmp_path: Path) -> None:
    """A drive that is not mounted is an empty folder."""
    for name in ("drive", "home"):
        paint(tmp_path / name / "red.png", (255, 0, 0))
    assert empty.index(tmp_path / "drive", tmp_path / "home").added == 2
    (tmp_path / "drive" / "red.png").unlink()
    assert counts(empty.index(tmp_path / "drive", tmp_path / "home")) == (0, 0, 1, 0, 0)
    assert empty.info()["items"] == 2


def test_sources_are_listed_under_the_lock(empty: FeatureStore, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another run adds between list and lock would be missing in the list, and be taken for vanished."""
    empty.index(source)

    def looked(*arguments: Any) -> Any:
        with pytest.raises(StoreBusy), writer_lock(empty.path):
            pass
        return find_files(*arguments)

    monkeypatch.setattr("featurestore.system.lock.WAIT_SECONDS", 0.0)
    monkeypatch.setattr(store_module, "find_files", looked)
    assert empty.index(source).unchanged == 6


def test_vectors_are_on_the_disk_before_the_catalog_speaks_of_them(
    empty: FeatureStore, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, commit, move = os.fsync, Changes.commit, os.replace

    def synced(handle: int) -> None:
        fsync(handle)
        done.append(f"fsync {re.sub('-[0-9a-f]{16}$', '', os.path.basename(os.readlink(f'/proc/self/fd/{handle}')))}")

    def committed(self: Changes, *arguments: Any) -> Any:
        labels = commit(self, *arguments)
        done.append("commit")
        return labels

    def moved(old: str | Path, new: str | Path, **folders: int) -> None:
        done.append(f"rename to {os.path.basename(new)}")
        move(old, new, **folders)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Changes, "commit", committed)
    monkeypatch.setattr(os, "replace", moved)
    empty.index(source)
    name = empty.info()["encoders"][0]["fingerprint"][:16]
    folder = empty.path.name
    assert [step for step in done if "parent" not in step][1:] == [
        "fsync catalog.duckdb", "rename to catalog.duckdb", f"fsync {folder}",
        f"fsync {name}.onnx.part", f"rename to {name}.onnx", "fsync encoders",
        f"fsync {name}.f16", "fsync vectors", "commit",
    ]  # fmt: skip


def test_one_file_by_two_sources_is_one_item(empty: FeatureStore, source: Path) -> None:
    assert counts(empty.index(source, source / "red.png", source)) == (6, 0, 0, 0, 0)


def test_many_batches_and_commits_give_what_one_gives(
    empty: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "BATCH", 4)
    monkeypatch.setattr(indexing, "COMMIT_IMAGES", 8)
    for number in range(27):
        paint(tmp_path / "many" / f"{number:02}.png", (255, 5 * number, 0))
    assert counts(empty.index(tmp_path / "many")) == (27, 0, 0, 0, 0)
    ids, rows, vectors = look(empty)
    assert ids == {f"{n:02}": n + 1 for n in range(27)}
    assert rows == {n + 1: n for n in range(27)}
    assert vectors == {f"{n:02}": as_stored((255, 5 * n, 0)) for n in range(27)}


def test_progress_is_heard(empty: FeatureStore, source: Path) -> None:
    heard: list[Any] = []

    class Ear(Listener):
        def start(self, what: str, total: int | None) -> None:
            heard.append((what, total))

        def advance(self, amount: int = 1, detail: str = "") -> None:
            heard.append(amount)

    empty.index(source, listener=Ear())
    assert heard == [("looking for images", None), ("indexing", 6), 6]


def test_a_list_of_files_in_many_batches_is_taken_whole(
    empty: FeatureStore, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "BATCH_ROWS", 2)
    assert counts(empty.index(source)) == (6, 0, 0, 0, 0)
    assert counts(empty.index(source)) == (0, 0, 6, 0, 0)
