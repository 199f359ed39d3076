"""The demo: train, export, index, measure and search scikit-learn's handwritten digits, and show the commands for it."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from featurestore import FeatureStore
from featurestore.ann.normalize import unit_rows
from featurestore.errors import ConfigError
from featurestore.estimators.whitening import fit
from featurestore.evaluation.lowshot import LowShotResult, lowshot_accuracies, summarize
from featurestore.metrics.splits import shot_draws
from featurestore.progress import Listener
from featurestore.system.text_table import format_table
from trainers.export.training_run import export_untrained
from trainers.run import train

SHOTS, TRIES = (1, 5, 10), 20
# A mirrored digit is a different sign and ink has no colour: no flip and no hue, but small affine changes and ink of any strength.
SETTINGS: dict[str, Any] = {
    "method": "simclr",
    "backbone": "conv4",
    "image_size": 16,
    "simclr": {"temperature": 1.0},
    "augment": {
        "flip": 0,
        "rotate": 10,
        "crop_min": 0.6,
        "grey": 0,
        "hue": 0,
        "saturation": 0,
        "brightness": 0.3,
        "contrast": 0.3,
        "blur": [0.5, 0.5],
    },
}


def run_demo(out: Path, minutes: float, listener: Listener, say: Callable[[str], None]) -> dict[str, Any]:
    """Write the digits as PNG files, train, export, index, measure and search them; returns all figures.

    Raises ConfigError when `out` is not empty.
    """
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty; remove it, or choose another --out")
    digits, run_folder, store_folder = out / "digits", out / "run", out / "digits.store"
    count = write_digits(digits)
    say(f"{count} handwritten digits of 8 x 8 pixels as PNG files in {digits}/train/<class> and {digits}/test/<class>")

    run = train(digits, run_folder, labels="folders", listener=listener, minutes=minutes, **SETTINGS)
    say(
        f"{run.encoder} after {run.metrics[-1]['seconds']:.0f} s of training on the images of train, without their labels\n"
    )
    untrained = export_untrained(run.config, out / "untrained.onnx")

    store = FeatureStore.open(store_folder, encoder=run.encoder)
    store.index(digits, labels="folders", listener=listener)
    report = store.knn(k=(1, 5, 20))
    say(f"k-NN, {report.n_train} labelled digits name {report.n_test} others")
    say("\n".join(format_table([(r.k, r.top1, r.top5) for r in report.results], ("k", "top-1", "top-5"))))

    other = FeatureStore.open(out / "untrained.store", encoder=untrained)
    other.index(digits, labels="folders", listener=listener)
    table = {
        "raw pixels": _whitened(*_pixels(digits)),
        "untrained network": _whitened(*_split(other)),
        "learned vectors": _split(store),
    }
    low = {name: _few_labels(*arrays) for name, arrays in table.items()}
    say(
        f"\nnearest neighbour with few labels a class (mean of {TRIES} draws, fraction right; all vectors are whitened)"
    )
    rows = [(name, *(r.top1_mean for r in results)) for name, results in low.items()]
    say("\n".join(format_table(rows, ("", *(f"{n} labels" for n in SHOTS)))))

    query = sorted((digits / "test").glob("*/*.png"))[0]
    hits = store.search(query, k=11, where="split = 'train'")
    hits.sheet(out / "hits.png")
    say(f"\n{out / 'hits.png'} shows what is nearest to {query}")
    say(_commands(out))
    return {
        "train": run.metrics[-1],
        "knn": report.to_json(),
        "lowshot": {name: [r.to_json() for r in results] for name, results in low.items()},
        "hits": hits.to_json(),
    }


def write_digits(folder: Path) -> int:
    """Write scikit-learn's 1,797 digits as <split>/<class>/<number>.png, a third of each class for test; returns their number."""
    bunch = load_digits()
    _, test = train_test_split(np.arange(len(bunch.target)), test_size=1 / 3, random_state=0, stratify=bunch.target)
    held_back = set(test.tolist())
    for number, (pixels, label) in enumerate(zip(bunch.images, bunch.target, strict=True)):
        path = folder / ("test" if number in held_back else "train") / str(label) / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.rint(pixels * (255 / 16)).astype(np.uint8)).save(path)
    return len(bunch.target)


def _split(store: FeatureStore) -> tuple[Any, Any, Any, Any]:
    """Give vectors and labels of train and test as four arrays."""
    _, train_x, train_y = store.features(split="train")
    _, test_x, test_y = store.features(split="test")
    return train_x, train_y.astype(int), test_x, test_y.astype(int)


def _pixels(digits: Path) -> tuple[Any, Any, Any, Any]:
    """Give the same for raw pixels, centred by the mean of train and scaled to unit length, which makes them a stronger baseline."""
    arrays: dict[str, Any] = {}
    for split in ("train", "test"):
        paths = sorted((digits / split).glob("*/*.png"))
        arrays[split] = (
            np.stack([np.asarray(Image.open(p), np.float32).ravel() for p in paths]),
            np.array([int(p.parent.name) for p in paths]),
        )
    mean = arrays["train"][0].mean(axis=0)
    (train_x, train_y), (test_x, test_y) = arrays["train"], arrays["test"]
    return unit_rows(train_x - mean), train_y, unit_rows(test_x - mean), test_y


def _whitened(train_x: Any, train_y: Any, test_x: Any, test_y: Any) -> tuple[Any, Any, Any, Any]:
    """Whiten vectors as the encoder's are, which makes the comparison fair."""
    whitening = fit(train_x)
    return unit_rows(whitening(train_x)), train_y, unit_rows(whitening(test_x)), test_y


def _few_labels(train_x: Any, train_y: Any, test_x: Any, test_y: Any) -> list[LowShotResult]:
    """Measure the nearest neighbour among SHOTS labels a class on the images of test, over TRIES draws."""
    results: list[LowShotResult] = []
    for shots in SHOTS:
        drawn = list(shot_draws(train_y, shots, TRIES))
        found = lowshot_accuracies(train_x, train_y, drawn, ["nearest-neighbour"], (test_x, test_y))
        results += summarize(found, len(drawn[0]), shots)
    return results


def _commands(out: Path) -> str:
    options = [f"--{key.replace('_', '-')} {value}" for key, value in SETTINGS.items() if not isinstance(value, dict)]
    options += [
        f"--set {shlex.quote(f'{table}.{key}={json.dumps(value)}')}"
        for table, values in SETTINGS.items()
        if isinstance(values, dict)
        for key, value in values.items()
    ]
    again = shlex.quote(str(out / "again"))
    return f"""
The same for a folder of your own, such as photos/:

  featurestore train photos/ --out run --minutes 30
  featurestore index photos.store photos/ --encoder run/encoder.onnx --labels folders
  featurestore knn photos.store
  featurestore search photos.store photos/one.jpg --sheet hits.png

The digits were trained by:

  featurestore train {shlex.quote(str(out / "digits"))} --out {again} --labels folders --minutes 1.5 \\
    {" ".join(options)}"""
