"""Bringing a store up to date with its sources."""

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from featurestore import Encoder, FeatureStore, IndexReport
from featurestore.catalog.changes import Changes
from featurestore.encoders import encoder as running
from featurestore.errors import (
    EncoderCardMissing,
    EncoderError,
    EncoderNotInStore,
    Interrupted,
    SourceError,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreNotFound,
)
from featurestore.ingest import ingest as indexing
from featurestore.ingest import run as store_module
from featurestore.ingest.scan import find_files
from featurestore.progress import Listener
from featurestore.system.lock import only_writer
from tests.featurestore.fakes import CARD, COLOURS, paint, unit, write_broken_encoder, write_encoder

Counts = tuple[int, int, int, int, int]


def counts(report: IndexReport) -> Counts:
    return report.added, report.updated, report.unchanged, report.removed, report.failed


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Six pictures that a test may change, all directly in the source."""
    for name, colour in COLOURS.items():
        paint(tmp_path / "source" / f"{name}.png", colour)
    return tmp_path / "source"


@pytest.fixture
def empty(tmp_path: Path, encoder: Path) -> FeatureStore:
    return FeatureStore.open(tmp_path / "my.store", encoder)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each batch held that went through an encoder, without what fills it up."""
    batches: list[int] = []
    encode = Encoder.encode

    def counting(self: Encoder, pixels: Any) -> Any:
        batches.append(int(pixels.any(axis=(1, 2, 3)).sum()))
        return encode(self, pixels)

    monkeypatch.setattr(Encoder, "encode", counting)
    return batches


def look(store: FeatureStore) -> tuple[dict[str, int], dict[int, int], dict[str, list[float]]]:
    """Ids by name, rows by id (of removed items too) and vectors by name, read past the store at one go."""
    with duckdb.connect(str(store.path / "catalog.duckdb"), read_only=True) as connection:
        items = connection.execute("SELECT path, id FROM items").fetchall()
        known = connection.execute("SELECT v.item, v.row FROM vectors v JOIN encoders e ON e.fingerprint = v.encoder ORDER BY e.added_at DESC").fetchall()  # fmt: skip
        valid = connection.execute("SELECT v.item, v.row, v.encoder FROM vectors v JOIN items i ON i.id = v.item AND i.sha256 = v.sha256 ORDER BY v.row").fetchall()  # fmt: skip
    ids = {Path(path).stem: number for path, number in items}
    names = {number: name for name, number in ids.items()}
    assert len(ids) == len(names) == len(items), "a path or an id occurs twice"
    assert len({v[0] for v in valid}) == len({v[1] for v in valid}) == len(valid), "an item or a row occurs twice"
    [first] = {v[2] for v in valid}
    x = np.fromfile(store.path / "vectors" / f"{first[:16]}.f16", "<f2").reshape(-1, 12)
    return ids, dict(known), {names[number]: x[row].tolist() for number, row, _ in valid}


def by_name(store: FeatureStore) -> dict[str, int]:
    return look(store)[0]


def as_stored(*colours: tuple[int, int, int]) -> list[float]:
    return [float(v) for v in unit(*colours).astype(np.float16)]


# -- counts


def test_a_first_run_adds_everything(empty: FeatureStore, source: Path) -> None:
    report = empty.index(source)
    assert counts(report) == (6, 0, 0, 0, 0)
    assert report.images_per_second > 0
    assert report.to_json().keys() == {"added", "updated", "unchanged", "removed", "failed", "images_per_second"}
    assert look(empty)[2] == {name: as_stored(colour) for name, colour in COLOURS.items()}


def test_a_second_run_encodes_nothing(empty: FeatureStore, source: Path, encoded: list[int]) -> None:
    empty.index(source)
    assert sum(encoded) == 6
    assert counts(empty.index(source)) == (0, 0, 6, 0, 0)
    assert sum(encoded) == 6


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


