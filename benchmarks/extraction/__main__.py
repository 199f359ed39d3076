"""The speed of extraction: `featurestore index` against common embedding scripts, and against its limits, onnxruntime and Pillow alone.

    python -m benchmarks.extraction speed PHOTOS --net resnet50 --net vit_small_patch16_224
    python -m benchmarks.extraction decode
    python -m benchmarks.extraction memory
    python -m benchmarks.extraction catalog IMAGES
    python -m benchmarks.extraction int8 RUN DATA... --calibrate IMAGES

Every measurement runs in its own process; the sides alternate, so that a busy machine slows all alike. Prints Markdown: median
(least-most) of the runs, and ratios of medians. Networks have random weights, the same on all sides; they cost as much as trained ones.
"""

import itertools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import numpy as np
from PIL import Image

from benchmarks.extraction import measurements
from benchmarks.interleaved import Call, measure, run_interleaved
from benchmarks.tables import column, show, spread, table
from featurestore import FeatureStore
from featurestore.system.cpus import available_cpus

PATH = click.Path(path_type=Path)


@click.group()
def cli() -> None:
    pass


@contextmanager
def repeated(source: Path, count: int) -> Iterator[Path]:
    """Make a folder of `count` images: those of a source, repeated equally often."""
    with tempfile.TemporaryDirectory() as folder:
        paths = sorted(source.rglob("*.jpg"))
        for number in range(count):
            path = paths[number * 97 % len(paths)]  # in an order in which the first few are of all classes
            (Path(folder) / f"{number:06d}.jpg").write_bytes(path.read_bytes())
        yield Path(folder)


def export(what: object, out: Path, *options: object) -> Path:
    command = [Path(sys.executable).with_name("featurestore"), "export", what, "--out", out, *options]
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
    return out


def untrained(net: str, folder: Path, *options: object) -> Path:
    out = folder / f"{net}{'-int8' if options else ''}.onnx"
    return export(f"timm:{net}", out, "--no-pretrained", *options)


@cli.command()
@click.argument("photos", type=PATH)
@click.option("--net", "nets", multiple=True, default=("resnet50", "vit_small_patch16_224"), show_default=True)
@click.option("--images", default=2000, show_default=True, help="Images to index.")
@click.option(
    "--loop", default=2000, show_default=True, help="How many of these the loops and onnxruntime alone process."
)
@click.option("--runs", default=5, show_default=True)
@click.option("--lightly", is_flag=True, help="Also what lightly-embed runs; needs lightly.")
def speed(photos: Path, nets: tuple[str, ...], images: int, loop: int, runs: int, lightly: bool) -> None:
    """Encoding photos: float32 and int8 against torch and against onnxruntime alone."""
    with repeated(photos, images) as folder, tempfile.TemporaryDirectory() as out:
        count = len(list(folder.rglob("*.jpg")))
        for net in nets:
            encoder = untrained(net, Path(out))
            small = untrained(net, Path(out), "--int8", "--calibrate", photos, "--force")
            sides: dict[str, Call] = {
                "torch eager float32, DataLoader": (measurements.torch_loop, net, folder, loop),
                "onnxruntime alone, float32": (measurements.onnxruntime_alone, encoder, loop),
                "featurestore index, float32": (measurements.indexing, encoder, folder),
                "onnxruntime alone, int8": (measurements.onnxruntime_alone, small, loop),
                "featurestore index, int8": (measurements.indexing, small, folder),
            }
            if lightly:
                sides["lightly-embed"] = (measurements.lightly_embed, net, folder, loop)
            found = run_interleaved(runs, sides)
            click.echo(f"\n{net}, {count} photos, loops of {loop}, {available_cpus()} processors, {runs} runs\n")
            show(found, "images/s", [name for name in sides if not name.startswith("featurestore")])


