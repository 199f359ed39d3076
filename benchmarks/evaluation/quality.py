"""The quality of training methods on a labelled folder: train without labels, then k-NN and a linear probe, against raw pixels and the untrained network.

    python -m benchmarks.evaluation.quality DATA --method simclr --method byol --seed 0 --seed 1 --minutes 4
    python -m benchmarks.evaluation.quality DATA --method mae --set backbone=vit_tiny_patch16_224 --set patch_size=4 --epochs 30

DATA holds train/<class>/ and test/<class>/, such as CIFAR-10 as image files. Each training runs in its own process, which gives its peak
memory. Prints a Markdown table: k-NN top-1 of test against train, a linear probe, epochs and seconds of training, peak memory. The
untrained network is measured twice: with its initial weights, and with batch statistics from one epoch at a learning rate of almost
zero, which is harder to beat.
"""

import sys
import tempfile
from itertools import product
from pathlib import Path

import click
from sklearn.linear_model import LogisticRegression

from benchmarks.machine import processor, versions
from benchmarks.pipeline import labelled_store, link_subset, train
from benchmarks.tables import spread, table
from featurestore.system.cpus import available_cpus
from trainers.config.parse import read_toml
from trainers.config.resolve import resolve
from trainers.export.pixel_baseline import export_pixels
from trainers.export.training_run import export_untrained
from trainers.methods import METHODS
from trainers.training import metrics_file as metrics

K = (20, 200)
SETTLE = ("--epochs", "1", "--set", "optimizer.lr=1e-12", "--set", "optimizer.weight_decay=0.0")


def measure(folder: Path, encoder: Path, work: Path) -> list[float]:
    """Measure an encoder: k-NN top-1 for each of K, and the accuracy of a linear probe."""
    store = labelled_store(folder, encoder, work)
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
        link_subset(data, images, folder)
        for seed, method in product(seeds, methods):
            out = work / f"{method}-{seed}"
            others = METHODS.keys() - {method}
            own = [a for a in assignments if a.split(".")[0] not in others]  # settings of other methods are left out
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
                rows.setdefault("untrained network, batch statistics settled", []).append(
                    measure(folder, settled / "encoder.onnx", work)
                )
        size = config.image_size
        pixels = export_pixels(size, work / "pixels.onnx", folder / "train")
        rows["raw pixels"] = [measure(folder, pixels, work)]

    print(
        f"{images} training images, {' '.join(budget)[2:]}, seeds {list(seeds)}, {config.backbone} at {size} px, batch {config.batch_size}, {' '.join(assignments)}"
    )
    print(
        f"{processor()}, {available_cpus()} cores, {config.precision}; {versions('torch', 'onnxruntime', 'faiss-cpu', 'duckdb')}"
    )
    heads = [*(f"k-NN {k}" for k in K), "linear", "epochs", "seconds", "peak MB"]
    lines = []
    for name, values in rows.items():
        cells = [spread(column, 3 if max(column) <= 1 else 0) for column in zip(*values, strict=True)]
        lines.append([name, *cells, *[""] * (len(heads) - len(cells))])
    print()
    table(["vectors", *heads], lines)


if __name__ == "__main__":
    main()
