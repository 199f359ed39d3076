"""Duplicates of whole stores: groups, which item to keep, and what the command prints."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw, ImageFilter

from featurestore import FeatureStore, curation
from featurestore.curation import DuplicateGroup, duplicates, find, leaks
from featurestore.curation.duplicates import duplicates_among
from featurestore.curation.find import known_pairs
from featurestore.curation.pairs import same_pictures
from featurestore.errors import EncoderNotInStore, StoreNotFound
from featurestore.progress import Listener
from tests.featurestore.commands import Run, answer
from tests.featurestore.curation.pictures import COPIES, crop, draw, mirror, save
from tests.featurestore.fakes import paint

PICTURES = 30


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures in two splits: an exact copy, one picture with all near copies, and a mirrored one."""
    folder = tmp_path_factory.mktemp("pictures")
    for n in range(PICTURES):
        save(draw(n), folder / "train" / "kind" / f"{n}.png")
    (folder / "test" / "kind").mkdir(parents=True)
    shutil.copy(folder / "train" / "kind" / "3.png", folder / "test" / "kind" / "same.png")
    for n, copy in enumerate(COPIES.values()):
        save(copy(draw(5)), folder / "test" / "kind" / f"near{n}.png")
    save(mirror(draw(8)), folder / "test" / "kind" / "mirrored.png")
    return folder


@pytest.fixture(scope="module")
def pictures(source: Path, tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> FeatureStore:
    store = FeatureStore.open(tmp_path_factory.mktemp("stores") / "pictures.store", encoder)
    store.index(source, labels="folders")
    return store


def names(group: DuplicateGroup) -> list[str]:
    return [Path(item.path).stem for item in group.items]


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
    tmp_path: Path, pictures: FeatureStore, source: Path, encoder: Path
) -> None:
    store = FeatureStore.open(Path(shutil.copytree(pictures.path, tmp_path / "own.store")), encoder)
    before = duplicates(store)
    save(crop(draw(5), 0.02, 0.03, 0.9), tmp_path / "new.png")
    shutil.copy(source / "train" / "kind" / "3.png", tmp_path / "again.png")
    store.index(tmp_path / "new.png", tmp_path / "again.png")
    exact, near, mirrored = duplicates(store).groups
    assert set(names(near)) == {*names(before.groups[1]), "new"}
    assert set(names(exact)) == {"3", "same", "again"}
    assert mirrored == before.groups[2]
    store.delete(f"path = '{tmp_path / 'new.png'}'")
    assert duplicates(store).groups[1:] == before.groups[1:]


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


def test_files_that_are_gone_are_said(tmp_path: Path, encoder: Path) -> None:
    for n in range(20):
        save(draw(n), tmp_path / "s" / f"{n}.png")
    store = FeatureStore.open(tmp_path / "own.store", encoder)
    store.index(tmp_path / "s")
    shutil.rmtree(tmp_path / "s")
    report = duplicates(store)
    assert (report.unseen, report.groups) == (20, [])


def test_the_command(run: Run, pictures: FeatureStore) -> None:
    report = duplicates(pictures)
    assert answer(run, "duplicates", pictures.path) == json.loads(json.dumps(report.to_json()))
    status, out, err = run("duplicates", pictures.path, "-n", "2")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"3 groups among {report.n_items} items: 1 exact, 1 near, 1 mirrored"
    assert lines[1] == f"{report.superfluous} items seem superfluous; look at them before you delete any"
    assert out.count("keep ") == 2
    assert lines[-1] == "1 more group: see them with -n 3, or with --json"
    assert run("duplicates", pictures.path, "-n", "-1")[0] == 2


def test_a_limit_keeps_the_first_groups_and_the_counts_of_all(run: Run, pictures: FeatureStore) -> None:
    whole, first = answer(run, "duplicates", pictures.path), answer(run, "duplicates", pictures.path, "--limit", "1")
    assert first == whole | {"groups": whole["groups"][:1]}
    assert (first["kinds"], first["superfluous"]) == ({"exact": 1, "near": 1, "mirrored": 1}, 1 + len(COPIES))
    assert duplicates(pictures, limit=1).groups == duplicates(pictures).groups[:1]


def test_each_item_of_an_exact_or_near_group_has_its_number(pictures: FeatureStore) -> None:
    report = duplicates(pictures)
    exact, near, _ = report.groups
    numbers = dict(zip(*report.first(0).columns.to_pydict().values(), strict=True))
    assert numbers == {item.id: 0 for item in exact.items} | {item.id: 1 for item in near.items}
    rows = report.to_arrow().to_pylist()
    assert [row["group"] for row in rows] == [0, 0, *[1] * len(near.items), 2, 2]
    assert [row["path"] for row in rows[:2]] == [item.path for item in exact.items]


def test_groups_cannot_be_numbered_while_they_are_deleted(run: Run, pictures: FeatureStore) -> None:
    assert "give one of the two" in run("duplicates", pictures.path, "--delete", "--yes", "--column")[2]


def test_known_pairs_are_those_among_the_items_of_a_view(pictures: FeatureStore) -> None:
    duplicates(pictures)
    found = known_pairs(pictures, pictures.view())
    assert found is not None
    assert duplicates_among(pictures, found).to_json() == duplicates(pictures).to_json()
    some = known_pairs(pictures, pictures.view(where="path NOT LIKE '%/3.png' AND path NOT LIKE '%mirrored.png'"))
    assert some is not None
    [group] = duplicates_among(pictures, some).groups
    assert (group.kind, len(group.items)) == ("near", 1 + len(COPIES))


def test_the_command_says_what_it_could_not_see(run: Run, store_path: Path, colours: Path, tmp_path: Path) -> None:
    status, out, _ = run("duplicates", store_path)
    assert (status, out) == (0, "0 groups among 6 items\n")


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
    for n in range(40):
        save(blot(n), tmp_path / "s" / f"{n}.png")
    store = FeatureStore.open(tmp_path / "own.store", encoder)
    store.index(tmp_path / "s")
    report = duplicates(store)
    assert (report.groups, report.limit, report.precision) == ([], 1, None)
    assert run("duplicates", store.path)[1].splitlines() == [
        "0 groups among 40 items",
        "different pictures of this collection are as alike as copies: no near or mirrored ones are listed",
    ]


def test_the_command_says_how_many_are_copies(
    run: Run, pictures: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = replace(duplicates(pictures), limit=0.981, precision=0.934)
    monkeypatch.setattr(curation, "duplicates", lambda *_: report)
    lines = run("duplicates", pictures.path)[1].splitlines()
    assert lines[2] == "93% of near and mirrored pairs are copies, by an estimate; their details agree by 0.981 or more"