@cli.command()
@click.option("--runs", default=5, show_default=True)
def decode(runs: int) -> None:
    """Decoding large photos for a small network."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as out, tempfile.TemporaryDirectory() as encoders:
        across, down = np.linspace(0, 255, 3000), np.linspace(0, 255, 2000)
        for number in range(60):
            planes = [across[None] * rng.random() + down[:, None] * rng.random() for _ in range(3)]
            noise = rng.normal(0, 6, (2000, 3000, 3))
            pixels = (np.stack(planes, axis=2) / 2 + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(Path(out) / f"{number:02}.jpg", quality=85)
        bytes_each = sum(path.stat().st_size for path in Path(out).iterdir()) // 60
        for number, path in itertools.product(range(1, 10), sorted(Path(out).iterdir())):
            shutil.copyfile(path, path.with_name(f"{number}-{path.name}"))
        encoder = untrained("mobilenetv4_conv_small_050", Path(encoders))
        sides: dict[str, Call] = {
            "Pillow, decode": (measurements.pillow_decode, out),
            "Pillow, decode and resize": (measurements.pillow_resize, out, 224),
            "our read, decode and resize": (measurements.preparing, out, 224),
            "featurestore index, encoder of 1 M weights": (measurements.indexing, encoder, out),
        }
        found = run_interleaved(runs, sides)
        click.echo(
            f"\n600 JPEGs of 3000 x 2000, ten times the same 60, noise and gradients, {bytes_each // 1000} kB each, {runs} runs\n"
        )
        show(found, "images/s", ["Pillow, decode", "Pillow, decode and resize"])


@cli.command()
@click.option("--runs", default=3, show_default=True)
def memory(runs: int) -> None:
    """Peak memory while 1,000, 10,000 and 100,000 small images are indexed."""
    with tempfile.TemporaryDirectory() as out:
        encoder = untrained("test_resnet", Path(out))
        rng = np.random.default_rng(0)
        sides: dict[str, Call] = {}
        for count in (1_000, 10_000, 100_000):
            folder = Path(out) / f"{count}"
            for number in range(count):
                if number % 1000 == 0:
                    (folder / f"{number // 1000:03}").mkdir(parents=True)
                pixels = rng.integers(0, 256, (4, 4, 3), np.uint8)
                Image.fromarray(pixels).resize((32, 32)).save(folder / f"{number // 1000:03}" / f"{number:06}.jpg")
            sides[f"{count:,} images"] = (measurements.peak_memory, encoder, folder)
        show(run_interleaved(runs, sides), "MB", ["1,000 images"])


@cli.command()
@click.argument("images", type=PATH)
@click.option("--runs", default=5, show_default=True)
def catalog(images: Path, runs: int) -> None:
    """The share of catalog and vector commits in a run over many small images, and a second run that finds nothing new."""
    with tempfile.TemporaryDirectory() as out:
        encoder = untrained("test_resnet", Path(out))
        found = [measure(measurements.catalog_share, encoder, images) for _ in range(runs)]
    units = {
        "images": "images", "seconds": "s, first run", "percent": "% of it in commits to vectors and catalog",
        "files_per_second": "files/s, second run", "bytes_per_item": "bytes of catalog an item",
    }  # fmt: skip
    table(["what", "figure"], [[unit, spread(column(found, key), 1)] for key, unit in units.items()])


@cli.command()
@click.argument("run", type=PATH)
@click.argument("data", nargs=-1, type=PATH)
@click.option("--calibrate", type=PATH, required=True)
def int8(run: Path, data: tuple[Path, ...], calibrate: Path) -> None:
    """k-NN top-1 of a trained encoder in float32 and in int8, on labelled folders with train and test."""
    rows = []
    for folder in data:
        reports = []
        with tempfile.TemporaryDirectory() as out:
            small = Path(out) / "int8.onnx"
            export(run, small, "--int8", "--calibrate", calibrate, "--force")
            for encoder in (run / "encoder.onnx", small):
                store = FeatureStore.open(Path(out) / f"{encoder.stem}.store", encoder=encoder)
                store.index(folder, labels="folders")
                reports.append(store.knn(k=(1, 20, 200)))
        name = f"{folder.name}, {reports[0].n_train} against {reports[0].n_test}"
        for full, quantized in zip(reports[0].results, reports[1].results, strict=True):
            points = 100 * (quantized.top1 - full.top1)
            rows.append([name, f"{full.k}", f"{full.top1:.4f}", f"{quantized.top1:.4f}", f"{points:+.2f}"])
    table(["data", "k", "float32", "int8", "points"], rows)


if __name__ == "__main__":
    cli()
