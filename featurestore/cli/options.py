"""Arguments and options that several commands share, and their output as JSON."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from featurestore.encoders.session import PROVIDERS

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


def spaced(blocks: Iterable[Sequence[str]]) -> list[str]:
    """Join blocks of lines, with an empty line between each two."""
    return [line for number, block in enumerate(blocks) for line in ([""] * bool(number) + [*block])]
