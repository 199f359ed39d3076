"""Measures of items with several labels: which they take, by hand, and which refuse."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurestore import FeatureStore, classification, evaluation
from featurestore.errors import EvaluationError
from featurestore.metrics import retrieval
from tests.featurestore.fakes import Colour, paint

ENTRIES: list[tuple[Colour, list[str]]] = [
    ((255, 0, 0), ["red", "warm"]), ((255, 20, 0), ["red"]), ((255, 60, 0), ["warm"]),
    ((0, 0, 255), ["cold"]), ((0, 30, 255), ["cold", "blue"]), ((0, 255, 0), ["cold"]),
]  # fmt: skip


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> FeatureStore:
    folder = tmp_path_factory.mktemp("several")
    images = [paint(folder / "one.png", colour).read_bytes() for colour, _ in ENTRIES]
    pq.write_table(pa.table({"image": images, "label": [names for _, names in ENTRIES]}), folder / "images.parquet")
    store = FeatureStore.open(folder / "my.store", encoder)
    store.index(folder / "images.parquet", labels="folders")
    return store


def naive_knn(store: FeatureStore, k: int) -> list[bool]:
    """Whether each item has the label with most votes among its neighbours, each of which votes for all its labels."""
    _, x, _ = store.features()
    names = sorted({name for _, own in ENTRIES for name in own})
    right = []
    for query, (_, own) in enumerate(ENTRIES):
        scores = x @ x[query]
        near = sorted((place for place in range(len(x)) if place != query), key=lambda place: -scores[place])[:k]
        votes = {
            name: sum(np.exp(scores[place] / 0.07) for place in near if name in ENTRIES[place][1]) for name in names
        }
        right.append(max(names, key=lambda name: votes[name]) in own)
    return right


@pytest.mark.parametrize("k", [1, 2, 4])
def test_knn_is_right_when_the_image_has_the_label_with_most_votes(several: FeatureStore, k: int) -> None:
    report = several.knn(k)
    assert report.results[0].top1 == pytest.approx(np.mean(naive_knn(several, k)))
    assert (report.several_labels, report.classes, report.confusion.labels) == (2, [], [])
    assert report.unseen == ["blue"]


def test_retrieval_matches_what_shares_a_label() -> None:
    """Queries of labels 0 and 1, of 2, and of 3, which no other has; -1 is no label and matches nothing."""
    x = np.eye(3, dtype=np.float32)
    bank = np.array([[0.9, 0.1, 0], [0.5, 0.8, 0], [0.1, 0.1, 0.9], [0.3, 0.2, 0.1]], np.float32)
    found = retrieval.evaluate(
        x, bank, np.array([[0, 1], [2, -1], [3, -1]]), np.array([[4, -1], [1, 2], [0, 1], [2, -1]]), ks=(1, 2)
    )
    first = (1 / 2 + 2 / 4) / 2  # ranked 0, 1, 3, 2: matches are 1 and 2
    second = (1 / 1 + 2 / 2) / 2  # ranked 1, 3, 0, 2: matches are 1 and 3
    assert found.map == pytest.approx((first + second) / 2)
    assert (found.recall, found.precision) == ({1: 0.5, 2: 1.0}, {1: 0.5, 2: 0.75})
    assert found.queries_without_match == 1


def test_retrieval_of_a_store_by_hand(several: FeatureStore) -> None:
    report = several.retrieval([1])
    shares = [
        bool({*own} & {*other})
        for (_, own), (_, other) in zip(ENTRIES, (ENTRIES[n] for n in (1, 0, 1, 4, 3, 2)), strict=True)
    ]
    assert report.result.recall[1] == pytest.approx(np.mean(shares))  # by the nearest of each
    assert report.several_labels == 2


@pytest.mark.parametrize(
    "measure",
    [evaluation.linear, evaluation.lowshot, lambda store, where=None: classification.train(store, "kind", where=where)],
)
def test_what_needs_one_label_each_is_refused_and_says_what_to_do(several: FeatureStore, measure: object) -> None:
    assert callable(measure)
    with pytest.raises(
        EvaluationError,
        match=r"2 of 6 items have several labels, and .* `retrieval` or `knn`, .* --where \"labels IS NULL\"",
    ):
        measure(several)
    assert several.lowshot([1], tries=2, where="labels IS NULL").n_train == 4
