"""The network that is fine-tuned: a backbone, from a run or with random weights, and a head with one logit a class."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from featurestore.errors import ConfigError
from featurestore.imaging.preprocess import IMAGENET_MEAN, IMAGENET_STD
from trainers.augmentations import Channels
from trainers.config.parse import read_settings
from trainers.config.resolve import resolve
from trainers.config.schema import Config
from trainers.models.backbones import feature_dim
from trainers.models.heads import mlp
from trainers.runtime.seeds import seeded
from trainers.training import checkpoint
from trainers.training.setup import build, preprocess_of

Head = Literal["linear", "mlp", "projection"]
HEADS = get_args(Head)


@dataclass(frozen=True)
class StartingPoint:
    """The network of a run, with its weights or without."""

    config: Config
    weights: dict[str, Any] | None  # of the run's method; None: random weights
    trained_on: dict[str, Any]  # count and hash of the images behind the weights

    @property
    def pretrained(self) -> bool:
        return self.weights is not None

    def from_scratch(self) -> "StartingPoint":
        return StartingPoint(self.config, None, {"count": 0, "sha256": ""})


def read_start(run: str | Path) -> StartingPoint:
    """Read the configuration and the weights of a training run. Raises TrainingError when there is none, ConfigError."""
    run = Path(run)
    state = checkpoint.load(run / "checkpoint.pt")
    config = dataclasses.replace(resolve(read_settings(run)), init=None)
    return StartingPoint(config, state["method"], checkpoint.origin_of(state))


class ClassifierNetwork(nn.Module):
    """Images to logits: (B, 3, H, W) to (B, C); mean and std: what the images are normalised with before."""

    mean: Channels = IMAGENET_MEAN
    std: Channels = IMAGENET_STD

    def __init__(self, backbone: nn.Module, projection: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.projection, self.head = backbone, projection, head

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.backbone(x))

    def classify(self, vectors: Tensor) -> Tensor:
        """Compute logits (B, C) from the backbone's vectors (B, D)."""
        logits: Tensor = self.head(self.projection(vectors))
        return logits

    def pretrained(self) -> Iterator[nn.Parameter]:
        """Yield the parameters of the layers that a run has trained."""
        yield from self.backbone.parameters()
        yield from self.projection.parameters()


def build_classifier(start: StartingPoint, head: Head, classes: int, seed: int) -> ClassifierNetwork:
    """Build a classifier on a starting point; new weights are drawn from `seed`.

    "linear" standardises the vectors (He et al. 2022 (MAE), appendix A.1) and maps them to classes; "mlp" has one hidden layer with
    BatchNorm; "projection" keeps the first layer of the method's projection (Chen et al. 2020 (SimCLR v2), section 2).
    Raises ConfigError when the method has no projection.
    """
    with seeded(seed, torch.device("cpu")):
        method = build(start.config)
        if start.weights is not None:
            checkpoint.load_weights(method, start.weights, f"run with {start.config.backbone}")
        backbone, projection = method.export_backbone, method.first_projection
        dim = feature_dim(backbone)
        match head:
            case "linear":
                classifier = ClassifierNetwork(
                    backbone, nn.Identity(), nn.Sequential(nn.BatchNorm1d(dim, affine=False), nn.Linear(dim, classes))
                )
            case "mlp":
                classifier = ClassifierNetwork(backbone, nn.Identity(), mlp([dim, dim, classes]))
            case "projection":
                if projection is None:
                    raise ConfigError(
                        f"--head projection: {start.config.method} has no projection to start from; choose --head mlp or linear"
                    )
                width = next(m.out_features for m in projection.modules() if isinstance(m, nn.Linear))
                classifier = ClassifierNetwork(backbone, projection, nn.Linear(width, classes))
    record = preprocess_of(start.config)
    classifier.mean, classifier.std = record.mean, record.std
    return classifier.requires_grad_(True)  # also of a teacher
