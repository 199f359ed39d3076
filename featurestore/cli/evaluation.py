"""Commands that measure a store by its labels: each parses, makes one library call and prints."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from featurestore.cli.options import PATH, encoder_option, json_option, print_json
from featurestore.estimators.few_shot import METHODS
from featurestore.evaluation import EpisodesReport, LowShotReport
from featurestore.evaluation.linear import GRID
from featurestore.evaluation.lowshot import MEASURED, TRIES
from featurestore.metrics.confusion import ClassFigures, Confusion
from featurestore.progress import ProgressBar
from featurestore.store import FeatureStore
from featurestore.system.text_table import columns

DRAWN = 12  # classes up to which a whole confusion matrix is printed
CONFUSED = 10  # pairs printed where there are more

seed_option = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of all that is drawn."
)


@click.command()
@click.argument("store", type=PATH)
@click.option(
    "--k",
    "ks",
    type=int,
    multiple=True,
    help="Number of neighbours that vote; may be repeated.  [default: 10 20 100 200]",
)
@click.option("--temperature", default=0.07, show_default=True, help="T in the weight exp(score / T) of a vote.")
@seed_option
@encoder_option
@json_option
def knn(store: Path, ks: tuple[int, ...], temperature: float, seed: int, encoder: str | None, as_json: bool) -> None:
    """Measure how well nearest neighbours in STORE share a label (test against train, else leave-one-out)."""
    report = FeatureStore.open(store).knn(ks or None, temperature, encoder, seed)
    if as_json:
        print_json(report.to_json())
        return
    _heading("k-NN", report)
    rows = [(r.k, f"{r.temperature:g}", r.top1, _interval(r.top1_ci95), r.top5) for r in report.results]
    click.echo(columns(rows, ("k", "T", "top-1", "95 % interval", "top-5")))
    click.echo(f"\nclasses, at k = {report.k}, T = {report.temperature:g}")
    _classes(report.classes, report.unseen)
    _confusion(report.confusion)


@click.command()
@click.argument("store", type=PATH)
@click.option("--grid", type=click.IntRange(min=1), default=GRID, show_default=True, help="How many values of C are tried, from 1e-6 to 1e5; 45 as in DINOv2.")  # fmt: skip
@seed_option
@encoder_option
@json_option
def linear(store: Path, grid: int, seed: int, encoder: str | None, as_json: bool) -> None:
    """Measure logistic regression on the vectors of STORE (test against train, else cross-validation)."""
    with ProgressBar() as bar:
        report = FeatureStore.open(store).linear(grid, encoder, seed, bar)
    if as_json:
        print_json(report.to_json())
        return
    _heading("linear", report)
    click.echo(f"top-1 {report.top1:.4f}, 95 % interval {_interval(report.top1_ci95)}, C = {report.c:.3g}\n")
    click.echo(columns([(f"{r.c:.3g}", r.top1) for r in report.results], ("C", "top-1 on a tenth of train")))
    click.echo()
    _classes(report.classes, report.unseen)


@click.command()
@click.argument("store", type=PATH)
@click.option(
    "--shots", type=int, multiple=True, help="Labels a class; may be repeated.  [default: 1 2 5 10; of episodes 1 5]"
)
@click.option(
    "--fraction",
    "fractions",
    type=float,
    multiple=True,
    help="Share of all labels; may be repeated.  [default: 0.01 0.1]",
)
@click.option("--tries", type=int, default=TRIES, show_default=True, help="How often labels are drawn.")
@click.option(
    "--method",
    "methods",
    type=click.Choice(list(METHODS)),
    multiple=True,
    help=f"What learns from them; may be repeated.  [default: {' '.join(MEASURED)}]",
)
@click.option("--way", type=int, help="Run episodes instead: so many classes in each, told apart by the nearest mean.")
@click.option(
    "--queries", type=int, default=15, show_default=True, help="Of an episode: items of each class to be named."
)
@click.option("--episodes", type=int, default=600, show_default=True, help="How many.")
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
    seed: int,
    encoder: str | None,
    as_json: bool,
) -> None:
    """Measure how well a few labels name the rest of STORE (test by labels of train, else all by some)."""
    if way is not None and (fractions or methods):
        raise click.UsageError("--way runs episodes, which know neither --fraction nor --method")
    report: LowShotReport | EpisodesReport
    with ProgressBar() as bar:
        opened = FeatureStore.open(store)
        if way is None:
            report = opened.lowshot(shots or None, fractions or None, tries, methods or MEASURED, encoder, seed, bar)
        else:
            report = opened.episodes(way, shots or (1, 5), queries, episodes, encoder, seed, bar)
    if as_json:
        print_json(report.to_json())
    elif isinstance(report, LowShotReport):
        _heading("few labels", report)
        rows = [
            (
                f"{r.shots} a class" if r.fraction is None else f"{r.fraction:.3g} of all",
                r.labels,
                r.method,
                *_mean(r),
                r.tries,
            )
            for r in report.results
        ]
        click.echo(columns(rows, ("labels", "drawn", "method", "top-1", "95 % ±", "tries")))
        for method, settings in report.settings.items():
            click.echo(f"{method}: {', '.join(f'{name} = {value:g}' for name, value in settings.items())}")
    else:
        _heading(f"episodes ({report.method})", report)
        lines = [(r.way, r.shots, r.queries, *_mean(r), r.episodes, r.classes) for r in report.results]
        click.echo(columns(lines, ("ways", "shots", "queries", "top-1", "95 % ±", "episodes", "of classes")))


@click.command()
@click.argument("store", type=PATH)
@click.option(
    "--k", "ks", type=int, multiple=True, help="Of recall@k and precision@k; may be repeated.  [default: 1 5 10]"
)
@encoder_option
@json_option
def retrieval(store: Path, ks: tuple[int, ...], encoder: str | None, as_json: bool) -> None:
    """Measure whether what has a query's label comes first in STORE (test asks for train, else each for all others)."""
    with ProgressBar() as bar:
        report = FeatureStore.open(store).retrieval(ks or None, encoder, bar)
    if as_json:
        print_json(report.to_json())
        return
    result = report.result
    click.echo(
        f"retrieval  {report.split}, {report.n_train} to be found, {report.n_test} queries, {result.queries_without_match} of them without a match, "
        f"encoder {report.encoder[:16]}"
    )
    click.echo(f"mAP {result.map:.4f}\n")
    rows = [(k, result.recall[k], result.precision[k]) for k in result.recall]
    click.echo(columns(rows, ("k", "recall@k", "precision@k")))


