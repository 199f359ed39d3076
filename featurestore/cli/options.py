"""What several commands share."""

import json
from pathlib import Path
from typing import Any

import click

from featurestore.encoders.session import PROVIDERS

PATH = click.Path(path_type=Path)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
encoder_option = click.option(
    "--encoder",
    metavar="NAME",
    help="Which encoder's vectors: name, fingerprint or ONNX file; needed when there are several.",
)
provider_option = click.option(
    "--provider",
    type=click.Choice(list(PROVIDERS)),
    default="cpu",
    show_default=True,
    help="What the encoder runs on; refused when it is not there.",
)


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, default=str))
