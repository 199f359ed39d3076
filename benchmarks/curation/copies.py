"""What `featurestore duplicates` finds: copies that are planted into a collection, and groups where no picture is twice."""

import io
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click
from PIL import Image, ImageEnhance

from benchmarks.tables import table
from featurestore import FeatureStore
from featurestore.curation import DuplicatesReport, duplicates
from featurestore.curation.pairs import EXACT, MIRRORED, NEAR

EXISTING = click.Path(path_type=Path, exists=True)
SUFFIXES = {".png", ".jpg", ".jpeg"}


def cropped(picture: Image.Image, area: float, rng: random.Random) -> Image.Image:
    """Cut a part with a share of the area, of the same shape, out of a drawn place."""
    width, height = (round(side * area**0.5) for side in picture.size)
    left, top = rng.randint(0, picture.width - width), rng.randint(0, picture.height - height)
    return picture.crop((left, top, left + width, top + height))


def compressed(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file)


COPIES: dict[str, Callable[[Image.Image, random.Random], Image.Image]] = {
    "crop of 60 %": lambda picture, rng: cropped(picture, 0.6, rng),
    "crop of 80 %": lambda picture, rng: cropped(picture, 0.8, rng),
    "JPEG 30": lambda picture, _: compressed(picture, 30),
    "half the size": lambda picture, _: picture.resize(
        (picture.width // 2, picture.height // 2), Image.Resampling.BILINEAR
    ),
    "brightness + 20 %": lambda picture, _: ImageEnhance.Brightness(picture).enhance(1.2),
    "brightness - 20 %": lambda picture, _: ImageEnhance.Brightness(picture).enhance(0.8),
    MIRRORED: lambda picture, _: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


class Copy(NamedTuple):
    """A planted copy."""

    path: str
    source: str
    kind: str


def plant(collection: Path, folder: Path, count: int) -> list[Copy]:
    """Write `count` copies of each kind into a folder, of images that differ, drawn from a collection."""
    rng = random.Random(0)
    files = sorted(path for path in collection.rglob("*") if path.suffix.lower() in SUFFIXES)
    drawn = iter(rng.sample(files, count * len(COPIES)))
    planted = []
    for kind, change in COPIES.items():
        for number, source in zip(range(count), drawn, strict=False):
            path = folder / f"{kind.replace(' ', '-')}-{number}.png"
            with Image.open(source) as picture:
                change(picture.convert("RGB"), rng).save(path)
            planted.append(Copy(str(path), str(source), kind))
    return planted


class Found(NamedTuple):
    """A copy in a group of a report."""

    score: float
    right: bool  # whether its source is there, and the kind of the group says what the copy is


def found_copies(report: DuplicatesReport, planted: list[Copy]) -> dict[str, list[Found]]:
    """Say for each kind of copies in which groups they are, surest first.

    A copy is right where its source is, or a picture that is listed as a near copy of the source: a collection has copies of its own.
    """
    of = {copy.path: copy for copy in planted}
    scores = [{item.path: item.score for item in group.items} for group in report.groups]
    near = {
        path: group.keys()
        for group, known in zip(scores, report.groups, strict=True)
        if known.kind != MIRRORED
        for path in group
    }
    found: dict[str, list[Found]] = {kind: [] for kind in COPIES}
    for group, known in zip(scores, report.groups, strict=True):
        for path in group.keys() & of.keys():
            copy = of[path]
            sources = group.keys() & {copy.source, *near.get(copy.source, ())} - {path}
            right = bool(sources) and (known.kind == MIRRORED) == (copy.kind == MIRRORED)
            # The first item has the score 1; what is compared with it says how sure the pair is.
            first = path == known.keep.path
            score = (
                max((group[other] for other in (sources or group.keys() - {path})), default=1.0)
                if first
                else group[path]
            )
            found[copy.kind].append(Found(score, right))
    return {kind: sorted(answers, reverse=True) for kind, answers in found.items()}


def average_precision(found: list[Found], wanted: int) -> float:
    """Average the precision at each right answer over all that are wanted; those that were not found count as 0."""
    precisions, right = [], 0
    for place, answer in enumerate(found, 1):
        right += answer.right
        if answer.right:
            precisions.append(right / place)
    return sum(precisions) / wanted


def looked_for(store: FeatureStore) -> tuple[DuplicatesReport, str]:
    """Look for duplicates: the report, and seconds by the clock and of the processors."""
    wall, work = time.perf_counter(), time.process_time()
    report = duplicates(store)
    return report, f"{time.perf_counter() - wall:.1f} ({time.process_time() - work:.1f})"


def counted_groups(report: DuplicatesReport, without: set[str]) -> list[str]:
    """Count the groups without some items: exact, near, mirrored."""
    kinds = Counter(group.kind for group in report.groups if not without & {item.path for item in group.items})
    return [f"{kinds[kind]:,}" for kind in (EXACT, NEAR, MIRRORED)]


def limits(report: DuplicatesReport) -> list[str]:
    return [f"{report.limit:.3f}", "" if report.precision is None else f"{report.precision:.3f}"]


@click.command()
@click.argument("collection", type=EXISTING)
@click.option("--encoder", type=EXISTING, required=True)
@click.option("--copies", "count", default=40, show_default=True, help="Of each kind.")
def copies(collection: Path, encoder: Path, count: int) -> None:
    """Copies that are planted into a collection: how many of each kind are found, and what else is listed."""
    with tempfile.TemporaryDirectory() as work:
        (Path(work) / "copies").mkdir()
        planted = plant(collection, Path(work) / "copies", count)
        store = FeatureStore.open(Path(work) / "copies.store", encoder)
        store.index(collection, Path(work) / "copies")
        report, first = looked_for(store)
        report, again = looked_for(store)
    click.echo(f"`{collection.name}`, {report.n_items:,} images, of which {len(planted)} copies\n")
    rows = []
    for kind, found in found_copies(report, planted).items():
        right = sum(answer.right for answer in found)
        rows.append([kind, f"{right} of {count}", f"{average_precision(found, count):.3f}", str(len(found) - right)])
    table(["copies", "found", "average precision", "in other groups"], rows)
    others = counted_groups(report, {copy.path for copy in planted})
    click.echo()
    heads = ["exact", "near", "mirrored groups without copies", "limit", "estimated precision"]
    table([*heads, "s (processor s), the first time", "again"], [[*others, *limits(report), first, again]])


@click.command()
@click.argument("pairs", nargs=-1, required=True, metavar="COLLECTION=ENCODER...")
def natural(pairs: tuple[str, ...]) -> None:
    """Collections as they are: how many groups are listed."""
    rows = list(map(natural_row, pairs))
    table(
        ["collection", "images", "exact", "near", "mirrored groups", "limit", "estimated precision", "s (processor s)"],
        rows,
    )


def natural_row(pair: str) -> list[str]:
    """Index a collection, given as COLLECTION=ENCODER, and count what is listed."""
    collection, _, encoder = pair.rpartition("=")
    with tempfile.TemporaryDirectory() as work:
        store = FeatureStore.open(Path(work) / "natural.store", encoder)
        store.index(collection)
        report, seconds = looked_for(store)
    return [Path(collection).name, f"{report.n_items:,}", *counted_groups(report, set()), *limits(report), seconds]
