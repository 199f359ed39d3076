"""The loop played on labelled stores."""

from pathlib import Path

import numpy as np
import pytest

from featurestore import FeatureStore, curation
from featurestore.curation.simulation import savings
from featurestore.errors import ConfigError, EvaluationError
from tests.featurestore.commands import Run, answer
from tests.featurestore.curation.groups import group_store


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> Path:
    return group_store(tmp_path_factory.mktemp("groups"), encoder, 30).path


def test_all_strategies_on_the_same_seeds(labelled: Path) -> None:
    report = curation.simulate(FeatureStore.open(labelled), budgets=(3, 20), seeds=3)
    assert list(report.strategies) == ["auto", "typical", "coreset", "margin", "badge", "random"]
    assert (report.split, report.n_pool, report.n_test, report.n_classes) == ("held-out", 72, 18, 3)
    assert all(row.minus_random == 0 for row in report.strategies["random"])
    assert set(report.saving) == set(report.strategies) - {"random"}
    three, twenty = report.strategies["auto"]
    assert (three.labels, twenty.labels) == (3, 20)
    assert twenty.top1_mean == 1  # the kinds lie far apart
    assert report == curation.simulate(FeatureStore.open(labelled), budgets=(20, 3, 3), seeds=3)


def test_split_test_is_predicted_where_there_is_one(tmp_path: Path, encoder: Path) -> None:
    group_store(tmp_path, encoder, 6, split="test")
    report = curation.simulate(group_store(tmp_path, encoder, 20, split="train"), ["auto"], (4,), 2)
    assert (report.split, report.n_pool, report.n_test) == ("train->test", 60, 18)
    assert list(report.strategies) == ["auto", "random"]


def test_numbers_beyond_what_a_seed_sees_are_refused(labelled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featurestore.curation.simulation.CANDIDATES", 20)
    store = FeatureStore.open(labelled)
    with pytest.raises(EvaluationError, match="labels = 11: expected numbers from 1 to 10, half of the 20 images"):
        curation.simulate(store, budgets=[11])
    assert curation.simulate(store, ["auto"], [10], 2).saving["auto"]["10"] > 0


def test_a_strategy_worse_than_random_saves_less_than_nothing() -> None:
    assert savings((10,), np.array([0.5]), (2, 10), np.array([0.5, 0.9])) == {"10": 0.2}


def test_saving_by_hand() -> None:
    # Random choice has 0.5 with 10 labels and 0.7 with 40: half-way on the scale of logarithms, 0.6 with 20.
    found = savings((10, 20), np.array([0.6, 0.9]), (10, 40), np.array([0.5, 0.7]))
    assert found == {"10": 2.0, "20": 2.0}  # 0.9 is beyond the curve: at least 40 of 20


def test_what_cannot_be_played_is_said(labelled: Path, shared: FeatureStore) -> None:
    store = FeatureStore.open(labelled)
    with pytest.raises(ConfigError, match="strategy 'best': expected one of auto"):
        curation.simulate(store, ["best"])
    with pytest.raises(ConfigError, match="'loss' needs the column ssl_loss"):
        curation.simulate(store, ["loss"])
    with pytest.raises(EvaluationError, match="seeds = 1: expected 2 or more"):
        curation.simulate(store, seeds=1)
    with pytest.raises(
        EvaluationError,
        match=r"labels = 99: expected numbers from 1 to 28, half of the 57 images that each seed chooses from",
    ):
        curation.simulate(store, budgets=[99])
    with pytest.raises(
        EvaluationError, match="expected 25 labelled images or more to choose from, found 5; label more"
    ):
        curation.simulate(shared)


def test_the_command_and_its_plot(run: Run, labelled: Path, tmp_path: Path) -> None:
    plot = tmp_path / "curves.png"
    found = answer(
        run, "suggest", labelled, "--simulate", "--by", "auto", "--labels", "5", "--seeds", "2", "--plot", plot
    )
    assert plot.read_bytes()[:4] == b"\x89PNG"
    assert set(found["strategies"]) == {"auto", "random"}
    assert set(found["strategies"]["auto"][0]) >= {"labels", "top1_mean", "top1_ci95"}
    assert list(found["saving"]["auto"]) == ["5"]
    status, out, _ = run("suggest", labelled, "--simulate", "--by", "auto", "--labels", "5", "--seeds", "2")
    assert status == 0
    assert out.splitlines()[3].split() == ["by", "labels", "accuracy", "beside", "random", "saving", "classes", "known"]
    assert run("suggest", labelled, "--simulate", "--seeds", "2", "--plot", tmp_path / "curves.txt")[0] == 1
