"""The command that sets encoders side by side."""

from pathlib import Path

import click

from featurestore.cli.options import PATH, json_option, print_json
from featurestore.evaluation.compare import compare as compare_encoders
from featurestore.evaluation.comparison import Comparison, points
from featurestore.evaluation.linear import GRID
from featurestore.progress import ProgressBar
from featurestore.system.text import printable
from featurestore.system.text_table import columns


@click.command()
@click.argument("stores", metavar="STORE...", nargs=-1, required=True, type=PATH)
@click.option(
    "--encoder",
    "encoders",
    metavar="NAME",
    multiple=True,
    help="An encoder to compare, the first with those that follow: name, fingerprint or ONNX file.  [default: all]",
)
@click.option("--k", type=int, help="Number of neighbours that vote, and whose agreement is measured.  [default: 20]")
@click.option("--temperature", default=0.07, show_default=True, help="T in the weight exp(score / T) of a vote.")
@click.option("--shots", type=int, multiple=True, help="Labels a class; may be repeated.  [default: 1 and 5]")
@click.option(
    "--linear/--no-linear",
    default=None,
    help="Logistic regression as well.  [default: where scikit-learn is installed]",
)
@click.option("--grid", default=GRID, show_default=True, help="How many values of C logistic regression tries.")
@click.option("--seed", default=0, show_default=True, help="Of what is drawn: few labels, samples and intervals.")
@json_option
def compare(
    stores: tuple[Path, ...],
    encoders: tuple[str, ...],
    k: int | None,
    temperature: float,
    shots: tuple[int, ...],
    linear: bool | None,
    grid: int,
    seed: int,
    as_json: bool,
) -> None:
    """Measure the same images by several encoders of a STORE, or of several, with their differences from the first."""
    with ProgressBar() as bar:
        found = compare_encoders(
            *stores,
            encoders=encoders,
            k=k,
            temperature=temperature,
            shots=shots or None,
            linear=linear,
            grid=grid,
            seed=seed,
            listener=bar,
        )
    if as_json:
        print_json(found.to_json())
        return
    click.echo(_heading(found))
    click.echo()
    click.echo(_figures(found))
    if found.split is not None:
        click.echo()
        click.echo(_differences(found))
        click.echo()
        click.echo("\n".join(found.verdicts))


def _heading(found: Comparison) -> str:
    """What was measured, and how, in lines."""
    lines = [f"{found.items} items that all have, {found.left_out} that some lack are left out; seed {found.seed}"]
    if found.split is None:
        lines.append("no labels, so only what needs none is measured; to give some: featurestore label STORE FILE.csv")
    else:
        lines.append(
            f"k-NN        {found.split}, {found.n_train} train, {found.n_test} test, {found.classes} classes, k = {found.k}, T = {found.temperature:g}"
        )
    if found.linear_split is not None:
        lines.append(f"linear      {found.linear_split}, logistic regression, {found.grid} values of C")
    if found.rows[0].lowshot:
        lines.append(f"few labels  {found.lowshot_split}, nearest mean, {found.tries} draws")
    lines.append(f"no labels   {found.sampled} items, {found.k} neighbours, agreement with {found.names()[0]}")
    if found.unseen:
        lines.append(
            f"never right {', '.join(map(printable, found.unseen))}: of these classes there is nothing to learn from"
        )
    if found.labelled_otherwise:
        lines.append(
            f"labels      {found.labelled_otherwise} items have others in another store; those of {found.rows[0].store} count"
        )
    return "\n".join(lines)


def _figures(found: Comparison) -> str:
    measured = found.rows[0].figures()
    rows = [
        (
            name,
            row.dim,
            *(figure.top1 for figure in row.figures().values()),
            row.rankme,
            row.uniformity,
            row.neighbour_agreement,
        )
        for name, row in zip(found.names(), found.rows, strict=True)
    ]
    return columns(rows, ("encoder", "dim", *measured, "RankMe", "uniformity", "agreement"))


def _differences(found: Comparison) -> str:
    """Differences from the first encoder, in hundredths, with their intervals."""
    rows = [
        (name, *(points(figure.difference) for figure in row.figures().values() if figure.difference is not None))
        for name, row in list(zip(found.names(), found.rows, strict=True))[1:]
    ]
    return columns(rows, (f"points above {found.names()[0]}", *found.rows[0].figures()))