def test_what_comes_back_with_other_content_is_encoded(empty: FeatureStore, source: Path) -> None:
    empty.index(source)
    before = by_name(empty)
    (source / "red.png").unlink()
    empty.index(source)
    paint(source / "red.png", (9, 9, 200))
    assert counts(empty.index(source)) == (1, 0, 5, 0, 0)
    after, _, vectors = look(empty)
    assert after == before
    assert vectors["red"] == as_stored((9, 9, 200))


def test_ids_and_rows_are_never_used_again(empty: FeatureStore, source: Path) -> None:
    empty.index(source)
    ids, rows, _ = look(empty)
    for name in COLOURS:
        (source / f"{name}.png").unlink()
    for number in range(3):
        paint(source / f"new{number}.png", (number, 0, 77))
    assert counts(empty.index(source)) == (3, 0, 0, 6, 0)
    new_ids, new_rows, _ = look(empty)
    assert sorted(ids.values()) == [1, 2, 3, 4, 5, 6]
    assert sorted(new_ids.values()) == [7, 8, 9]
    assert {new_rows[i] for i in new_ids.values()}.isdisjoint(rows.values())


def test_only_what_lies_under_the_given_sources_is_removed(empty: FeatureStore, tmp_path: Path) -> None:
    paint(tmp_path / "a" / "1.png", (1, 1, 1))
    paint(tmp_path / "a" / "2.png", (2, 1, 1))
    paint(tmp_path / "ab" / "3.png", (3, 1, 1))
    paint(tmp_path / "ab" / "4.png", (4, 1, 1))
    assert counts(empty.index(tmp_path / "a", tmp_path / "ab")) == (4, 0, 0, 0, 0)
    (tmp_path / "a" / "1.png").unlink()
    (tmp_path / "ab" / "3.png").unlink()
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
        with pytest.raises(StoreBusy), only_writer(empty.path):
            pass
        return find_files(*arguments)

    monkeypatch.setattr("featurestore.system.lock.WAIT_SECONDS", 0.0)
    monkeypatch.setattr(store_module, "find_files", looked)
    assert empty.index(source).unchanged == 6


def test_what_one_encoder_cannot_tell_stays_with_the_other(store: FeatureStore, colours: Path, tmp_path: Path) -> None:
    blind = write_encoder(tmp_path / "blind.onnx", replace(CARD, method="blind"), scale=0.0)
    report = FeatureStore.open(store.path, blind).index(colours)
    assert (report.added, report.failed) == (0, 6)
    assert len(store.failures()) == 6
    assert store.info()["items"] == 6
    [first, second] = store.info()["encoders"]
    assert (first["vectors"], second["vectors"]) == (6, 0)


def test_a_path_that_stands_twice_in_a_csv_takes_the_last(store: FeatureStore, colours: Path, tmp_path: Path) -> None:
    path = colours / "mixed" / "cyan.png"
    (tmp_path / "labels.csv").write_text(f"path,label\n{path},first\n{path},last\n")
    assert store.label(tmp_path / "labels.csv").labelled == 1
    assert store.sql("SELECT label FROM items WHERE id = 1").to_pylist() == [{"label": "last"}]


