"""The whitening of a run: in its encoder, and in its checkpoint for later exports."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from featurestore.ann.normalize import unit_rows
from featurestore.encoders import Encoder
from featurestore.encoders.card import Card
from featurestore.encoders.write import check_pixels
from featurestore.errors import TrainingError
from featurestore.estimators import whitening as estimator
from featurestore.imaging.preprocess import IMAGENET_MEAN, IMAGENET_STD
from featurestore.sources import ImageFile
from tests.trainers.runs import TINY, Notes
from trainers.data.images import Images
from trainers.export.training_run import export_run
from trainers.models import backbones
from trainers.models.backbones import Conv4
from trainers.run import train
from trainers.training import checkpoint
from trainers.training.features import RawPixels, features
from trainers.training.labelled_sample import take_sample
from trainers.training.monitor import knn_monitor
from trainers.training.whitening import from_state


def test_a_run_is_whitened_and_can_be_exported_without(
    few_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimator, "LEAST", 10)
    run = train(few_shapes, tmp_path / "run", epochs=1, export="own", mean=[0.5, 0.4, 0.3], std=[0.2, 0.3, 0.4], **TINY)
    made = Encoder(run.encoder)
    assert made.card.whitening == {"images": 24, "strength": 0.25, "shrinkage": 3.0}
    assert export_run(run.out, tmp_path / "again.onnx").read_bytes() == run.encoder.read_bytes()
    plain = Encoder(export_run(run.out, tmp_path / "plain.onnx", whiten=False))
    assert plain.card.whitening == {}
    white = from_state(checkpoint.load(run.out / "checkpoint.pt"), plain.dim)
    assert white is not None
    images = sorted(path for path in few_shapes.rglob("*.png") if "test" not in path.parts)
    np.testing.assert_allclose(white.mean, plain.embed(images).vectors.mean(axis=0), atol=1e-5)
    pixels = check_pixels(made.preprocess)
    np.testing.assert_allclose(made.encode(pixels), white(unit_rows(plain.encode(pixels))), atol=1e-4)


@pytest.mark.slow
def test_vectors_with_layout_are_whitened_to_the_length_of_those_without(
    few_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimator, "LEAST", 10)
    monkeypatch.setitem(
        backbones.OWN, "conv4", Conv4
    )  # as wide as for users, so that its layout is longer than its output
    run = train(few_shapes, tmp_path / "run", epochs=1, export="own", **{**TINY, "image_size": 32})
    made = Encoder(run.encoder)
    assert (made.card.branch, made.dim) == ("online, with layout", 256)
    assert export_run(run.out, tmp_path / "again.onnx").read_bytes() == run.encoder.read_bytes()
    plain = Encoder(export_run(run.out, tmp_path / "plain.onnx", whiten=False))
    assert plain.dim == 256 + 4 * 256 + 9 * 128
    white = from_state(checkpoint.load(run.out / "checkpoint.pt"), plain.dim)
    assert white is not None
    pixels = check_pixels(made.preprocess)
    np.testing.assert_allclose(made.encode(pixels), white(unit_rows(plain.encode(pixels))), atol=1e-4)


def test_a_run_of_few_images_is_not_whitened_and_says_so(
    few_shapes: Path, tmp_path: Path, no_export: list[Card]
) -> None:
    listener = Notes()
    train(few_shapes, tmp_path / "run", epochs=1, listener=listener, **TINY)
    assert no_export[0].whitening == {}
    assert any("the vectors are not whitened: expected at least 64 vectors" in note for note in listener.lines)


@pytest.mark.parametrize(
    "change",
    [
        {"mean": torch.zeros(3)},
        {"matrix": torch.full((4, 4), torch.nan)},
        {"matrix": torch.zeros(4)},
        {"images": "many"},
        {"mean": [0, 0, 0, 0]},
    ],
)
def test_a_strange_whitening_is_named(change: dict[str, Any]) -> None:
    held = {"mean": torch.zeros(4), "matrix": torch.eye(4), "images": 9, "strength": 0.25, "shrinkage": 3.0}
    assert from_state({"whitening": held}, 4) is not None
    with pytest.raises(TrainingError, match="does not fit its network; export it with --no-whiten"):
        from_state({"whitening": held | change}, 4)


@pytest.mark.parametrize("count", [100, 30])
def test_the_monitor_measures_whitened_vectors(count: int) -> None:
    """As the encoder has them: with too few images neither is whitened."""
    rng = np.random.default_rng(0)
    classes = np.arange(2 * count) % 3
    pixels = rng.integers(0, 256, (2 * count, 3, 16, 16), np.uint8)
    pixels[:, 0] //= 2  # a direction that all images have in common
    pixels[np.arange(2 * count), :, classes] = 255
    train, held_back = (
        Images(torch.from_numpy(pixels[half]), tuple(ImageFile("", str(n), None, 0, 0) for n in classes[half]), (), "")
        for half in (slice(count), slice(count, None))
    )
    bank, queries = (features(RawPixels(), images.pixels) for images in (train, held_back))
    if count >= estimator.LEAST:
        whitening = estimator.fit(bank)
        bank, queries = unit_rows(whitening(bank)), unit_rows(whitening(queries))
    scores = queries @ bank.T
    right = 0
    for row, label in zip(scores, classes[count:], strict=True):
        nearest = np.argsort(-row)[:20]
        votes = [np.exp(row[nearest] / 0.07)[classes[:count][nearest] == n].sum() for n in range(3)]
        right += int(np.argmax(votes)) == label
    assert knn_monitor(take_sample(train, held_back), IMAGENET_MEAN, IMAGENET_STD, whiten=True)(RawPixels())[
        "knn_top1"
    ] == pytest.approx(right / count)
