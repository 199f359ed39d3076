"""Which test images show a picture that they are predicted from, against loops over all pairs of items."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from featurestore import FeatureStore
from featurestore.evaluation.same_pictures import finding_command, known_leaks
from featurestore.progress import Listener
from featurestore.storage.kept_pairs import KeptPairs, contents_of, keep_pairs


def keep_random_pairs(store: FeatureStore, count: int = 12) -> set[tuple[str, str]]:
    """Let a store keep some pairs of contents; gives these, both ways round."""
    contents, rng = contents_of(store), np.random.default_rng(3)
    ends = np.sort(rng.choice(len(contents.hashes), (count, 2), replace=False), axis=1)
    score, mirrored = np.full(count, 0.99, np.float32), np.arange(count) % 3 == 0
    keep_pairs(
        store,
        KeptPairs(contents, ends[:, 0], ends[:, 1], score, mirrored, np.array([7, 9]), 1.0, 0.97, None),
        Listener(),
    )
    pairs = [tuple(contents.hashes[node].tobytes().hex() for node in pair) for pair in ends]
    return {(a, b) for a, b in pairs} | {(b, a) for a, b in pairs}


@pytest.mark.parametrize("where", [None, "id % 3 > 0"])
@pytest.mark.parametrize("name", ["splits", "whole"])
def test_leaks_are_those_of_the_loops(
    name: str, where: str | None, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    store = FeatureStore.open(shutil.copytree(request.getfixturevalue(name).path, tmp_path / "own.store"))
    pairs = keep_random_pairs(store)
    labelled = store.labelled_items(where=where)
    content = store.catalog.items.contents()
    items = list(zip(labelled.ids.tolist(), labelled.train.tolist(), labelled.test.tolist(), strict=True))
    expected = [
        any(
            voter != item and votes and (content[voter] == content[item] or (content[voter], content[item]) in pairs)
            for voter, votes, _ in items
        )
        for item, _, is_tested in items
        if is_tested
    ]
    found = known_leaks(store, labelled)
    assert found is not None
    assert found.items.tolist() == expected
    assert found.unseen == 2
    assert labelled.twins.sum() < sum(expected) < len(expected)
    report = store.knn(k=5, where=where)
    right = 0.0 if report.leaks is None else report.leaks.top1_without
    assert right is not None
    assert report.leaks is not None
    assert (report.leaks.n, report.leaks.unseen) == (sum(expected), 2)
    assert 0 < right < 1
    assert report.twins == store.knn(k=5, where=where).twins


def test_the_accuracy_without_them_is_that_of_the_others(splits: FeatureStore, tmp_path: Path) -> None:
    store = FeatureStore.open(shutil.copytree(splits.path, tmp_path / "own.store"))
    keep_random_pairs(store)
    leaking = known_leaks(store, store.labelled_items())
    assert leaking is not None
    labelled = store.labelled_items()
    ids = labelled.ids[labelled.test][~leaking.items]
    others = store.knn(k=1, where=f"split = 'train' OR id IN ({', '.join(map(str, ids))})")
    report = store.knn(k=1)
    assert report.leaks is not None
    assert report.leaks.top1_without == pytest.approx(others.results[0].top1)


def test_without_kept_pairs_nothing_is_known_and_nothing_is_computed(splits: FeatureStore) -> None:
    assert known_leaks(splits, splits.labelled_items()) is None
    assert splits.knn().leaks is None
    assert not (splits.path / "derived").exists()
    assert (finding_command("train->test"), finding_command("leave-one-out")) == ("leaks", "duplicates")
