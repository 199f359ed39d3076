"""Large collections of pictures that differ: blends of two images each, and copies of some of them at the end."""

import io
import random
import tarfile
from collections import Counter
from pathlib import Path

import click
import numpy as np
from PIL import Image

from benchmarks.curation.copies import COPIES, SUFFIXES
from benchmarks.tables import table
from featurestore import FeatureStore
from featurestore.curation import duplicates
from featurestore.curation.pairs import MIRRORED

SHARD = 100_000  # pictures in a tar
KINDS = ("crop of 80 %", "brightness + 20 %", MIRRORED, "half the size")  # of COPIES


def blend(images: np.ndarray, number: int) -> Image.Image:
    """Mix two images of (N, 32, 32, 3), drawn by a number, each perhaps mirrored."""
    rng = np.random.default_rng(number)
    mixed = sum(images[at][:, :: rng.choice([-1, 1])].astype(np.uint16) for at in rng.integers(0, len(images), 2))
    return Image.fromarray((mixed // 2).astype(np.uint8))


@click.command()
@click.argument("cifar10", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--images", "count", default=1_000_000, show_default=True)
@click.option("--copies", default=2_000, show_default=True, help="Of these, copies of others, of four kinds in turn.")
def blends(cifar10: Path, out: Path, count: int, copies: int) -> None:
    """Write pictures of 32 x 32 pixels, blended of those in CIFAR10, into tars in OUT, in folders 0 to 9."""
    out.mkdir(parents=True)
    files = sorted(path for path in cifar10.rglob("*") if path.suffix in SUFFIXES)
    images = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    originals, rng = count - copies, random.Random(0)
    for start in range(0, count, SHARD):
        with tarfile.open(out / f"part{start // SHARD:02}.tar", "w") as tar:
            for number in range(start, min(start + SHARD, count)):
                source, name = number, f"{number:07}"
                picture = blend(images, number)
                if number >= originals:
                    kind = KINDS[number % len(KINDS)]
                    source = (number - originals) * (originals // copies)
                    name += f"-{kind.replace(' ', '-')}-{source:07}"
                    picture = COPIES[kind](blend(images, source), rng)
                content = io.BytesIO()
                picture.save(content, "JPEG", quality=90)
                member = tarfile.TarInfo(f"{source % 10}/{name}.jpg")
                member.size = content.tell()
                content.seek(0)
                tar.addfile(member, content)


@click.command()
@click.argument("store", type=click.Path(path_type=Path, exists=True))
def found(store: Path) -> None:
    """Count the copies among blends that `duplicates` finds, each in a group with its source."""
    copies, others = Counter[tuple[str, str]](), 0
    report = duplicates(FeatureStore.open(store))
    for group in report.groups:
        names = [Path(item.path).stem.partition("-") for item in group.items]
        ids = {name for name, _, _ in names}
        kinds = [kind for _, _, made in names for kind, _, source in [made.rpartition("-")] if source in ids]
        copies.update((kind, group.kind) for kind in kinds)
        others += not kinds
    table(["copies", "kind of group", "found"], [[*key, f"{number:,}"] for key, number in sorted(copies.items())])
    click.echo(f"{len(report.groups):,} groups, {others:,} without a copy; estimated precision {report.precision}")
