"""Trees and drives that have moved: the store follows without reading an image."""

import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from featurestore import FeatureStore
from featurestore.errors import SourceError
from featurestore.maintenance.relocation import RelocateReport
from tests.featurestore.fakes import paint


@pytest.fixture
def photos(tmp_path: Path, colours: Path) -> Path:
    return Path(shutil.copytree(colours, tmp_path / "photos"))


@pytest.fixture
def opened(tmp_path: Path, encoder: Path, photos: Path) -> FeatureStore:
    """A store of the six pictures, of which one was deleted and one has vanished, with a failure."""
    (photos / "notes.jpg").write_text("no image")
    store = FeatureStore.open(tmp_path / "a.store", encoder)
    store.index(photos, labels="folders")
    store.delete("path LIKE '%white.png'")
    (photos / "primary" / "red.png").unlink()
    store.index(photos)
    return store


def column(store: FeatureStore, text: str) -> list[str]:
    return [str(value) for value in store.sql(text).column(0).to_pylist()]


def test_a_tree_that_moved_is_followed_by_everything_that_names_it(opened: FeatureStore, photos: Path) -> None:
    before = opened.sql("SELECT * EXCLUDE (path), parse_filename(path) AS name FROM all_items ORDER BY id")
    paint(photos.parent / "photos2" / "other.png", (1, 2, 3))
    opened.index(photos.parent / "photos2")
    drive = photos.rename(photos.parent / "drive")
    report = opened.relocate(photos, f"{drive}/")
    assert report == RelocateReport(str(drive), items=5, sources=1, deleted=1, failures=1, checked=4, there=4)
    assert (
        opened.sql("SELECT * EXCLUDE (path), parse_filename(path) AS name FROM all_items WHERE id < 7 ORDER BY id")
        == before
    )
    paths = [*column(opened, "SELECT path FROM all_items ORDER BY id"), *column(opened, "SELECT path FROM deleted"), *column(opened, "SELECT path FROM failures")]  # fmt: skip
    names = ["mixed/cyan.png", "mixed/yellow.png", "primary/blue.png", "primary/green.png", "primary/red.png"]
    other = str(photos.parent / "photos2" / "other.png")  # begins like the old place, but lies elsewhere
    assert paths == [*(f"{drive}/{name}" for name in names), other, f"{drive}/plain/white.png", f"{drive}/notes.jpg"]
    index = opened.index()
    assert (index.unchanged, index.added, index.deleted, index.failed) == (5, 0, 1, 1)
    assert opened.search(1, where="id = 2").paths == [f"{drive}/mixed/yellow.png"]


