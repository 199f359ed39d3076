"""What every report keeps to: stores with next to nothing in them, items in another order, copies that come, items that go."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from featurestore import FeatureStore, curation
from featurestore.curation import Findings
from featurestore.errors import EvaluationError
from tests.featurestore.commands import Run
from tests.featurestore.curation.groups import KINDS, group_store, paint_kind
from tests.featurestore.curation.pictures import crop, draw, save
from tests.featurestore.fakes import paint

REPORTS: dict[str, Callable[[FeatureStore], Findings]] = {
    "duplicates": curation.duplicates,
    "leaks": curation.leaks,
    "outliers": curation.outliers,
    "label-errors": curation.label_errors,
    "clusters": curation.clusters,
    "coverage": curation.coverage,
    "suggest": curation.suggest,
}


def one_item(folder: Path) -> None:
    paint(folder / "a" / "red.png", (255, 0, 0))


def one_labelled_class(folder: Path) -> None:
    for n in range(5):
        paint_kind(folder / "sky" / f"{n}.png", "sky", n)


def all_equal(folder: Path) -> None:
    for n in range(30):
        paint(folder / ("a" if n % 2 else "b") / f"{n}.png", (200, 100, 50))


def equal_vectors(folder: Path) -> None:
    """Pictures with other pixels and the same vector: the encoder sees the mean of a quadrant."""
    for n in range(30):
        paint(folder / ("a" if n % 2 else "b") / f"{n}.png", (200, 100, 50), size=8 * (n + 1))


def two_items_of_a_class(folder: Path) -> None:
    for n, kind in enumerate(("sky", "sky", "leaf", "leaf", "rust")):
        paint_kind(folder / kind / f"{n}.png", kind, n)


STORES = (one_item, one_labelled_class, all_equal, equal_vectors, two_items_of_a_class)


# With labels each of them; without, the two that have fewest: labels change what only some reports do.
CASES = [
    pytest.param(fill, labels, marks=[pytest.mark.slow] * (labels == "none" and fill not in (one_item, all_equal)))
    for fill in STORES
    for labels in ("folders", "none")
]


@pytest.mark.parametrize(("fill", "labels"), CASES)
def test_a_store_with_next_to_nothing_has_an_answer_or_a_reason(
    fill: Callable[[Path], None], labels: Any, tmp_path: Path, encoder: Path, run: Run
) -> None:
    fill(tmp_path / "pictures")
    store = FeatureStore.open(tmp_path / "odd.store", encoder)
    store.index(tmp_path / "pictures", labels=labels)
    for name, report in REPORTS.items():
        status, _, err = run(name, store.path)
        if status:
            assert (status, "expected" in err or "no unlabelled image" in err) == (1, True), (name, err)
            with pytest.raises(EvaluationError):
                report(store)
        else:
            found = report(store)
            json.dumps(found.to_json(), allow_nan=False)
            assert found.to_arrow().num_rows >= 0


DRAWN = ("id", "ids", "number", "encoder", "probability", "expected_share")  # these depend on the order, by design


def by_name(report: Findings) -> Any:
    """What a report says, by the names of files instead of ids."""

    def named(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: named(entry) for key, entry in value.items() if key not in DRAWN}
        if isinstance(value, list):
            return [named(entry) for entry in value]
        if isinstance(value, float):
            return round(value, 3)
        return Path(value).name if isinstance(value, str) and "/" in value else value

    return named(report.to_json())


@pytest.mark.parametrize("name", ["outliers", "coverage", "label-errors"])
def test_the_order_of_the_items_changes_nothing(name: str, tmp_path: Path, encoder: Path) -> None:
    found = []
    for order in ("first", "second"):
        folder = tmp_path / order
        kinds = list(KINDS) if order == "first" else list(KINDS)[::-1]
        store = FeatureStore.open(folder / "my.store", encoder)
        for kind in kinds:
            for n in range(12):
                paint_kind(folder / "pictures" / kind / f"{kind}{n:02}.png", kind, n)
            store.index(folder / "pictures", labels="folders")
        wrong = ["sky03.png", "leaf07.png"]
        rows = store.sql("SELECT path FROM items")["path"].to_pylist()
        lines = [f"{path},{'rust' if Path(path).name in wrong else ''}\n" for path in rows if Path(path).name in wrong]
        gone = [f"{path},\n" for path in rows if Path(path).name.startswith("rust1")] if name == "coverage" else []
        (folder / "labels.csv").write_text("path,label\n" + "".join(lines + gone))
        store.label(folder / "labels.csv", clear=True)
        found.append(REPORTS[name](store))
    first, second = (by_name(report) for report in found)
    assert first.keys() == second.keys()
    for key, value in first.items():  # equal values may stand in another order
        assert value == second[key] or sorted(map(str, value)) == sorted(map(str, second[key])), key


def test_a_copy_that_comes_joins_its_group(tmp_path: Path, encoder: Path) -> None:
    for n in range(20):
        save(draw(n), tmp_path / "pictures" / f"{n}.png")
    store = FeatureStore.open(tmp_path / "my.store", encoder)
    store.index(tmp_path / "pictures")
    assert curation.duplicates(store).groups == []
    save(crop(draw(3)), tmp_path / "pictures" / "copy.png")
    store.index(tmp_path / "pictures")
    [group] = curation.duplicates(store).groups
    assert {Path(item.path).name for item in group.items} == {"copy.png", "3.png"}


def test_what_is_deleted_is_not_suggested(tmp_path: Path, encoder: Path) -> None:
    store = group_store(tmp_path, encoder, 8, labels="none")
    store.delete("path LIKE '%/leaf/%'")
    assert {Path(item.path).parent.name for item in curation.suggest(store, 100).items} == {"sky", "rust"}
