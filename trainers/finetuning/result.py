"""The result of fine-tuning as a value: it prints and converts to JSON."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featurestore.encoders.card import Card
from featurestore.metrics.confusion import ClassFigures
from featurestore.system.text import printable


@dataclass(frozen=True)
class TestFigures:
    """The figures of a classifier on the test images: fractions in [0, 1]."""

    top1: float
    top1_ci95: tuple[float, float]
    ece_before: float  # expected calibration error of the plain softmax
    ece: float  # after temperature scaling
    classes: list[ClassFigures]


@dataclass(frozen=True)
class Finetuned:
    """A written classifier and its figures."""

    out: Path
    card: Card
    figures: TestFigures
    split: str
    unseen: tuple[str, ...]
    encoder: str  # the fingerprint of the classifier file
    seconds: float  # of all trainings

    @property
    def classifier(self) -> Path:
        return self.out / "classifier.onnx"

    def __str__(self) -> str:
        how, interval = self.card.classifier, " to ".join(f"{bound:.3f}" for bound in self.figures.top1_ci95)
        start = self.card.method if how["pretrained"] else "supervised from scratch"
        calibration = (
            f"calibration error {self.figures.ece_before:.3f}, after temperature {how['temperature']:.2f} from {how['calibrated_on']} labels {self.figures.ece:.3f}"
            if how["calibrated_on"]
            else f"calibration error {self.figures.ece_before:.3f}, too few labels to calibrate"
        )
        return (
            f"{printable(str(self.classifier))}\n"
            f"top-1 {self.figures.top1:.3f} (95 %: {interval})  {start}, {self.card.backbone}, head {how['head']}, {how['n_train']} labels "
            f"({100 * how['fraction']:g} %) of {len(self.card.classes)} classes, {how['n_test']} test images ({self.split}), seed {how['seed']}\n"
            f"{calibration}\n"
            f"{how['epochs']} epochs, {self.seconds:.0f} s with all trials"
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "classifier": str(self.classifier),
            "encoder": self.encoder,
            "protocol": "finetune",
            "method": self.card.method,
            "backbone": self.card.backbone,
            "split": self.split,
            **self.card.classifier,
            "seconds": self.seconds,
            "top1_ci95": list(self.figures.top1_ci95),
            "unseen": list(self.unseen),
            "classes": [dataclasses.asdict(one) for one in self.figures.classes],
        }