def test_containers_files_and_urls_are_followed(opened: FeatureStore, photos: Path, encoder: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").pipe_file("/old/x.png", paint(photos.parent / "x.png", (9, 9, 9)).read_bytes())
    opened.index("memory://old")
    assert opened.relocate("memory://old/", "s3://bucket/new").items == 1
    assert column(opened, "SELECT path FROM items WHERE id = 7") == ["s3://bucket/new/x.png"]
    assert opened.relocate("s3://bucket", "memory://").sources == 1
    assert (photos / "mixed" / "cyan.png").rename(photos / "sea.png")
    assert opened.relocate(photos / "mixed" / "cyan.png", photos / "sea.png").items == 1
    assert column(opened, "SELECT path FROM items WHERE id = 1") == [str(photos / "sea.png")]
    with opened.catalog._database.transaction() as connection:  # as if it lay in a tar
        connection.execute("UPDATE all_items SET path = '/s/a.tar::' || parse_filename(path) WHERE id = 1")
    assert opened.relocate("/s/a.tar", "/t/b.tar", missing_ok=True).there == 0
    assert column(opened, "SELECT path FROM items WHERE id = 1") == ["/t/b.tar::sea.png"]


def test_what_cannot_be_meant_is_refused_and_changes_nothing(opened: FeatureStore, photos: Path) -> None:
    before = opened.sql("SELECT * FROM all_items ORDER BY id")
    drive = Path(shutil.copytree(photos, photos.parent / "drive"))
    (photos.parent / "empty").mkdir()
    wrong = [
        (photos.parent / "absent", drive, rf"nothing at or below .*absent; it has 4 items below {photos}$"),
        (photos.parent / "photo", drive, "nothing at or below"),
        (photos, photos.parent / "absent", "expected the new place of the images, found nothing there.*--missing-ok"),
        (
            photos,
            photos.parent / "empty",
            "none of the first 4 files is at its new path, such as .*empty/mixed/cyan.png",
        ),
    ]
    for old, new, reason in wrong:
        with pytest.raises(SourceError, match=reason):
            opened.relocate(old, new)
    opened.index(paint(drive / "mixed" / "cyan.png", (7, 7, 7)))
    with pytest.raises(
        SourceError, match=r"1 of the new paths belong to other items already, the first: '.*drive/mixed/cyan.png'"
    ):
        opened.relocate(photos, drive)
    assert opened.sql("SELECT * FROM all_items WHERE id < 7 ORDER BY id") == before
    opened.delete("id = 7")
    assert opened.relocate(photos, drive).items == 5
    index = opened.index(drive)
    assert (index.updated, index.unchanged, index.added, index.deleted) == (
        1,
        3,
        0,
        1,
    )  # an item is at the deleted path


def test_two_items_do_not_get_one_path(opened: FeatureStore, photos: Path) -> None:
    """OLD is meant as it is written and with its links followed; a store may hold paths of both kinds."""
    link = photos.parent / "link"
    link.symlink_to(photos)
    with duckdb.connect(str(opened.path / "catalog.duckdb")) as catalog:
        catalog.execute(
            "UPDATE all_items SET path = ? WHERE id = 1", [f"{link}/mixed/yellow.png"]
        )  # item 2 by the link
    before = opened.sql("SELECT * FROM all_items ORDER BY id")
    with pytest.raises(SourceError, match=r"2 of the new paths belong to other items already.*drive/mixed/yellow\.png"):
        opened.relocate(link, shutil.copytree(photos, photos.parent / "drive"))
    assert opened.sql("SELECT * FROM all_items ORDER BY id") == before


def test_the_command_says_what_it_did(run: Any, opened: FeatureStore, photos: Path) -> None:
    drive = photos.parent / "drive"
    answer = json.loads(run("relocate", opened.path, photos, drive, "--missing-ok", "--json")[1])
    assert answer == {
        "new": str(drive),
        "items": 5,
        "sources": 1,
        "deleted": 1,
        "failures": 1,
        "checked": 4,
        "there": 0,
    }
    out = run("relocate", opened.path, drive, photos)[1]
    assert (
        out
        == f"5 items now under {photos}, with 1 source and 1 deleted file and 1 failure; 4 of the first 4 files checked are there\n"
    )


def test_sources_are_listed_and_forgotten(run: Any, opened: FeatureStore, photos: Path) -> None:
    photos.rename(photos.parent / "drive")
    note = f"if it has moved: featurestore relocate {opened.path} {photos} NEW; if it is gone for good: featurestore sources {opened.path} --forget {photos}"
    opened.index(photos.parent / "drive")
    assert opened.info()["sources"] == [str(photos), str(photos.parent / "drive")]
    assert f"source    {photos}\n" in run("info", opened.path)[1]
    assert note in run("index", opened.path)[2]
    out = run("sources", opened.path)[1]
    assert [line.split() for line in out.splitlines()[1:]] == [
        [str(photos), "missing"],
        [str(photos.parent / "drive"), "there"],
    ]
    with pytest.raises(SourceError, match=r"the store remembers '.*photos', '.*drive'; name one of these"):
        opened.forget_source("photo")
    assert run("sources", opened.path, "--forget", photos)[2] == f"{photos} is forgotten; its items stay\n"
    assert [source.path for source in opened.sources()] == [str(photos.parent / "drive")]
