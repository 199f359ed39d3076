"""Figures of single classes, by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from featurestore.metrics.confusion import ClassFigures, Confusion, class_figures, confusion


def test_class_figures_by_hand() -> None:
    figures = class_figures(np.array([0, 0, 1, 0]), np.array([0, 1, 1, 2]), ["a", "b", "c", "d"])
    assert figures == [
        ClassFigures("a", 1, 1.0, 1 / 3),
        ClassFigures("b", 2, 0.5, 1.0),
        ClassFigures("c", 1, 0.0, None),
    ]


def test_confusion_by_hand() -> None:
    found = confusion(np.array([0, 0, 1, 3]), np.array([0, 1, 1, 0]), ["a", "b", "c", "d"])
    assert found == Confusion(["a", "b", "d"], [[1, 0, 1], [1, 1, 0], [0, 0, 0]])  # c never occurs; d is only predicted
    assert found.pairs() == [(1, "a", "d"), (1, "b", "a")]


def test_pairs_come_most_frequent_first() -> None:
    found = Confusion(["a", "b", "c"], [[9, 1, 0], [0, 9, 5], [2, 0, 9]])
    assert found.pairs() == [(5, "b", "c"), (2, "c", "a"), (1, "a", "b")]


def test_figures_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 5, 200), rng.integers(0, 5, 200)
    names = list("abcde")
    precision, recall, _, n = precision_recall_fscore_support(truth, predicted)
    for i, figures in enumerate(class_figures(predicted, truth, names)):
        assert figures.n == n[i]
        assert (figures.recall, figures.precision) == pytest.approx((recall[i], precision[i]))
    assert confusion(predicted, truth, names).counts == confusion_matrix(truth, predicted).tolist()
