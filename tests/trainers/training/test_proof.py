"""The table at the end of a training."""

import numpy as np
import pytest
import torch
from torch import nn

from featurestore.estimators.whitening import Part
from featurestore.imaging.preprocess import Preprocess
from tests.trainers.training.test_labelled_sample import images
from trainers.augmentations import AugmentConfig, ViewSpec
from trainers.training.compared import Compared
from trainers.training.contender import Contender, Encoding
from trainers.training.features import RawPixels
from trainers.training.labelled_sample import take_sample
from trainers.training.proof import Proof, Row, best, measure
from trainers.training.view_retrieval import encode_two_views, view_top1

RECORD = Preprocess(16, 16)
VIEW = ViewSpec(16, 0.0, 0.0, AugmentConfig())


def row(kind: str, right: int | None = None, views: float | None = None, layout: bool = False) -> Row:
    contender = Contender(kind, nn.Identity(), RECORD, (Part(4),), "m", "b", "x", layout=layout)
    return Row(contender, None if right is None else np.arange(100) < right, None, views)


def test_the_first_of_equals_is_the_best_and_each_kind_is_shown_in_its_better_form() -> None:
    rows = [row("own encoder", 50), row("own encoder", 60, layout=True), row("start weights", 60), row("raw pixels", 9)]
    proof = Proof(tuple(rows), best(rows).contender, 10)
    assert proof.written.name == "own encoder, with layout"
    assert proof.own.figure == 0.6
    assert {kind: other.figure for kind, other in proof.others.items()} == {"start weights": 0.6, "raw pixels": 0.09}
    assert proof.to_json()["baselines"] == {"before training": 0.6, "raw pixels": 0.09}
    assert "not better than start weights (0.600)" in proof.verdict(epochs=1)[0]


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
        [Encoding(each[-1].network, RECORD, tuple((one, np.arange(one.dim)) for one in each))]
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
