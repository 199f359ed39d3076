"""The order of classes in the confusion matrix."""

import numpy as np
import pytest

from featurestore.report.likeness import by_likeness
from featurestore.storage import LabelledItems


def placed(means: dict[str, float]) -> LabelledItems:
    """Two items of each class, whose vectors lie around a place on a line."""
    rows, n = np.arange(2 * len(means)), len(means)
    stored = np.array([[mean + off] for mean in means.values() for off in (-0.1, 0.1)], np.float16)
    mask = np.ones(2 * n, bool)
    return LabelledItems(None, rows, rows, rows.astype(object), rows // 2, list(means), mask, mask, True, stored)  # type: ignore[arg-type]


def test_classes_that_look_alike_stand_beside_each_other() -> None:
    pytest.importorskip("scipy")
    items = placed({"a": 0, "b": 9, "c": 1, "d": 11, "e": 4})
    order = by_likeness(items, list("abcde"), 0)
    assert order in (tuple("acebd"), tuple("dbeca"))
    assert set(by_likeness(items, list("abd"), 0)[1:2]) == {"b"}


def test_without_scipy_the_order_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert by_likeness(placed({"a": 0, "b": 9, "c": 1}), list("abc"), 0) == tuple("abc")
