"""SIGKILL at random moments of every step of a store's life: nothing is lost, nothing is mixed up, and the next run completes it."""

import random
import time
from pathlib import Path
from typing import Any

import pytest

from featurestore import FeatureStore
from tests.featurestore import life as lives
from tests.featurestore.children import Child
from tests.featurestore.life import BATCH, COMMIT, STEPS, Life, kill_after, look

ROUNDS = 9  # of ten kills and one of a migration: ninety-nine in all


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> dict[str, Any]:
    """What a life without kills leaves after each step, how long each took, and how many images were encoded."""
    life = Life(tmp_path_factory.mktemp("undisturbed"), encoder)
    found: dict[str, Any] = {}
    for step in STEPS:
        life.prepare(step)
        with Child(lives.live, life, step) as child:
            assert child.hear() == "begin"
            began = time.monotonic()
            assert child.hear(60) == "end"
            found[step] = (time.monotonic() - began, look(life.store), life.encoded)
    return found


def check(store: Path) -> None:
    """Whatever a dead process left: every byte that counts is whole."""
    if (store / "catalog.duckdb").exists():
        report = FeatureStore.verify(store)
        assert [finding for finding in report.findings if finding.damage] == []


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, ROUNDS))])
def test_a_life_with_a_kill_in_every_step_ends_as_one_without(
    tmp_path: Path, encoder: Path, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    moments = random.Random(seed)
    life = Life(tmp_path, encoder)
    life.small(monkeypatch.setattr)
    indexed = at_work = 0
    for step in STEPS:
        seconds, expected, encoded = undisturbed[step]
        life.prepare(step)
        with Child(lives.live, life, step) as child:
            assert child.hear() == "begin"
            at_work += kill_after(child, moments.random() * seconds)
        check(life.store)
        check(life.root / "other.store")
        life.take(step)
        assert look(life.store) == expected
        indexed += step.startswith("index")
        assert (
            encoded <= life.encoded <= encoded + indexed * (COMMIT + BATCH)
        )  # what had not been committed, and no more
        check(life.store)
    assert any(name.startswith("index ") for name in expected)
    assert at_work >= len(STEPS) // 2
    theirs = {name: facts[1:] for name, facts in look(life.root / "other.store").items()}
    ours = {
        name: facts[1:]
        for name, facts in look(life.store).items()
        if not name.startswith(("failed", "index", "classifier")) and facts[4]
    }
    assert theirs == ours


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, ROUNDS))])
def test_a_migration_that_is_killed_leaves_the_old_store_or_the_new(tmp_path: Path, encoder: Path, seed: int) -> None:
    whole = Life(tmp_path / "whole", encoder)
    whole.old_store()
    began = time.monotonic()
    whole.take("migrate")
    seconds = time.monotonic() - began
    life = Life(tmp_path / "killed", encoder)
    life.old_store()
    with Child(lives.live, life, "migrate") as child:
        assert child.hear() == "begin"
        kill_after(child, random.Random(seed).random() * seconds)
    life.take("migrate")
    assert look(life.store) == look(whole.store)
    check(life.store)