def test_vectors_are_on_the_disk_before_the_catalog_speaks_of_them(
    empty: FeatureStore, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, commit, move = os.fsync, Changes.commit, Path.replace

    def synced(handle: int) -> None:
        fsync(handle)
        done.append(f"fsync {os.path.basename(os.readlink(f'/proc/self/fd/{handle}'))}")

    def committed(self: Changes, *arguments: Any) -> None:
        commit(self, *arguments)
        done.append("commit")

    def moved(self: Path, target: Path) -> Path:
        done.append(f"rename to {Path(target).name}")
        return move(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Changes, "commit", committed)
    monkeypatch.setattr(Path, "replace", moved)
    empty.index(source)
    name = empty.info()["encoders"][0]["fingerprint"][:16]
    folder = empty.path.name
    assert [step for step in done if "parent" not in step][1:] == [
        "fsync catalog.duckdb.part", "rename to catalog.duckdb", f"fsync {folder}",
        f"fsync {name}.onnx.part", f"rename to {name}.onnx", "fsync encoders",
        f"fsync {name}.f16", "fsync vectors", "commit",
    ]  # fmt: skip


def test_a_file_as_source_removes_nothing(empty: FeatureStore, source: Path) -> None:
    empty.index(source)
    (source / "red.png").unlink()
    assert counts(empty.index(source / "blue.png")) == (0, 0, 1, 0, 0)
    assert "red" in by_name(empty)


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


def test_one_file_by_two_sources_is_one_item(empty: FeatureStore, source: Path) -> None:
    assert counts(empty.index(source, source / "red.png", source)) == (6, 0, 0, 0, 0)


def test_many_batches_and_commits_give_what_one_gives(
    empty: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "BATCH", 4)
    monkeypatch.setattr(indexing, "COMMIT_IMAGES", 8)
    for number in range(43):
        paint(tmp_path / "many" / f"{number:02}.png", (255, 5 * number, 0))
    assert counts(empty.index(tmp_path / "many")) == (43, 0, 0, 0, 0)
    ids, rows, vectors = look(empty)
    assert ids == {f"{n:02}": n + 1 for n in range(43)}
    assert rows == {n + 1: n for n in range(43)}
    assert vectors == {f"{n:02}": as_stored((255, 5 * n, 0)) for n in range(43)}


def test_progress_is_heard(empty: FeatureStore, source: Path) -> None:
    heard: list[Any] = []

    class Ear(Listener):
        def start(self, what: str, total: int | None) -> None:
            heard.append((what, total))

        def advance(self, amount: int = 1, detail: str = "") -> None:
            heard.append(amount)

    empty.index(source, listener=Ear())
    assert heard == [("looking for images", None), ("indexing", 6), 6]


# -- failures


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


def test_a_vector_that_is_zero_is_a_failure(empty: FeatureStore, source: Path) -> None:
    paint(source / "black.png", (0, 0, 0))
    assert counts(empty.index(source)) == (6, 0, 0, 0, 1)
    assert [(Path(f.path).stem, f.reason) for f in empty.failures()] == [("black", "the encoder gave a vector that is zero or not finite")]  # fmt: skip


# -- labels


def labels_of(store: FeatureStore) -> dict[str, tuple[str | None, str | None]]:
    rows = store.sql("SELECT path, label, split FROM items").to_pylist()
    return {Path(r["path"]).stem: (r["label"], r["split"]) for r in rows}


def test_labels_from_folders_and_their_change(empty: FeatureStore, tmp_path: Path, encoded: list[int]) -> None:
    paint(tmp_path / "s" / "train" / "rose" / "a.png", (1, 2, 3))
    paint(tmp_path / "s" / "test" / "rose" / "b.png", (1, 2, 4))
    paint(tmp_path / "s" / "c.png", (1, 2, 5))
    empty.index(tmp_path / "s")
    assert labels_of(empty) == {"a": (None, None), "b": (None, None), "c": (None, None)}
    assert counts(empty.index(tmp_path / "s", labels="folders")) == (0, 0, 3, 0, 0)
    assert labels_of(empty) == {"a": ("rose", "train"), "b": ("rose", "test"), "c": (None, None)}
    empty.index(tmp_path / "s")  # "none" leaves labels as they are
    assert labels_of(empty) == {"a": ("rose", "train"), "b": ("rose", "test"), "c": (None, None)}
    assert sum(encoded) == 3


def test_labels_from_a_csv_file(empty: FeatureStore, source: Path) -> None:
    table = source / "labels.csv"
    table.write_text(f"path,label,split\nred.png,warm,train\n{source / 'blue.png'},cold,test\n", encoding="utf-8-sig")
    empty.index(source, labels=table)
    expected: dict[str, tuple[str | None, str | None]] = dict.fromkeys(COLOURS, (None, None))
    assert labels_of(empty) == {**expected, "red": ("warm", "train"), "blue": ("cold", "test")}


def test_labels_survive_a_change_of_content(empty: FeatureStore, source: Path) -> None:
    (source / "labels.csv").write_text("path,label\nred.png,warm\n")
    empty.index(source, labels=source / "labels.csv")
    paint(source / "red.png", (254, 0, 0), size=16)
    assert counts(empty.index(source)) == (0, 1, 5, 0, 0)
    assert labels_of(empty)["red"] == ("warm", None)


def test_label_reports_what_it_does_not_know(store: FeatureStore, colours: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(f"path,label\n{colours}/primary/red.png,warm\n{colours}/mixed/cyan.png,\nnowhere.png,x\n")
    report = store.label(table)
    assert (report.labelled, report.unknown) == (2, ("nowhere.png",))
    found = labels_of(store)
    assert (found["red"][0], found["cyan"][0], found["blue"][0]) == ("warm", None, "primary")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"name,label\nx,y\n", r"columns path,label and perhaps split; found \['name', 'label'\]"),
        (b"", "found None"),
        (
            b"path,label\nnowhere.png,x\nnever.png,y\n",
            "none of its 2 paths belongs to an item of the store, the first: 'nowhere.png'",
        ),
        (b"path,label\n\xff\xfe,x\n", "expected a CSV file"),
    ],
)
def test_a_csv_that_says_nothing_is_refused(store: FeatureStore, tmp_path: Path, content: bytes, reason: str) -> None:
    before = labels_of(store)
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(SourceError, match=reason):
        store.label(tmp_path / "labels.csv")
    assert labels_of(store) == before


