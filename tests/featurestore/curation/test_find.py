"""The pairs of a store: from which files they are found, when they are found again, and what is told where none can be."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw, ImageFilter

from featurestore import FeatureStore
from featurestore.curation import duplicates, find, leaks
from featurestore.curation.duplicates import duplicates_among
from featurestore.curation.find import known_pairs
from featurestore.curation.pairs import same_pictures
from featurestore.progress import Listener
from tests.featurestore.commands import Run
from tests.featurestore.curation.pictures import COPIES, crop, draw, save
from tests.featurestore.curation.stems import names


def test_images_in_a_table(tmp_path: Path, encoder: Path) -> None:
    pictures = [draw(n) for n in range(20)] + [crop(draw(3))]
    files = [save(picture, tmp_path / f"{n}.png").read_bytes() for n, picture in enumerate(pictures)]
    pq.write_table(pa.table({"image": files}), tmp_path / "t.parquet")
    store = FeatureStore.open(tmp_path / "own.store", encoder)
    store.index(tmp_path / "t.parquet")
    report = duplicates(store)
    assert (report.unseen, len(report.groups)) == (0, 1)


def test_another_copy_is_looked_at_where_the_first_is_gone(tmp_path: Path, encoder: Path) -> None:
    for n in range(20):
        save(draw(n), tmp_path / "s" / f"{n}.png")
    save(crop(draw(3)), tmp_path / "s" / "crop.png")
    shutil.copy(tmp_path / "s" / "3.png", tmp_path / "s" / "z.png")
    store = FeatureStore.open(tmp_path / "own.store", encoder)
    store.index(tmp_path / "s")
    (tmp_path / "s" / "3.png").unlink()
    report = duplicates(store)
    assert report.unseen == 0
    assert set(names(report.groups[0])) == {"3", "z", "crop"}


def test_files_that_are_gone_are_said(tmp_path: Path, encoder: Path) -> None:
    for n in range(20):
        save(draw(n), tmp_path / "s" / f"{n}.png")
    store = FeatureStore.open(tmp_path / "own.store", encoder)
    store.index(tmp_path / "s")
    shutil.rmtree(tmp_path / "s")
    report = duplicates(store)
    assert (report.unseen, report.groups) == (20, [])


def test_what_is_forgotten_leaves_no_picture(tmp_path: Path, pictures: FeatureStore, encoder: Path) -> None:
    store = FeatureStore.open(Path(shutil.copytree(pictures.path, tmp_path / "own.store")), encoder)
    duplicates(store)
    before = (store.path / "derived" / "thumbnails.grey").stat().st_size
    store.delete("path LIKE '%/7.png'", forget=True)
    assert (store.path / "derived" / "thumbnails.grey").stat().st_size == before - 32 - 32**2


def test_an_item_that_is_deleted_meanwhile(tmp_path: Path, pictures: FeatureStore, encoder: Path) -> None:
    store = FeatureStore.open(Path(shutil.copytree(pictures.path, tmp_path / "own.store")), encoder)

    class Deleting(Listener):
        def start(self, what: str, total: int | None) -> None:
            if what == "finding neighbours":
                FeatureStore.open(store.path).delete("path LIKE '%/7.png'")

    shutil.rmtree(store.path / "derived", ignore_errors=True)
    assert len(duplicates(store, listener=Deleting()).groups) == 3


def test_pairs_are_found_once(
    tmp_path: Path, pictures: FeatureStore, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FeatureStore.open(Path(shutil.copytree(pictures.path, tmp_path / "own.store")), encoder)
    before = duplicates(store)
    found: list[int] = []

    def counted(*arguments: Any) -> Any:
        found.append(1)
        return same_pictures(*arguments)

    monkeypatch.setattr(find, "same_pictures", counted)
    assert duplicates(store) == before
    assert duplicates(FeatureStore.open(store.path)) == before
    assert leaks(store).pairs
    assert not found
    save(draw(77), tmp_path / "new.png")
    store.index(tmp_path / "new.png")
    assert duplicates(store).groups == before.groups
    assert len(found) == 1
    shutil.rmtree(store.path / "derived")
    assert duplicates(store).groups == before.groups
    assert len(found) == 2


def test_a_picture_that_is_there_again_is_looked_at(tmp_path: Path, encoder: Path) -> None:
    for n in range(20):
        save(draw(n), tmp_path / "s" / f"{n}.png")
    save(crop(draw(3)), tmp_path / "drive" / "crop.png")
    store = FeatureStore.open(tmp_path / "own.store", encoder)
    store.index(tmp_path / "s", tmp_path / "drive")
    (tmp_path / "drive").rename(tmp_path / "away")
    for _ in range(2):
        report = duplicates(store)
        assert (report.unseen, report.groups) == (1, [])
    (tmp_path / "away").rename(tmp_path / "drive")
    report = duplicates(store)
    assert (report.unseen, len(report.groups)) == (0, 1)


def test_a_store_with_hard_links_is_read(tmp_path: Path, pictures: FeatureStore) -> None:
    path = Path(shutil.copytree(pictures.path, tmp_path / "own.store"))
    shutil.rmtree(path / "derived", ignore_errors=True)
    (tmp_path / "backup").hardlink_to(path / "catalog.duckdb")
    assert len(duplicates(FeatureStore.open(path)).groups) == 3
    assert not (path / "derived").exists()


def test_a_copy_that_is_added_joins_its_group(
    tmp_path: Path, pictures: FeatureStore, picture_files: Path, encoder: Path
) -> None:
    store = FeatureStore.open(Path(shutil.copytree(pictures.path, tmp_path / "own.store")), encoder)
    before = duplicates(store)
    save(crop(draw(5), 0.02, 0.03, 0.9), tmp_path / "new.png")
    shutil.copy(picture_files / "train" / "kind" / "3.png", tmp_path / "again.png")
    store.index(tmp_path / "new.png", tmp_path / "again.png")
    exact, near, mirrored = duplicates(store).groups
    assert set(names(near)) == {*names(before.groups[1]), "new"}
    assert set(names(exact)) == {"3", "same", "again"}
    assert mirrored == before.groups[2]
    store.delete(f"path = '{tmp_path / 'new.png'}'")
    assert duplicates(store).groups[1:] == before.groups[1:]


def test_known_pairs_are_those_among_the_items_of_a_view(pictures: FeatureStore) -> None:
    duplicates(pictures)
    found = known_pairs(pictures, pictures.view())
    assert found is not None
    assert duplicates_among(pictures, found).to_json() == duplicates(pictures).to_json()
    some = known_pairs(pictures, pictures.view(where="path NOT LIKE '%/3.png' AND path NOT LIKE '%mirrored.png'"))
    assert some is not None
    [group] = duplicates_among(pictures, some).groups
    assert (group.kind, len(group.items)) == ("near", 1 + len(COPIES))


def blot(seed: int) -> Image.Image:
    """Draw a soft disc whose outline is a little uneven: another one is as like it as a copy."""
    rng, picture = np.random.default_rng(seed), Image.new("L", (64, 64), 40)
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    radius = 18 * (1 + sum(rng.normal(0, 0.03) * np.cos(k * angle + rng.uniform(0, 6)) for k in (2, 3, 4, 5)))
    ImageDraw.Draw(picture).polygon(
        np.stack([32 + radius * np.cos(angle), 32 + radius * np.sin(angle)], 1).ravel().tolist(), 240
    )
    return picture.filter(ImageFilter.GaussianBlur(2))


def test_where_different_pictures_are_as_alike_as_copies_none_is_listed(
    tmp_path: Path, encoder: Path, run: Run
) -> None:
    for n in range(360, 400):  # among the first 40 is a pair so alike that a processor's rounding decides
        save(blot(n), tmp_path / "s" / f"{n}.png")
    store = FeatureStore.open(tmp_path / "own.store", encoder)
    store.index(tmp_path / "s")
    report = duplicates(store)
    assert (report.groups, report.limit, report.precision) == ([], 1, None)
    assert run("duplicates", store.path)[1].splitlines() == [
        "0 groups among 40 items",
        "different pictures of this collection are as alike as copies: no near or mirrored ones are listed",
    ]
