"""Measures of encoders by labels: what is drawn, and hand-made vectors."""

import numpy as np
import pytest
import torch

from featurestore.sources import ImageFile
from trainers.data.images import Images
from trainers.training.labelled_sample import LabelledSample, few_labels_top1, knn_right, take_sample


def images(labels: list[str | None]) -> Images:
    """Images whose first pixel is their number."""
    pixels = torch.arange(len(labels), dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 8, 8)
    return Images(pixels, tuple(ImageFile(f"{i}", label, None, 0, 0) for i, label in enumerate(labels)), (), "")


def numbers(pixels: torch.Tensor | None) -> list[int]:
    assert pixels is not None
    return pixels[:, 0, 0, 0].tolist()


def test_images_without_a_label_or_with_one_that_training_does_not_have_are_left_out() -> None:
    sample = take_sample(images(["b", None, "a", "b"]), images(["a", None, "z", "b"]))
    assert sample is not None
    assert (numbers(sample.bank), sample.labels.tolist(), sample.classes) == ([0, 2, 3], [1, 0, 1], 2)
    assert (numbers(sample.queries), sample.truth.tolist()) == ([0, 3], [0, 1])


def test_of_many_images_an_even_part_is_taken() -> None:
    sample = take_sample(images(["a", "b"] * 5), None, most=4)
    assert sample is not None
    assert numbers(sample.bank) == [0, 3, 6, 9]
    assert sample.asked.tolist() == sample.labels.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("labels", "held_back"),
    [
        ([None, None], None),
        (["a", None], None),
        (["a"], ["b"]),
        ([None], ["a"]),
        (["a", "a"], None),
        (["a", "b"], None),
        (["a", "b"], ["c"]),
    ],
)
def test_there_is_none_where_nothing_can_be_predicted(
    labels: list[str | None], held_back: list[str | None] | None
) -> None:
    assert take_sample(images(labels), None if held_back is None else images(held_back)) is None


def sample_of(labels: list[int]) -> LabelledSample:
    codes = np.array(labels)
    return LabelledSample(torch.zeros(len(labels), 3, 8, 8, dtype=torch.uint8), codes, max(labels) + 1, None, codes)


def test_each_image_is_predicted_by_the_others() -> None:
    angles = np.array([0.0, 0.1, 0.2, 1.5, 1.6, 0.3])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    right = knn_right(sample_of([0, 0, 0, 1, 1, 1]), vectors, None)
    assert right.tolist() == [True, True, True, True, True, False]  # the last lies among the others


def test_few_labels_are_class_means_of_five_drawn_images() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 8)
    vectors = rng.normal(size=(16, 4)).astype(np.float32) * 0.1
    vectors[labels == 0, 0] += 1
    vectors[labels == 1, 1] += 1
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert few_labels_top1(sample_of(labels.tolist()), vectors, None) == 1.0
    assert (
        few_labels_top1(sample_of(labels[:13].tolist()), vectors[:13], None) is None
    )  # class 1 has five: none is left