def test_a_csv_that_is_not_there_is_refused(
    store: FeatureStore, empty: FeatureStore, source: Path, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match="expected a CSV file"):
        store.label(tmp_path / "absent.csv")
    with pytest.raises(SourceError, match="expected a CSV file"):
        empty.index(source, labels=tmp_path / "absent.csv")
    assert not empty.path.exists()


# -- encoders


def test_a_second_encoder_adds_its_own_vectors(
    store_path: Path, colours: Path, other_encoder: Path, encoder: Path
) -> None:
    second = FeatureStore.open(store_path, other_encoder)
    assert counts(second.index(colours)) == (6, 0, 0, 0, 0)
    assert counts(second.index(colours)) == (0, 0, 6, 0, 0)
    plain = FeatureStore.open(store_path)
    assert plain.sql("SELECT count(*) AS n FROM items").to_pylist() == [{"n": 6}]
    assert [e["vectors"] for e in plain.info()["encoders"]] == [6, 6]
    with pytest.raises(EncoderNotInStore, match=r"2 encoders, and they are never mixed: quadrants-\w{8} \(6 vectors\), other-\w{8} \(6 vectors\); choose one") as error:  # fmt: skip
        plain.search(colours / "primary" / "red.png")
    names = [Encoder(encoder).name, Encoder(other_encoder).name]
    assert all(name in str(error.value) for name in names)
    wanted: list[str | Path] = [*names, encoder, str(other_encoder), Encoder(encoder).fingerprint[:16]]
    for name in wanted:
        assert plain.search(6, k=2, encoder=name).ids.tolist() == [2, 3]


def test_two_encoders_never_mix(
    store_path: Path, colours: Path, other_encoder: Path, encoder: Path, tmp_path: Path
) -> None:
    extra = paint(tmp_path / "extra" / "dark.png", (100, 0, 0))
    FeatureStore.open(store_path, other_encoder).index(extra)
    first, second = FeatureStore.open(store_path, encoder), FeatureStore.open(store_path, other_encoder)
    assert first.search(extra, k=20).ids.tolist() == [6, 2, 3, 1, 4, 5]
    assert second.search(extra, k=20).ids.tolist() == [7]
    assert len(first.features()[0]) == 6
    assert second.features()[0].tolist() == [7]


