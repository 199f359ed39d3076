"""Commands that say more about items: labels, and columns of the user's own."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from featurestore.cli.options import PATH, json_option, print_json
from featurestore.sources.keyed_table import KEYS
from featurestore.store import FeatureStore
from featurestore.system.text import printable

key_option = click.option(
    "--key",
    type=click.Choice(list(KEYS)),
    help="The column that says which items the rows are about, if FILE has both.",
)


@click.command()
@click.argument("store", type=PATH)
@click.argument("file", type=PATH)
@key_option
@json_option
def label(store: Path, file: Path, key: str | None, as_json: bool) -> None:
    """Set labels from a CSV or Parquet FILE with the columns path (or id), label and perhaps split."""
    report = FeatureStore.open(store).label(file, key)
    if as_json:
        print_json({"labelled": report.labelled, "unknown": list(report.unknown)})
        return
    click.echo(f"{report.labelled} labelled")
    _tell_unknown(len(report.unknown), report.unknown, report.key)


@click.command()
@click.argument("store", type=PATH)
@click.argument("file", type=PATH, required=False)
@key_option
@click.option("--drop", metavar="NAME", multiple=True, help="Instead: take this column away; may be repeated.")
@json_option
def annotate(store: Path, file: Path | None, key: str | None, drop: Sequence[str], as_json: bool) -> None:
    """Make the columns of a CSV or Parquet FILE columns of the items of STORE, for --where and sql."""
    if (file is None) == (not drop) or (drop and key):
        raise click.UsageError("expected a FILE, or --drop NAME and no FILE")
    opened = FeatureStore.open(store)
    if file is None:
        for name in drop:
            opened.drop_column(name)
        if as_json:
            print_json({"dropped": drop})
        else:
            click.echo(f"dropped {_listed(drop)}")
        return
    report = opened.annotate(file, key)
    if as_json:
        print_json(asdict(report))
        return
    click.echo(f"{report.items} items annotated: {_listed(report.columns)}")
    _tell_unknown(report.unknown, report.first_unknown, report.key)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(printable, names))


def _tell_unknown(count: int, unknown: Sequence[str], key: str) -> None:
    if count:
        click.echo(f"{count} {key}s are no item of the store, the first: {printable(unknown[0])}", err=True)
