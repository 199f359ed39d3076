"""Classifiers of a store, trained on its labelled items: cross-validated and calibrated."""

import re
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.catalog import Catalog, ClassifierRecord
from featurestore.catalog.schema import RESERVED
from featurestore.catalog.user_sql import check_expression
from featurestore.errors import ConfigError, EvaluationError, QueryError
from featurestore.estimators import few_shot as fewlabels
from featurestore.estimators import linear
from featurestore.estimators.linear_classifier import LinearClassifier
from featurestore.metrics.calibration import expected_calibration_error, fit_temperature, log_loss, softmax
from featurestore.metrics.confusion import ClassFigures, class_figures
from featurestore.metrics.splits import folds
from featurestore.metrics.statistics import bootstrap
from featurestore.progress import Listener
from featurestore.storage.labelled_items import LabelledItems
from featurestore.system.packages import need

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}")  # what SQL takes as a column without quotes
METHODS = ("logistic", "nearest-mean", "ridge")
FOLDS = 5
FEW = 5  # labels: a class with fewer is named
STRENGTHS = [0.1, 1.0, 10.0, 100.0]  # of C, on unit vectors
ENOUGH = 200  # labelled images, to choose C on a tenth of them

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far probabilities are to be believed, of images that the classifier was not trained on."""

    log_loss: float
    ece: float  # expected calibration error, 15 bins


@dataclass(frozen=True, slots=True)
class OnTest:
    """Accuracy on the labelled images of split test."""

    n_test: int
    top1: float
    top1_ci95: tuple[float, float]
    unseen: list[str]  # classes that only test has: never right


@dataclass(frozen=True, slots=True)
class ClassifierReport:
    """A classifier as it was trained, with everything needed to repeat it; accuracies are fractions in [0, 1]."""

    name: str
    encoder: str  # fingerprint
    method: str
    c: float | None  # of logistic regression
    seed: int
    labels: str  # "train": those of split train, since split test has some too; else "all"
    n_train: int  # labelled images learnt from
    few: dict[str, int]  # classes with fewer than FEW of them
    split: str  # how the figures were taken: "cross-validation"
    folds: int
    n_validated: int  # images that were left out once: those of classes with two or more
    top1: float
    top1_ci95: tuple[float, float]
    temperature: float
    before: Calibration  # at temperature 1
    after: Calibration  # of each fold at the temperature that the others ask for
    classes: list[ClassFigures]
    test: OnTest | None

    def to_json(self) -> dict[str, Any]:
        return {"protocol": "classifier", **asdict(self)}


def train_classifier(
    labelled: LabelledItems, name: str, method: str, seed: int, listener: Listener
) -> tuple[ClassifierRecord, ClassifierReport]:
    """Train a classifier on labelled items: those of split train when split test has some too, else all.

    Raises ConfigError when scikit-learn is missing; EvaluationError when all are of one class, or no class has two.
    """
    need("sklearn", extra="eval")
    from featurestore.estimators.classifiers import planes

    classes, codes = _learnt(labelled)
    fold = _folds(codes, seed)
    rounds = int(fold.max()) + 1
    listener.start("training", rounds + 1)
    x = labelled.vectors(labelled.train)
    c = _strength(x, codes, seed) if method == "logistic" else None
    logits = np.empty((len(codes), len(classes)))
    for number in range(rounds):
        asked = fold == number
        weights, bias = planes(method, x[~asked], codes[~asked], c)
        logits[asked] = x[asked] @ weights + bias
        listener.advance()
    weights, bias = planes(method, x, codes, c)
    listener.advance()
    held = fold >= 0
    logits, truth = logits[held], codes[held]
    temperature = fit_temperature(logits, truth)
    model = LinearClassifier(tuple(classes), weights.astype(np.float32), bias.astype(np.float32), temperature)
    said = logits.argmax(axis=1)
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
        top1=float((said == truth).mean()),
        top1_ci95=bootstrap(said == truth, seed),
        temperature=temperature,
        before=_calibration(softmax(logits), truth),
        after=_calibration(_cross_calibrated(logits, truth, fold[held]), truth),
        classes=class_figures(said, truth, classes),
        test=_test(model, labelled, seed),
    )
    return model.record(name, report.encoder, method, report.to_json()), report


def check_classifier(catalog: Catalog, name: str, method: str) -> None:
    """Raise ConfigError when a method makes no classifier that can be kept, or one cannot be called so; QueryError when its columns are taken."""
    if method == "knn":
        raise ConfigError(
            "method 'knn': a classifier that is kept is one plane a class, which k-NN is not, for it needs all labelled vectors; "
            f"choose one of {', '.join(METHODS)}, and measure k-NN by: featurestore knn STORE"
        )
    if method not in METHODS:
        raise ConfigError(f"method {method!r}: expected one of {', '.join(METHODS)}")
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"name {name!r}: expected up to 60 letters, digits and _, a letter first: it becomes the name of a column of the items"
        )
    if name.lower() in RESERVED:
        raise ConfigError(f"name {name!r}: is that of a column of featurestore's own; choose another one")
    try:
        check_expression(f"{name} = 'x'")
    except QueryError as error:
        raise ConfigError(f"name {name!r}: is a word of SQL; choose another one") from error
    catalog.classifiers.check_columns(name)


def _learnt(labelled: LabelledItems) -> tuple[list[str], Codes]:
    """The classes to be learnt, and which of them each labelled item of train has."""
    numbers, codes = np.unique(labelled.codes[labelled.train], return_inverse=True)
    classes = [labelled.names[number] for number in numbers]
    if len(classes) < 2:
        raise EvaluationError(
            f"all {labelled.n_train} labelled images of split train are of one class, {classes[0]!r}; expected two or more, for there is nothing to tell apart"
        )
    return classes, codes


def _folds(codes: Codes, seed: int) -> Codes:
    """The fold in which each item is left out, (N,); -1 for the only one of its class, which is always learnt from."""
    several = np.bincount(codes)[codes] > 1
    if not several.any():
        raise EvaluationError(
            f"each of the {len(codes)} classes has one label only: expected two in some class, to leave one out and see whether it is recognised; label a few more"
        )
    fold = np.full(len(codes), -1)
    fold[several] = folds(codes[several], min(FOLDS, int(several.sum())), seed)
    return fold


def _strength(x: NDArray[np.float32], codes: Codes, seed: int) -> float:
    """Choose C of logistic regression on a tenth of the rows, where there are enough."""
    if len(codes) < ENOUGH:
        return fewlabels.C
    return linear.best(linear.choose(x - x.mean(axis=0), codes, STRENGTHS, seed))  # centred: the same, in fewer steps


def _cross_calibrated(logits: NDArray[np.float64], truth: Codes, fold: Codes) -> NDArray[np.float64]:
    """Probabilities of each fold at the temperature that the other folds ask for: (N, C)."""
    found = np.empty_like(logits)
    for number in np.unique(fold):
        asked = fold == number
        found[asked] = softmax(logits[asked], fit_temperature(logits[~asked], truth[~asked]))
    return found


def _calibration(probabilities: NDArray[np.float64], truth: Codes) -> Calibration:
    return Calibration(log_loss(probabilities, truth), expected_calibration_error(probabilities, truth))


def _test(model: LinearClassifier, labelled: LabelledItems, seed: int) -> OnTest | None:
    if labelled.leave_one_out:
        return None
    said = model.probabilities(labelled.vectors(labelled.test)).argmax(axis=1)
    truth = [labelled.names[code] for code in labelled.codes[labelled.test]]
    right = np.array([model.classes[code] == name for code, name in zip(said, truth, strict=True)])
    return OnTest(len(right), float(right.mean()), bootstrap(right, seed), labelled.unseen)
