"""May views of an image differ in colour? The answer of short trainings with labels and without, by collection, and what the second loses.

    python -m benchmarks.collections COLLECTIONS --cifar10 CIFAR10 --photos PHOTOS
    python -m benchmarks.evaluation.view_choice COLLECTIONS

The same short trainings decide at the start of `featurestore train --minutes 5`. Collections whose images are all grey are left out: there
is nothing to choose. Prints Markdown: what small networks are worth that learned from changed colours and from kept ones, by k-NN and by
the images that they find again, and the k-NN that choosing without labels loses, in points.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from benchmarks.evaluation.adaptation import names_in
from benchmarks.machine import processor, versions
from benchmarks.tables import table
from featurestore.system.cpus import available_cpus
from trainers.augmentations import AugmentConfig
from trainers.config.looks import COLOURS, SIDES
from trainers.data.collection import load_sample, look_at
from trainers.data.images import list_training_files
from trainers.training.labelled_sample import take_sample
from trainers.training.view_trials import try_views

HEADS = (
    "collection", "k-NN: changed, kept", "found: changed, kept", "by labels", "without labels", "lost without labels",
)  # fmt: skip


def line(collection: Path) -> list[str] | None:
    """Try colours on a collection both ways, as cells of a table; None if its images are grey."""
    images = load_sample(list_training_files(collection).training)
    look = look_at(images.pixels)
    if look.grey:
        return None
    usual = replace(AugmentConfig(), **(SIDES if look.has_sides else {}))  # type: ignore[arg-type]
    keeping = {"colours": replace(usual, **COLOURS)}  # type: ignore[arg-type]
    labelled, found = (
        try_views(images.pixels, usual, keeping, sample)["colours"] for sample in (take_sample(images, None), None)
    )
    knn = {True: labelled.kept, False: labelled.changed}
    lost = max(0.0, knn[labelled.matters] - knn[found.matters])
    words = {True: "kept", False: "changed"}
    return [
        collection.name,
        *(f"{trial.changed:.2f}, {trial.kept:.2f}" for trial in (labelled, found)),
        *(words[trial.matters] for trial in (labelled, found)),
        f"{100 * lost:.1f}",
    ]


@click.command(help=__doc__)
@click.argument("collections", type=click.Path(exists=True, path_type=Path))
@click.option("--only", multiple=True, metavar="NAME", help="[default: all collections]")
def main(collections: Path, only: Sequence[str]) -> None:
    rows = []
    for name in names_in(collections, only):
        if (cells := line(collections / name)) is not None:
            rows.append(cells)
            click.echo(" ".join(cells), err=True)
    click.echo(f"{available_cpus()} cores; {processor()}; {versions('torch')}\n")
    table(HEADS, rows)


if __name__ == "__main__":
    main()
