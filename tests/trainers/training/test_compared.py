"""The images that encoders of two sizes are compared on: the same, at both."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featurestore.imaging.preprocess import Preprocess
from tests.trainers.runs import TINY, Notes
from trainers.config.resolve import resolve
from trainers.data import images as data
from trainers.training import compared
from trainers.training.compared import compare_on
from trainers.training.labelled_sample import take_sample

BESIDE = {**TINY, "base": "w.pth", "base_backbone": "test_resnet", "base_size": 32}


@pytest.fixture
def labelled(tmp_path: Path) -> data.Images:
    """Twelve images of two classes to train on, and six held back, each of one grey."""
    for number in range(18):
        folder = tmp_path / ("train" if number < 12 else "test") / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((40, 40, 3), 10 * number, np.uint8)).save(folder / f"{number:02}.png")
    files, record = data.list_training_files(tmp_path), Preprocess(16, 16)
    held_back = data.load(files.held_back, record)
    found = data.load(files.training, record)
    object.__setattr__(found, "held_back", held_back)
    return found


def test_the_same_images_are_taken_at_both_sizes(labelled: data.Images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compared, "MOST_WHITENED_LARGE", 6)
    Path(labelled.files[2].path).write_bytes(b"damaged since")
    found = compare_on(labelled, take_sample(labelled, labelled.held_back), resolve(BESIDE), Notes())
    assert found.images[32].pixels.shape == (5, 3, 32, 32)  # of every second one the readable
    assert found.images[16].files == found.images[32].files
    small, large = found.samples[16], found.samples[32]
    assert small.labels.tolist() == large.labels.tolist()
    assert small.queries is not None
    assert large.queries is not None
    for few, many in ((small.bank, large.bank), (small.queries, large.queries)):
        assert few.float().mean((1, 2, 3)).tolist() == many.float().mean((1, 2, 3)).tolist()
    assert found.pixels(32).shape[-1] == 32


@pytest.mark.parametrize("settings", [TINY, {**BESIDE, "base_size": 16}])
def test_images_of_one_size_are_taken_as_they_are(labelled: data.Images, settings: dict[str, object]) -> None:
    sample = take_sample(labelled, labelled.held_back)
    found = compare_on(labelled, sample, resolve(settings), Notes())
    assert found.images == {16: labelled}
    assert found.samples == {16: sample}
    assert compare_on(labelled, None, resolve(settings), Notes()).samples == {}


def test_without_labels_there_is_no_sample(labelled: data.Images) -> None:
    found = compare_on(labelled, None, resolve(BESIDE), Notes())
    assert (found.samples, sorted(found.images)) == ({}, [16, 32])
