"""Commands that add to what a store knows about its items: labels, and columns of the user's own."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from featurestore import metadata
from featurestore.cli.options import (
    PATH,
    column_options,
    json_option,
    path_column_option,
    store_argument,
)
from featurestore.sources.keyed_table import KEYS
from featurestore.storage import Storage
from featurestore.system.terminal import print_lines, print_result
from featurestore.system.text import counted

key_option = click.option(
    "--key",
    type=click.Choice(list(KEYS)),
    help="The column of FILE that identifies the items; needed when it has both.",
)


def label_counts(found: int, changed: int, kept: int, removed: int = 0, splits: int = 0) -> str:
    """Say what happened to labels and splits."""
    more = [f"{removed:,} removed"] * bool(removed) + [f"{counted(splits, 'split')} set"] * bool(splits)
    return ", ".join([f"{counted(found, 'label')} set, {changed:,} changed, {kept:,} kept", *more])


@click.command()
@store_argument
@click.argument("file", type=PATH, required=False)
@key_option
@column_options
@click.option(
    "--clear",
    is_flag=True,
    help="An empty label or split in FILE removes that of its item.  [default: it changes nothing]",
)
@click.option(
    "--undo",
    is_flag=True,
    help="Undo the last change of labels, by label or index; again for the one before. Labels that came with new items stay.",
)
@json_option
def label(
    store: Path, file: Path | None, key: str | None, clear: bool, undo: bool, as_json: bool, **columns: str | None
) -> None:
    """Set labels from a CSV, JSON Lines or Parquet FILE with the columns path (or id), label and optionally split."""
    if undo == (file is not None) or (undo and (key or clear or any(columns.values()))):
        raise click.UsageError("expected a FILE, or --undo without a FILE")
    opened = Storage.open(store)
    if file is None:
        undone = metadata.undo_labels(opened)
        text = (
            f"undone: {undone.command} of {undone.made_at:%Y-%m-%d %H:%M}; {counted(undone.items, 'item')} changed back"
        )
        text += "; labels of items that were new in that run stay" if undone.command == "index" else ""
        print_result(asdict(undone), [text], as_json)
        return
    report = metadata.label(opened, file, key, clear, **columns)
    text = label_counts(report.set, report.changed, report.kept, report.removed, report.splits)
    text += f", {report.unchanged} unchanged" * bool(report.unchanged)
    print_result(asdict(report), [text], as_json)
    if not as_json:
        print_lines(report.remarks(), err=True)


@click.command()
@store_argument
@click.argument("file", type=PATH, required=False)
@key_option
@path_column_option
@click.option("--drop", metavar="NAME", multiple=True, help="Remove this column instead; may be repeated.")
@json_option
def annotate(
    store: Path, file: Path | None, key: str | None, path_column: str | None, drop: Sequence[str], as_json: bool
) -> None:
    """Add the columns of a CSV, JSON Lines or Parquet FILE to the items of STORE, for --where and sql."""
    if (file is None) == (not drop) or (drop and (key or path_column)):
        raise click.UsageError("expected a FILE, or --drop NAME without a FILE")
    opened = Storage.open(store)
    if file is None:
        for name in drop:
            metadata.drop_column(opened, name)
        print_result({"dropped": drop}, [f"dropped {', '.join(drop)}"], as_json)
        return
    report = metadata.annotate(opened, file, key, path_column)
    print_result(asdict(report), [f"{counted(report.items, 'item')} annotated: {', '.join(report.columns)}"], as_json)
    if not as_json:
        print_lines(report.remarks(), err=True)
