"""What the report says of clusters, outliers, wrong labels, copies and coverage: values, sections, and what a filter leaves."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from featurestore import FeatureStore, curation
from featurestore.curation import find
from featurestore.report.report import Report
from tests.featurestore.curation.pictures import crop, draw, save
from tests.featurestore.rendering.pages import Reader
from tests.featurestore.report.conftest import new_store, report


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures in two splits and two classes; two of train are in test, too, and a third is in train twice, as the same file."""
    folder = tmp_path_factory.mktemp("copied")
    for n in range(24):
        save(draw(n), folder / "train" / "ab"[n % 2] / f"{n}.png")
    for n in (24, 25):
        save(draw(n), folder / "test" / "ab"[n % 2] / f"{n}.png")
    for n in (1, 2):
        save(crop(draw(n)), folder / "test" / "ab"[n % 2] / f"near{n}.png")
    shutil.copy(folder / "train" / "a" / "4.png", folder / "train" / "b" / "same.png")
    return folder


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory, encoder: Path, source: Path) -> FeatureStore:
    """A store that has kept its pairs; a quarter of the items has no label."""
    store = new_store(tmp_path_factory.mktemp("stores") / "looked.store", encoder, source)
    rows = store.sql("SELECT id FROM items WHERE id % 4 = 0")["id"].to_pylist()
    table = store.path.parent / "labels.csv"
    table.write_text("id,label\n" + "".join(f"{item},\n" for item in rows))
    store.label(table, clear=True)
    curation.duplicates(store)
    return store


@pytest.fixture(scope="module")
def found(looked: FeatureStore) -> Report:
    return report(looked)


def section(html: str, name: str) -> str:
    [found] = re.findall(rf'<section id="{name}">(.*?)</section>', html, re.DOTALL)
    return str(found)


def test_findings_are_the_first_of_what_the_commands_find(looked: FeatureStore, found: Report) -> None:
    figures = found.figures
    assert figures.outliers == curation.outliers(looked, limit=12)
    assert figures.label_errors == curation.label_errors(looked, limit=12)
    assert figures.duplicates == curation.duplicates(looked, limit=12)
    assert figures.leaks == curation.leaks(looked, limit=12)
    assert figures.coverage == curation.coverage(looked).first(12)
    assert figures.clusters is not None
    assert figures.clusters.clusters == curation.clusters(looked).clusters[:12]
    assert figures.missing == {}
    keys = figures.to_json()
    assert keys["duplicates"]["kinds"] == {"exact": 1, "near": 2}
    assert len(keys["leaks"]["pairs"]) == 2
    assert len(keys["coverage"]["items"]) == 7


def test_the_page_shows_them_and_the_text_has_their_tables(found: Report, tmp_path: Path, source: Path) -> None:
    html = found.save(tmp_path / "a.html").read_text(encoding="utf-8")
    text = found.save(tmp_path / "a.md").read_text(encoding="utf-8")
    assert str(source) not in html  # whole paths may be private
    copies = Reader(section(html, "copies"))
    assert {"3 groups among 29 items: 1 exact, 2 near.", "2 pairs across splits."} <= set(copies.texts)
    assert copies.texts.count("keep") == 3 + 1  # and a head of the table
    assert len(copies.pictures) == 2 * 3 + 2 * 2
    assert "| near | train: train/b/1.png | test: test/b/near1.png |" in text.replace("\\", "")
    coverage = Reader(section(html, "coverage"))
    assert "22 labelled, 7 not." in coverage.texts
    assert len(coverage.pictures) == 7
    assert "## What the labels cover" in text
    for name in ("clusters", "outliers", "label-errors"):
        assert Reader(section(html, name)).texts
    assert len(Reader(section(html, "clusters")).pictures) == len(found.figures.clusters.clusters)  # type: ignore[union-attr]
    assert "Groups that look alike" in html


def test_unlabelled_items_that_are_not_covered_are_rings_on_the_map(found: Report, tmp_path: Path) -> None:
    coverage, drawn = found.figures.coverage, found.figures.map
    assert coverage is not None
    assert drawn is not None
    scores = sorted(coverage.scores["score"].to_pylist())
    made = Report(replace(found.figures, coverage=replace(coverage, typical=scores[3])))
    html = section(made.save(tmp_path / "a.html").read_text(encoding="utf-8"), "map")
    assert html.count('class="point far"') == 3
    assert "no label, not covered <small>3</small>" in html
    assert "Rings are unlabelled images that no label covers" in html
    assert [item.label is None for item in drawn.items] == [True] * 7 + [False] * 22  # the others are drawn over them


def test_a_filter_chooses_what_is_shown(looked: FeatureStore, tmp_path: Path) -> None:
    where = "split = 'train'"
    made = report(looked, where=where)
    chosen = set(looked.catalog.items.select(where).tolist())
    figures = made.figures
    assert figures.duplicates is not None
    assert figures.outliers is not None
    assert figures.label_errors is not None
    assert figures.coverage is not None
    assert figures.clusters is not None
    assert (figures.leaks, figures.duplicates.kinds, figures.duplicates.n_items) == (None, {"exact": 1}, 25)
    assert (figures.outliers.n_items, figures.clusters.n_items) == (25, 25)
    assert {item.id for item in figures.outliers.items} <= chosen
    assert {suspect.id for suspect in figures.label_errors.suspects} <= chosen
    assert {item.id for item in figures.coverage.items} <= chosen
    assert figures.outliers.items == [item for item in curation.outliers(looked).items if item.id in chosen][:12]
    assert "1 group among 25 items: 1 exact." in made.save(tmp_path / "a.html").read_text(encoding="utf-8")


def test_a_report_compares_no_pictures(
    looked: FeatureStore, source: Path, tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("pairs are looked for")

    monkeypatch.setattr(find, "same_pictures", refuse)
    monkeypatch.setattr(find, "thumbnails", refuse)
    assert report(looked).figures.duplicates is not None
    fresh = report(new_store(tmp_path / "fresh.store", encoder, source))
    assert (fresh.figures.duplicates, fresh.figures.leaks, fresh.figures.coverage) == (None, None, None)
    html = fresh.save(tmp_path / "a.html").read_text(encoding="utf-8")
    assert "Copies were not looked for among the images as they are now: featurestore duplicates STORE." in html
    assert '<section id="coverage">' not in html  # all items are labelled


def test_pairs_of_other_contents_do_not_count(looked: FeatureStore, tmp_path: Path) -> None:
    store = FeatureStore.open(shutil.copytree(looked.path, tmp_path / "own.store"))
    store.delete("path LIKE '%/25.png'")
    assert report(store).figures.duplicates is None
    curation.leaks(store)
    assert report(store).figures.leaks is not None


def test_without_scikit_learn_label_errors_are_missing_with_the_reason(
    labelled: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    made = report(labelled).figures
    assert made.label_errors is None
    assert "pip install 'featurestore[eval]'" in made.missing["label_errors"]


def test_the_neighbours_are_computed_once_and_kept(labelled_path: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(labelled_path, tmp_path / "own.store"))
    shutil.rmtree(path / "derived", ignore_errors=True)
    report(FeatureStore.open(path))
    [graph] = (path / "derived").glob("*.knn")
    written = graph.stat().st_mtime_ns
    report(FeatureStore.open(path))
    assert graph.stat().st_mtime_ns == written
