"""Trainings as in the documentation of lightly 1.6: its transforms, heads and losses, a loader with two workers, float32."""

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightly.data import LightlyDataset
from lightly.loss import DINOLoss, NegativeCosineSimilarity, NTXentLoss
from lightly.models.modules import (
    BYOLPredictionHead,
    BYOLProjectionHead,
    DINOProjectionHead,
    MoCoProjectionHead,
    SimCLRProjectionHead,
)
from lightly.models.utils import deactivate_requires_grad, update_momentum
from lightly.transforms import BYOLTransform, DINOTransform, MoCoV2Transform, SimCLRTransform
from lightly.transforms.byol_transform import BYOLView1Transform, BYOLView2Transform
from torch import Tensor, nn
from torch.utils.data import DataLoader

from featurestore.encoders.card import Card
from featurestore.imaging.preprocess import Preprocess
from featurestore.version import __version__
from trainers.export.torch_onnx import export
from trainers.models.backbones import feature_dim, make_backbone
from trainers.optimization.schedules import cosine

WORKERS = 2
LR = 0.12  # for a batch of 256, as in `featurestore train`
QUEUE = 4096
MOMENTUM = 0.99
LOCAL_CROPS = 4
SMALL_SIZE = 64  # pixels


def without_blur(size: int) -> dict[str, Any]:
    """The changes for small images in lightly's own CIFAR-10 benchmark."""
    return {"input_size": size, "gaussian_blur": 0.0}


def transform_of(method: str, size: int) -> Any:
    """Make the documented transform of a method; all but SimCLR's for small images."""
    match method:
        case "simclr":
            small = {**without_blur(size), "cj_strength": 0.5}
            return SimCLRTransform(**(small if size <= SMALL_SIZE else {"input_size": size}))
        case "moco-v2":
            return MoCoV2Transform(**without_blur(size))
        case "byol":
            return BYOLTransform(BYOLView1Transform(**without_blur(size)), BYOLView2Transform(**without_blur(size)))
        case "dino":
            return DINOTransform(
                global_crop_size=size,
                local_crop_size=size // 2,
                n_local_views=LOCAL_CROPS,
                gaussian_blur=(0.0, 0.0, 0.0),
            )
    raise ValueError(method)


class SimCLR(nn.Module):
    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        dim = feature_dim(backbone)
        self.backbone, self.head = backbone, SimCLRProjectionHead(dim, 512, 128)
        self.criterion = NTXentLoss(temperature=0.5)

    def loss(self, views: list[Tensor]) -> Tensor:
        return torch.as_tensor(self.criterion(*(self.head(self.backbone(view)) for view in views)))


class MoCo(nn.Module):
    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        dim = feature_dim(backbone)
        self.backbone, self.head = backbone, MoCoProjectionHead(dim, dim, 128)
        self.backbone_momentum, self.head_momentum = copy.deepcopy(self.backbone), copy.deepcopy(self.head)
        for network in (self.backbone_momentum, self.head_momentum):
            deactivate_requires_grad(network)
        self.criterion = NTXentLoss(temperature=0.2, memory_bank_size=(QUEUE, 128))

    def loss(self, views: list[Tensor]) -> Tensor:
        update_momentum(self.backbone, self.backbone_momentum, MOMENTUM)
        update_momentum(self.head, self.head_momentum, MOMENTUM)
        query = self.head(self.backbone(views[0]))
        key = self.head_momentum(self.backbone_momentum(views[1])).detach()
        return torch.as_tensor(self.criterion(query, key))


class BYOL(nn.Module):
    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        dim = feature_dim(backbone)
        self.backbone, self.head = backbone, BYOLProjectionHead(dim, 1024, 256)
        self.prediction = BYOLPredictionHead(256, 1024, 256)
        self.backbone_momentum, self.head_momentum = copy.deepcopy(self.backbone), copy.deepcopy(self.head)
        for network in (self.backbone_momentum, self.head_momentum):
            deactivate_requires_grad(network)
        self.criterion = NegativeCosineSimilarity()

    def loss(self, views: list[Tensor]) -> Tensor:
        update_momentum(self.backbone, self.backbone_momentum, MOMENTUM)
        update_momentum(self.head, self.head_momentum, MOMENTUM)
        predicted = [self.prediction(self.head(self.backbone(view))) for view in views]
        targets = [self.head_momentum(self.backbone_momentum(view)).detach() for view in views]
        return torch.as_tensor(
            0.5 * (self.criterion(predicted[0], targets[1]) + self.criterion(predicted[1], targets[0]))
        )


