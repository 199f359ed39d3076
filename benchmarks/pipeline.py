"""Steps that several benchmarks share: take a part of a labelled folder, train by the command line, bring an encoder's vectors into a store."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurestore import FeatureStore

Vectors = NDArray[np.float32]


def link_subset(data: Path, images: int, out: Path) -> None:
    """Link the same number of training images of each class, `images` together, and all test images into `out`."""
    classes = sorted(p.name for p in (data / "train").iterdir())
    for split in ("train", "test"):
        for name in classes:
            (out / split / name).mkdir(parents=True)
            paths = sorted((data / split / name).iterdir())
            for path in paths[: images // len(classes)] if split == "train" else paths:
                (out / split / name / path.name).symlink_to(path.resolve())


def train(folder: Path, out: Path, arguments: Sequence[str]) -> float:
    """Train with `featurestore train` in a process of its own; returns its peak memory in MB."""
    start = "from featurestore.cli import main; main()"
    command = [sys.executable, "-c", start, "train", str(folder), "--out", str(out), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"failed: {' '.join(command)}")
    return usage.ru_maxrss / 1024


def labelled_store(folder: Path, encoder: Path, work: Path) -> FeatureStore:
    """Write a store of a folder's images with an encoder, labelled by their folders."""
    store = FeatureStore.open(work / f"{encoder.parent.name}.{encoder.stem}.store", encoder=encoder)
    store.index(folder, labels="folders")
    return store


def labelled_vectors(
    folder: Path, encoder: Path, work: Path
) -> tuple[Vectors, NDArray[np.int64], Vectors, NDArray[np.int64]]:
    """Encode a folder's images: vectors and class codes of train, (N, D) and (N,), and of test."""
    store = labelled_store(folder, encoder, work)
    (_, train_x, train_names), (_, test_x, test_names) = store.features(split="train"), store.features(split="test")
    classes, train_y = np.unique(train_names.astype(str), return_inverse=True)
    assert np.isin(test_names.astype(str), classes).all(), f"{folder}: train lacks a class of test"
    return train_x, train_y, test_x, np.searchsorted(classes, test_names.astype(str))
