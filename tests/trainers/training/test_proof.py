"""The table at the end of a training."""

import numpy as np
import pytest
import torch
from torch import nn

from featurestore.estimators.whitening import Part
from featurestore.imaging.preprocess import Preprocess
from tests.trainers.training.test_labelled_sample import images
from trainers.augmentations import AugmentConfig, ViewSpec
from trainers.models.backbones import Conv4
from trainers.models.side_by_side import SideBySide
from trainers.training.compared import Compared
from trainers.training.contender import Contender, Encoding, numbers
from trainers.training.features import RawPixels
from trainers.training.labelled_sample import LabelledSample, take_sample
from trainers.training.proof import Proof, Row, best, measure
from trainers.training.view_retrieval import encode_two_views, view_top1

RECORD = Preprocess(16, 16)
VIEW = ViewSpec(16, 0.0, 0.0, AugmentConfig())


def row(
    kind: str, right: int | None = None, views: float | None = None, layout: bool = False, few: float | None = None
) -> Row:
    contender = Contender(kind, nn.Identity(), RECORD, (Part(4),), "m", "b", "x", layout=layout)
    return Row(contender, None if right is None else np.arange(100) < right, few, views)


def test_the_first_of_equals_is_the_best_and_each_kind_is_shown_in_its_better_form() -> None:
    rows = [row("own encoder", 50), row("own encoder", 60, layout=True), row("start weights", 60), row("raw pixels", 9)]
    proof = Proof(tuple(rows), best(rows).contender, 10)
    assert proof.written.name == "own encoder, with layout"
    assert proof.own.figure == 0.6
    assert {kind: other.figure for kind, other in proof.others.items()} == {"start weights": 0.6, "raw pixels": 0.09}
    assert proof.to_json()["baselines"] == {"before training": 0.6, "raw pixels": 0.09}
    assert "not better than start weights (0.600)" in proof.verdict(epochs=1)[0]


def test_k_nn_and_few_labels_decide_together() -> None:
    rows = [
        row("own encoder", 70, few=0.4),
        row("own encoder", 68, layout=True, few=0.5),
        row("start weights", 50, few=0.1),
        row("raw pixels", 60, few=0.6),
    ]
    proof = Proof(tuple(rows), best(rows).contender, 10)
    assert proof.own.contender.layout
    assert proof.written.name == "raw pixels"
    assert proof.verdict(epochs=900)[0] == (
        "accuracy 0.680 by k-NN, 0.500 with 5 labels a class, mean 0.590, on 100 images: "
        "the trained encoder is not better than raw pixels (mean 0.600)"
    )
    assert proof.to_json()["baselines"] == {"before training": 0.5, "raw pixels": 0.6}


def test_an_encoder_with_fewer_neighbours_right_is_not_certain_to_be_better() -> None:
    rows = (row("own encoder", 20, few=0.9), row("raw pixels", 60, few=0.1))
    [said] = Proof(rows, rows[0].contender, 10).verdict(epochs=900)
    assert "that it is higher than raw pixels (mean 0.350) is not certain" in said


