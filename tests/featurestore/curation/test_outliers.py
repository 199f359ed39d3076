"""Outliers of a store, by vectors and by looks."""

from pathlib import Path

import pytest

from featurestore import FeatureStore, curation
from tests.featurestore.commands import Run, answer
from tests.featurestore.curation.groups import group_store
from tests.featurestore.fakes import paint


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> FeatureStore:
    """Thirty pictures of each kind, of 8 x 8 pixels; a black one, a large one, and one of other colours."""
    folder = tmp_path_factory.mktemp("groups")
    paint(folder / "pictures" / "odd" / "black.png", (1, 1, 0))
    paint(
        folder / "pictures" / "odd" / "large.png",
        (40, 90, 220),
        (40, 90, 220),
        (60, 120, 230),
        (60, 120, 230),
        size=200,
    )
    paint(folder / "pictures" / "odd" / "other.png", (255, 0, 0), (0, 255, 255), (255, 255, 0), (0, 0, 255))
    return group_store(folder, encoder, 30)


def test_the_odd_ones_come_first_with_their_reasons(odd: FeatureStore) -> None:
    report = curation.outliers(odd)
    first = {Path(item.path).name: item.reasons for item in report.items[:3]}
    assert set(first) == {"black.png", "large.png", "other.png"}
    assert "dark" in first["black.png"]
    assert "large" in first["large.png"]
    scores = [item.score for item in report.items]
    assert scores == sorted(scores, reverse=True)
    assert (report.n_items, len(report.items), report.unseen) == (93, 93, 0)
    assert report.looks["dark"] == 1
    assert curation.outliers(odd, limit=2).items == report.items[:2]


def test_a_where_chooses_what_is_listed_and_not_what_it_is_compared_with(odd: FeatureStore, run: Run) -> None:
    whole, some = curation.outliers(odd), curation.outliers(odd, where="path NOT LIKE '%black.png'")
    assert some.items == [item for item in whole.items if not item.path.endswith("black.png")]
    assert (some.n_items, some.looks.get("dark")) == (92, None)
    assert some.columns.equals(whole.columns)
    assert answer(run, "outliers", odd.path, "--where", "path LIKE '%black.png'")["n_items"] == 1


def test_the_command_and_its_column(run: Run, odd: FeatureStore) -> None:
    found = answer(run, "outliers", odd.path, "-n", "5")
    assert [set(item) for item in found["items"]] == [{"id", "path", "label", "score", "reasons"}] * 5
    status, out, _ = run("outliers", odd.path, "-n", "1", "--column")
    assert status == 0
    assert out.splitlines()[0] == "93 items, the oddest first; a score of 3 is as odd as one of a thousand"
    assert out.splitlines()[-1] == "92 more items: see them with -n 93, or with --json"
    best = odd.sql("SELECT id FROM items ORDER BY outlier DESC LIMIT 1")["id"].to_pylist()
    assert best == [found["items"][0]["id"]]


def test_a_small_store_has_no_outliers_and_no_errors(store: FeatureStore) -> None:
    report = curation.outliers(store)
    assert len(report.items) == 6
    assert report.recall == 1
