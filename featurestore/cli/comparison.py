"""The command that compares encoders on the same images."""

from collections.abc import Iterator
from pathlib import Path

import click

from featurestore.cli.evaluation import have_twins, temperature_option
from featurestore.cli.options import PATH, json_option, seed_option, spaced, where_option
from featurestore.evaluation.compare import compare as compare_encoders
from featurestore.evaluation.comparison import Comparison, points
from featurestore.evaluation.linear import GRID
from featurestore.progress import ProgressBar
from featurestore.system.terminal import print_result
from featurestore.system.text_table import format_table


@click.command()
@click.argument("stores", metavar="STORE...", nargs=-1, required=True, type=PATH)
@click.option("--encoder", "encoders", metavar="NAME", multiple=True, help="An encoder to compare: name, fingerprint or ONNX file; may be repeated, the first is the reference.  [default: all]")  # fmt: skip
@click.option(
    "-k", "--k", type=int, help="Number of neighbours that vote, and whose agreement is measured.  [default: 20]"
)
@temperature_option
@click.option("--shots", type=int, multiple=True, help="Labels per class; may be repeated.  [default: 1 and 5]")
@click.option("--linear/--no-linear", default=None, help="Logistic regression too.  [default: if scikit-learn is installed]")  # fmt: skip
@click.option("--grid", default=GRID, show_default=True, help="Number of values of C that logistic regression tries.")
@where_option
@seed_option
@json_option
def compare(
    stores: tuple[Path, ...],
    encoders: tuple[str, ...],
    k: int | None,
    temperature: float,
    shots: tuple[int, ...],
    linear: bool | None,
    grid: int,
    where: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Compare encoders of one or more STOREs on the same images: figures of each, and differences from the first."""
    with ProgressBar() as bar:
        found = compare_encoders(
            *stores, encoders=encoders, k=k, temperature=temperature, shots=shots or None, linear=linear, grid=grid,
            seed=seed, listener=bar, where=where,
        )  # fmt: skip
    blocks = [list(_conditions(found)), _figures(found)]
    if found.split is not None:
        blocks += [_differences(found), found.verdicts]
    print_result(found.to_json(), spaced(blocks), as_json)


def _conditions(found: Comparison) -> Iterator[str]:
    """What was measured, and how."""
    filtered = "" if found.where is None else f" where {found.where}"
    yield f"{found.items} items{filtered} with vectors of all encoders, {found.left_out} without are left out; seed {found.seed}"
    yield from (f"note        {note}" for note in found.notes)
    if found.split is None:
        yield "no labels, so only measures without labels; to add some: featurestore label STORE FILE.csv"
    else:
        yield f"k-NN        {found.split}, {found.n_train} train, {found.n_test} test, {found.classes} classes, k = {found.k}, T = {found.temperature:g}"
    if found.linear_split is not None:
        yield f"linear      {found.linear_split}, logistic regression, {found.grid} values of C"
    if found.rows[0].lowshot:
        yield f"few labels  {found.lowshot_split}, nearest mean, {found.tries} draws"
    yield f"no labels   {found.sampled} items, {found.k} neighbours, agreement with {found.names()[0]}"
    if found.unseen:
        yield f"untrained   {', '.join(found.unseen)}: no training item has these labels, so they are never predicted"
    if found.twins:
        pairs = zip(found.names(), found.rows, strict=True)
        without = [
            f"{name} {row.knn.without_twins:.4f}"
            for name, row in pairs
            if row.knn and row.knn.without_twins is not None
        ]
        yield f"twins       {have_twins(found.twins, found.split or '')}" + (
            f"; k-NN without them: {', '.join(without)}" if without else ""
        )
    if found.labelled_otherwise:
        yield f"labels      {found.labelled_otherwise} items have other labels in another store; those of {found.rows[0].store} count"


def _figures(found: Comparison) -> list[str]:
    rows = [
        (name, row.dim, *(f.top1 for f in row.figures().values()), row.rankme, row.uniformity, row.neighbour_agreement)
        for name, row in zip(found.names(), found.rows, strict=True)
    ]
    return format_table(rows, ("encoder", "dim", *found.rows[0].figures(), "RankMe", "uniformity", "agreement"))


def _differences(found: Comparison) -> list[str]:
    """Differences from the first encoder in percentage points, with their intervals."""
    rows = [
        (name, *(points(figure.difference) for figure in row.figures().values() if figure.difference is not None))
        for name, row in list(zip(found.names(), found.rows, strict=True))[1:]
    ]
    return format_table(rows, (f"points above {found.names()[0]}", *found.rows[0].figures()))
