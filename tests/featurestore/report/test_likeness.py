"""The order of classes in the confusion matrix."""

import numpy as np
import pytest

from featurestore import FeatureStore
from featurestore.report.likeness import by_likeness, class_means
from tests.featurestore.report.conftest import BASES

MEANS = np.array([[0], [9], [1], [11], [4]], np.float32)  # of a to e


def test_classes_that_look_alike_stand_beside_each_other() -> None:
    pytest.importorskip("scipy")
    assert by_likeness("abcde", MEANS) in (tuple("acebd"), tuple("dbeca"))
    assert by_likeness("ab", MEANS[:2]) == tuple("ab")


def test_without_scipy_the_order_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert by_likeness("abcde", MEANS) == tuple("abcde")


def test_the_mean_of_a_class_is_that_of_its_items(labelled: FeatureStore) -> None:
    _, x, y = labelled.features()
    names = sorted(BASES)
    naive = [x[y == name].mean(axis=0) for name in names]
    np.testing.assert_allclose(class_means(labelled.labelled_items(), names, 0), naive, atol=1e-6)
