"""Training side by side with lightly 1.6, whose documented transforms, heads and losses `benchmarks.lightly_training` writes down.

    python -m benchmarks.train speed DATA
    python -m benchmarks.train augmentation DATA PHOTOS
    python -m benchmarks.train accuracy DATA --minutes 10 --seed 0 --seed 1 --seed 2

DATA holds train/<class>/ and test/<class>/, such as CIFAR-10 as image files; PHOTOS is a folder of larger images. Needs the extra [bench]. Every figure is taken in a process of its own, and the two take turns, so
that a busy machine slows both alike. Prints Markdown: median (least-most) of the runs.
"""

import tempfile
from pathlib import Path

import click

from benchmarks import quality
from benchmarks.quality import take
from benchmarks.tables import cell, ratio, table
from benchmarks.trainings import SIDES, SIZE, our_views, ours, their_views, theirs, train_for_lightly
from benchmarks.turns import Peak, measure


@click.group()
def cli() -> None:
    pass


@cli.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--method", "methods", multiple=True, default=tuple(SIDES), show_default=True)
@click.option("--images", default=5000, show_default=True, help="Of the training images.")
@click.option("--batch-size", default=128, show_default=True)
@click.option("--seconds", default=30.0, show_default=True, help="That each training is timed for.")
@click.option("--runs", default=3, show_default=True)
def speed(data: Path, methods: tuple[str, ...], images: int, batch_size: int, seconds: float, runs: int) -> None:
    """Images a second and peak memory of whole trainings, decoding left out for ours, which does it once."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        take(data, images, Path(folder))
        train = Path(folder) / "train"
        for method in methods:
            sides = {
                "featurestore": (ours, "auto"),
                "featurestore, float32": (ours, "32-true"),
                "lightly": (theirs, "32-true"),
            }
            found: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
            for _ in range(runs):
                for name, (side, precision) in sides.items():
                    peak = Peak()
                    speed = measure(side, train, method, batch_size, seconds, precision, peak=peak)
                    found[name].append({"speed": speed, "memory": peak.shared})
                    click.echo(f"{method} {name}: {speed:.1f} images/s, {peak.shared:.0f} MB", err=True)
            for name, measured in found.items():
                rows.append([
                    method, name, cell([one["speed"] for one in measured], 1), ratio(measured, found["lightly"], "speed"),
                    cell([one["memory"] for one in measured], 0),
                ])  # fmt: skip
    click.echo(f"{SIZE} px, batch {batch_size}, {images} images\n")
    table(["method", "who", "images/s", "against lightly", "peak MB"], rows)


@cli.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--minutes", default=10.0, show_default=True)
@click.option("--seed", "seeds", multiple=True, type=int, default=(0,), show_default=True)
@click.option("--theirs", default="conv4", show_default=True, help="The network of lightly's training.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Settings of ours.")
def accuracy(data: Path, minutes: float, seeds: tuple[int, ...], theirs: str, assignments: tuple[str, ...]) -> None:
    """k-NN (k = 20, T = 0.07) and a linear probe after the same minutes of training, ours with `--minutes` alone, beside raw pixels."""
    found: dict[str, list[list[float]]] = {"featurestore": [], "lightly": []}
    chosen = [part for a in assignments for part in ("--set", a)]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for seed in seeds:
            out = work / f"ours-{seed}"
            quality.train(data, out, "simclr", seed, ["--minutes", str(minutes), *chosen])
            found["featurestore"].append(quality.measure(data, out / "encoder.onnx", work))
            encoder = work / f"theirs-{seed}" / "encoder.onnx"
            measure(train_for_lightly, data / "train", theirs, minutes, seed, encoder)
            found["lightly"].append(quality.measure(data, encoder, work))
            click.echo(f"seed {seed}: {[values[-1] for values in found.values()]}", err=True)
        pixels = quality.pixels_encoder(SIZE, quality.mean_picture(data / "train", SIZE), work / "pixels.onnx")
        found["raw pixels"] = [quality.measure(data, pixels, work)]
    heads = ["vectors", *(f"k-NN {k}" for k in quality.K), "linear"]
    table(heads, [[name, *(cell(column, 3) for column in zip(*rows, strict=True))] for name, rows in found.items()])


@cli.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("photos", type=click.Path(exists=True, path_type=Path))
@click.option("--runs", default=5, show_default=True)
def augmentation(data: Path, photos: Path, runs: int) -> None:
    """Milliseconds a view of SimCLR's augmentation on one thread: ours from the cache of pixels, lightly's from decoded pictures."""
    rows = []
    for folder, size in ((data, 32), (photos, 224)):
        found: dict[str, list[dict[str, float]]] = {"featurestore": [], "lightly": []}
        for _ in range(runs):
            for name, side in (("featurestore", our_views), ("lightly", their_views)):
                found[name].append({"ms": measure(side, folder, size)})
        for name, measured in found.items():
            rows.append(
                [f"{size} px", name, cell([one["ms"] for one in measured], 3), ratio(measured, found["lightly"], "ms")]
            )
    table(["size", "who", "ms a view", "against lightly"], rows)


if __name__ == "__main__":
    cli()