@pytest.mark.parametrize(("known", "length"), [(False, 1.0), (True, 0.35)])
def test_training_images_alone_choose_the_length_of_the_trained_part(known: bool, length: float) -> None:
    """One part of the vectors tells the classes of training images; of the others, which are predicted, the other part does."""
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 10
    telling, noise = np.eye(10)[labels] + 0.1 * rng.normal(size=(200, 10)), rng.normal(size=(200, 10))
    bank = np.concatenate([telling, noise] if known else [noise, telling], axis=1).astype(np.float32)
    queries = np.concatenate([noise, telling] if known else [telling, noise], axis=1).astype(np.float32)

    class Given(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(queries if x[0, 0, 0, 0] > 0 else bank)

    parts = (Part(10), Part(10, length=0.6))
    network = SideBySide(Conv4(4), Conv4(4), 16)
    contender = Contender("own encoder", network, RECORD, parts, "m", "b", "x", beside=True)
    black = torch.zeros(200, 3, 16, 16, dtype=torch.uint8)
    sample = LabelledSample(black, labels, 10, black + 255, labels)
    encoding = Encoding(Given(), RECORD, ((contender, numbers(slice(20))),))
    [found] = measure([encoding], Compared({}, {16: sample}), VIEW, whiten=False)
    assert found.contender.parts[-1].length == length
    assert isinstance(found.contender.network, SideBySide)
    assert found.contender.network.length == length
    assert found.right is not None
    assert found.right.mean() < 0.9  # of the images to predict, not of those that chose


def test_without_held_back_images_the_same_ones_choose_the_length_and_measure() -> None:
    """One class has too few images for the figure with few labels, so that k-NN alone ranks."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(5), [20, 20, 20, 20, 3])
    bank = np.concatenate([rng.normal(size=(83, 8)), np.eye(5)[labels] + 0.1 * rng.normal(size=(83, 5))], axis=1)

    class Given(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(bank.astype(np.float32))

    network, parts = SideBySide(Conv4(4), Conv4(4), 16), (Part(8), Part(5))
    contender = Contender("own encoder", network, RECORD, parts, "m", "b", "x", beside=True)
    sample = LabelledSample(torch.zeros(83, 3, 16, 16, dtype=torch.uint8), labels, 5, None, labels)
    encoding = Encoding(Given(), RECORD, ((contender, numbers(slice(13))),))
    [found] = measure([encoding], Compared({}, {16: sample}), VIEW, whiten=True)
    assert (found.contender.parts[-1].length, found.few_labels) == (1.0, None)
    assert found.figure == found.knn
    assert found.figure > 0.9


def test_without_labels_views_decide_and_there_are_no_baselines() -> None:
    rows = [row("own encoder", views=0.5), row("untrained network", views=0.4), row("raw pixels", views=0.1)]
    proof = Proof(tuple(rows), best(rows).contender, 10)
    [said] = proof.verdict(epochs=500)
    assert said.startswith("views found 0.500")
    assert said.endswith("higher than untrained network (0.400) and raw pixels (0.100)")
    assert proof.to_json()["baselines"] == {}
    assert proof.table()[0].split() == ["views", "found"]


@pytest.mark.parametrize(
    ("images_", "epochs", "helps"),
    [
        (10, 10, "a longer training, more images, "),
        (10**4, 10, "a longer training, other views"),
        (10**4, 900, ": other views"),
    ],
)
def test_what_would_help_depends_on_what_there_was(images_: int, epochs: int, helps: str) -> None:
    rows = (row("own encoder", 5), row("raw pixels", 50))
    assert helps in Proof(rows, rows[1].contender, images_).verdict(epochs)[1]


def test_a_form_without_layout_is_the_first_numbers_of_that_with_it() -> None:
    """Both are measured by one pass, as if each were encoded."""

    class Both(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            plain = RawPixels(4)(x)
            return torch.cat([nn.functional.normalize(plain, dim=1), torch.ones(len(x), 2)], dim=1)

    labelled = images(["a", "b", "c"] * 30)
    torch.manual_seed(0)
    object.__setattr__(labelled, "pixels", torch.randint(256, (90, 3, 16, 16), dtype=torch.uint8))
    plain = Contender("own encoder", RawPixels(4), RECORD, (Part(48),), "m", "b", "x")
    wider = Contender("own encoder", Both(), RECORD, (Part(50),), "m", "b", "x", layout=True)
    alone_, both_ = (
        [Encoding(each[-1].network, RECORD, tuple((one, numbers(slice(one.dim))) for one in each))]
        for each in ([plain], [plain, wider])
    )
    sample = take_sample(labelled, None)
    assert sample is not None
    by_labels, by_views = Compared({16: labelled}, {16: sample}), Compared({16: labelled}, {})
    [alone] = measure(alone_, by_labels, VIEW, whiten=True)
    first, second = measure(both_, by_labels, VIEW, whiten=True)
    assert [first.contender.name, second.contender.name] == ["own encoder", "own encoder, with layout"]
    assert (first.figure, first.few_labels) == (alone.figure, alone.few_labels)

    [alone] = measure(alone_, by_views, VIEW, whiten=True)
    [together] = measure(both_, by_views, VIEW, whiten=True)
    assert (together.contender.name, together.views) == ("own encoder, with layout", alone.views)


def test_views_of_one_image_are_found_where_images_differ_and_not_where_vectors_are_equal() -> None:
    torch.manual_seed(0)
    pixels = torch.randint(256, (30, 3, 1, 1), dtype=torch.uint8).expand(-1, -1, 16, 16).contiguous()
    still = ViewSpec(16, 0.0, 0.0, AugmentConfig(jitter=0.0, grey=0.0, brightness=0.0))
    both = encode_two_views(RawPixels(4), pixels, still)
    assert both.shape == (60, 48)
    assert view_top1(both) == 1.0  # crops of an image of one colour are equal
    assert view_top1(np.ones((60, 4), np.float32)) == pytest.approx(1 / 30)
