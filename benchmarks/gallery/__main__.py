"""How long the gallery takes to answer.

    python -m benchmarks.gallery rest STORE...
    python -m benchmarks.gallery label-an-hour PHOTOS --encoder photos.onnx

`rest` starts `featurestore serve` for each store, and asks as programs and pages do. It labels items, and undoes all of it. `label-an-hour` drives the page
in Chromium as a person who labels. Both print Markdown.
"""

import click

from benchmarks.gallery.label_an_hour import label_an_hour
from benchmarks.gallery.rest import rest
from benchmarks.machine import processor, versions
from featurestore.system.cpus import available_cpus


@click.group(commands=[rest, label_an_hour])
def cli() -> None:
    click.echo(f"{available_cpus()} cores ({processor()}), {versions('duckdb', 'faiss-cpu', 'starlette', 'uvicorn')}\n")


if __name__ == "__main__":
    cli()
