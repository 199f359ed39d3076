"""How long the gallery takes to answer.

    python -m benchmarks.gallery rest STORE...

`rest` starts `featurestore serve` for each store, and asks as programs and pages do. It labels items, and undoes all of it. Prints Markdown.
"""

import click

from benchmarks.gallery.rest import rest
from benchmarks.machine import processor, versions
from featurestore.system.cpus import available_cpus


@click.group(commands=[rest])
def cli() -> None:
    click.echo(f"{available_cpus()} cores ({processor()}), {versions('duckdb', 'faiss-cpu', 'starlette', 'uvicorn')}\n")


if __name__ == "__main__":
    cli()
