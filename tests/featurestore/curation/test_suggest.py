"""Suggestions of a store, by Python and by command."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from featurestore import FeatureStore, curation
from featurestore.errors import ConfigError, EvaluationError
from tests.featurestore.commands import Run, answer
from tests.featurestore.curation.groups import KINDS, group_store, paint_kind


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> Path:
    return group_store(tmp_path_factory.mktemp("groups"), encoder, 12, labels="none").path


@pytest.fixture
def some(unlabelled: Path, encoder: Path, tmp_path: Path) -> FeatureStore:
    """A copy in which the first picture of two kinds has a label, and a copy of one of them lies beside."""
    store = group_store(tmp_path, encoder, 12, labels="none")
    paint_kind(tmp_path / "pictures" / "copy.png", "sky", 0)
    store.index(tmp_path / "pictures")
    (tmp_path / "labels.csv").write_text(
        "path,label\n" + "".join(f"{tmp_path}/pictures/{kind}/000.png,{kind}\n" for kind in ("sky", "leaf"))
    )
    store.label(tmp_path / "labels.csv")
    return store


def test_each_kind_is_suggested_at_first(unlabelled: Path) -> None:
    report = curation.suggest(FeatureStore.open(unlabelled), 4)
    assert {Path(item.path).parent.name for item in report.items if not item.random} == set(KINDS)
    assert [item.random for item in report.items] == [False, False, False, True]
    assert (report.n_labelled, report.n_unlabelled) == (0, 36)
    assert report.items[0].reason.startswith("stands for ")
    assert report.items[-1].reason == "drawn at random, to measure by"


def test_labelled_items_and_their_copies_are_not_suggested(some: FeatureStore) -> None:
    report = curation.suggest(some, 100)
    paths = {Path(item.path).name for item in report.items}
    assert len(report.items) == 34  # of 37, two are labelled and one is a copy of one of these
    assert "copy.png" not in paths
    first, at_random = curation.suggest(some, 2, seed=3).items
    assert Path(at_random.path).parent.name != "rust"
    assert Path(first.path).parent.name == "rust"  # the kind without a label
    assert "sky or leaf?" in first.reason or "leaf or sky?" in first.reason


def test_where_limits_what_is_suggested(some: FeatureStore) -> None:
    report = curation.suggest(some, 100, where="path LIKE '%/leaf/%'")
    assert {Path(item.path).parent.name for item in report.items} == {"leaf"}
    assert len(report.items) == 11


def test_the_same_seed_gives_the_same(unlabelled: Path) -> None:
    store = FeatureStore.open(unlabelled)
    assert curation.suggest(store, 5, seed=1) == curation.suggest(store, 5, seed=1)
    random = [curation.suggest(store, 5, "random", seed=seed).items for seed in (1, 2)]
    assert random[0] != random[1]
    assert all(item.random for item in random[0])


def test_what_is_wrong_is_said(unlabelled: Path, shared: FeatureStore) -> None:
    store = FeatureStore.open(unlabelled)
    with pytest.raises(ConfigError, match="strategy 'best': expected one of auto, typical"):
        curation.suggest(store, by="best")
    with pytest.raises(ConfigError, match="needs the column ssl_loss with values: featurestore score RUN STORE"):
        curation.suggest(store, by="loss")
    with pytest.raises(ConfigError, match="0 suggestions: expected at least 1"):
        curation.suggest(store, 0)
    with pytest.raises(EvaluationError, match="no unlabelled image is left to suggest: all 6 are labelled"):
        curation.suggest(shared)


def test_the_column_of_losses_is_used(some: FeatureStore, tmp_path: Path) -> None:
    ids = some.sql("SELECT id FROM items ORDER BY id")["id"].to_pylist()
    (tmp_path / "loss.csv").write_text("id,ssl_loss\n" + "".join(f"{item},{item / 10}\n" for item in ids[3:]))
    some.annotate(tmp_path / "loss.csv")
    report = curation.suggest(some, 12, "loss")
    chosen = [item.id for item in report.items if not item.random]
    assert sum(chosen) / len(chosen) > sum(ids) / len(ids)


def test_a_table_to_fill_in_comes_back_as_labels(run: Run, some: FeatureStore, tmp_path: Path) -> None:
    table = tmp_path / "next.csv"
    status, out, err = run("suggest", some.path, "-n", "6", "--out", table)
    assert (status, err) == (
        0,
        f"written to {table}: fill in the column label, then: featurestore label {some.path} {table}\n",
    )
    assert out.splitlines()[0] == "6 images to label next, of 35 without a label (2 have one)"
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["label"] for row in rows] == [""] * 6
    assert [row["random"] for row in rows] == ["false"] * 5 + ["true"]
    text = table.read_text().splitlines()
    table.write_text("\n".join([text[0], *(line.replace(".png,,", ".png,mine,") for line in text[1:5]), *text[5:]]))
    assert run("label", some.path, table)[0] == 0
    assert some.sql("SELECT count(*) AS n FROM items WHERE label = 'mine'")["n"].to_pylist() == [4]
    assert answer(run, "suggest", some.path, "-n", "3")["n_labelled"] == 6


def test_a_table_with_labels_that_the_store_lacks_is_not_replaced(run: Run, some: FeatureStore, tmp_path: Path) -> None:
    table = tmp_path / "next.csv"
    run("suggest", some.path, "-n", "4", "--out", table)
    filled = table.read_text().replace(".png,,", ".png,mine,")
    table.write_text(filled)
    status, out, err = run("suggest", some.path, "-n", "4", "--out", table)
    assert (status, out) == (1, "")
    assert "has 4 labels that the store does not have, and would be replaced" in err
    assert table.read_text() == filled
    run("label", some.path, table)
    assert run("suggest", some.path, "-n", "4", "--out", table)[0] == 0


def test_the_store_notes_which_were_random(run: Run, some: FeatureStore) -> None:
    for _ in range(2):
        found = answer_with_messages(run, "suggest", some.path, "-n", "6", "--column", "--seed", "5")
        noted = some.sql("SELECT id, suggested FROM items WHERE suggested IS NOT NULL ORDER BY id").to_pylist()
        assert {row["id"]: row["suggested"] for row in noted} == {
            item["id"]: "random" if item["random"] else "chosen" for item in found["items"]
        }
    more = answer_with_messages(run, "suggest", some.path, "-n", "6", "--column", "--seed", "6")["items"]
    noted = some.sql("SELECT id FROM items WHERE suggested IS NOT NULL")["id"].to_pylist()
    assert set(noted) == {item["id"] for item in [*found["items"], *more]}  # earlier ones stay


def answer_with_messages(run: Run, *arguments: Any) -> Any:
    status, out, err = run(*arguments, "--json")
    assert (status, err.count("\n")) == (0, 1)
    return json.loads(out)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--seeds", "3"], "--simulate is missing, without which --seeds cannot be used"),
        (["--by", "auto", "--by", "random"], "--simulate is missing, without which several --by cannot be used"),
        (["--simulate", "-n", "5", "--out", "x.csv"], "-n, --out does not go with --simulate"),
    ],
)
def test_options_that_do_not_go_together(run: Run, unlabelled: Path, options: list[str], reason: str) -> None:
    status, _, err = run("suggest", unlabelled, *options)
    assert status == 2
    assert reason in err
