"""Classifiers of a store, trained on its labelled items: cross-validated and calibrated."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.catalog import Catalog, ClassifierRecord
from featurestore.catalog.schema import RESERVED
from featurestore.catalog.sql_process import check_expression
from featurestore.classification.record import to_record
from featurestore.errors import ConfigError, EvaluationError, QueryError
from featurestore.estimators.linear import best_c, fit_planes, left_out_logits, try_c
from featurestore.estimators.linear_classifier import LinearClassifier
from featurestore.metrics.calibration import expected_calibration_error, fit_temperature, log_loss, softmax
from featurestore.metrics.confusion import ClassFigures, class_figures
from featurestore.metrics.splits import folds_of_repeated
from featurestore.metrics.statistics import wilson
from featurestore.metrics.twins import Twins, without_twins
from featurestore.progress import Listener
from featurestore.storage import LabelledItems
from featurestore.storage.storage import Storage
from featurestore.system.packages import require

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}")  # valid as a column name in SQL without quotes
METHODS = ("logistic", "nearest-mean", "ridge")
FOLDS = 5
FEW = 5  # labels: classes with fewer are listed
STRENGTHS = [0.1, 1.0, 10.0, 100.0]  # values of C to choose from

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well probabilities match reality, on images that the classifier was not trained on."""

    log_loss: float
    ece: float  # expected calibration error, 15 bins


@dataclass(frozen=True, slots=True)
class OnTest:
    """Accuracy on the labelled images of split test."""

    n_test: int
    top1: float
    top1_ci95: tuple[float, float]
    unseen: list[str]  # classes that only test has, so that they are never predicted
    twins: Twins  # with an exact copy in split train


@dataclass(frozen=True, slots=True)
class ClassifierReport:
    """A trained classifier, with everything needed to repeat it; accuracies are fractions in [0, 1]."""

    name: str
    encoder: str  # fingerprint
    method: str
    c: float | None  # of logistic regression
    seed: int
    labels: str  # "train": those of split train, since split test has labels too; else "all"
    n_train: int  # labelled images trained on
    few: dict[str, int]  # classes with fewer than FEW of them
    split: str  # how the figures were measured: "cross-validation"
    folds: int
    n_validated: int  # images that were left out once: those of classes with two or more
    top1: float
    top1_ci95: tuple[float, float]
    temperature: float
    before: Calibration  # at temperature 1
    after: Calibration  # of each fold at the temperature fitted on the others
    classes: list[ClassFigures]
    twins: Twins  # images of the cross-validation with an exact copy among those that are trained on
    where: str | None  # what the images were chosen by
    notes: list[str]
    test: OnTest | None

    def to_json(self) -> dict[str, Any]:
        return {"protocol": "classifier", **asdict(self)}


def train(
    store: Storage,
    name: str,
    method: str = "logistic",
    encoder: str | Path | None = None,
    seed: int = 0,
    listener: Listener | None = None,
    where: str | None = None,
) -> ClassifierReport:
    """Train a classifier on labelled items, those of split train when split test has labels too, and store it; it replaces one of that name.

    method: logistic, nearest-mean or ridge. where: only items for which this SQL expression is true. Raises ConfigError for another method,
    a name that cannot be a column, or without scikit-learn; QueryError when the columns that it would fill are taken, or no item matches
    `where`; EvaluationError when there are no labels, all are of one class, no class has two, or items have several.
    """
    check_classifier(store.catalog, name, method)
    record, report = train_on(store.labelled_items(encoder, where), name, method, seed, listener or Listener())
    with store.writing():
        store.catalog.classifiers.put(record)
    return report


def drop(store: Storage, name: str) -> tuple[str, ...]:
    """Delete a classifier; returns the columns that it filled, which stay. Raises QueryError when there is none of that name."""
    with store.writing():
        return store.catalog.classifiers.drop(name)


