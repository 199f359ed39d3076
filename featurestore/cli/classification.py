"""The command that makes classifiers of a store's labels, applies them, and says what images are."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from featurestore.classification.predict import ApplyReport
from featurestore.classification.train import METHODS, ClassifierReport
from featurestore.cli.evaluation import seed_option
from featurestore.cli.options import PATH, encoder_option, json_option, print_json, provider_option
from featurestore.encoders.classifier import Classifier
from featurestore.progress import ProgressBar
from featurestore.sources import Failure
from featurestore.store import FeatureStore
from featurestore.system.text import printable
from featurestore.system.text_table import columns

SAID = 3  # classes of an image that are printed
BELONG = {  # options, and what they say something of
    "name": ("--train", "--export"),
    "method": ("--train",),
    "seed": ("--train",),
    "encoder": ("--train",),
    "where": ("--apply",),
    "k": ("IMAGE",),
    "provider": ("IMAGE",),
}


@click.command()
@click.argument("store", metavar="STORE|FILE.onnx", type=PATH)
@click.argument("images", metavar="[IMAGE]...", nargs=-1)
@click.option("--train", is_flag=True, help="Train a classifier on the labelled items, and keep it in STORE.")
@click.option("--apply", metavar="NAME", help="Write what it takes the items for into their columns NAME and NAME_confidence.")  # fmt: skip
@click.option("--export", type=PATH, metavar="FILE.onnx", help="Write it with its encoder as one file: an image in, probabilities out.")  # fmt: skip
@click.option("--drop", metavar="NAME", help="Forget it.")
@click.option("--name", metavar="NAME", help="Of the classifier that --train makes or --export takes.")
@click.option("--method", default=METHODS[0], show_default=True, metavar="|".join(METHODS), help="What learns from the labels.")  # fmt: skip
@click.option("--where", metavar="SQL", help="With --apply: only items for which this holds; the others keep what they have.")  # fmt: skip
@click.option("-k", default=SAID, show_default=True, help="How many classes of an IMAGE to print.")
@seed_option
@encoder_option
@provider_option
@json_option
@click.pass_context
def classify(
    context: click.Context,
    store: Path,
    images: tuple[str, ...],
    train: bool,
    apply: str | None,
    export: Path | None,
    drop: str | None,
    name: str | None,
    method: str,
    where: str | None,
    k: int,
    seed: int,
    encoder: str | None,
    provider: str,
    as_json: bool,
) -> None:
    """Train a classifier on the labels of STORE, apply it or export it; or say what IMAGEs are, by an exported FILE.onnx."""
    _check(context)
    if images:
        _say(Classifier(store, provider=provider), images, k, as_json)
        return
    opened = FeatureStore.open(store)
    if train:
        with ProgressBar() as bar:
            trained = opened.train_classifier(name or "", method, encoder, seed, bar)
        _print(as_json, trained.to_json(), _trained(trained))
    elif apply is not None:
        with ProgressBar() as bar:
            applied = opened.apply_classifier(apply, where, bar)
        _print(as_json, asdict(applied), _applied(applied))
    elif export is not None:
        tried = opened.export_classifier(name or "", export)
        told = f"{name} and its encoder written to {export}, tried on {tried} images of the store; use it by: featurestore classify {export} IMAGE"
        _print(as_json, {"file": str(export), "images": tried}, told)
    elif drop is not None:
        filled = opened.drop_classifier(drop)
        away = f"featurestore annotate {store} {' '.join(f'--drop {column}' for column in filled)}"
        _print(
            as_json,
            {"dropped": drop},
            f"{drop} dropped" + (f"; the columns that it filled stay: {away}" if filled else ""),
        )


def _print(as_json: bool, value: dict[str, Any], text: str) -> None:
    if as_json:
        print_json(value)
    else:
        click.echo(text)


def _check(context: click.Context) -> None:
    """Raise UsageError unless one thing is asked for, with options that belong to it."""
    given = {
        key
        for key in context.params
        if context.get_parameter_source(key) is click.core.ParameterSource.COMMANDLINE and context.params[key] != ()
    }
    actions = {"IMAGE": "images", "--train": "train", "--apply": "apply", "--export": "export", "--drop": "drop"}
    asked = [action for action, key in actions.items() if key in given]
    if len(asked) != 1:
        raise click.UsageError(
            f"expected one of --train, --apply NAME, --export FILE.onnx, --drop NAME, or IMAGEs for a FILE.onnx; found {' and '.join(asked) or 'none'}"
        )
    for key, owners in BELONG.items():
        if key in given and asked[0] not in owners:
            raise click.UsageError(
                f"{'-' if key == 'k' else '--'}{key} belongs to {' and '.join(owners)}, not to {asked[0]}"
            )
    if "name" not in given and asked[0] in BELONG["name"]:
        raise click.UsageError(f"{asked[0]} needs --name NAME")


def _say(classifier: Classifier, images: tuple[str, ...], k: int, as_json: bool) -> None:
    said = list(classifier.classify_each(images))
    found = [(path, classes) for path, classes in said if not isinstance(classes, Failure)]
    if as_json:
        print_json([
            {"path": path, "classes": [{"label": label, "probability": p} for label, p in classes]} for path, classes in found
        ])  # fmt: skip
    elif found:
        rows = [(path, label, p) for path, classes in found for label, p in classes[:k]]
        click.echo(columns(rows, ("image", "class", "probability")))
    for _, classes in said:
        if isinstance(classes, Failure):
            click.echo(f"featurestore: {classes.reason}", err=True)
    if len(found) < len(said):
        sys.exit(1)


def _trained(report: ClassifierReport) -> str:
    strength = "" if report.c is None else f", C = {report.c:g}"
    learnt = "split train" if report.labels == "train" else "all labelled images"
    measured: list[tuple[Any, ...]] = [
        (f"{report.folds}-fold cross-validation", report.n_validated, report.top1, _interval(report.top1_ci95))
    ]
    if report.test is not None:
        measured.append(("split test", report.test.n_test, report.test.top1, _interval(report.test.top1_ci95)))
    classes = [(c.label, c.n, c.recall, c.precision) for c in report.classes]
    parts = [
        f"{report.name}  {report.method}{strength}, learnt from {report.n_train} images ({learnt}), seed {report.seed}, encoder {report.encoder[:16]}",
        columns(measured, ("measured by", "n", "top-1", "95 % interval")),
        f"calibrated at T = {report.temperature:.3g}: expected calibration error {report.before.ece:.4f} before, {report.after.ece:.4f} after; "
        f"log loss {report.before.log_loss:.4f} before, {report.after.log_loss:.4f} after",
        columns(classes, ("label", "n", "recall", "precision")),
    ]
    if report.few:
        listed = ", ".join(f"{printable(label)} {n}" for label, n in report.few.items())
        parts.append(f"few labels: {listed}; little can be told of these, and a class with one label is not measured")
    if report.test is not None and report.test.unseen:
        listed = ", ".join(map(printable, report.test.unseen))
        parts.append(f"never right on split test, since split train has no such label: {listed}")
    return "\n\n".join(parts)


def _applied(report: ApplyReport) -> str:
    said, confidence = report.columns
    parts = [f"{report.items} items classified: columns {said} and {confidence}"]
    if report.counts:
        parts.append(columns(list(report.counts.items()), (said, "items")))
    if report.without_vector:
        parts.append(
            f"{report.without_vector} items without a vector of the classifier's encoder were left out; index them with it"
        )
    return "\n\n".join(parts)


def _interval(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.4f} to {ends[1]:.4f}"
