"""Write the collections as folders of images, for `featurestore index FOLDER --labels folders` and `featurestore train FOLDER`.

    python -m benchmarks.collections OUT
    python -m benchmarks.collections OUT --only shapes --only signs
    python -m benchmarks.collections OUT --cifar10 DATA/cifar10 --photos DATA/photos

Without --cifar10 and --photos, and without the packages of featurestore[bench], what is made of them is left out. Prints a Markdown table.
"""

import time
from pathlib import Path

import click

from benchmarks.collections.suite import COLLECTIONS
from benchmarks.tables import table

FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--only", multiple=True, type=click.Choice(list(COLLECTIONS)), help="May be repeated.")
@click.option("--cifar10", type=FOLDER, help="CIFAR-10 as image files in train/<class>/ and test/<class>/.")
@click.option("--photos", type=FOLDER, help="Photos in train/<class>/ and test/<class>/.")
@click.option("--seed", default=0, show_default=True)
def main(out: Path, only: tuple[str, ...], cifar10: Path | None, photos: Path | None, seed: int) -> None:
    """Write labelled collections into OUT, each as a folder with its name."""
    sources = {"cifar10": cifar10, "photos": photos}
    wanted = [COLLECTIONS[name] for name in only or COLLECTIONS]
    missing = [c for c in wanted if c.source and sources[c.source] is None]
    if only and missing:
        raise click.UsageError(f"{missing[0].name} needs --{missing[0].source} FOLDER")
    there = [c.name for c in wanted if (out / c.name).exists()]
    if there:
        raise click.UsageError(f"{out} has {', '.join(there)} already; remove it, or choose others with --only")
    rows, left_out = [], {c.name: f"needs --{c.source} FOLDER" for c in missing}
    for collection in [c for c in wanted if c not in missing]:
        start = time.perf_counter()
        try:
            collection.make(out / collection.name, seed, sources[collection.source] if collection.source else None)
        except ModuleNotFoundError as error:
            left_out[collection.name] = str(error)
            continue
        seconds = f"{time.perf_counter() - start:.1f}"
        figures = (collection.classes, collection.train, collection.test)
        described = (
            collection.kind,
            collection.pixels,
            *(f"{n:,}" for n in figures),
            collection.content,
            collection.nuisance,
        )
        rows.append([collection.name, *described, seconds])
    table(["name", "kind", "pixels", "classes", "train", "test", "content", "nuisance", "seconds"], rows)
    for name, reason in left_out.items():
        click.echo(f"{name} was left out: {reason}")


main()