def train_on(
    labelled: LabelledItems, name: str, method: str, seed: int, listener: Listener
) -> tuple[ClassifierRecord, ClassifierReport]:
    """Train a classifier on labelled items, as `train`, without storing it."""
    require("sklearn", extra="eval")
    classes, codes = _train_classes(labelled)
    fold = _folds(codes, seed)
    rounds = int(fold.max()) + 1
    listener.start("training", rounds + 1)
    x = labelled.vectors(labelled.train)
    c = _choose_c(x, codes, seed) if method == "logistic" else None
    logits = left_out_logits(method, x, codes, fold, c, listener.advance)
    weights, bias = fit_planes(method, x, codes, c)
    listener.advance()
    validated = fold >= 0
    logits, truth = logits[validated], codes[validated]
    temperature = fit_temperature(logits, truth)
    model = LinearClassifier(tuple(classes), weights.astype(np.float32), bias.astype(np.float32), temperature)
    predicted = logits.argmax(axis=1)
    right = predicted == truth
    report = ClassifierReport(
        name=name,
        encoder=labelled.encoder.fingerprint,
        method=method,
        c=c,
        seed=seed,
        labels="all" if labelled.leave_one_out else "train",
        n_train=len(codes),
        few={label: int(n) for label, n in zip(classes, np.bincount(codes), strict=True) if n < FEW},
        split="cross-validation",
        folds=rounds,
        n_validated=len(truth),
        top1=float(right.mean()),
        top1_ci95=wilson(right),
        temperature=temperature,
        before=_calibration(softmax(logits), truth),
        after=_calibration(_cross_calibrated(logits, truth, fold[validated]), truth),
        classes=class_figures(predicted, truth, classes),
        twins=without_twins(right, labelled.twins_among(labelled.train, labelled.train)[validated]),
        where=labelled.where,
        notes=labelled.notes,
        test=_test(model, labelled),
    )
    return to_record(model, name, report.encoder, method, report.to_json()), report


def check_classifier(catalog: Catalog, name: str, method: str) -> None:
    """Raise ConfigError for an unknown method or a name that cannot be a column; QueryError when the columns of that name are taken."""
    if method == "knn":
        raise ConfigError(
            "method 'knn': a stored classifier is one plane a class, and k-NN would need all labelled vectors instead; "
            f"choose one of {', '.join(METHODS)}, or measure k-NN: featurestore knn STORE"
        )
    if method not in METHODS:
        raise ConfigError(f"method {method!r}: expected one of {', '.join(METHODS)}")
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"name {name!r}: expected up to 60 letters, digits and _, beginning with a letter, since it becomes a column of the items"
        )
    if name.lower() in RESERVED:
        raise ConfigError(f"name {name!r}: featurestore has a column of this name; choose another one")
    try:
        check_expression(f"{name} = 'x'")
    except QueryError as error:
        raise ConfigError(f"name {name!r}: this is a word of SQL; choose another one") from error
    catalog.classifiers.check_columns(name)


def _train_classes(labelled: LabelledItems) -> tuple[list[str], Codes]:
    """List the classes of train, and number each of its items by them: (N,)."""
    numbers, codes = np.unique(labelled.codes[labelled.train], return_inverse=True)
    classes = [labelled.names[number] for number in numbers]
    if len(classes) < 2:
        raise EvaluationError(
            f"all {labelled.n_train} labelled images of split train are of one class, {classes[0]!r}; expected two or more; label images of another class"
        )
    return classes, codes


def _folds(codes: Codes, seed: int) -> Codes:
    """Assign each item to the fold in which it is left out: (N,), as `folds_of_repeated`. Raises EvaluationError where every class has one."""
    if np.bincount(codes).max() < 2:
        raise EvaluationError(
            f"each of the {len(codes)} classes has one label only: expected a class with two, to leave one out and predict it; label a few more"
        )
    return folds_of_repeated(codes, FOLDS, seed)


def _choose_c(x: NDArray[np.float32], codes: Codes, seed: int) -> float:
    """Choose C of logistic regression by validation."""
    return best_c(try_c(x - x.mean(axis=0), codes, STRENGTHS, seed))  # centred: the same in fewer iterations


def _cross_calibrated(logits: NDArray[np.float64], truth: Codes, fold: Codes) -> NDArray[np.float64]:
    """Compute the probabilities of each fold at the temperature fitted on the others: (N, C)."""
    probabilities = np.empty_like(logits)
    for number in np.unique(fold):
        left_out = fold == number
        probabilities[left_out] = softmax(logits[left_out], fit_temperature(logits[~left_out], truth[~left_out]))
    return probabilities


def _calibration(probabilities: NDArray[np.float64], truth: Codes) -> Calibration:
    return Calibration(log_loss(probabilities, truth), expected_calibration_error(probabilities, truth))


def _test(model: LinearClassifier, labelled: LabelledItems) -> OnTest | None:
    if labelled.leave_one_out:
        return None
    predicted = model.probabilities(labelled.vectors(labelled.test)).argmax(axis=1)
    truth = [labelled.names[code] for code in labelled.codes[labelled.test]]
    right = np.array([model.classes[code] == name for code, name in zip(predicted, truth, strict=True)])
    return OnTest(len(right), float(right.mean()), wilson(right), labelled.unseen, without_twins(right, labelled.twins))
