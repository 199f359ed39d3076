"""Steps that several benchmarks share: take a part of a labelled folder, train by the command line, bring an encoder's vectors into a store."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from featurestore import FeatureStore


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
