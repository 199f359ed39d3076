"""Commands that help to label: which images next, and how well the labelled ones cover the others."""

from collections.abc import Iterator
from pathlib import Path

import click

from featurestore import curation
from featurestore.cli.findings import Output, report_options
from featurestore.cli.options import PATH, seed_option, store_argument, where_option
from featurestore.curation import CoverageReport, SimulationReport, SuggestReport
from featurestore.curation.simulation import PLOTS, SEEDS
from featurestore.curation.strategies import STRATEGIES
from featurestore.curation.suggest import COUNT, require_no_labels
from featurestore.progress import ProgressBar
from featurestore.system.disk import require_suffix
from featurestore.system.terminal import print_line, print_result
from featurestore.system.text import as_argument
from featurestore.system.text_table import format_table


@click.command()
@store_argument
@click.option("-n", "--count", type=click.IntRange(min=1), metavar="N", help=f"Number of images.  [default: {COUNT}]")
@click.option("--by", type=click.Choice(list(STRATEGIES)), multiple=True, help="How they are chosen; loss needs the column ssl_loss. With --simulate, may be repeated.  [default: auto; with --simulate all]")  # fmt: skip
@click.option("--out", type=PATH, metavar="FILE.csv", help="Also write them to a table, whose column label is for you to fill in.")  # fmt: skip
@click.option("--simulate", is_flag=True, help="Play the loop on the labels that STORE has: accuracy against the number of labels.")  # fmt: skip
@click.option("--labels", "budgets", type=click.IntRange(min=1), multiple=True, metavar="N", help="With --simulate: a number of labels to measure at; may be repeated.  [default: 10, 20, 30, 50, 100, 200]")  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=2), metavar="N", help=f"With --simulate: how often.  [default: {SEEDS}]")  # fmt: skip
@click.option("--plot", type=PATH, metavar="FILE.png", help="With --simulate: also draw the curves.")
@where_option
@seed_option
@report_options("suggested, which is random or chosen,")
def suggest(
    store: Path,
    count: int | None,
    by: tuple[str, ...],
    out: Path | None,
    simulate: bool,
    budgets: tuple[int, ...],
    seeds: int | None,
    plot: Path | None,
    where: str | None,
    seed: int,
    encoder: str | None,
    output: Output,
) -> None:
    """Say which images of STORE to label next, so that few labels go far.

    A tenth of them is drawn at random: accuracy measured on these is honest, since they were not chosen.
    """
    own = {
        "-n": count,
        "--out": out,
        "--html": output.html,
        "--sheet": output.sheet,
        "--where": where,
        "--seed": seed or None,
        "--column": output.column,
    }
    of_simulation = {"--labels": budgets, "--seeds": seeds, "--plot": plot}
    wrong = [name for name, value in (own if simulate else of_simulation).items() if value]
    if wrong or (len(by) > 1 and not simulate):
        raise click.UsageError(
            f"{', '.join(wrong)} does not go with --simulate"
            if simulate
            else f"--simulate is missing, without which {', '.join(wrong) or 'several --by'} cannot be used"
        )
    opened = output.open_store(store, "suggest")
    if out is not None:
        require_no_labels(opened, out)
    if plot is not None:
        require_suffix(plot, PLOTS, "a plot")
    with ProgressBar() as bar:
        if simulate:
            played = curation.simulate(opened, by or None, budgets or None, seeds or SEEDS, encoder, bar)
        else:
            report = curation.suggest(opened, count or COUNT, by[0] if by else "auto", encoder, where, seed, bar)
    if simulate:
        if plot is not None:
            played.plot(plot)
        print_result(played.to_json(), _simulation(played), output.as_json)
        return
    if out is not None:
        report.csv(out)
        print_line(
            f"written to {out}: fill in the column label, then: featurestore label {as_argument(store)} {as_argument(out)}",
            err=True,
        )
    output.show(opened, report, _suggestions, len(report.items))


@click.command()
@store_argument
@where_option
@report_options("coverage")
def coverage(store: Path, where: str | None, encoder: str | None, output: Output) -> None:
    """Say how far the images of STORE are from the nearest labelled one: for each class, and which are farthest."""
    opened = output.open_store(store, "coverage")
    with ProgressBar() as bar:
        report = curation.coverage(opened, encoder, where, bar)
    output.show(opened, report, _coverage)


def _suggestions(report: SuggestReport) -> Iterator[str]:
    yield ""
    yield from format_table([(item.id, item.reason, item.path) for item in report.items], ("id", "reason", "path"))


def _simulation(report: SimulationReport) -> Iterator[str]:
    yield f"accuracy in %, {report.seeds} seeds, ridge regression, {report.n_pool:,} images to choose from, {report.n_test:,} to predict"
    yield "beside random: the difference to random choice on the same seeds, with its 95 % interval; then how many times as many labels random choice needs"
    yield ""
    rows = []
    for name, figures in report.strategies.items():
        for row in figures:
            saving = report.saving.get(name, {}).get(str(row.labels))
            against = "" if name == "random" else f"{row.minus_random * 100:+.1f} ± {row.minus_random_ci95 * 100:.1f}"
            rows.append((name, row.labels, f"{row.top1_mean * 100:.1f} ± {row.top1_ci95 * 100:.1f}", against, "" if saving is None else f"{saving:.2f}", f"{row.classes:.1f}"))  # fmt: skip
    yield from format_table(rows, ("by", "labels", "accuracy", "beside random", "saving", "classes known"))


def _coverage(report: CoverageReport) -> Iterator[str]:
    if not report.items:
        return
    yield ""
    rows = [
        (c.label, c.labelled, c.nearest, *("" if value is None else f"{value:.3f}" for value in (c.covered, c.mean_score)))
        for c in report.classes
    ]  # fmt: skip
    yield from format_table(rows, ("label", "labelled", "nearest to it", "covered", "mean score"))
    yield ""
    far = [(f"{item.score:.3f}", item.id, item.label, item.path) for item in report.items]
    yield from format_table(far, ("score", "id", "nearest label", "farthest"))
