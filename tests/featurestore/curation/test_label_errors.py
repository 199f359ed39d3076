"""Labels of a store that are probably wrong."""

from pathlib import Path

import pytest

from featurestore import FeatureStore, curation
from featurestore.errors import EvaluationError
from tests.featurestore.commands import Run, answer
from tests.featurestore.curation.groups import group_store, paint_kind

WRONG = {"sky/007.png": "leaf", "leaf/011.png": "rust", "rust/003.png": "sky"}


@pytest.fixture(scope="module")
def mislabelled(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> Path:
    """Forty pictures of each kind, of which three have a wrong label; one of these is there twice."""
    folder = tmp_path_factory.mktemp("groups")
    paint_kind(folder / "pictures" / "sky" / "twin.png", "sky", 7)
    store = group_store(folder, encoder, 40)
    wrong = {**WRONG, "sky/twin.png": "leaf"}
    (folder / "labels.csv").write_text(
        "path,label\n" + "".join(f"{folder}/pictures/{path},{label}\n" for path, label in wrong.items())
    )
    store.label(folder / "labels.csv")
    return store.path


@pytest.fixture
def own(mislabelled: Path, tmp_path: Path) -> FeatureStore:
    import shutil

    return FeatureStore.open(Path(shutil.copytree(mislabelled, tmp_path / "own.store")))


def name_of(path: str) -> str:
    return "/".join(path.split("/")[-2:])


def test_wrong_labels_are_found_with_the_right_ones(mislabelled: Path) -> None:
    report = curation.label_errors(FeatureStore.open(mislabelled))
    found = {name_of(suspect.path): (suspect.label, suspect.suggested) for suspect in report.suspects}
    right = {"sky/007.png": "sky", "sky/twin.png": "sky", "leaf/011.png": "leaf", "rust/003.png": "rust"}
    wrong = {**WRONG, "sky/twin.png": "leaf"}
    assert found == {path: (wrong[path], right[path]) for path in wrong}
    assert (report.n_labelled, report.total, report.several_labels) == (121, 4, 0)
    assert 0 < report.expected_share <= 1
    first = report.suspects[0]
    assert first.nearest_suggested is not None
    assert first.nearest_suggested.path.split("/")[-2] == first.suggested


def test_a_limit_keeps_the_surest(mislabelled: Path) -> None:
    store = FeatureStore.open(mislabelled)
    whole, first = curation.label_errors(store), curation.label_errors(store, limit=2)
    assert first.suspects == whole.suspects[:2]
    assert first.total == 4


def test_a_where_chooses_what_is_listed_and_not_the_labels_that_are_used(mislabelled: Path, run: Run) -> None:
    store = FeatureStore.open(mislabelled)
    whole, some = curation.label_errors(store), curation.label_errors(store, where="label = 'leaf'")
    assert some.suspects == [suspect for suspect in whole.suspects if suspect.label == "leaf"]
    assert (some.total, some.n_labelled) == (2, 41)
    found = answer(run, "label-errors", mislabelled, "--where", "label = 'leaf'")
    assert found["total"] == 2


def test_items_without_or_with_several_labels_are_left_out(own: FeatureStore, tmp_path: Path) -> None:
    ids = own.sql("SELECT id FROM items ORDER BY id LIMIT 3")["id"].to_pylist()
    (tmp_path / "more.csv").write_text(f"id,label\n{ids[0]},\n")
    own.label(tmp_path / "more.csv", clear=True)
    (tmp_path / "several.jsonl").write_text(f'{{"id": {ids[1]}, "labels": ["sky", "leaf"]}}\n')
    own.label(tmp_path / "several.jsonl")
    report = curation.label_errors(own)
    assert (report.n_labelled, report.several_labels) == (119, 1)
    assert len(report.suspects) == 4


def test_copies_with_different_labels_accuse_each_other(own: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(
        f"path,label\n{own.sql('SELECT path FROM items WHERE path LIKE $$%twin.png$$')['path'][0]},sky\n"
    )
    own.label(tmp_path / "labels.csv")
    found = {name_of(suspect.path) for suspect in curation.label_errors(own).suspects}
    assert found == set(WRONG)  # its twin has the right label now


def test_the_command_lists_suspects_and_writes_a_column(run: Run, own: FeatureStore) -> None:
    assert run("label-errors", own.path, "--column")[0] == 0
    chosen = own.sql("SELECT path FROM items WHERE label_suspect IS NOT NULL")["path"].to_pylist()
    assert {name_of(path) for path in chosen} == {*WRONG, "sky/twin.png"}
    status, out, _ = run("label-errors", own.path, "-n", "1")
    assert status == 0
    assert out.splitlines()[0] == "4 suspects among 121 labelled items"
    assert out.splitlines()[-1] == "3 more suspects: see them with -n 4, or with --json"
    found = answer(run, "label-errors", own.path, "--limit", "3")
    assert len(found["suspects"]) == 3
    assert set(found["suspects"][0]) >= {"id", "path", "label", "suggested", "probability"}
    assert "expected_share" in found


def test_two_classes_with_two_items_are_needed(store: FeatureStore, tmp_path: Path, encoder: Path) -> None:
    unlabelled = group_store(tmp_path, encoder, 3, labels="none")
    with pytest.raises(EvaluationError, match="found 0 classes and 0 items with one label"):
        curation.label_errors(unlabelled)
    report = curation.label_errors(store)  # six items: nothing is certain, and nothing fails
    assert report.n_labelled == 6
