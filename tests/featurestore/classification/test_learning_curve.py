"""Accuracy by the number of labels: what is learnt from, in which order, and what it is measured on."""

from pathlib import Path

import numpy as np
import pytest

from featurestore import FeatureStore, curation
from featurestore.classification import learning_curve
from featurestore.classification.learning_curve import measured
from featurestore.estimators.linear import ridge
from featurestore.metadata import given_labels, set_by_persons
from tests.featurestore.curation.groups import group_store, paint_kind


@pytest.fixture
def store(tmp_path: Path, encoder: Path) -> FeatureStore:
    return group_store(tmp_path, encoder, 12, labels="none")


def kind_of(store: FeatureStore) -> dict[int, str]:
    found = store.sql("SELECT id, path FROM items").to_pylist()
    return {row["id"]: Path(row["path"]).parent.name for row in found}


def label(store: FeatureStore, names: dict[int, str]) -> None:
    set_by_persons(store, [given_labels({n: [name]}, None, "test") for n, name in names.items()])


def test_random_items_are_measured_on_and_not_learnt_from(store: FeatureStore) -> None:
    kinds = kind_of(store)
    report = curation.suggest(store, 30, by="random")
    assert sum(item.random for item in report.items) == 30  # by "random", all are
    report = curation.suggest(store, 36)
    curation.keep_columns(store, report)
    drawn = [item.id for item in report.items if item.random]
    chosen = [item.id for item in report.items if not item.random]
    label(store, {n: kinds[n] for n in chosen})
    curve = learning_curve(store)
    assert (curve.n_labelled, curve.n_classes, curve.n_test, curve.points) == (32, 3, 0, ())
    label(store, {n: kinds[n] for n in drawn})
    curve = learning_curve(store)
    assert (curve.n_labelled, curve.n_test) == (36, 4)
    assert curve.points == ()  # four are too few


def test_points_and_copies(store: FeatureStore, tmp_path: Path) -> None:
    kinds = kind_of(store)
    report = curation.suggest(store, 36, by="random")
    curation.keep_columns(store, report)
    drawn = {item.id for item in report.items[:6]}
    # As if the rest had been chosen, and one of them were a copy of a random one.
    copied = min(drawn)
    paint_kind(tmp_path / "pictures" / kinds[copied] / "copy.png", kinds[copied], (copied - 1) % 12)
    store.index(tmp_path / "pictures")
    catalog = store.catalog
    with catalog.labels._database.transaction() as connection:
        connection.execute(
            "UPDATE all_items SET suggested = 'chosen' WHERE id NOT IN (SELECT unnest($1))", [sorted(drawn)]
        )
    kinds = kind_of(store)
    label(store, kinds)
    curve = learning_curve(store)
    assert (curve.n_labelled, curve.n_test) == (37, 6)
    assert [point.labels for point in curve.points][-1] == 30  # 31 without the copy
    assert curve.points[-1].top1 == 1


def test_each_point_is_a_classifier_of_the_first_labels() -> None:
    rng = np.random.default_rng(0)
    codes, truth = rng.integers(0, 3, 35), rng.integers(0, 3, 40)
    means = rng.standard_normal((3, 8))
    x, test = (means[c] + rng.standard_normal((len(c), 8)) for c in (codes, truth))
    points = measured(x.astype(np.float32), codes, test.astype(np.float32), truth)
    assert [point.labels for point in points] == [10, 20, 30, 35]
    for point in points:
        n = point.labels
        assert point.top1 == (ridge(x[:n].astype(np.float32), codes[:n], test.astype(np.float32)) == truth).mean()
        assert point.ci95[0] < point.top1 < point.ci95[1]
    assert measured(x[:5].astype(np.float32), np.zeros(5, int), test.astype(np.float32), truth) == ()


def test_a_column_of_the_user_marks_nothing(store: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("id,suggested\n" + "".join(f"{n},random\n" for n in range(1, 37)))
    store.annotate(tmp_path / "own.csv")
    label(store, kind_of(store))
    assert learning_curve(store).n_test == 0
