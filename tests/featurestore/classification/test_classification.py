"""Classifiers of a store: how they are trained, measured and kept, and what they write into the items."""

import importlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from featurestore import FeatureStore
from featurestore.catalog import columns
from featurestore.classification.record import from_record
from featurestore.classification.train import STRENGTHS
from featurestore.classifiers import NearestMeanClassifier
from featurestore.errors import ConfigError, EncoderNotInStore, EvaluationError, QueryError, StoreCorrupt
from featurestore.estimators import LinearClassifier
from featurestore.metrics import fit_temperature, folds, log_loss, softmax
from tests.featurestore.commands import Run, answer
from tests.featurestore.evaluation.labelled import labelled_store, random_entries
from tests.featurestore.fakes import DIM, paint
from tests.featurestore.metadata.annotated import csv, said

Entries = list[tuple[str, tuple[int, int, int]]]
# Reds, greens and blues that a child could tell apart; what has no label follows.
CLEAR: Entries = [
    (name, (240 if name == "red" else 20 + shade, 240 if name == "green" else 20, 240 if name == "blue" else 20))
    for name in ("red", "green", "blue")
    for shade in range(4)
]


@pytest.fixture(autouse=True, scope="module")
def _folds_once() -> Iterator[None]:
    """C is chosen by folds drawn once, not three times, which is tested with the estimator."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("featurestore.estimators.linear.REPEATS", 1)
        yield


@pytest.fixture(scope="module")
def indexed_once(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> Path:
    return labelled_store(tmp_path_factory.mktemp("clear"), encoder, CLEAR).path


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory, indexed_once: Path) -> Path:
    path = Path(shutil.copytree(indexed_once, tmp_path_factory.mktemp("trained") / "my.store"))
    FeatureStore.open(path).train_classifier("kind")
    return path


@pytest.fixture
def clear(tmp_path: Path, indexed_once: Path) -> FeatureStore:
    return FeatureStore.open(shutil.copytree(indexed_once, tmp_path / "my.store"))


@pytest.fixture
def trained(tmp_path: Path, trained_once: Path) -> FeatureStore:
    """The same with the classifier `kind`."""
    return FeatureStore.open(shutil.copytree(trained_once, tmp_path / "my.store"))


def model_of(store: FeatureStore, name: str) -> LinearClassifier:
    return from_record(store.catalog.classifiers.get(name), DIM)


# -- training


@pytest.mark.parametrize("splits", [True, False])
def test_cross_validation_equals_a_plain_loop(tmp_path: Path, encoder: Path, splits: bool) -> None:
    store = labelled_store(tmp_path, encoder, random_entries(splits, 80))
    report = store.train_classifier("kind", "nearest-mean", seed=3)
    _, x, y = store.features("train" if splits else None)
    names, codes = np.unique(y, return_inverse=True)
    fold = folds(codes, 5, seed=3)
    logits, calibrated, flattered = np.empty((3, len(y), len(names)))
    for number in range(5):
        model = NearestMeanClassifier().fit(x[fold != number], y[fold != number])
        logits[fold == number] = np.log(model.predict_proba(x[fold == number]))
    for number in range(5):
        others = fit_temperature(logits[fold != number], codes[fold != number])
        calibrated[fold == number] = softmax(logits[fold == number], others)
        own = fit_temperature(logits[fold == number], codes[fold == number])
        flattered[fold == number] = softmax(logits[fold == number], own)
    assert report.top1 == pytest.approx(np.mean(logits.argmax(axis=1) == codes))
    assert report.temperature == pytest.approx(fit_temperature(logits, codes), rel=1e-3)
    assert report.before.log_loss == pytest.approx(log_loss(softmax(logits), codes), rel=1e-3)
    assert report.after.log_loss == pytest.approx(log_loss(calibrated, codes), rel=1e-4)
    assert report.after.log_loss > log_loss(flattered, codes) * 1.001  # a fold does not choose its own temperature
    record = store.catalog.classifiers.get("kind")
    assert from_record(record, DIM).temperature == report.temperature
    assert record.card["figures"] == json.loads(json.dumps(report.to_json()))
    assert len(record.weights) == 4 * (12 + 1) * 3
    assert (report.n_train, report.n_validated, report.folds, report.seed) == (len(y), len(y), 5, 3)
    assert report.labels == ("train" if splits else "all")
    assert report.top1_ci95[0] < report.top1 < report.top1_ci95[1]
    assert [(c.label, c.n) for c in report.classes] == [(label, list(y).count(label)) for label in sorted(set(y))]
    if not splits:
        assert report.test is None
        return
    _, test_x, test_y = store.features("test")
    assert report.test is not None
    assert report.test.n_test == len(test_y)
    assert report.test.top1 == pytest.approx(NearestMeanClassifier().fit(x, y).score(test_x, test_y))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> FeatureStore:
    """A store with enough labels to choose C by some of them."""
    return labelled_store(tmp_path_factory.mktemp("many"), encoder, random_entries(True, 306))


@pytest.mark.parametrize("method", ["logistic", "nearest-mean", "ridge"])
def test_every_method_learns_and_is_calibrated(many: FeatureStore, method: str) -> None:
    report = many.train_classifier("kind", method)
    assert report.method == method
    assert (report.c in STRENGTHS) if method == "logistic" else report.c is None
    assert report.top1 > 0.55  # chance is 0.33
    nearly_right_by_itself = 0.03 if method == "logistic" else 0.0
    assert report.after.log_loss < report.before.log_loss + nearly_right_by_itself
    assert 0 <= report.after.ece < 0.2
    assert report.test is not None
    assert report.test.top1 > 0.55
    assert replace(many.train_classifier("again", method), name="kind") == report


def test_labels_that_are_numbers_are_text(tmp_path: Path, encoder: Path) -> None:
    numbers = {"red": "10", "green": "9", "blue": "-1.5"}
    store = labelled_store(tmp_path, encoder, [(numbers[name], colour) for name, colour in CLEAR])
    store.train_classifier("kind")
    assert model_of(store, "kind").classes == ("-1.5", "10", "9")
    assert store.apply_classifier("kind").counts == {"-1.5": 4, "10": 4, "9": 4}
    assert store.sql("SELECT count(*) AS n FROM items WHERE kind = '10' AND label = '10'")["n"].to_pylist() == [4]


def test_a_class_with_one_label_is_learnt_but_not_measured(tmp_path: Path, encoder: Path) -> None:
    store = labelled_store(tmp_path, encoder, [*CLEAR, ("white", (250, 250, 250))])
    report = store.train_classifier("kind", "nearest-mean")
    assert (report.n_train, report.n_validated) == (13, 12)
    assert report.few == {"blue": 4, "green": 4, "red": 4, "white": 1}
    assert [c.label for c in report.classes] == ["blue", "green", "red"]
    assert model_of(store, "kind").classes == ("blue", "green", "red", "white")
    assert store.apply_classifier("kind").counts["white"] == 1


def test_folds_are_no_more_than_the_labels(tmp_path: Path, encoder: Path) -> None:
    store = labelled_store(tmp_path, encoder, [("red", (250, 9, 9)), ("red", (251, 9, 9)), ("blue", (9, 9, 250))])
    report = store.train_classifier("kind")
    assert (report.folds, report.n_validated, report.top1) == (2, 2, 1.0)


# -- what cannot be trained


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([("train/red", (250, 9, 9)), ("train/red", (240, 9, 9)), ("test/blue", (9, 9, 250))], "split train are of one class, 'red'"),
        ([("red", (250, 9, 9)), ("blue", (9, 9, 250))], "each of the 2 classes has one label only: expected a class with two"),
    ],
)  # fmt: skip
def test_too_few_labels_are_refused(tmp_path: Path, encoder: Path, entries: Entries, reason: str) -> None:
    store = labelled_store(tmp_path, encoder, entries)
    with pytest.raises(EvaluationError, match=reason):
        store.train_classifier("kind")
    assert store.info()["classifiers"] == []


def test_vectors_with_nan_are_not_classified(trained: FeatureStore) -> None:
    [path] = (trained.path / "vectors").iterdir()
    vectors = np.fromfile(path, np.float16)
    vectors[20] = np.nan
    vectors.tofile(path)
    damaged = FeatureStore.open(trained.path)
    with pytest.raises(StoreCorrupt, match=r"NaN or infinity.*featurestore verify"):
        damaged.apply_classifier("kind")
    assert damaged.info()["columns"] == {}


@pytest.mark.parametrize(
    ("name", "method", "reason"),
    [
        ("kind", "knn", "one plane a class, and k-NN would need all labelled vectors"),
        ("kind", "forest", "expected one of logistic, nearest-mean, ridge"),
        ("", "ridge", "expected up to 60 letters"),
        ("a b", "ridge", "expected up to 60 letters"),
        ("1st", "ridge", "expected up to 60 letters"),
        ("x" * 61, "ridge", "expected up to 60 letters"),
        ("Label", "ridge", "featurestore has a column of this name"),
        ("vector", "ridge", "featurestore has a column of this name"),
        ("order", "ridge", "this is a word of SQL"),
    ],
)
def test_bad_names_and_methods_are_refused(shared: FeatureStore, name: str, method: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        shared.train_classifier(name, method)


# -- applying


def test_every_item_gets_its_most_probable_class(
    tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featurestore.classification.predict.BLOCK", 7)
    store = labelled_store(tmp_path, encoder, random_entries(True, 80))
    store.train_classifier("kind", "ridge")
    report = store.apply_classifier("kind")
    ids, x, _ = store.features()
    probabilities = model_of(store, "kind").probabilities(x)
    classes = [f"class{code}" for code in probabilities.argmax(axis=1)]
    assert (report.items, report.without_vector, report.columns) == (80, 0, ("kind", "kind_confidence"))
    assert said(store, "kind") == dict(zip(ids.tolist(), classes, strict=True))
    assert said(store, "kind_confidence") == pytest.approx(
        dict(zip(ids.tolist(), probabilities.max(axis=1), strict=True))
    )
    assert report.counts == Counter(classes)
    assert list(report.counts.values()) == sorted(report.counts.values(), reverse=True)


def test_with_where_only_those_items_change(trained: FeatureStore) -> None:
    report = trained.apply_classifier("kind", "label = 'red'")
    assert (report.items, report.counts) == (4, {"red": 4})
    assert set(said(trained, "kind").values()) == {"red"}
    trained.apply_classifier("kind", "label = 'blue' AND kind IS NULL")
    assert sorted(said(trained, "kind").values()) == ["blue"] * 4 + ["red"] * 4
    assert trained.apply_classifier("kind", "label = 'none such'").items == 0
    with pytest.raises(QueryError, match="where 'colour = 1'"):
        trained.apply_classifier("kind", "colour = 1")


def test_applied_to_all_no_earlier_prediction_is_left(trained: FeatureStore) -> None:
    trained.apply_classifier("kind")
    trained.catalog.changes.mark_removed(np.array([7]), [])  # as when its file has vanished
    trained.apply_classifier("kind")
    with duckdb.connect(str(trained.path / "catalog.duckdb"), read_only=True) as connection:
        rows = connection.execute(
            "SELECT id, kind, kind_confidence FROM all_items WHERE removed_at IS NOT NULL"
        ).fetchall()
    assert rows == [(7, None, None)]
    assert len(said(trained, "kind")) == 11


def test_items_without_a_vector_of_its_encoder_are_counted(
    trained: FeatureStore, tmp_path: Path, other_encoder: Path
) -> None:
    paint(tmp_path / "more" / "a.png", (250, 0, 0))
    FeatureStore.open(trained.path, other_encoder).index(tmp_path / "more")
    opened = FeatureStore.open(trained.path)  # of two encoders, the classifier tells which is meant
    report = opened.apply_classifier("kind")
    assert (report.items, report.without_vector) == (12, 1)
    assert len(said(opened, "kind")) == 12


def test_a_classifier_of_an_encoder_that_is_gone_is_refused(trained: FeatureStore) -> None:
    with duckdb.connect(str(trained.path / "catalog.duckdb")) as connection:
        connection.execute("UPDATE classifiers SET encoder = repeat('a', 64)")
    for call in (
        lambda: trained.apply_classifier("kind"),
        lambda: trained.export_classifier("kind", trained.path / "x.onnx"),
    ):
        with pytest.raises(
            EncoderNotInStore, match="for vectors of the encoder aaaaaaaaaaaaaaaa, the store has those of quadrants-"
        ):
            call()


def test_an_encoder_that_is_dropped_while_it_is_trained_on_leaves_no_classifier(
    clear: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = importlib.import_module("featurestore.classification.train")
    train_on = training.train_on

    def dropped_meanwhile(*arguments: Any) -> Any:
        trained = train_on(*arguments)
        clear.drop_encoder(clear.info()["encoders"][0]["name"])
        return trained

    monkeypatch.setattr(training, "train_on", dropped_meanwhile)
    with pytest.raises(EncoderNotInStore, match=r"classifier 'kind': its encoder \w{16} was dropped while"):
        clear.train_classifier("kind", "nearest-mean")
    assert clear.info()["classifiers"] == []


def test_an_interruption_leaves_the_columns_as_they_were(
    trained: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained.apply_classifier("kind", "label = 'red'")
    before = said(trained, "kind")
    set_values = columns.set_values

    def half(*arguments: Any) -> None:
        set_values(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr("featurestore.catalog.classifiers.set_values", half)
        with pytest.raises(KeyboardInterrupt):
            trained.apply_classifier("kind")
    assert said(FeatureStore.open(trained.path), "kind") == before
    assert not FeatureStore.verify(trained.path).findings


# -- keeping


def test_trained_again_it_takes_the_place_of_the_old_one(clear: FeatureStore) -> None:
    clear.train_classifier("kind", "ridge")
    clear.apply_classifier("kind")
    clear.train_classifier("Kind", "nearest-mean")
    [known] = clear.info()["classifiers"]
    assert (known["name"], known["method"], known["classes"]) == ("Kind", "nearest-mean", ["blue", "green", "red"])
    assert known["applied_at"] < known["trained_at"]
    assert clear.apply_classifier("kind").columns == ("Kind", "Kind_confidence")
    assert list(clear.info()["columns"]) == ["kind", "kind_confidence"]


@pytest.mark.parametrize("column", ["kind", "KIND_confidence"])
def test_a_column_of_the_user_is_not_overwritten(clear: FeatureStore, tmp_path: Path, column: str) -> None:
    clear.train_classifier("before")
    clear.annotate(csv(tmp_path, f"id,{column},before\n1,x,y\n"))
    with pytest.raises(
        QueryError, match=f"it would fill '{column}', which the items have already;.*annotate STORE --drop {column}"
    ):
        clear.train_classifier("kind")
    with pytest.raises(QueryError, match="it would fill 'before'"):
        clear.apply_classifier("before")
    assert said(clear, "before") == {1: "y"}
    clear.drop_column(column)
    clear.train_classifier("kind")


def test_two_classifiers_do_not_share_a_column(trained: FeatureStore) -> None:
    with pytest.raises(QueryError, match="'kind_confidence', as the classifier 'kind' does"):
        trained.train_classifier("kind_confidence")
    trained.train_classifier("other")
    trained.apply_classifier("kind")
    trained.apply_classifier("other")
    assert [known["name"] for known in trained.info()["classifiers"]] == ["kind", "other"]


def test_a_classifier_that_is_dropped_leaves_its_columns(trained: FeatureStore) -> None:
    assert trained.drop_classifier("KIND") == ()
    trained.train_classifier("kind")
    trained.apply_classifier("kind")
    assert trained.drop_classifier("kind") == ("kind", "kind_confidence")
    assert len(said(trained, "kind")) == 12
    with pytest.raises(QueryError, match="it would fill 'kind' and 'kind_confidence', which the items have already"):
        trained.train_classifier("kind")


def test_columns_that_the_user_took_over_are_not_overwritten(trained: FeatureStore, tmp_path: Path) -> None:
    trained.apply_classifier("kind")
    trained.annotate(csv(tmp_path, "id,kind\n1,mine\n"))
    for refused in (trained.apply_classifier, trained.train_classifier):
        with pytest.raises(QueryError, match="it would fill 'kind', which the items have already"):
            refused("kind")
    assert said(trained, "kind")[1] == "mine"
    assert trained.drop_classifier("kind") == ("kind_confidence",)
    assert trained.info()["classifiers"] == []
    for call in (trained.drop_classifier, trained.apply_classifier):
        with pytest.raises(QueryError, match="classifier 'kind': the store has none; train one first"):
            call("kind")
    with pytest.raises(QueryError, match="it would fill 'kind' and 'kind_confidence'"):
        trained.train_classifier("kind")


def test_damage_is_found_by_verify_and_the_classifier_dropped(clear: FeatureStore) -> None:
    for name in ("good", "bad", "worse"):
        clear.train_classifier(name)
    with duckdb.connect(str(clear.path / "catalog.duckdb")) as connection:
        connection.execute("UPDATE classifiers SET weights = weights || '\\x00'::BLOB WHERE name = 'bad'")
        connection.execute("UPDATE classifiers SET card = replace(card, 'red', 'rot') WHERE name = 'worse'")
    for name in ("bad", "worse"):
        with pytest.raises(StoreCorrupt, match=rf"classifier '{name}' is damaged: .* train it again"):
            clear.apply_classifier(name)
    damaged = {known["name"] for known in clear.info()["classifiers"] if known["damaged"]}
    assert damaged == {"bad", "worse"}
    [finding] = FeatureStore.verify(clear.path).findings
    assert finding.problem.startswith("2 classifiers do not match their checksum")
    FeatureStore.verify(clear.path, repair=True)
    assert not FeatureStore.verify(clear.path).findings
    opened = FeatureStore.open(clear.path)
    assert [known["name"] for known in opened.info()["classifiers"]] == ["good"]
    assert opened.apply_classifier("good").items == 12
    [kept] = (clear.path / "damaged").glob("*catalog.duckdb")
    with duckdb.connect(str(kept), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM classifiers").fetchall() == [(3,)]


def test_a_damaged_catalog_is_saved_with_its_classifiers(trained: FeatureStore) -> None:
    trained.apply_classifier("kind")
    before = trained.info()["classifiers"]
    assert trained.catalog.repair.salvage(lambda: None) == {}
    assert trained.info()["classifiers"] == before
    assert not FeatureStore.verify(trained.path).findings
    assert trained.apply_classifier("kind").items == 12


# -- the command


def test_the_command_trains_applies_and_drops(clear: FeatureStore, run: Run) -> None:
    path = clear.path
    trained = answer(run, "classify", path, "--train", "--name", "kind", "--method", "ridge", "--seed", "2")
    encoder = clear.info()["encoders"][0]["fingerprint"]
    expected = {"protocol": "classifier", "encoder": encoder, "split": "cross-validation", "folds": 5, "seed": 2, "top1": 1.0, "test": None}  # fmt: skip
    assert {key: trained[key] for key in expected} == expected
    applied = answer(run, "classify", path, "--apply", "kind", "--where", "label = 'red'")
    assert applied == {"columns": ["kind", "kind_confidence"], "items": 4, "without_vector": 0, "counts": {"red": 4}}
    assert answer(run, "info", path)["classifiers"][0]["name"] == "kind"
    assert answer(run, "classify", path, "--drop", "kind") == {"dropped": "kind"}


def test_the_command_prints_its_figures(tmp_path: Path, encoder: Path, run: Run) -> None:
    entries = [(f"train/{name}", colour) for name, colour in CLEAR]
    store = labelled_store(tmp_path, encoder, [*entries, ("test/red", (240, 21, 20)), ("test/white", (250, 250, 250))])
    status, out, _ = run("classify", store.path, "--train", "--name", "kind")
    assert status == 0
    lines = out.splitlines()
    assert lines[0].startswith("kind  logistic, C = 1, trained on 12 images (split train), seed 0, encoder ")
    assert lines[2].split() == ["measured", "by", "n", "top-1", "95", "%", "interval"]
    assert lines[3].split()[:4] == ["5-fold", "cross-validation", "12", "1.0000"]
    assert lines[4].split()[:4] == ["split", "test", "2", "0.5000"]
    assert "calibrated at T = " in out
    assert "few labels: blue 4, green 4, red 4; figures of these classes are uncertain" in out
    assert "never predicted on split test, since split train has no such label: white" in out
    status, out, _ = run("classify", store.path, "--apply", "kind")
    assert out.splitlines()[0] == "14 items classified: columns kind and kind_confidence"
    assert "classifier kind  3 classes, logistic of 12 images" in run("info", store.path)[1]
    assert "annotate" in run("classify", store.path, "--drop", "kind")[1]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "expected one of --train"),
        (["--train", "--apply", "kind"], "found --train and --apply"),
        (["--train"], "--train needs --name NAME"),
        (["--export", "x.onnx"], "--export needs --name NAME"),
        (["--drop", "kind", "--where", "1 = 1"], "--where belongs to --train and --apply, not to --drop"),
        (["--apply", "kind", "--seed", "3"], "--seed belongs to --train, not to --apply"),
        (["--drop", "kind", "-k", "3"], "--k belongs to IMAGE, not to --drop"),
        (["photo.jpg", "--train", "--name", "kind"], "found IMAGE and --train"),
    ],
)
def test_options_that_do_not_go_together_are_refused(indexed: Path, run: Run, words: list[str], reason: str) -> None:
    status, _, err = run("classify", indexed, *words)
    assert status == 2
    assert reason in " ".join(err.split())
