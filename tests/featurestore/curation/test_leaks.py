"""Leaks across splits."""

import json
import shutil
from pathlib import Path

import pytest

from featurestore import FeatureStore
from featurestore.curation import leaks
from featurestore.errors import EvaluationError
from tests.featurestore.commands import Run, answer
from tests.featurestore.curation.pictures import crop, draw, mirror, save


@pytest.fixture(scope="module")
def split_store(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> FeatureStore:
    """Thirty pictures to train with; one of them again in val, three in test, two of these twice."""
    folder = tmp_path_factory.mktemp("pictures")
    for n in range(30):
        save(draw(n), folder / "train" / "kind" / f"{n}.png")
    save(crop(draw(1)), folder / "train" / "kind" / "within.png")
    save(crop(draw(2)), folder / "val" / "kind" / "two.png")
    for name in ("same", "again"):
        save(draw(3), folder / "test" / "kind" / f"{name}.png")
    save(crop(draw(4)), folder / "test" / "other" / "four.png")
    save(mirror(draw(5)), folder / "test" / "kind" / "five.png")
    save(draw(99), folder / "test" / "kind" / "new.png")
    store = FeatureStore.open(tmp_path_factory.mktemp("stores") / "own.store", encoder)
    store.index(folder, labels="folders")
    return store


def test_pairs_across_splits_and_no_others(split_store: FeatureStore) -> None:
    report = leaks(split_store)
    found = {(Path(leak.a).stem, Path(leak.b).stem, leak.splits, leak.kind) for leak in report.pairs}
    assert found == {
        ("3", "same", ("train", "test"), "exact"),
        ("3", "again", ("train", "test"), "exact"),
        ("2", "two", ("train", "val"), "near"),
        ("4", "four", ("train", "test"), "near"),
        ("5", "five", ("train", "test"), "mirrored"),
    }
    assert report.splits == {"train": 31, "val": 1, "test": 5}
    assert report.leaking == {"train": 0, "val": 1, "test": 4}
    [four] = [leak for leak in report.pairs if leak.b.endswith("four.png")]
    assert four.labels == ("kind", "other")
    scores = [leak.score for leak in report.pairs]
    assert scores == sorted(scores, reverse=True)
    assert scores[:2] == [1, 1]


def test_a_table_has_a_row_for_each_pair(split_store: FeatureStore) -> None:
    report = leaks(split_store)
    rows = report.to_arrow().to_pylist()
    assert [(row["path_a"], row["path_b"]) for row in rows] == [(leak.a, leak.b) for leak in report.pairs]
    assert {(row["split_a"], row["split_b"]) for row in rows} == {("train", "test"), ("train", "val")}
    assert [(row["id_a"], row["id_b"]) for row in rows] == [leak.ids for leak in report.pairs]


def test_the_first_of_equal_pictures_stands_for_all(tmp_path: Path, encoder: Path, split_store: FeatureStore) -> None:
    store = FeatureStore.open(Path(shutil.copytree(split_store.path, tmp_path / "own.store")), encoder)
    for n in range(3):
        save(draw(3), tmp_path / "more" / "train" / "kind" / f"copy{n}.png")
    store.index(tmp_path / "more", labels="folders")
    assert [(leak.a, leak.b) for leak in leaks(store).pairs] == [(leak.a, leak.b) for leak in leaks(split_store).pairs]


def test_what_has_no_splits_is_told_how_to_get_some(
    shared: FeatureStore, split_store: FeatureStore, tmp_path: Path, encoder: Path
) -> None:
    with pytest.raises(
        EvaluationError, match="expected items in two splits, such as train and test, found none; index folders"
    ):
        leaks(shared)
    store = FeatureStore.open(Path(shutil.copytree(split_store.path, tmp_path / "own.store")), encoder)
    store.delete("split <> 'train'")
    with pytest.raises(EvaluationError, match="found only 'train'"):
        leaks(store)


def test_the_command(run: Run, split_store: FeatureStore, store_path: Path) -> None:
    assert answer(run, "leaks", split_store.path) == json.loads(json.dumps(leaks(split_store).to_json()))
    status, out, err = run("leaks", split_store.path, "-n", "2")
    assert (status, err) == (0, "")
    assert out.splitlines()[:3] == [
        "5 pairs across splits",
        "val: 1 of 1 item (100.0%) with a picture that an earlier split has",
        "test: 4 of 5 items (80.0%) with a picture that an earlier split has",
    ]
    assert out.splitlines()[-1] == "3 more pairs: see them with -n 5, or with --json"
    whole, first = answer(run, "leaks", split_store.path), answer(run, "leaks", split_store.path, "--limit", "2")
    assert first == whole | {"pairs": whole["pairs"][:2]}
    assert first["total"] == 5
    status, out, err = run("leaks", store_path)
    assert (status, out) == (1, "")
    assert "expected items in two splits" in err
