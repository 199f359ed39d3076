"""Commands that measure encoders by the labels of a store."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from featurestore import evaluation
from featurestore.cli.options import (
    encoder_option,
    json_option,
    seed_option,
    store_argument,
    where_option,
)
from featurestore.estimators.few_shot import FEW_SHOT_METHODS
from featurestore.evaluation import EpisodesReport, LowShotReport
from featurestore.evaluation.knn import KnnReport
from featurestore.evaluation.linear import GRID
from featurestore.evaluation.lowshot import MEASURED, TRIES
from featurestore.evaluation.same_pictures import finding_command
from featurestore.metrics.checks import first_few
from featurestore.metrics.confusion import ClassFigures, Confusion
from featurestore.progress import ProgressBar
from featurestore.storage import Storage
from featurestore.system.terminal import print_result
from featurestore.system.text import as_argument, counted
from featurestore.system.text_table import format_table

MATRIX = 12  # classes up to which the confusion matrix is printed
CONFUSED = 10  # pairs of classes printed instead
NAMED = 20  # classes that are left out
ONE_SET = ("leave-one-out", "cross-validation", "drawn->rest")  # where the same images are trained on and predicted

temperature_option = click.option(
    "--temperature", default=0.07, show_default=True, help="T in the weight exp(score / T) of a vote."
)


@click.command()
@store_argument
@click.option("-k", "--k", "ks", type=int, multiple=True, help="Number of neighbours that vote; may be repeated.  [default: 10 20 100 200]")  # fmt: skip
@temperature_option
@where_option
@encoder_option
@json_option
def knn(
    store: Path, ks: tuple[int, ...], temperature: float, where: str | None, encoder: str | None, as_json: bool
) -> None:
    """Measure k-NN classification in STORE (test against train, otherwise leave-one-out)."""
    report = evaluation.knn(Storage.open(store), ks or None, temperature, encoder, where)
    of_encoder = "" if encoder is None else f" --encoder {as_argument(encoder)}"
    print_result(report.to_json(), _knn(report, as_argument(store) + of_encoder), as_json)


def _knn(report: KnnReport, at: str) -> Iterator[str]:
    yield from _heading("k-NN", report)
    rows = [(r.k, f"{r.temperature:g}", r.top1, _interval(r.top1_ci95), r.top5) for r in report.results]
    yield from format_table(rows, ("k", "T", "top-1", "95 % interval", "top-5"))
    yield from _leaks(report, at)
    if report.several_labels:
        yield ""
        yield f"{counted(report.several_labels, 'image')} with several labels: a prediction is right when it is one of them; no figures of classes, no confusion matrix"
        yield from _unseen(report.unseen)
        return
    yield ""
    yield f"classes, at k = {report.k}, T = {report.temperature:g}"
    yield from _classes(report.classes, report.unseen)
    yield from _confusion(report.confusion)


def _leaks(report: KnnReport, at: str) -> Iterator[str]:
    """How many test images show a picture that they are predicted from, or else have an exact copy there, and the figure without them."""
    figure, leaks = f"top-1 at k = {report.k}", report.leaks
    if leaks is None:
        yield from _twins(report.twins.n, report.split, figure, report.twins.top1_without)
        yield f"near copies were not looked for: featurestore {finding_command(report.split)} {at}"
        return
    without = f"; {figure} without them {leaks.top1_without:.4f}" if leaks.top1_without is not None else ""
    unseen = f"; {counted(leaks.unseen, 'picture')} could not be looked at" if leaks.unseen else ""
    show = f"{counted(leaks.n, 'test image shows', 'test images show')} the picture of {_bank(report.split)}"
    yield f"leaks: {show}, {report.twins.n:,} as an exact copy{without}{unseen}" if leaks.n else f"leaks: none{unseen}"


@click.command()
@store_argument
@click.option("--grid", type=click.IntRange(min=1), default=GRID, show_default=True, help="Number of values of C to try, from 1e-6 to 1e5; 45 as in DINOv2.")  # fmt: skip
@where_option
@seed_option
@encoder_option
@json_option
def linear(store: Path, grid: int, where: str | None, seed: int, encoder: str | None, as_json: bool) -> None:
    """Measure logistic regression on the vectors of STORE (test against train, otherwise cross-validation)."""
    with ProgressBar() as bar:
        report = evaluation.linear(Storage.open(store), grid, encoder, seed, bar, where)
    lines = [
        *_heading("linear", report),
        f"top-1 {report.top1:.4f}, 95 % interval {_interval(report.top1_ci95)}, C = {report.c:.3g}",
        *_twins(report.twins.n, report.split, "top-1", report.twins.top1_without),
        "",
        *format_table([(f"{r.c:.3g}", r.top1) for r in report.results], ("C", "top-1 within train")),
        "",
        *_classes(report.classes, report.unseen),
    ]
    print_result(report.to_json(), lines, as_json)


@click.command()
@store_argument
@click.option("--shots", type=int, multiple=True, help="Labels per class; may be repeated.  [default: 1 2 5 10; with --way 1 5]")  # fmt: skip
@click.option("--fraction", "fractions", type=float, multiple=True, help="Share of all labels; may be repeated.  [default: 0.01 0.1]")  # fmt: skip
@click.option("--tries", type=int, default=TRIES, show_default=True, help="How often labels are drawn.")
@click.option("--method", "methods", type=click.Choice(list(FEW_SHOT_METHODS)), multiple=True, help=f"Classifier to train on them; may be repeated.  [default: {' '.join(MEASURED)}]")  # fmt: skip
@click.option("--way", type=int, help="Run episodes instead, with this many classes each, classified by the nearest mean.")  # fmt: skip
@click.option("--queries", type=int, default=15, show_default=True, help="Query items per class of an episode.")
@click.option("--episodes", type=int, default=600, show_default=True, help="Number of episodes.")
@where_option
@seed_option
@encoder_option
@json_option
def lowshot(
    store: Path,
    shots: tuple[int, ...],
    fractions: tuple[float, ...],
    tries: int,
    methods: tuple[str, ...],
    way: int | None,
    queries: int,
    episodes: int,
    where: str | None,
    seed: int,
    encoder: str | None,
    as_json: bool,
) -> None:
    """Measure classification from a few labels of STORE (test by labels of train, otherwise the rest by the labels drawn)."""
    if way is not None and (fractions or methods):
        raise click.UsageError("--way runs episodes, which have neither --fraction nor --method")
    report: LowShotReport | EpisodesReport
    with ProgressBar() as bar:
        opened = Storage.open(store)
        if way is None:
            report = evaluation.lowshot(
                opened, shots or None, fractions or None, tries, methods or MEASURED, encoder, seed, bar, where
            )
        else:
            report = evaluation.episodes(opened, way, shots or (1, 5), queries, episodes, encoder, seed, bar, where)
    lines = _lowshot(report) if isinstance(report, LowShotReport) else _episodes(report)
    print_result(report.to_json(), lines, as_json)


def _lowshot(report: LowShotReport) -> Iterator[str]:
    yield from _heading("few labels", report)
    if report.left_out:
        listed = [f"{name} {count}" for name, count in report.left_out.items()]
        yield f"left out: {counted(len(listed), 'class', 'classes')} with too few labels to draw from ({first_few(listed, NAMED)})"
    rows: list[tuple[Any, ...]] = []
    without = any(r.without is not None for r in report.results)
    for r in report.results:
        labels = f"{r.shots} per class" if r.fraction is None else f"{r.fraction:.3g} of all"
        rows.append((labels, r.labels, r.method, r.top1_mean, r.top1_ci95, *[r.without] * without, r.tries))
    yield from format_table(
        rows, ("labels", "drawn", "method", "top-1", "95 % ±", *["without twins"] * without, "tries")
    )
    if report.twins:
        yield f"twins: {counted(report.twins, 'image')} to predict with an exact copy among those whose labels may be drawn"
    for method, settings in report.settings.items():
        yield f"{method}: {', '.join(f'{name} = {value:g}' for name, value in settings.items())}"


def _episodes(report: EpisodesReport) -> Iterator[str]:
    yield from _heading(f"episodes ({report.method})", report)
    rows = [(r.way, r.shots, r.queries, r.top1_mean, r.top1_ci95, r.episodes, r.classes) for r in report.results]
    yield from format_table(rows, ("ways", "shots", "queries", "top-1", "95 % ±", "episodes", "of classes"))


@click.command()
@store_argument
@click.option("-k", "--k", "ks", type=int, multiple=True, help="k of recall@k and precision@k; may be repeated.  [default: 1 5 10]")  # fmt: skip
@where_option
@encoder_option
@json_option
def retrieval(store: Path, ks: tuple[int, ...], where: str | None, encoder: str | None, as_json: bool) -> None:
    """Measure whether a query's nearest items in STORE share its label (test queries against train, otherwise each against all others)."""
    with ProgressBar() as bar:
        report = evaluation.retrieval(Storage.open(store), ks or None, encoder, bar, where)
    result = report.result
    rows = [(k, result.recall[k], result.precision[k]) for k in result.recall]
    lines = [
        f"retrieval  {report.split}, {report.n_train} candidates, {report.n_test} queries, {result.queries_without_match} of them without a match, encoder {report.encoder[:16]}",
        *_chosen(report),
        f"mAP {result.map:.4f}",
        *_twins(report.twins, report.split, "mAP", None if report.without_twins is None else report.without_twins.map),
        "",
        *format_table(rows, ("k", "recall@k", "precision@k")),
    ]
    print_result(report.to_json(), lines, as_json)


