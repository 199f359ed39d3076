"""Arguments and options that several commands share, and their output as JSON."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from featurestore.encoders.session import PROVIDERS
from featurestore.system.text import printable

PATH = click.Path(path_type=Path)
store_argument = click.argument("store", type=PATH)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
encoder_option = click.option(
    "--encoder",
    metavar="NAME",
    help="Which encoder's vectors to use: its name, the start of its name or fingerprint, its file, or its run.  [default: that of the store; see encoders]",
)
provider_option = click.option(
    "--provider",
    type=click.Choice(list(PROVIDERS)),
    default="cpu",
    show_default=True,
    help="Hardware to run the encoder on; an error when it is not available.",
)
where_option = click.option(
    "--where", metavar="SQL", help="Only items for which this is true, such as \"label = 'rose'\"."
)
seed_option = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of everything drawn at random."
)
exclude_option = click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Leave out what matches, as a line of .gitignore would; may be repeated. The store keeps it for later runs; '' drops what it keeps.",
)

path_column_option = click.option(
    "--path-column", metavar="NAME", help="The column of paths.  [default: path, file_name, image or similar]"
)


def column_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name the columns of a table."""
    for option in (
        click.option("--split-column", metavar="NAME", help="The column of splits.  [default: split]"),
        click.option(
            "--label-column", metavar="NAME", help="The column of labels.  [default: label, class, category or similar]"
        ),
        path_column_option,
    ):
        command = option(command)
    return command


def print_remarks(remarks: Iterable[str]) -> None:
    """Print what a user should know beside the result."""
    for remark in remarks:
        click.echo(printable(remark), err=True)


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, default=str))


def print_result(value: Any, text: str, as_json: bool) -> None:
    """Print a result as JSON or as text; control characters, such as those of a label, do not reach the terminal."""
    if as_json:
        print_json(value)
    else:
        click.echo("\n".join(map(printable, text.split("\n"))))
