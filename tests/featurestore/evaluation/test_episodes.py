"""Episodes of N ways and K shots, on arrays and on stores."""

from typing import Any

import numpy as np
import pytest

from featurestore import FeatureStore
from featurestore.errors import EvaluationError
from featurestore.evaluation.episodes import run_episodes
from tests.featurestore.evaluation.labelled import SPLITS, arrays
from tests.featurestore.metrics.clouds import clouds


def test_classes_far_apart_are_always_predicted() -> None:
    x, labels = clouds(200, seed=0, classes=8, spread=0.01)
    result = run_episodes(x, labels, way=5, shots=1, queries=4, episodes=30)
    assert (result.top1_mean, result.top1_ci95) == (1.0, 0.0)
    assert (result.way, result.shots, result.queries, result.episodes, result.classes) == (5, 1, 4, 30, 8)


def test_random_vectors_give_chance() -> None:
    x, _ = clouds(600, seed=1, classes=1, spread=100)
    labels = np.arange(600) % 6
    result = run_episodes(x, labels, way=4, shots=5, queries=15, episodes=200)
    assert result.top1_mean == pytest.approx(0.25, abs=0.03)
    assert 0 < result.top1_ci95 < 0.02


def test_no_row_is_both_shot_and_query() -> None:
    """Two classes of two rows, each row unlike all others: had a shown row been asked, it would be named right for certain."""
    x = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0.9, 0.4359, 0], [0.9, 0, 0, 0.4359]], np.float32)
    labels = np.array([0, 0, 1, 1])  # each row's likeness is of the other class
    result = run_episodes(x, labels, way=2, shots=1, queries=1, episodes=40)
    assert result.top1_mean < 0.6


def test_queries_come_from_the_test_rows_when_there_are_any() -> None:
    x, labels = clouds(40, seed=2, spread=0.01)
    assert run_episodes(x, labels, 3, 2, 5, 20, test=(x, labels)).top1_mean == 1.0
    others = (labels + 1) % 4  # each row is of another class
    assert run_episodes(x, labels, 3, 2, 5, 20, test=(x, others)).top1_mean < 0.4


def test_an_episode_depends_on_seed_and_number_alone() -> None:
    x, labels = clouds(100, seed=3)
    run = {seed: run_episodes(x, labels, 2, 1, 5, 10, seed=seed) for seed in (0, 1)}
    assert run[0] == run_episodes(x, labels, 2, 1, 5, 10, seed=0) != run[1]


def test_classes_with_too_few_labels_are_not_drawn() -> None:
    x, labels = clouds(100, seed=4)
    calls: list[int] = []
    result = run_episodes(x, np.r_[labels[:-1], 4], 2, 1, 5, 10, advance=lambda: calls.append(1))
    assert (result.classes, len(calls)) == (4, 10)


def test_too_few_classes_are_refused() -> None:
    x, labels = clouds(40, seed=5, classes=2)
    with pytest.raises(EvaluationError, match=r"way = 3: expected so many classes with 6 labels each, found 2$"):
        run_episodes(x, labels, 3, 1, 5, 10)
    with pytest.raises(
        EvaluationError, match=r"with 31 labels each, found 0 \(rose has 20 labels, tulip has 20 labels\)"
    ):
        run_episodes(x, labels, 2, 1, 30, 10, names=["rose", "tulip"])
    with pytest.raises(EvaluationError, match=r"\(0 has 20 labels to learn from and 0 to predict\)"):
        run_episodes(x, labels, 2, 1, 5, 10, test=(x[labels == 1], labels[labels == 1]))


@pytest.mark.parametrize("wrong", [{"way": 1}, {"shots": 0}, {"queries": 0}, {"episodes": 1}])
def test_bad_input_is_refused(wrong: dict[str, Any]) -> None:
    x, labels = clouds(40, seed=6)
    arguments: dict[str, Any] = {"way": 2, "shots": 1, "queries": 1, "episodes": 2}
    with pytest.raises(EvaluationError, match="expected at least 2, 1, 1 and 2"):
        run_episodes(x, labels, **{**arguments, **wrong})
    x[0, 0] = np.nan
    with pytest.raises(EvaluationError, match="NaN or infinity"):
        run_episodes(x, labels, **arguments)


def test_episodes_take_shots_of_train_and_queries_of_test(splits: FeatureStore, whole: FeatureStore) -> None:
    (x, labels), test = arrays(splits, "train"), arrays(splits, "test")
    report = splits.episodes(way=2, shots=[1, 4], queries=5, count=8, seed=1)
    assert report.results == [run_episodes(x, labels, 2, n, 5, 8, test, seed=1) for n in (1, 4)]
    assert (report.split, report.n_train, report.n_test) == ("train->test", *SPLITS)
    alone = whole.episodes(way=3, shots=[2], queries=5, count=8)
    assert alone.results == [run_episodes(*arrays(whole), 3, 2, 5, 8)]
    assert alone.to_json()["protocol"] == "episodes"
    with pytest.raises(EvaluationError, match="way = 4: expected so many classes"):
        whole.episodes(way=4)
    with pytest.raises(EvaluationError, match="class0 has"):
        whole.episodes(way=2, shots=[200])