class DINO(nn.Module):
    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        dim = feature_dim(backbone)
        self.student_backbone, self.teacher_backbone = backbone, copy.deepcopy(backbone)
        self.student_head = DINOProjectionHead(dim, 1024, 128, 1024, freeze_last_layer=1)
        self.teacher_head = DINOProjectionHead(dim, 1024, 128, 1024)
        for network in (self.teacher_backbone, self.teacher_head):
            deactivate_requires_grad(network)
        self.criterion = DINOLoss(output_dim=1024)

    def loss(self, views: list[Tensor]) -> Tensor:
        update_momentum(self.student_backbone, self.teacher_backbone, m=MOMENTUM)
        update_momentum(self.student_head, self.teacher_head, m=MOMENTUM)
        with torch.no_grad():
            teacher = [self.teacher_head(self.teacher_backbone(view)) for view in views[:2]]
        student = [self.student_head(self.student_backbone(view)) for view in views]
        return torch.as_tensor(self.criterion(teacher, student, epoch=0))


METHODS: dict[str, Callable[[nn.Module], Any]] = {"simclr": SimCLR, "moco-v2": MoCo, "byol": BYOL, "dino": DINO}


@dataclass
class Training:
    """A backbone, its optimiser, and an iterator of steps that yields how many images each step saw."""

    backbone: nn.Module
    optimizer: torch.optim.Optimizer
    steps: Iterator[int]


def training(
    data: Path, method: str, network: str, size: int, batch_size: int, patch_size: int | None = None
) -> Training:
    """Build a training on the images of a folder, of a network with random weights."""
    backbone, _ = make_backbone(network, size, patch_size)
    return training_of(backbone, data, method, size, batch_size)


def training_of(backbone: nn.Module, data: Path, method: str, size: int, batch_size: int) -> Training:
    """Build a training of a network, with the weights that it has, on the images of a folder."""
    model = METHODS[method](backbone)
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer: torch.optim.Optimizer = (
        torch.optim.AdamW(weights, lr=1e-3 * batch_size / 256, weight_decay=0.04)
        if method == "dino"
        else torch.optim.SGD(weights, lr=LR * batch_size / 256, momentum=0.9, weight_decay=5e-4)
    )
    images = LightlyDataset(str(data), transform=transform_of(method, size))
    loader = DataLoader(
        images, batch_size=batch_size, shuffle=True, drop_last=True, num_workers=WORKERS, persistent_workers=True
    )

    def steps() -> Iterator[int]:
        while True:
            for views, _, _ in loader:
                loss = model.loss(views)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                yield len(views[0])

    return Training(backbone, optimizer, steps())


def train_for(data: str, network: str, size: int, batch_size: int, minutes: float, seed: int, out: str) -> float:
    """Train SimCLR for some minutes and write the encoder to `out`; returns images a second."""
    torch.manual_seed(seed)
    run = training(Path(data), "simclr", network, size, batch_size)
    speed = take_steps(run, minutes)
    record = Preprocess(size, size)
    card = Card(
        record, feature_dim(run.backbone), "simclr", network, "online", {"count": 0, "sha256": ""}, "", __version__
    )
    export(run.backbone, card, Path(out))
    return speed


def take_steps(run: Training, minutes: float) -> float:
    """Take the steps of some minutes with a cosine learning rate; returns images a second."""
    peak_lr = run.optimizer.param_groups[0]["lr"]
    began, images, left = time.perf_counter(), 0, 1.0
    while left > 0:
        run.optimizer.param_groups[0]["lr"] = cosine(1 - left, peak_lr, 0.0)
        images += next(run.steps)
        left = 1 - (time.perf_counter() - began) / (60 * minutes)
    return images / (time.perf_counter() - began)