def test_content_that_changed_for_one_encoder_is_stale_for_the_other(
    empty: FeatureStore, source: Path, other_encoder: Path
) -> None:
    empty.index(source)
    paint(source / "red.png", (0, 0, 9), size=16)
    second = FeatureStore.open(empty.path, other_encoder)
    assert counts(second.index(source)) == (5, 1, 0, 0, 0)
    red = empty.sql("SELECT id FROM items WHERE path LIKE '%red%'").to_pylist()[0]["id"]
    assert red not in empty.features()[0]
    assert counts(empty.index(source))[2] == 5
    ids, x, _ = empty.features()
    assert x[ids == red].tolist() == [as_stored((0, 0, 9))]


def test_the_encoder_may_be_left_out_once_there_is_one(store: FeatureStore, colours: Path, tmp_path: Path) -> None:
    extra = paint(tmp_path / "extra" / "dark.png", (100, 0, 0))
    assert counts(store.index(colours, extra)) == (1, 0, 6, 0, 0)


def test_the_store_keeps_the_very_file(store: FeatureStore, encoder: Path) -> None:
    [kept] = (store.path / "encoders").iterdir()
    assert kept.read_bytes() == encoder.read_bytes()
    assert kept.stem == Encoder(encoder).fingerprint[:16]
    [vectors] = (store.path / "vectors").iterdir()
    assert vectors.name == f"{kept.stem}.f16"
    assert vectors.stat().st_size == 6 * 12 * 2


def test_unknown_encoders_are_named(store: FeatureStore, other_encoder: Path) -> None:
    for name in ("nothing", str(other_encoder), "abc"):
        with pytest.raises(
            EncoderNotInStore, match=r"has no vectors in this store, which holds: quadrants-\w{8} \(6 vectors\)"
        ):
            store.search(1, encoder=name)


# -- opening


def test_a_source_without_images_creates_nothing(empty: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "void").mkdir()
    (tmp_path / "void" / "notes.txt").touch()
    before = sorted(tmp_path.rglob("*"))
    for sources in ([tmp_path / "void"], [tmp_path / "absent"], [tmp_path / "void", tmp_path / "absent"]):
        with pytest.raises(SourceError, match=r"absent|no image found in"):
            empty.index(*sources)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_is_no_store_is_left_alone(tmp_path: Path, encoder: Path, source: Path) -> None:
    for path in (source, source / "red.png"):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(StoreError, match="exists and is not a store"):
            FeatureStore.open(path, encoder)
        with pytest.raises(StoreNotFound, match="no store at"):
            FeatureStore.open(path)
        assert sorted(tmp_path.rglob("*")) == before


def test_a_store_that_is_not_there_is_named(tmp_path: Path, encoder: Path) -> None:
    with pytest.raises(StoreNotFound, match="create one: featurestore index"):
        FeatureStore.open(tmp_path / "absent.store")
    opened = FeatureStore.open(tmp_path / "absent.store", encoder)
    for call in (opened.info, opened.failures, lambda: opened.search(1), lambda: opened.knn(1), opened.features):
        with pytest.raises(StoreNotFound, match="expected a store, found nothing there"):
            call()
    assert not (tmp_path / "absent.store").exists()


def test_a_file_that_is_no_encoder_creates_nothing(tmp_path: Path, source: Path) -> None:
    for error, path in (
        (EncoderError, write_broken_encoder(tmp_path / "half.onnx")),
        (EncoderCardMissing, write_encoder(tmp_path / "bare.onnx", card=None)),
        (EncoderError, tmp_path / "absent.onnx"),
    ):
        with pytest.raises(error):
            FeatureStore.open(tmp_path / "my.store", path)
    assert not (tmp_path / "my.store").exists()


def test_a_store_within_its_source_is_passed_over(source: Path, encoder: Path) -> None:
    inner = FeatureStore.open(source / "my.store", encoder)
    assert counts(inner.index(source)) == (6, 0, 0, 0, 0)
    assert counts(inner.index(source)) == (0, 0, 6, 0, 0)


