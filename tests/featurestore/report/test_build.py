"""The values of a report: figures that are known, and the reasons for missing parts."""

import json
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from featurestore import FeatureStore
from featurestore.errors import QueryError
from featurestore.metrics.label_free import rankme, uniformity
from featurestore.report.build import Limits
from featurestore.report.report import Report
from featurestore.system.spool import Spool
from tests.featurestore.fakes import COLOURS, paint
from tests.featurestore.report.conftest import BASES, DRAWS, TEST, TRAIN, new_store, report


def test_counts_are_those_of_the_store(made: Report) -> None:
    held = made.figures.collection
    n = TRAIN + TEST
    assert (held.items, held.labelled, held.vectors, held.failures, held.removed) == (3 * n, 3 * n, 3 * n, 0, 0)
    assert held.labels == dict.fromkeys(sorted(BASES), n)
    assert held.splits == {"test": 3 * TEST, "train": 3 * TRAIN}
    assert held.sizes is not None
    assert (held.sizes.smallest, held.sizes.largest, held.sizes.median) == ((8, 8), (96, 96), 16)
    assert sum(held.sizes.counts) == 3 * n
    assert len(held.mosaic) == len({item.id for item in held.mosaic}) == 3 * n  # fewer than there is room for


def test_figures_are_those_that_the_store_measures(labelled: FeatureStore) -> None:
    found = report(labelled, seed=3).figures
    assert found.knn == labelled.knn()
    assert found.lowshot == labelled.lowshot(shots=(1, 2, 5), fractions=(), tries=DRAWS, seed=3)
    assert found.missing == {}
    assert found.encoder["fingerprint"] == labelled.knn().encoder


def test_label_free_measures_of_a_small_store_use_all_vectors(labelled: FeatureStore, made: Report) -> None:
    _, x, _ = labelled.features()
    assert made.figures.labelfree is not None
    assert astuple(made.figures.labelfree) == pytest.approx((len(x), rankme(x), uniformity(x)))


def test_classes_are_shown_with_correct_and_wrong_predictions(made: Report, drawn: Path) -> None:
    found = made.figures.classes
    assert found is not None
    [best, second], [worst] = found.best, found.worst  # of three classes
    assert (second.figures.label, second.figures.recall) == ("leaf", 0.75)
    assert (best.figures.label, best.figures.recall, best.wrong) == ("cold", 1.0, ())
    assert [example.predicted for example in best.right] == ["cold"] * 4
    assert (worst.figures.label, worst.figures.recall, len(worst.right)) == ("warm", 0.75, 3)
    [mistake] = worst.wrong
    assert (mistake.item.path, mistake.predicted) == (str(drawn / "test/warm/1.png"), "leaf")
    assert [n.item.label for n in mistake.neighbours] == ["leaf"] * 4
    assert all("/train/" in n.item.path for n in mistake.neighbours)
    scores = [n.score for n in mistake.neighbours]
    assert scores == sorted(scores, reverse=True)


def test_without_a_test_split_an_item_is_not_its_own_neighbour(tmp_path: Path, encoder: Path, drawn: Path) -> None:
    found = report(new_store(tmp_path / "train.store", encoder, drawn / "train")).figures
    assert found.knn is not None
    assert found.classes is not None
    assert found.knn.split == "leave-one-out"
    examples = [e for c in (*found.classes.best, *found.classes.worst) for e in (*c.right, *c.wrong)]
    assert examples
    assert all(e.item.id not in {n.item.id for n in e.neighbours} for e in examples)


def test_sheets_show_the_nearest_neighbours(labelled: FeatureStore, made: Report) -> None:
    assert len(made.figures.sheets) == 8
    for sheet in made.figures.sheets:
        hits = labelled.search(sheet.query.id, k=8)
        expected = pytest.approx(hits.scores.tolist(), abs=2e-4)  # a search normalises the query again
        assert [n.score for n in sheet.neighbours] == expected
        assert sheet.query.id not in {n.item.id for n in sheet.neighbours}


def test_random_draws_depend_only_on_the_seed(labelled: FeatureStore, made: Report) -> None:
    def drawn(made: Report) -> tuple[list[int], list[int]]:
        assert made.figures.map is not None
        return [sheet.query.id for sheet in made.figures.sheets], [item.id for item in made.figures.map.items]

    assert drawn(report(labelled)) == drawn(made) != drawn(report(labelled, seed=2))


