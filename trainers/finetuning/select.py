"""The choice of recipe, epoch and temperature by held-out labels, and the training of a classifier."""

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from lightning_fabric import Fabric
from numpy.typing import NDArray

from featurestore.metrics.calibration import fit_temperature, log_loss, softmax
from featurestore.metrics.splits import held_out
from featurestore.progress import Listener
from trainers.data.even import even_sample
from trainers.data.labelled import LabelledImages
from trainers.finetuning.loop import fit, logits_of
from trainers.finetuning.network import ClassifierNetwork, Head, StartingPoint, build_classifier
from trainers.finetuning.recipe import ENOUGH, FinetuningRecipe, candidates
from trainers.finetuning.views import mild_view

HELD_OUT_OF_MANY, HELD_OUT_OF_FEW = 0.1, 0.2  # of the labels
WATCHED = 1000  # test images, at most, of the curve of a training


@dataclass(frozen=True)
class Task:
    """Labelled images to train on, the number of classes, and test images, which choose nothing."""

    train: LabelledImages
    test: LabelledImages
    classes: int

    def watched(self) -> LabelledImages:
        """Take an even sample of the test images, for the curve of a training."""
        return even_sample(self.test, WATCHED)


@dataclass(frozen=True)
class Trained:
    """A trained classifier, its recipe, and its calibration."""

    network: ClassifierNetwork
    recipe: FinetuningRecipe
    temperature: float
    calibrated_on: int  # labels held out to choose recipe and temperature
    epochs: int  # of the final training, up to the chosen one
    curve: list[dict[str, Any]]  # lines of metrics.jsonl, of all trainings

    @property
    def seconds(self) -> float:
        """The time of all trainings together."""
        return sum({line["training"]: float(line["seconds"]) for line in self.curve}.values())


@dataclass
class BestEpoch:
    """The network at its best epoch, by the calibrated log loss on held-out labels."""

    held: LabelledImages
    network: ClassifierNetwork | None = None
    loss: float = np.inf
    temperature: float = 1.0
    epochs: int = 0

    def judge(self, network: ClassifierNetwork, epochs: int) -> dict[str, float]:
        """Keep `network` when it is the best so far; returns its figures.

        Networks are compared after calibration: without it, an overconfident network would lose however many images it gets right.
        """
        logits, codes = logits_of(network, self.held.pixels), self.held.codes.numpy()
        temperature = fit_temperature(logits, codes)
        loss = log_loss(softmax(logits, temperature), codes)
        if loss < self.loss:
            self.network, self.loss = copy.deepcopy(network), loss
            self.temperature, self.epochs = temperature, epochs
        return {"held_out_top1": top1(logits, codes), "held_out_log_loss": loss}


@dataclass
class Trainer:
    """Trains classifiers for one task, and keeps the curve of all trainings."""

    fabric: Fabric
    start: StartingPoint
    head: Head
    task: Task
    seed: int
    listener: Listener
    curve: list[dict[str, Any]] = field(default_factory=list)

    def train(self, epochs: int | None = None, minutes: float | None = None) -> Trained:
        """Choose among the recipes by held-out labels, and train; see docs/guides/finetune.md. Raises TrainingError, ConfigError.

        From ENOUGH labels on, a tenth is held out of both trials and chooses the better one at its best epoch. With fewer, a fifth is held out
        of the trials, and a final training with the better recipe has all labels.
        """
        images = self.task.train
        recipes = candidates(len(images), self.start.pretrained, epochs, minutes)
        many = len(images) >= ENOUGH
        held = held_out(images.codes.numpy(), HELD_OUT_OF_MANY if many else HELD_OUT_OF_FEW, self.seed)
        if not held.any() or len(images) - held.sum() < 2:
            only = self._fit(images, recipes[0], "final")
            return Trained(only, recipes[0], 1.0, 0, self._epochs(), self.curve)
        tried = [
            self._try(f"trial {number}", images[~held], images[held], one, many)
            for number, one in enumerate(recipes, 1)
        ]
        best, recipe = min(zip(tried, recipes, strict=True), key=lambda pair: pair[0].loss)
        network, epochs = best.network, best.epochs
        if not many:
            network, epochs = self._fit(images, recipe, "final"), self._epochs()
        assert network is not None
        return Trained(network, recipe, best.temperature, int(held.sum()), epochs, self.curve)

    def _epochs(self) -> int:
        return int(self.curve[-1]["epoch"])

    def _try(
        self, name: str, images: LabelledImages, held: LabelledImages, recipe: FinetuningRecipe, any_epoch: bool
    ) -> BestEpoch:
        """Train without the held-out labels, and evaluate with them: at every look, or at the end alone."""
        best = BestEpoch(held)
        network = self._fit(images, recipe, name, best if any_epoch else None)
        if not any_epoch:
            best.judge(network, self._epochs())
        return best

    def _fit(
        self, images: LabelledImages, recipe: FinetuningRecipe, name: str, best: BestEpoch | None = None
    ) -> ClassifierNetwork:
        watched = self.task.watched()
        network = build_classifier(self.start, self.head, self.task.classes, self.seed)

        def look(average: ClassifierNetwork, figures: dict[str, Any]) -> None:
            seen = {"test_top1": top1(logits_of(average, watched.pixels), watched.codes.numpy())}
            judged = best.judge(average, figures["epoch"]) if best else {}
            self.curve.append({"training": name, **figures, **judged, **seen})

        return fit(self.fabric, network, images, recipe, mild_view(self.start.config), self.seed, look, self.listener)


def top1(logits: NDArray[np.floating], codes: NDArray[np.integer]) -> float:
    """Share of the rows whose largest logit is that of the true class."""
    return float((logits.argmax(axis=1) == codes).mean())
