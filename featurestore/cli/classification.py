"""The command that trains classifiers on the labels of a store, applies and exports them, and classifies images."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from featurestore import classification
from featurestore.classification.export import export as export_classifier
from featurestore.classification.predict import ApplyReport
from featurestore.classification.train import METHODS, ClassifierReport
from featurestore.cli.options import (
    PATH,
    encoder_option,
    json_option,
    provider_option,
    seed_option,
    spaced,
)
from featurestore.encoders.classifier import Classifier
from featurestore.progress import ProgressBar
from featurestore.sources import Failure
from featurestore.storage import Storage
from featurestore.system.terminal import print_json, print_line, print_lines, print_result
from featurestore.system.text import as_argument, counted
from featurestore.system.text_table import format_table

PRINTED = 3  # classes of an image
BELONGS_TO = {  # each option, and the actions it goes with
    "name": ("--train", "--export"),
    "method": ("--train",),
    "seed": ("--train",),
    "encoder": ("--train",),
    "where": ("--train", "--apply"),
    "k": ("IMAGE",),
    "provider": ("IMAGE",),
}


@click.command()
@click.argument("store", metavar="STORE|FILE.onnx", type=PATH)
@click.argument("images", metavar="[IMAGE]...", nargs=-1)
@click.option("--train", is_flag=True, help="Train a classifier on the labelled items and save it in STORE.")
@click.option("--apply", metavar="NAME", help="Write the predictions of a classifier to the items, in columns NAME and NAME_confidence.")  # fmt: skip
@click.option("--export", type=PATH, metavar="FILE.onnx", help="Write a classifier and its encoder as one file: image in, probabilities out.")  # fmt: skip
@click.option("--drop", metavar="NAME", help="Delete a classifier.")
@click.option("--name", metavar="NAME", help="Name of the classifier to train or export.")
@click.option("--method", default=METHODS[0], show_default=True, metavar="|".join(METHODS), help="Kind of classifier to train.")  # fmt: skip
@click.option("--where", metavar="SQL", help="Train on or apply to only those items for which this is true; the others keep their values.")  # fmt: skip
@click.option("-k", "--k", default=PRINTED, show_default=True, help="Number of classes to print for each IMAGE.")
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
    """Train a classifier on the labels of STORE, apply it or export it; or classify IMAGEs with an exported FILE.onnx."""
    _check(context)
    if images:
        _classify(Classifier(store, provider=provider), images, k, as_json)
        return
    opened = Storage.open(store)
    if train:
        with ProgressBar() as bar:
            trained = classification.train(opened, name or "", method, encoder, seed, bar, where)
        print_result(trained.to_json(), _trained(trained), as_json)
    elif apply is not None:
        with ProgressBar() as bar:
            applied = classification.apply(opened, apply, where, bar)
        print_result(asdict(applied), _applied(applied), as_json)
    elif export is not None:
        tried = export_classifier(opened, name or "", export)
        text = f"{name} and its encoder written to {export}, checked with {tried} images of the store; to use it: featurestore classify {as_argument(export)} IMAGE"
        print_result({"file": str(export), "images": tried}, [text], as_json)
    elif drop is not None:
        filled = classification.drop(opened, drop)
        remove = f"featurestore annotate {as_argument(store)} {' '.join(f'--drop {as_argument(column)}' for column in filled)}"
        text = f"{drop} dropped" + (f"; its columns stay, to remove them: {remove}" if filled else "")
        print_result({"dropped": drop}, [text], as_json)


def _check(context: click.Context) -> None:
    """Raise UsageError unless exactly one action is given, with options that belong to it."""
    given = {
        key
        for key in context.params
        if context.get_parameter_source(key) is click.core.ParameterSource.COMMANDLINE and context.params[key] != ()
    }
    actions = {"IMAGE": "images", "--train": "train", "--apply": "apply", "--export": "export", "--drop": "drop"}
    chosen = [action for action, key in actions.items() if key in given]
    if len(chosen) != 1:
        raise click.UsageError(
            f"expected one of --train, --apply NAME, --export FILE.onnx, --drop NAME, or IMAGEs for a FILE.onnx; found {' and '.join(chosen) or 'none'}"
        )
    for key, owners in BELONGS_TO.items():
        if key in given and chosen[0] not in owners:
            raise click.UsageError(f"--{key} belongs to {' and '.join(owners)}, not to {chosen[0]}")
    if "name" not in given and chosen[0] in BELONGS_TO["name"]:
        raise click.UsageError(f"{chosen[0]} needs --name NAME")


def _classify(classifier: Classifier, images: tuple[str, ...], k: int, as_json: bool) -> None:
    results = list(classifier.classify_each(images))
    found = [(path, classes) for path, classes in results if not isinstance(classes, Failure)]
    if as_json:
        print_json([
            {"path": path, "classes": [{"label": label, "probability": p} for label, p in classes]} for path, classes in found
        ])  # fmt: skip
    elif found:
        rows = [(path, label, p) for path, classes in found for label, p in classes[:k]]
        print_lines(format_table(rows, ("image", "class", "probability")))
    for _, classes in results:
        if isinstance(classes, Failure):
            print_line(f"featurestore: {classes.reason}", err=True)
    if len(found) < len(results):
        sys.exit(1)


def _trained(report: ClassifierReport) -> list[str]:
    strength = "" if report.c is None else f", C = {report.c:g}"
    source = "split train" if report.labels == "train" else "all labelled images"
    measured: list[tuple[Any, ...]] = [
        (f"{report.folds}-fold cross-validation", report.n_validated, report.top1, _interval(report.top1_ci95))
    ]
    if report.test is not None:
        measured.append(("split test", report.test.n_test, report.test.top1, _interval(report.test.top1_ci95)))
    classes = [(c.label, c.n, c.recall, c.precision) for c in report.classes]
    filtered = "" if report.where is None else f" where {report.where}"
    heading = f"{report.name}  {report.method}{strength}, trained on {report.n_train} images ({source}){filtered}, seed {report.seed}, encoder {report.encoder[:16]}"
    blocks = [
        [heading, *(f"note: {note}" for note in report.notes)],
        format_table(measured, ("measured by", "n", "top-1", "95 % interval")),
        [
            f"calibrated at T = {report.temperature:.3g}: expected calibration error {report.before.ece:.4f} before, {report.after.ece:.4f} after; "
            f"log loss {report.before.log_loss:.4f} before, {report.after.log_loss:.4f} after"
        ],
        format_table(classes, ("label", "n", "recall", "precision")),
    ]
    twins = [("the cross-validation", report.twins)]
    twins += [] if report.test is None else [("split test", report.test.twins)]
    for where, found in twins:
        if found.n:
            without = "" if found.top1_without is None else f"; top-1 without them {found.top1_without:.4f}"
            blocks.append(
                [f"twins: {counted(found.n, 'image')} of {where} with an exact copy among those trained on{without}"]
            )
    if report.few:
        listed = ", ".join(f"{label} {n}" for label, n in report.few.items())
        blocks.append(
            [
                f"few labels: {listed}; figures of these classes are uncertain, and a class with one label is not measured"
            ]
        )
    if report.test is not None and report.test.unseen:
        listed = ", ".join(report.test.unseen)
        blocks.append([f"never predicted on split test, since split train has no such label: {listed}"])
    return spaced(blocks)


def _applied(report: ApplyReport) -> list[str]:
    label, confidence = report.columns
    blocks = [[f"{report.items} items classified: columns {label} and {confidence}"]]
    if report.counts:
        blocks.append(format_table(list(report.counts.items()), (label, "items")))
    if report.without_vector:
        blocks.append(
            [
                f"{report.without_vector} items have no vector of the classifier's encoder and were left out; index them with it"
            ]
        )
    return spaced(blocks)


def _interval(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.4f} to {ends[1]:.4f}"
