"""Guesses from the labels so far: against a plain solution of ridge regression, and with too few labels."""

from pathlib import Path

import numpy as np
import pytest

from featurestore import FeatureStore
from featurestore.classification import guess, guesses
from featurestore.errors import EvaluationError
from featurestore.estimators.linear import ALPHA, SPREAD, left_out_logits
from featurestore.metadata import given_labels, set_by_persons
from tests.featurestore.curation.groups import group_store


@pytest.fixture
def store(tmp_path: Path, encoder: Path) -> FeatureStore:
    """36 pictures of three kinds; ids of a kind follow one another."""
    return group_store(tmp_path, encoder, 12, labels="none")


def label(store: FeatureStore, names: dict[int, list[str]]) -> None:
    set_by_persons(store, [given_labels(names, None, "test")])


def test_they_are_those_of_ridge_regression(store: FeatureStore) -> None:
    label(store, {1: ["a"], 2: ["a"], 13: ["b"], 25: ["c"], 26: ["b", "c"]})
    found = guess(store)
    assert found.classes == ("a", "b", "c")
    unlabelled = sorted({*range(1, 37)} - {1, 2, 13, 25, 26})
    assert found.ids.tolist() == unlabelled
    ids, x, _ = store.features()
    x = x[np.argsort(ids)].astype(np.float64)
    learnt = x[[0, 1, 12, 24]]
    truth = np.array([[1, -1, -1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], np.float64)
    centred = learnt - learnt.mean(axis=0)
    weights = np.linalg.solve(
        centred.T @ centred + ALPHA * np.eye(x.shape[1]), centred.T @ (truth - truth.mean(axis=0))
    )
    logits = (x[np.array(unlabelled) - 1] - learnt.mean(axis=0)) @ weights + truth.mean(axis=0)
    assert found.codes.tolist() == logits.argmax(axis=1).tolist()
    shares = np.exp(logits / SPREAD)
    assert found.confidence == pytest.approx(shares.max(axis=1) / shares.sum(axis=1), abs=1e-4)


def test_of_some_items_the_same(store: FeatureStore) -> None:
    label(store, {1: ["a"], 13: ["b"]})
    whole, part = guess(store), guess(store, ids=np.array([1, 5, 30]))
    assert part.ids.tolist() == [5, 30]
    places = np.searchsorted(whole.ids, part.ids)
    assert part.codes.tolist() == whole.codes[places].tolist()
    assert part.confidence == pytest.approx(whole.confidence[places], abs=1e-6)


@pytest.mark.parametrize("names", [{}, {1: ["a"], 2: ["a"]}, {1: ["a", "b"]}])
def test_two_classes_are_needed(store: FeatureStore, names: dict[int, list[str]]) -> None:
    label(store, names)
    with pytest.raises(EvaluationError, match="expected labels of two classes or more"):
        guess(store)


def test_only_some_are_learnt_from(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    label(store, {n: ["a" if n < 13 else "b"] for n in range(1, 30)})
    monkeypatch.setattr(guesses, "MOST", 10)
    monkeypatch.setattr(guesses, "BLOCK", 2)
    assert guess(store).ids.tolist() == list(range(30, 37))


def test_what_is_left_out_is_predicted_by_the_others() -> None:
    rng = np.random.default_rng(0)
    x, codes = rng.standard_normal((12, 4)), np.arange(12) % 3
    fold = np.array([0, 0, 0, 1, 1, 1, 0, 0, 0, -1, -1, -1])
    steps = []
    logits = left_out_logits("ridge", x, codes, fold, advance=lambda: steps.append(1))
    assert len(steps) == 2
    assert np.isnan(logits[fold < 0]).all()
    again = left_out_logits("ridge", np.where(fold[:, None] == 1, 9.0, x), codes, fold)
    assert not np.allclose(again[fold == 0], logits[fold == 0])  # the others have changed
    alone = left_out_logits(
        "ridge", np.where((np.arange(12) == 3)[:, None], 9.0, x), codes, np.where(np.arange(12) == 3, 0, -1)
    )
    assert np.isfinite(alone[3]).all()
