"""From a start and labelled images to a classifier: which recipe, how sure it may be, and the training itself."""

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from lightning_fabric import Fabric
from numpy.typing import NDArray

from featurestore.metrics.calibration import fit_temperature, log_loss, softmax
from featurestore.metrics.splits import held_out
from featurestore.progress import Listener
from trainers.data.labelled import Labelled
from trainers.finetuning.loop import fit, logits_of
from trainers.finetuning.network import Classifier, Head, Start, build_classifier
from trainers.finetuning.recipe import ENOUGH, Recipe, candidates
from trainers.finetuning.views import mild_view

OF_MANY, OF_FEW = 0.1, 0.2  # of the labels
WATCHED = 1000  # most test images that are looked at during a training


@dataclass(frozen=True)
class Task:
    """What is to be learned: labelled images, the number of classes, and what is tested on but never chosen by."""

    train: Labelled
    test: Labelled
    classes: int

    def watched(self) -> Labelled:
        """An even sample of the test images, for the curve of a training."""
        return self.test[:: max(1, -(-len(self.test) // WATCHED))]


@dataclass(frozen=True)
class Trained:
    """A classifier, the recipe it was made by, and its calibration."""

    network: Classifier
    recipe: Recipe
    temperature: float
    calibrated_on: int  # labels held out to choose recipe and temperature
    epochs: int  # of the training that counts, up to the moment that was kept
    curve: list[dict[str, Any]]  # a line for each look at each of the trainings

    @property
    def seconds(self) -> float:
        """How long all trainings took together."""
        return sum({line["training"]: float(line["seconds"]) for line in self.curve}.values())


@dataclass
class _Best:
    """The network at its best moment by the held-out labels."""

    held: Labelled
    network: Classifier | None = None
    loss: float = np.inf
    temperature: float = 1.0
    epochs: int = 0

    def judge(self, network: Classifier, epochs: int) -> dict[str, float]:
        """Keep `network` when it is better than what was; returns its figures. Calibrated, or boldness would decide."""
        logits, codes = logits_of(network, self.held.pixels), self.held.codes.numpy()
        temperature = fit_temperature(logits, codes)
        loss = log_loss(softmax(logits, temperature), codes)
        if loss < self.loss:
            self.network, self.loss = copy.deepcopy(network), loss
            self.temperature, self.epochs = temperature, epochs
        return {"held_out_top1": top1(logits, codes), "held_out_log_loss": loss}


@dataclass
class Trainer:
    """Trains classifiers for one task; keeps the curve of all its trainings."""

    fabric: Fabric
    start: Start
    head: Head
    task: Task
    seed: int
    listener: Listener
    curve: list[dict[str, Any]] = field(default_factory=list)

    def train(self, epochs: int | None = None, minutes: float | None = None) -> Trained:
        """Choose among the recipes by labels held out, and train: see docs/guides/finetune.md. Raises TrainingError, ConfigError.

        From ENOUGH labels on a tenth is held out of the training that counts, and chooses its best moment; of fewer a fifth is held out of a
        trial, and the training that counts has all.
        """
        images = self.task.train
        recipes = candidates(len(images), self.start.pretrained, epochs, minutes)
        many = len(images) >= ENOUGH
        held = held_out(images.codes.numpy(), OF_MANY if many else OF_FEW, self.seed)
        if not held.any() or len(images) - held.sum() < 2:
            network = self._fit(images, recipes[0], "final")
            return Trained(network, recipes[0], 1.0, 0, self._epochs(), self.curve)
        tried = [
            self._try(f"trial {number}", images[~held], images[held], one, many)
            for number, one in enumerate(recipes, 1)
        ]
        best, recipe = min(zip(tried, recipes, strict=True), key=lambda pair: pair[0].loss)
        kept, epochs = best.network, best.epochs
        if not many:
            kept, epochs = self._fit(images, recipe, "final"), self._epochs()
        assert kept is not None
        return Trained(kept, recipe, best.temperature, int(held.sum()), epochs, self.curve)

    def _epochs(self) -> int:
        return int(self.curve[-1]["epoch"])

    def _try(self, name: str, images: Labelled, held: Labelled, recipe: Recipe, any_moment: bool) -> _Best:
        """Train without the held-out labels; they judge every look at it, or its end alone."""
        best = _Best(held)
        network = self._fit(images, recipe, name, best if any_moment else None)
        if not any_moment:
            best.judge(network, self._epochs())
        return best

    def _fit(self, images: Labelled, recipe: Recipe, name: str, best: _Best | None = None) -> Classifier:
        watched = self.task.watched()
        network = build_classifier(self.start, self.head, self.task.classes, self.seed)

        def look(average: Classifier, figures: dict[str, Any]) -> None:
            seen = {"test_top1": top1(logits_of(average, watched.pixels), watched.codes.numpy())}
            judged = best.judge(average, figures["epoch"]) if best else {}
            self.curve.append({"training": name, **figures, **judged, **seen})

        return fit(self.fabric, network, images, recipe, mild_view(self.start.config), self.seed, look, self.listener)


def top1(logits: NDArray[np.floating], codes: NDArray[np.integer]) -> float:
    """Share of the rows whose largest logit is that of the truth."""
    return float((logits.argmax(axis=1) == codes).mean())
