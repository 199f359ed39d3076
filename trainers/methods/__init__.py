"""Methods of self-supervised learning: the table of all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trainers.methods.base import Method, Progress, Step
from trainers.methods.byol import BYOL
from trainers.methods.dino import DINO
from trainers.methods.jigsaw import Jigsaw
from trainers.methods.lejepa import LeJEPA
from trainers.methods.mae import MAE
from trainers.methods.moco import MoCo
from trainers.methods.moco_v3 import MoCoV3
from trainers.methods.simclr import SimCLR


@dataclass(frozen=True, slots=True)
class Entry:
    """A method by name: its class, and what it changes in the defaults of its own and the other settings."""

    method: type[Method]
    own: Mapping[str, Any] = field(default_factory=dict)
    augment: Mapping[str, Any] = field(default_factory=dict)
    optimizer: Mapping[str, Any] = field(default_factory=dict)
    top: Mapping[str, Any] = field(default_factory=dict)  # settings without a table
    warning: str = ""


# BYOL's augmentation (appendix B), which MoCo v3 and DINO took over: views differ in blur and solarization.
ASYMMETRIC = {"saturation": 0.2, "blur": [1.0, 0.1], "solarize": [0.0, 0.2]}

METHODS: dict[str, Entry] = {
    "byol": Entry(BYOL, augment=ASYMMETRIC),
    "dino": Entry(
        DINO,
        augment={**ASYMMETRIC, "crop_min": 0.4},  # without local crops 0.14 (its README)
        optimizer={
            "name": "adamw",
            "lr": 1e-3,
            "weight_decay": 0.04,
            "weight_decay_end": 0.4,
            "warmup": 0.1,
            "clip": 3.0,
        },
        top={"drop_path": 0.1},
    ),
    "jigsaw": Entry(Jigsaw, augment={"grey": 0.66, "crop_min": 0.6}),
    "lejepa": Entry(
        LeJEPA, augment={"solarize": [0.0, 0.2]}, optimizer={"name": "adamw", "lr": 1e-3, "weight_decay": 0.05}
    ),
    "mae": Entry(
        MAE,
        augment={"jitter": 0.0, "grey": 0.0, "blur": [0.0, 0.0]},
        optimizer={"name": "adamw", "lr": 1e-3, "weight_decay": 0.05, "warmup": 0.1},
        warning="mae is for fine-tuning: search and k-NN on its vectors are weak, whatever the loss says",
    ),
    # v1: no blur, jitter always, strong hue, a rate that falls in steps (its official code).
    "moco-v1": Entry(
        MoCo,
        own={"head": "linear", "temperature": 0.07, "symmetric": False},
        augment={"blur": [0.0, 0.0], "jitter": 1.0, "hue": 0.4},
        optimizer={"schedule": "steps"},
    ),
    "moco-v2": Entry(MoCo),
    "moco-v3": Entry(MoCoV3, augment=ASYMMETRIC),
    "simclr": Entry(SimCLR),
    "simclr-v2": Entry(SimCLR, own={"layers": 3}),
}

__all__ = ["METHODS", "Entry", "Method", "Progress", "Step"]
