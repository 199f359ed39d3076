"""The parts of fine-tuning: draws, heads, the loop, and the choice among recipes."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from featurestore.errors import ConfigError, TrainingError
from featurestore.imaging.preprocess import IMAGENET_MEAN, IMAGENET_STD
from featurestore.progress import Listener
from tests.trainers.finetuning.finetuned import write_run
from tests.trainers.small import SMALL, config_of, make
from trainers.data.labelled import LabelledImages
from trainers.finetuning import select as training
from trainers.finetuning.finetune import draw_labels, fabric_of
from trainers.finetuning.loop import _groups, fit, follow, logits_of, momentum_at
from trainers.finetuning.network import ClassifierNetwork, StartingPoint, build_classifier, read_start
from trainers.finetuning.recipe import ENOUGH, FinetuningRecipe, candidates, epochs_of
from trainers.finetuning.select import Task, Trainer
from trainers.finetuning.views import mild_view

# -- draws


def test_a_share_is_drawn_of_each_class_and_no_less_than_two() -> None:
    codes = np.array([0] * 100 + [1] * 10 + [2] * 3 + [3])
    drawn = codes[draw_labels(codes, 0.1, seed=0)]
    assert np.bincount(drawn).tolist() == [10, 2, 2, 1]
    assert len(draw_labels(codes, 1.0, seed=0)) == len(codes)


def test_a_draw_depends_on_its_seed_and_a_smaller_one_is_part_of_a_larger() -> None:
    codes = np.tile(np.arange(4), 50)
    first, again, other = draw_labels(codes, 0.1, 0), draw_labels(codes, 0.1, 0), draw_labels(codes, 0.1, 1)
    assert first.tolist() == again.tolist() != other.tolist()
    assert set(first) < set(draw_labels(codes, 0.3, 0))


# -- the network


@pytest.fixture
def start(tmp_path: Path) -> StartingPoint:
    return read_start(write_run(tmp_path / "run"))


@pytest.mark.parametrize("head", ["linear", "mlp", "projection"])
def test_every_head_gives_one_logit_a_class_and_starts_from_the_backbone_of_the_run(
    start: StartingPoint, head: Any
) -> None:
    network = build_classifier(start, head, 3, seed=0).eval()
    assert network(torch.rand(2, 3, 16, 16)).shape == (2, 3)
    assert start.weights is not None
    learned = start.weights["backbone.layers.0.weight"]
    torch.testing.assert_close(network.backbone.get_parameter("layers.0.weight").data, learned)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_the_projection_head_starts_from_the_first_layer_of_the_projection(start: StartingPoint) -> None:
    network = build_classifier(start, "projection", 3, seed=0)
    assert start.weights is not None
    torch.testing.assert_close(network.projection.get_parameter("0.weight").data, start.weights["projection.0.weight"])
    assert {id(p) for p in network.projection.parameters()} < {id(p) for p in network.pretrained()}


@pytest.mark.parametrize("name", sorted(SMALL))
def test_the_first_projection_is_part_of_the_method_and_takes_the_backbones_vectors(name: str) -> None:
    method = make(name).eval()
    layer = method.first_projection
    if name in ("jigsaw", "mae", "moco-v1"):
        assert layer is None
        return
    own = {id(p) for p in method.parameters()}
    assert {id(p) for p in layer.parameters()} <= own
    with torch.no_grad():
        out = layer(method.export_backbone(torch.rand(2, 3, 16, 16)))
    assert not any(isinstance(m, nn.Linear) for m in list(layer.modules())[2:])  # one layer
    assert out.ndim == 2
    assert name in ("dino", "ibot") or bool((out >= 0).all())  # its nonlinearity included


def test_a_method_without_projection_has_no_such_head(tmp_path: Path) -> None:
    start = read_start(write_run(tmp_path / "run", "moco-v1"))
    with pytest.raises(ConfigError, match=r"moco-v1 has no projection.*--head mlp or linear"):
        build_classifier(start, "projection", 2, seed=0)


def test_from_scratch_is_the_same_network_with_weights_of_the_seed(start: StartingPoint) -> None:
    first, again, other = (build_classifier(start.from_scratch(), "mlp", 2, seed) for seed in (1, 1, 2))
    weights = [n.backbone.get_parameter("layers.0.weight") for n in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert str(first) == str(build_classifier(start, "mlp", 2, 1))


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="expected a checkpoint, found none"):
        read_start(tmp_path)


def test_views_are_milder_and_what_the_run_never_changed_stays() -> None:
    config = config_of("simclr", augment={"flip": 0.0, "hue": 0.0, "crop_min": 0.6})
    own, mild = config.augment, mild_view(config).augment
    assert (mild.flip, mild.hue, mild.crop_min) == (0.0, 0.0, 0.6)
    assert mild.brightness < own.brightness
    assert mild.grey < own.grey
    assert mild_view(config_of("simclr")).augment.crop_min > config_of("simclr").augment.crop_min


# -- the loop


RECIPE = FinetuningRecipe(epochs=4, minutes=None, batch_size=4, lr=1e-2, learned=0.1, frozen=0.0, weight_decay=0.0)


def colours(each: int) -> LabelledImages:
    """Dark and bright pictures with noise, taking turns."""
    rng = torch.Generator().manual_seed(0)
    codes = torch.arange(2 * each) % 2
    pixels = torch.randint(0, 100, (2 * each, 3, 16, 16), generator=rng) + 120 * codes[:, None, None, None]
    return LabelledImages(pixels.to(torch.uint8), codes, np.arange(2 * each))


def run_fit(
    start: StartingPoint, recipe: FinetuningRecipe, images: LabelledImages, seen: list[dict[str, Any]] | None = None
) -> ClassifierNetwork:
    def look(network: ClassifierNetwork, figures: dict[str, Any]) -> None:
        if seen is not None:
            seen.append(figures)

    network = build_classifier(start, "mlp", 2, seed=0)
    return fit(fabric_of(start, "cpu"), network, images, recipe, mild_view(start.config), 0, look, Listener())


def test_every_parameter_is_in_one_group_and_norms_do_not_decay(start: StartingPoint) -> None:
    network = build_classifier(start, "mlp", 2, seed=0)
    groups = _groups(network, dataclasses.replace(RECIPE, weight_decay=0.3))
    ids = [id(p) for group in groups for p in group["params"]]
    assert sorted(ids) == sorted(id(p) for p in network.parameters())
    assert {group["weight_decay"] for group in groups for p in group["params"] if p.ndim == 1} == {0.0}
    share = {id(p): group["share"] for group in groups for p in group["params"]}
    assert {share[id(p)] for p in network.backbone.parameters()} == {0.1}
    assert {share[id(p)] for p in network.head.parameters()} == {1.0}


def test_what_was_learned_before_stands_still_while_it_is_frozen(start: StartingPoint) -> None:
    def moved(network: ClassifierNetwork) -> tuple[bool, bool]:
        before = build_classifier(start, "mlp", 2, seed=0)
        return tuple(
            any(not torch.equal(a, b) for a, b in zip(x.parameters(), y.parameters(), strict=True))
            for x, y in ((network.backbone, before.backbone), (network.head, before.head))
        )  # type: ignore[return-value]

    assert moved(run_fit(start, dataclasses.replace(RECIPE, frozen=1.0), colours(4))) == (False, True)
    assert moved(run_fit(start, dataclasses.replace(RECIPE, frozen=0.5), colours(4))) == (True, True)


def test_a_training_is_looked_at_some_ten_times_and_at_its_end(start: StartingPoint) -> None:
    seen: list[dict[str, Any]] = []
    run_fit(start, dataclasses.replace(RECIPE, epochs=30), colours(4), seen)
    assert len(seen) == 10
    assert (seen[-1]["epoch"], seen[-1]["step"]) == (30, 60)


def test_a_loss_that_is_no_number_is_named(start: StartingPoint) -> None:
    with pytest.raises(TrainingError, match="loss became"):
        run_fit(start, dataclasses.replace(RECIPE, lr=float("inf")), colours(4))


def test_the_average_follows_weights_and_statistics_and_forgets_quickly_at_first() -> None:
    average, network = (nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1)) for _ in range(2))
    with torch.no_grad():
        for module, value in ((average, 1.0), (network, 2.0)):
            for tensor in module.state_dict().values():
                tensor.fill_(value)
    follow(average, network, 0.75)
    assert {float(t) for name, t in average.state_dict().items() if "tracked" not in name} == {1.25}
    assert [round(momentum_at(step, 0.99), 3) for step in (1, 10, 90, 10_000)] == [0.091, 0.5, 0.9, 0.99]


# -- recipes and the choice among them


def test_few_labels_are_seen_more_often() -> None:
    assert [epochs_of(n) for n in (4, 500, 5000, 50_000)] == sorted(
        (epochs_of(n) for n in (4, 500, 5000, 50_000)), reverse=True
    )
    assert candidates(500, True, 7, None)[0].epochs == 7
    assert all(2 <= candidates(n, False, None, None)[0].batch_size <= max(2, n // 2) for n in (4, 9, 100, 10_000))


@pytest.mark.parametrize("labels", [500, ENOUGH, 50_000])
def test_both_starts_have_equally_many_steps(labels: int) -> None:
    pretrained, scratch = candidates(labels, True, None, None), candidates(labels, False, None, None)
    assert len({recipe.learned for recipe in pretrained}) == 2
    assert len({(r.epochs, r.batch_size) for r in (*pretrained, *scratch)}) == 1
    assert {(r.learned, r.frozen) for r in scratch} == {(1.0, 0.0)}  # one rate for all of it


def test_few_labels_from_scratch_have_a_strong_decay_and_many_a_choice() -> None:
    assert [recipe.weight_decay for recipe in candidates(ENOUGH - 1, False, None, None)] == [2.0]
    assert sorted(recipe.weight_decay for recipe in candidates(ENOUGH, False, None, None)) == [0.05, 2.0]


class Scripted(Trainer):
    """A trainer whose networks answer by a script instead of learning."""

    logits: dict[str, float]  # by the name of a training: how much the truth outweighs the other class
    trained_on: list[tuple[str, int]]

    def _fit(self, images: LabelledImages, recipe: FinetuningRecipe, name: str, best: Any = None) -> Any:
        self.trained_on.append((name, len(images)))
        network: Any = Answers(self.logits.get(name, 1.0))
        self.curve.append({"training": name, "epoch": 1, "seconds": 1.0})
        if best:
            best.judge(network, 1)
        return network


class Answers(nn.Module):
    """Bright pictures are of class 1, by a margin."""

    mean, std = IMAGENET_MEAN, IMAGENET_STD

    def __init__(self, margin: float) -> None:
        super().__init__()
        self.margin = nn.Parameter(torch.tensor(margin))

    def forward(self, x: Tensor) -> Tensor:
        bright = torch.where(x.mean(dim=(1, 2, 3)) > 0, self.margin, -self.margin)
        return torch.stack([-bright, bright], dim=1) / 2


def scripted(start: StartingPoint, images: LabelledImages, logits: dict[str, float]) -> Scripted:
    trainer = Scripted(fabric_of(start, "cpu"), start, "mlp", Task(images, images, 2), 0, Listener())
    trainer.logits, trainer.trained_on = logits, []
    return trainer


def test_of_few_labels_a_fifth_judges_a_trial_and_the_last_training_has_all(start: StartingPoint) -> None:
    trainer = scripted(start, colours(10), {"trial 1": -1.0, "trial 2": 1.0})
    trained = trainer.train()
    assert trainer.trained_on == [("trial 1", 16), ("trial 2", 16), ("final", 20)]
    assert (trained.recipe, trained.calibrated_on, trained.seconds) == (candidates(20, True, None, None)[1], 4, 3.0)
    scratch = scripted(start.from_scratch(), colours(10), {})
    trained = scratch.train()
    assert scratch.trained_on == [("trial 1", 16), ("final", 20)]
    assert (trained.recipe, trained.calibrated_on) == (candidates(20, False, None, None)[0], 4)


def test_of_many_labels_a_tenth_is_held_out_and_the_best_moment_is_kept(
    start: StartingPoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "ENOUGH", 20)
    trainer = scripted(start, colours(10), {"trial 1": 1.0, "trial 2": -1.0})
    trained = trainer.train()
    assert trainer.trained_on == [("trial 1", 18), ("trial 2", 18)]
    assert trained.network.margin > 0  # type: ignore[operator]


def test_what_can_spare_no_label_is_trained_uncalibrated(start: StartingPoint) -> None:
    trainer = scripted(start, colours(1), {})
    trained = trainer.train()
    assert (trainer.trained_on, trained.temperature, trained.calibrated_on) == ([("final", 2)], 1.0, 0)


def test_the_best_moment_is_one_by_the_held_out_labels(start: StartingPoint) -> None:
    best: Any = training.BestEpoch(colours(4))
    for epochs, margin in enumerate((-1.0, 3.0, 0.0)):
        best.judge(Answers(margin), epochs)
    assert (best.epochs, best.network.margin.item()) == (1, 3.0)
    assert logits_of(best.network, colours(4).pixels).shape == (8, 2)
