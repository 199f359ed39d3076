"""What is planted into a collection, and found again.

    python -m benchmarks.curation copies CIFAR10 --encoder encoder.onnx --copies 100
    python -m benchmarks.curation natural COLLECTIONS/cells=cells.onnx COLLECTIONS/letters=letters.onnx
    python -m benchmarks.curation labels STORE...
    python -m benchmarks.curation foreign CIFAR10+COLLECTIONS/digits=encoder.onnx
    python -m benchmarks.curation walk COLLECTIONS/photos COLLECTIONS/digits --encoder photos.onnx
    python -m benchmarks.curation speed --rows 60000 --dim 512
    python -m benchmarks.curation blends CIFAR10 BLENDS
    python -m benchmarks.curation speed --store BLENDS.store
    python -m benchmarks.curation found BLENDS.store

`copies` plants seven kinds of copies of drawn images, indexes both, and looks for duplicates twice: the second time neighbours and small
pictures are kept. `natural` plants nothing; where no picture is there twice, every group that is listed is false. `labels` makes labels
wrong, `foreign` puts images of another collection among one, `walk` does all of it. `speed` times the reports on generated vectors, or those of a store with pictures,
such as the million that `blends` makes, of whose copies `found` counts those that are found. All draw with fixed seeds, and print Markdown. `labels` needs cleanlab.
"""

import click

from benchmarks.curation.blends import blends, found
from benchmarks.curation.copies import copies, natural
from benchmarks.curation.foreign import foreign
from benchmarks.curation.labels import labels
from benchmarks.curation.speed import speed
from benchmarks.curation.walk import walk
from benchmarks.machine import processor, versions
from featurestore.system.cpus import available_cpus


@click.group(commands=[copies, natural, labels, foreign, walk, blends, speed, found])
def cli() -> None:
    click.echo(
        f"{available_cpus()} cores ({processor()}), {versions('numpy', 'faiss-cpu', 'pillow', 'scikit-learn')}\n"
    )


if __name__ == "__main__":
    cli()
