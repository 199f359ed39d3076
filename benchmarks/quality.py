"""Quality on a labelled folder: train without labels, index, and measure beside raw pixels and the untrained network.

    python -m benchmarks.quality DATA --method simclr --method byol --seed 0 --seed 1 --minutes 4
    python -m benchmarks.quality DATA --method mae --set backbone=vit_tiny_patch16_224 --set patch_size=4 --epochs 30

DATA holds train/<class>/ and test/<class>/, such as CIFAR-10 as image files. Each training is a process of its own, so that its peak
memory is its own. Prints a Markdown table: k-NN top-1 of test against train, a linear probe, epochs and seconds of training, peak memory. The
untrained network stands there twice: with its first weights and nothing else, and with batch statistics from one epoch at a rate of
nothing, which is the harder one to beat.
"""

import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from itertools import product
from pathlib import Path

import click
from sklearn.linear_model import LogisticRegression

from featurestore import FeatureStore
from featurestore.system.cpus import available_cpus
from trainers.config.parse import read_toml
from trainers.config.resolve import resolve
from trainers.export.pixel_baseline import export_pixels
from trainers.export.training_run import export_untrained
from trainers.methods import METHODS
from trainers.training import metrics_file as metrics

K = (20, 200)
SETTLE = ("--epochs", "1", "--set", "optimizer.lr=1e-12", "--set", "optimizer.weight_decay=0.0")


def take(data: Path, images: int, out: Path) -> None:
    """Link an equal number of training images of each class, and all test images, into `out`."""
    classes = sorted(p.name for p in (data / "train").iterdir())
    for split in ("train", "test"):
        for name in classes:
            (out / split / name).mkdir(parents=True)
            paths = sorted((data / split / name).iterdir())
            for path in paths[: images // len(classes)] if split == "train" else paths:
                (out / split / name / path.name).symlink_to(path.resolve())


def train(folder: Path, out: Path, arguments: Sequence[str]) -> float:
    """Train by the command line; returns the peak memory in MB."""
    command = [
        sys.executable,
        "-c",
        "from featurestore.cli import main; main()",
        "train",
        str(folder),
        "--out",
        str(out),
    ]
    command += arguments
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"failed: {' '.join(command)}")
    return usage.ru_maxrss / 1024


def indexed(folder: Path, encoder: Path, work: Path) -> FeatureStore:
    """Index train and test with an encoder."""
    store = FeatureStore.open(work / f"{encoder.parent.name}.{encoder.stem}.store", encoder=encoder)
    store.index(folder, labels="folders")
    return store


def measure(folder: Path, encoder: Path, work: Path) -> list[float]:
    """Index train and test with an encoder; k-NN top-1 for each of K, and the accuracy of a linear probe."""
    store = indexed(folder, encoder, work)
    _, train_x, train_y = store.features(split="train")
    _, test_x, test_y = store.features(split="test")
    scale = train_x.shape[1] ** 0.5  # entries of size one
    probe = LogisticRegression(C=0.01, max_iter=1000).fit(train_x * scale, train_y.astype(str))
    top1 = [result.top1 for result in store.knn(k=K).results]
    return [*top1, float(probe.score(test_x * scale, test_y.astype(str)))]


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.option("--images", default=5000, show_default=True, help="Training images, the same number of each class.")
@click.option("--method", "methods", multiple=True, default=("simclr",), show_default=True)
@click.option("--seed", "seeds", multiple=True, type=int, default=(0,), show_default=True)
@click.option("--minutes", type=float)
@click.option("--epochs", type=int)
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE")
def main(
    data: Path,
    images: int,
    methods: tuple[str, ...],
    seeds: tuple[int, ...],
    minutes: float | None,
    epochs: int | None,
    assignments: tuple[str, ...],
) -> None:
    """Measure and print a table."""
    budget = ["--minutes", str(minutes)] if minutes else ["--epochs", str(epochs or 30)]
    rows: dict[str, list[list[float]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        folder = work / "images"
        folder.mkdir()
        take(data, images, folder)
        for seed, method in product(seeds, methods):
            out = work / f"{method}-{seed}"
            own = [
                a for a in assignments if a.split(".")[0] not in METHODS.keys() - {method}
            ]  # settings of other methods left out
            chosen = [part for a in own for part in ("--set", a)]
            who = ["--method", method, "--seed", str(seed)]
            peak = train(folder / "train", out, [*who, *budget, *chosen])
            config = resolve(read_toml(out / "config.toml"))
            last = metrics.read(out / "metrics.jsonl")[-1]
            figures = [*measure(folder, out / "encoder.onnx", work), last["epoch"], last["seconds"], peak]
            rows.setdefault(method, []).append(figures)
            print(method, seed, figures, file=sys.stderr, flush=True)
            if method == methods[0]:
                untrained = export_untrained(config, out / "untrained.onnx")
                rows.setdefault("untrained network", []).append(measure(folder, untrained, work))
                settled = work / f"settled-{seed}"
                train(folder / "train", settled, [*who, *chosen, *SETTLE])
                rows.setdefault("the same, its batch statistics settled", []).append(
                    measure(folder, settled / "encoder.onnx", work)
                )
        size = config.image_size
        pixels = export_pixels(size, work / "pixels.onnx", folder / "train")
        rows["raw pixels"] = [measure(folder, pixels, work)]

    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "onnxruntime", "faiss-cpu", "duckdb"))
    print(
        f"{images} training images, {' '.join(budget)[2:]}, seeds {list(seeds)}, {config.backbone} at {size} px, batch {config.batch_size}, {' '.join(assignments)}"
    )
    print(
        f"{_processor()}, {available_cpus()} cores, {config.precision}; Python {platform.python_version()}, {versions}"
    )
    heads = [*(f"k-NN {k}" for k in K), "linear", "epochs", "seconds", "peak MB"]
    print("\n| vectors | " + " | ".join(heads) + " |\n|---|" + "---|" * len(heads))
    for name, values in rows.items():
        cells = [_cell(column) for column in zip(*values, strict=True)]
        print(f"| {name} | " + " | ".join(cells + [""] * (len(heads) - len(cells))) + " |")


def _cell(values: Sequence[float]) -> str:
    """Median and spread."""
    digits = 3 if max(values) <= 1 else 0
    spread = f" ({min(values):.{digits}f}-{max(values):.{digits}f})" if len(values) > 1 else ""
    return f"{statistics.median(values):.{digits}f}{spread}"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