# -- shared


def _heading(what: str, report: Any) -> Iterator[str]:
    seed = f"seed {report.seed}, " if hasattr(report, "seed") else ""
    yield f"{what}  {report.split}, {report.n_train} train, {report.n_test} test, {seed}encoder {report.encoder[:16]}"
    yield from _chosen(report)


def _chosen(report: Any) -> Iterator[str]:
    """What the items were chosen by, and what the user should know of the choice."""
    if report.where is not None:
        count = report.n_train if report.split in ONE_SET else report.n_train + report.n_test
        yield f"{count} labelled items where {report.where}"
    yield from (f"note: {note}" for note in report.notes)


def _twins(count: int, split: str, figure: str, without: float | None) -> Iterator[str]:
    if count:
        yield f"twins: {have_twins(count, split)}" + (
            f"; {figure} without them {without:.4f}" if without is not None else ""
        )


def have_twins(count: int, split: str) -> str:
    return f"{count} test image{'s are exact copies' if count > 1 else ' is an exact copy'} of {_bank(split)}"


def _bank(split: str) -> str:
    """What test images are predicted from."""
    return "another image" if split in ONE_SET else "a training image"


def _interval(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.4f} to {ends[1]:.4f}"


def _classes(classes: Sequence[ClassFigures], unseen: Sequence[str]) -> Iterator[str]:
    yield from format_table(
        [(c.label, c.n, c.recall, c.precision) for c in classes], ("label", "n", "recall", "precision")
    )
    yield from _unseen(unseen)


def _unseen(unseen: Sequence[str]) -> Iterator[str]:
    if unseen:
        yield ""
        yield f"never predicted, since no training item has the label: {', '.join(unseen)}"


def _confusion(confusion: Confusion) -> Iterator[str]:
    """The matrix where it fits on a screen, otherwise the most frequent mistakes."""
    if len(confusion.labels) <= MATRIX:
        yield ""
        yield "confusion matrix: rows are labels, columns are predictions"
        rows = [(label, *line) for label, line in zip(confusion.labels, confusion.counts, strict=True)]
        yield from format_table(rows, ("label", *confusion.labels))
    elif pairs := confusion.pairs()[:CONFUSED]:
        yield ""
        yield f"the most frequent mistakes of {len(confusion.labels)} classes"
        yield from format_table(pairs, ("times", "label", "predicted"))
