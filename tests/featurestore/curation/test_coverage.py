"""How far items are from the nearest labelled one."""

from pathlib import Path

import numpy as np
import pytest

from featurestore import FeatureStore, curation
from featurestore.errors import EvaluationError
from tests.featurestore.commands import Run, answer
from tests.featurestore.curation.groups import group_store


@pytest.fixture(scope="module")
def partly(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> FeatureStore:
    """Twelve pictures of each kind, of which one of sky and two of leaf have labels."""
    folder = tmp_path_factory.mktemp("groups")
    store = group_store(folder, encoder, 12, labels="none")
    paths = ("sky/000.png", "leaf/000.png", "leaf/001.png")
    (folder / "labels.csv").write_text(
        "path,label\n" + "".join(f"{folder}/pictures/{path},{path.split('/')[0]}\n" for path in paths)
    )
    store.label(folder / "labels.csv")
    return store


def test_scores_are_those_of_the_nearest_labelled_item(partly: FeatureStore) -> None:
    report = curation.coverage(partly)
    ids, x, labels = partly.features()
    known = np.array([label is not None for label in labels])
    expected = (x[~known] @ x[known].T).max(axis=1)
    found = report.to_arrow()
    assert found["id"].to_pylist() == ids[~known].tolist()
    assert found["score"].to_numpy() == pytest.approx(expected, abs=1e-4)
    assert report.mean_score == pytest.approx(expected.mean(), abs=1e-4)
    assert report.quantiles["0.5"] == pytest.approx(np.median(expected), abs=1e-4)
    assert (report.n_labelled, report.n_unlabelled) == (3, 33)
    assert [(entry.label, entry.labelled) for entry in report.classes] == [("leaf", 2), ("sky", 1)]
    assert sum(entry.nearest for entry in report.classes) == 33


def test_an_image_is_covered_where_a_labelled_one_is_as_near_as_another_typically_is(partly: FeatureStore) -> None:
    report = curation.coverage(partly)
    _, x, labels = partly.features()
    known = np.array([label is not None for label in labels])
    among = x @ x.T
    np.fill_diagonal(among, -1)
    typical = np.median(np.sort(among, axis=1)[:, -10])
    covered = (x[~known] @ x[known].T).max(axis=1) >= typical
    assert report.typical == pytest.approx(typical, abs=1e-4)
    assert report.covered == pytest.approx(covered.mean(), abs=1e-6)
    shares = [(entry.covered or 0) * entry.nearest for entry in report.classes]
    assert sum(shares) == pytest.approx(covered.sum(), abs=1e-3)


def test_the_kind_without_a_label_is_farthest(partly: FeatureStore, run: Run) -> None:
    found = answer(run, "coverage", partly.path)
    assert {item["path"].split("/")[-2] for item in found["items"][:12]} == {"rust"}
    scores = [item["score"] for item in found["items"]]
    assert scores == sorted(scores)
    status, out, _ = run("coverage", partly.path)
    assert (status, out.splitlines()[0]) == (0, "3 labelled, 33 not")


def test_stores_in_which_all_or_none_have_labels(shared: FeatureStore, tmp_path: Path, encoder: Path, run: Run) -> None:
    report = curation.coverage(shared)
    assert (report.n_unlabelled, report.mean_score, report.covered, report.items) == (0, None, None, [])
    assert run("coverage", shared.path)[1] == "6 labelled, 0 not\n"
    with pytest.raises(EvaluationError, match="expected items with labels, found none; see which to label first"):
        curation.coverage(group_store(tmp_path, encoder, 2, labels="none"))