def test_a_store_may_move(store_path: Path, tmp_path: Path, colours: Path) -> None:
    moved = FeatureStore.open(shutil.move(store_path, tmp_path / "moved.store"))
    assert moved.search(colours / "primary" / "red.png", k=2).ids.tolist() == [6, 2]


# -- Ctrl-C


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(running, "BATCH", 2)
    monkeypatch.setattr(indexing, "COMMIT_IMAGES", 2)
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("owner", [Changes, Encoder])
@pytest.mark.parametrize("early", [True, False])
def test_an_interrupt_in_the_midst_of_a_step_waits_for_its_end(
    empty: FeatureStore, source: Path, monkeypatch: pytest.MonkeyPatch, owner: type, early: bool
) -> None:
    name = "commit" if owner is Changes else "encode"
    original = getattr(owner, name)
    pressed: list[int] = []

    def press(*args: Any) -> Any:
        if early and not pressed:
            pressed.append(1)
            signal.raise_signal(signal.SIGINT)
        result = original(*args)
        if not pressed:
            pressed.append(1)
            signal.raise_signal(signal.SIGINT)
        return result

    monkeypatch.setattr(owner, name, press)
    with pytest.raises(
        Interrupted, match="interrupted; 2 images were encoded and are kept: run the same command again"
    ):
        empty.index(source, workers=1)
    ids, rows, _ = look(empty)
    assert (sorted(ids.values()), rows) == ([1, 2], {1: 0, 2: 1})
    assert counts(empty.index(source)) == (4, 0, 2, 0, 0)
    ids, _, vectors = look(empty)
    assert sorted(ids.values()) == [1, 2, 3, 4, 5, 6]
    assert vectors == {name: as_stored(colour) for name, colour in COLOURS.items()}


@pytest.mark.usefixtures("small_batches")
def test_an_interrupt_keeps_what_is_done(empty: FeatureStore, source: Path) -> None:
    class Impatient(Listener):
        seen = 0

        def advance(self, amount: int = 1, detail: str = "") -> None:
            self.seen += amount
            if self.seen == 4:
                raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="4 images were encoded and are kept"):
        empty.index(source, listener=Impatient())
    assert len(by_name(empty)) == 4
    assert counts(empty.index(source)) == (2, 0, 4, 0, 0)


def test_labels_by_paths_through_a_linked_folder_are_found(
    encoder: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "linked").symlink_to(source)
    store = FeatureStore.open(tmp_path / "linked.store", encoder)
    store.index(tmp_path / "linked")
    (tmp_path / "labels.csv").write_text("path,label\nlinked/red.png,warm\n")
    monkeypatch.chdir(tmp_path)
    assert store.label("labels.csv").labelled == 1
    assert labels_of(store)["red"][0] == "warm"


def test_a_malformed_csv_is_noticed_before_anything_is_encoded(
    empty: FeatureStore, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "labels.csv").write_text("file,class\nred.png,warm\n")
    with pytest.raises(SourceError, match="columns path,label"):
        empty.index(source, labels=tmp_path / "labels.csv")
    assert not empty.path.exists()


def test_vectors_without_their_catalog_are_never_written_over(
    store: FeatureStore, encoder: Path, colours: Path
) -> None:
    [vectors] = (store.path / "vectors").iterdir()
    before = vectors.read_bytes()
    (store.path / "catalog.duckdb").unlink()
    with pytest.raises(StoreCorrupt, match=r"catalog\.duckdb is missing, but the store has vectors"):
        FeatureStore.open(store.path, encoder).index(colours)
    assert vectors.read_bytes() == before


def test_a_damaged_copy_of_the_encoder_is_replaced_when_it_is_given_again(
    store: FeatureStore, encoder: Path, colours: Path
) -> None:
    [copy] = (store.path / "encoders").iterdir()
    copy.write_bytes(b"damaged")
    FeatureStore.open(store.path, encoder).index(colours)
    assert copy.read_bytes() == encoder.read_bytes()