def test_the_map_and_the_mosaic_of_many_items_show_some(labelled: FeatureStore) -> None:
    found = report(labelled, limits=Limits(mosaic=5, map=7, tries=DRAWS)).figures
    assert found.map is not None
    assert (len(found.map.items), found.map.layout.points.shape, found.map.of) == (7, (7, 2), 30)
    assert len(found.collection.mosaic) == 5


def test_a_vector_of_nan_removes_only_the_parts_it_spoils(copied: FeatureStore) -> None:
    [file] = (copied.path / "vectors").glob("*.f16")
    values = np.fromfile(file, "<f2")
    values[:12] = np.nan
    values.tofile(file)
    found = report(FeatureStore.open(copied.path)).figures
    assert set(found.missing) == {"labels", "neighbours", "map", "clusters", "outliers", "labelfree"}
    assert "not finite" in found.missing["labels"]
    assert found.collection.items == 30
    json.dumps(found.to_json(), allow_nan=False)


def test_the_smallest_stores_have_a_report(tmp_path: Path, encoder: Path) -> None:
    for (name, colour), label in zip(COLOURS.items(), ("a", "b", "a"), strict=False):  # one image more each time
        paint(tmp_path / f"source/{label}/{name}.png", colour)
        found = report(new_store(tmp_path / "small.store", encoder, tmp_path / "source"))
        for format in ("html", "md", "json"):
            assert found.save(tmp_path / f"report.{format}").stat().st_size > 500


def test_a_where_chooses_what_the_whole_report_is_about(copied: FeatureStore, tmp_path: Path, drawn: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/a.jpg").write_text("text")
    copied.index(tmp_path / "bad", drawn)
    where = "label <> 'warm' AND width < 96"
    chosen = set(copied.catalog.items.select(where).tolist())
    made = report(copied, where=where)
    found, held = made.figures, made.figures.collection
    assert (held.items, held.of, held.vectors, held.failures, held.reasons) == (16, 30, 16, 0, {})
    assert (held.labels, held.splits) == ({"cold": 8, "leaf": 8}, {"test": 6, "train": 10})
    assert held.sizes is not None
    assert (held.sizes.largest, sum(held.sizes.counts)) == ((24, 24), 16)
    assert found.map is not None
    assert found.labelfree is not None
    assert {item.id for item in held.mosaic} == {item.id for item in found.map.items} == chosen
    assert {one.item.id for sheet in found.sheets for one in sheet.neighbours} <= chosen
    assert (found.map.of, found.labelfree.n) == (16, 16)
    assert found.knn == copied.knn(where=where)
    assert found.lowshot is not None
    assert (found.lowshot.where, found.lowshot.n_test) == (where, 6)
    assert found.to_json()["where"] == where
    assert "Only 16 of 30 images: where label &lt;&gt; 'warm' AND width &lt; 96." in made.save(tmp_path / "a.html").read_text().replace("&#39;", "'")  # fmt: skip
    with pytest.raises(QueryError, match="0 of 30 items match; label: cold 10, leaf 10, warm 10"):
        copied.report(where="label = 'wram'")


def test_failures_are_counted_by_their_reason(copied: FeatureStore, tmp_path: Path, drawn: Path) -> None:
    paint(tmp_path / "bad" / "good.png", COLOURS["red"])
    for name in ("a", "b"):
        (tmp_path / "bad" / f"{name}.jpg").write_text("text")
    copied.index(tmp_path / "bad", drawn)
    held = report(copied).figures.collection
    [(reason, n)] = held.reasons.items()
    assert (held.failures, n, "not an image" in reason) == (2, 2, True)


def test_without_scikit_learn_only_our_own_methods_are_measured(
    labelled: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = report(labelled).figures.lowshot
    assert found is not None
    assert {r.method for r in found.results} == {"nearest-mean", "knn"}


def test_of_images_with_several_labels_what_needs_one_each_is_missing_with_the_reason(
    store: FeatureStore, tmp_path: Path
) -> None:
    rows = Spool(pa.schema([("id", pa.int64()), ("value0", pa.list_(pa.string()))]))
    rows.add((1, ["mixed", "primary"]))
    store.catalog.labels.set_from_file(rows, ("labels",), "label", clear=False)
    made = report(store)
    assert made.figures.knn is not None
    assert made.figures.knn.several_labels == 1
    assert set(made.figures.missing) == {"lowshot", "label_errors", "classes"}
    assert made.figures.missing["classes"].startswith("1 of 6 items have several labels")
    assert "k-NN classification" in made.save(tmp_path / "report.html").read_text(encoding="utf-8")
