"""Quality on a labelled folder: train without labels, index, and measure k-NN beside raw pixels and the untrained network.

    python -m benchmarks.quality DATA [--images 5000] [--minutes 4] [--seed 0 ...] [--set key=value ...]

DATA holds train/<class>/ and test/<class>/, such as CIFAR-10 as image files. Prints one row of a Markdown table for each encoder.
"""

import platform
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from featurestore import FeatureStore
from featurestore import images as images_module
from featurestore.encoder import CARD_KEY, Card
from featurestore.images import ImageFile
from featurestore.pipeline import Prepared, available_cpus, prepare_all
from featurestore.preprocess import Preprocess
from featurestore.progress import ProgressBar
from featurestore.version import __version__
from trainers import train
from trainers.config import parse_assignments
from trainers.run import export_untrained

K = (20, 200)


def take(data: Path, images: int, out: Path) -> None:
    """Link an equal number of training images of each class, and all test images, into `out`."""
    classes = sorted(p.name for p in (data / "train").iterdir())
    for split in ("train", "test"):
        for name in classes:
            (out / split / name).mkdir(parents=True)
            paths = sorted((data / split / name).iterdir())
            for path in paths[: images // len(classes)] if split == "train" else paths:
                (out / split / name / path.name).symlink_to(path.resolve())


def pixels_encoder(size: int, mean: NDArray[np.float32], out: Path) -> Path:
    """Write an encoder whose vector is the picture itself, centred by the mean picture: the strong form of raw pixels."""
    dim = 3 * size * size
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["flat"]),
        helper.make_node("Sub", ["flat", "mean"], ["vector"]),
    ]
    graph = helper.make_graph(
        nodes, "pixels",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", size, size, 3])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["batch", dim])],
        [helper.make_tensor("mean", TensorProto.FLOAT, [dim], mean)],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    card = Card(Preprocess(size, size), dim, "pixels", "none", "none", {"count": 0, "sha256": ""}, "", __version__)
    helper.set_model_props(model, {CARD_KEY: card.to_json()})
    onnx.save(model, out)
    return out


def mean_picture(folder: Path, size: int) -> NDArray[np.float32]:
    """The mean of all training pictures, flat, in the order of an encoder's input."""
    files = [(file, None) for file in images_module.scan(folder) if isinstance(file, ImageFile)]
    prepared = (p for p in prepare_all(files, Preprocess(size, size)) if isinstance(p, Prepared))
    total, count = np.zeros((size, size, 3)), 0
    for one in prepared:
        total, count = total + one.pixels, count + 1
    return (total / count).astype(np.float32).ravel()


def measure(folder: Path, encoder: Path, work: Path) -> list[float]:
    """Index train and test with an encoder; k-NN top-1 of test against train, one figure for each of K."""
    store = FeatureStore.open(work / f"{encoder.stem}.store", encoder=encoder)
    store.index(folder, labels="folders")
    return [result.top1 for result in store.knn(k=K).results]


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.option("--images", default=5000, show_default=True, help="Training images, the same number of each class.")
@click.option("--minutes", default=4.0, show_default=True)
@click.option("--seed", "seeds", multiple=True, type=int, default=(0,), show_default=True)
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE")
def main(data: Path, images: int, minutes: float, seeds: tuple[int, ...], assignments: tuple[str, ...]) -> None:
    """Measure and print a table."""
    settings: dict[str, Any] = parse_assignments(assignments)
    rows: dict[str, list[list[float]]] = {"raw pixels": [], "untrained network": [], "learned": []}
    with tempfile.TemporaryDirectory() as temporary, ProgressBar() as bar:
        work = Path(temporary)
        folder = work / "images"
        folder.mkdir()
        take(data, images, folder)
        for seed in seeds:
            run = train(
                folder, work / f"run{seed}", labels="folders", listener=bar, minutes=minutes, seed=seed, **settings
            )
            began = time.monotonic()
            rows["learned"].append(measure(folder, run.encoder.rename(work / f"learned{seed}.onnx"), work))
            bar.note(f"indexed and measured in {time.monotonic() - began:.0f} s; {run.metrics[-1]}")
            rows["untrained network"].append(
                measure(folder, export_untrained(run.config, work / f"untrained{seed}.onnx"), work)
            )
        size = run.config.image_size
        rows["raw pixels"].append(
            measure(folder, pixels_encoder(size, mean_picture(folder / "train", size), work / "pixels.onnx"), work)
        )

    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "onnxruntime", "faiss-cpu", "duckdb"))
    print(
        f"{images} training images, {minutes:g} min, seeds {list(seeds)}, {run.config.method} {run.config.backbone} at {size} px, batch {run.config.batch_size}"
    )
    print(
        f"{platform.processor() or platform.machine()}, {available_cpus()} processors, {run.config.precision}; Python {platform.python_version()}, {versions}"
    )
    print("\n| vectors | " + " | ".join(f"k-NN {k}" for k in K) + " |\n|---|" + "---|" * len(K))
    for name, values in rows.items():
        cells = [
            f"{statistics.median(column):.3f} ({min(column):.3f}-{max(column):.3f})"
            for column in zip(*values, strict=True)
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