# -- what they share


def _heading(what: str, report: Any) -> None:
    click.echo(
        f"{what}  {report.split}, {report.n_train} train, {report.n_test} test, seed {report.seed}, encoder {report.encoder[:16]}"
    )


def _interval(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.4f} to {ends[1]:.4f}"


def _mean(result: Any) -> tuple[float, float]:
    return result.top1_mean, result.top1_ci95


def _classes(classes: Sequence[ClassFigures], unseen: Sequence[str]) -> None:
    rows = [(c.label, c.n, c.recall, c.precision) for c in classes]
    click.echo(columns(rows, ("label", "n", "recall", "precision")))
    if unseen:
        click.echo(f"\nnever right, since nothing to learn from has the label: {', '.join(unseen)}")


def _confusion(confusion: Confusion) -> None:
    """Print the matrix where it fits on a page, else the most frequent mistakes."""
    if len(confusion.labels) <= DRAWN:
        click.echo("\ntaken for")
        rows = [(label, *line) for label, line in zip(confusion.labels, confusion.counts, strict=True)]
        click.echo(columns(rows, ("label", *confusion.labels)))
    elif pairs := confusion.pairs()[:CONFUSED]:
        click.echo(f"\nthe most frequent mistakes of {len(confusion.labels)} classes")
        click.echo(columns(pairs, ("times", "label", "taken for")))
