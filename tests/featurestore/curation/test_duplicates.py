"""Duplicates of whole stores: groups, and which item to keep."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import ImageFilter

from featurestore import FeatureStore
from featurestore.curation import duplicates
from featurestore.errors import EncoderNotInStore, StoreNotFound
from tests.featurestore.curation.pictures import COPIES, draw, save
from tests.featurestore.curation.stems import PICTURES, names
from tests.featurestore.fakes import paint


def test_every_kind_is_found_and_nothing_else(pictures: FeatureStore) -> None:
    report = duplicates(pictures)
    assert [group.kind for group in report.groups] == ["exact", "near", "mirrored"]
    exact, near, mirrored = report.groups
    assert set(names(exact)) == {"3", "same"}
    assert [item.score for item in exact.items] == [1, 1]
    assert set(names(near)) == {"5", *(f"near{n}" for n in range(len(COPIES)))}
    assert set(names(mirrored)) == {"8", "mirrored"}
    assert report.superfluous == 1 + len(COPIES)
    assert (report.n_items, report.unseen, report.recall) == (PICTURES + 2 + len(COPIES), 0, 1)


def test_the_largest_is_kept(pictures: FeatureStore) -> None:
    near = duplicates(pictures).groups[1]
    assert near.keep.width == 240
    assert (near.keep.label, near.keep.split) == ("kind", "test")
    scores = [item.score for item in near.items[1:]]
    assert scores == sorted(scores, reverse=True)


def test_of_equal_size_the_sharper_one_is_kept(tmp_path: Path, encoder: Path) -> None:
    picture = draw(1, 200, 160)
    save(picture.filter(ImageFilter.GaussianBlur(1)), tmp_path / "s" / "a.png")
    sharp = save(picture, tmp_path / "s" / "b.png")
    for n in range(2, 20):
        save(draw(n), tmp_path / "s" / f"other{n}.png")
    store = FeatureStore.open(tmp_path / "own.store", encoder)
    store.index(tmp_path / "s")
    assert duplicates(store).groups[0].keep.path == str(sharp)


def test_a_labelled_one_is_kept_before_a_larger_one(tmp_path: Path, encoder: Path) -> None:
    large, small = save(draw(1, 200, 160), tmp_path / "s" / "a.png"), save(draw(1, 100, 80), tmp_path / "s" / "b.png")
    for n in range(2, 20):
        save(draw(n), tmp_path / "s" / f"other{n}.png")
    store = FeatureStore.open(tmp_path / "own.store", encoder)
    store.index(tmp_path / "s")
    assert duplicates(store).groups[0].keep.path == str(large)
    (tmp_path / "labels.csv").write_text(f"path,label\n{small},rose\n")
    store.label(tmp_path / "labels.csv")
    assert duplicates(store).groups[0].keep.path == str(small)


def test_one_of_several_labels_is_a_label(tmp_path: Path, encoder: Path) -> None:
    save(draw(1, 200, 160), tmp_path / "s" / "a.png")
    small = save(draw(1, 100, 80), tmp_path / "s" / "b.png")
    for n in range(2, 20):
        save(draw(n), tmp_path / "s" / f"other{n}.png")
    store = FeatureStore.open(tmp_path / "own.store", encoder)
    store.index(tmp_path / "s")
    (tmp_path / "labels.jsonl").write_text(json.dumps({"path": str(small), "label": ["red", "rose"]}))
    store.label(tmp_path / "labels.jsonl")
    keep = duplicates(store).groups[0].keep
    assert (keep.path, keep.label, keep.labels) == (str(small), None, ["red", "rose"])


def test_every_item_of_a_group_is_a_copy_of_the_one_to_keep(tmp_path: Path, encoder: Path) -> None:
    """Two crops of one picture that share little, one of them the largest file."""
    picture = draw(1, 400, 300)
    large = picture.crop((0, 0, 300, 225)).resize((900, 675))
    save(large, tmp_path / "s" / "large.png")
    save(picture, tmp_path / "s" / "whole.png")
    save(picture.crop((100, 75, 400, 300)), tmp_path / "s" / "other.png")
    for n in range(2, 22):
        save(draw(n), tmp_path / "s" / f"{n}.png")
    store = FeatureStore.open(tmp_path / "own.store", encoder)
    store.index(tmp_path / "s")
    [group] = duplicates(store).groups
    assert names(group) == ["large", "whole"]
    assert group.keep.score == 1 > group.items[1].score


def test_the_one_with_most_copies_is_kept_where_they_are_as_large(tmp_path: Path, encoder: Path) -> None:
    """Two parts of a picture that share little: only the whole is a copy of both, though it is not the sharpest and not the first."""
    picture = draw(1, 400, 300)
    left, right = (picture.crop((x, y, x + 300, y + 225)).resize((400, 300)) for x, y in ((0, 0), (100, 75)))
    for name, image in (("a-left", left), ("b-right", right), ("c-whole", picture.filter(ImageFilter.BoxBlur(2)))):
        save(image, tmp_path / "s" / f"{name}.png")
    for n in range(2, 22):
        save(draw(n), tmp_path / "s" / f"{n}.png")
    store = FeatureStore.open(tmp_path / "own.store", encoder)
    store.index(tmp_path / "s")
    [group] = duplicates(store).groups
    assert names(group)[0] == "c-whole"
    assert sorted(names(group)[1:]) == ["a-left", "b-right"]
    assert names(duplicates(store, keep="first").groups[0]) == ["a-left", "c-whole"]


def test_chains_of_pairs_do_not_join_what_differs(tmp_path: Path, encoder: Path) -> None:
    """Parts from left to right of a wide picture: neighbours overlap, the ends share nothing."""
    wide = draw(3, 600, 90)
    for n in range(8):
        save(wide.crop((n * 20, 0, n * 20 + 120, 90)), tmp_path / "s" / f"part{n}.png")
    for n in range(4, 24):
        save(draw(n), tmp_path / "s" / f"{n}.png")
    store = FeatureStore.open(tmp_path / "own.store", encoder)
    store.index(tmp_path / "s")
    for group in duplicates(store).groups:
        keep, *others = (int(name.removeprefix("part")) for name in names(group))
        assert all(abs(other - keep) <= 3 for other in others)


def test_stores_with_few_items(tmp_path: Path, encoder: Path) -> None:
    with pytest.raises(StoreNotFound):
        duplicates(FeatureStore.open(tmp_path / "none.store", encoder))
    store = FeatureStore.open(tmp_path / "own.store", encoder)
    store.index(save(draw(1), tmp_path / "s" / "a.png"))
    assert duplicates(store).groups == []
    store.index(paint(tmp_path / "s" / "flat1.png", (9, 9, 9)))
    store.index(paint(tmp_path / "s" / "flat2.png", (200, 9, 9)))
    assert duplicates(store).groups == []
    store.index(Path(shutil.copy(tmp_path / "s" / "a.png", tmp_path / "s" / "b.png")))
    [group] = duplicates(store).groups
    assert (group.kind, names(group)) == ("exact", ["a", "b"])
    store.delete("true")
    assert duplicates(store).groups == []
    with pytest.raises(EncoderNotInStore):
        duplicates(store, encoder="nobody")


def test_each_item_of_an_exact_or_near_group_has_its_number(pictures: FeatureStore) -> None:
    report = duplicates(pictures)
    exact, near, _ = report.groups
    numbers = dict(zip(*report.first(0).columns.to_pydict().values(), strict=True))
    assert numbers == {item.id: 0 for item in exact.items} | {item.id: 1 for item in near.items}
    rows = report.to_arrow().to_pylist()
    assert [row["group"] for row in rows] == [0, 0, *[1] * len(near.items), 2, 2]
    assert [row["path"] for row in rows[:2]] == [item.path for item in exact.items]
