"""Published trainings on CIFAR-10, as settings: each line with its source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# [L]: docs/source/getting_started/benchmarks/cifar10_benchmark.py of lightly, 2023-03-27, at batch 512.
# [N]: colab/moco_cifar10_demo.ipynb of facebookresearch/moco, branch colab-notebook.
COMMON: Mapping[str, Any] = {
    "recipe": "none",  # nothing is chosen by the images
    "backbone": "resnet18",  # [L] [N]: 3x3 stem, no pooling, which it has at this size
    "image_size": 32,  # [L] [N]
    "batch_size": 512,  # [L] [N]
    "drop_path": 0.0,  # [L] [N]: none
    "optimizer": {
        "name": "sgd",  # [L] [N]
        "lr": 0.12,  # for 256 images. [L]: 0.06 for 128
        "momentum": 0.9,  # [L] [N]
        "weight_decay": 5e-4,  # [L]
        "schedule": "cosine",  # [L] [N]
        "warmup": 0.0,  # [L] [N]: none
        "clip": 0.0,  # [L] [N]: none
    },
    "augment": {
        "crop_min": 0.08,  # [L]: SimCLRTransform, BYOLTransform. [N]: RandomResizedCrop(32)
        "flip": 0.5,  # [L] [N]
        "jitter": 0.8,  # [L] [N]
        "brightness": 0.4,  # [L]: cj_strength 0.5 times 0.8. [N]: ColorJitter(0.4, 0.4, 0.4, 0.1)
        "contrast": 0.4,  # likewise
        "saturation": 0.4,  # likewise
        "hue": 0.1,  # [L]: 0.5 times 0.2. [N]
        "grey": 0.2,  # [L] [N]
        "blur": [0.0, 0.0],  # [L]: gaussian_blur=0. [N]: none
        "solarize": [0.0, 0.0],  # [L]: none, except as below. [N]: none
    },
}


@dataclass(frozen=True)
class Recipe:
    """A published figure, where it stands, how it was trained, and what the settings here cannot say or were given otherwise."""

    published: float
    source: str
    settings: Mapping[str, Any]  # over COMMON
    differences: Sequence[str]


RECIPES: Mapping[str, Recipe] = {
    "simclr": Recipe(
        0.848,
        "lightly, batch 512",
        {
            "simclr": {
                "temperature": 0.5,  # [L]: default of NTXentLoss
                "hidden": 512,  # [L]: SimCLRProjectionHead(512, 512, 128)
                "dim": 128,  # likewise
                "layers": 2,  # likewise
            }
        },
        ["both views pass the network together, so that BatchNorm sees both; published: one after the other"],
    ),
    "dino": Recipe(
        0.840,
        "lightly, batch 128",
        {
            "augment": {
                "crop_min": 0.4,  # [L]: global_crop_scale of DINOTransform
                "saturation": 0.2,  # [L]: 0.5 times 0.4
                "solarize": [0.0, 0.2],  # [L]: the second view
            },
            "dino": {
                "local_crops": 0,  # [L]: n_local_views=0
                "prototypes": 2048,  # [L]: DINOLoss(output_dim=2048)
                "hidden": 2048,  # [L]
                "bottleneck": 256,  # [L]
                "head_norm": True,  # [L]: batch_norm=True
                "momentum": 0.99,  # [L]
                "momentum_schedule": "constant",  # [L]
                "student_temperature": 0.1,  # [L]: default of DINOLoss
                "teacher_temperature_start": 0.04,  # likewise
                "teacher_temperature": 0.04,  # likewise
                "centre_momentum": 0.9,  # likewise
                "frozen_epochs": 0,  # [L]: the last layer is never frozen
            },
        },
        [
            "published for batch 128; for batch 512 lightly has 0.813",
            "a head of three layers; published: two",
            "vectors are the teacher's, which is the network that is exported; published: the student's",
            "both views pass the network together, so that BatchNorm sees both; published: one after the other",
        ],
    ),
    "byol": Recipe(
        0.868,
        "lightly, batch 512",
        {
            # [L] has half the sum of two cosines; our loss is the sum of both directions of 2 - 2 cos, four times as steep. SGD trains alike at
            # a quarter of the rate, where the decay is four times as large.
            "optimizer": {"lr": 0.12 / 4, "weight_decay": 5e-4 * 4},
            "augment": {
                "saturation": 0.2,  # [L]: BYOLView1Transform, BYOLView2Transform
                "solarize": [0.0, 0.2],  # [L]: the second view
            },
            "byol": {
                "hidden": 1024,  # [L]: heads 512-1024-256 and 256-1024-256
                "dim": 256,  # likewise
                "momentum": 0.99,  # [L]
                "momentum_schedule": "constant",  # [L]
            },
        },
        [],
    ),
    "moco-v2": Recipe(
        0.853,
        "the authors' notebook, symmetric",
        {
            "mean": [0.4914, 0.4822, 0.4465],  # [N]
            "std": [0.2023, 0.1994, 0.2010],  # [N]
            # [N] has 0.06 for 512 images, and the sum of both directions; our loss is their mean. SGD trains alike at twice the rate, where the
            # decay is half as large.
            "optimizer": {"lr": 0.06, "weight_decay": 5e-4 / 2},
            "moco-v2": {
                "head": "linear",  # [N]: the last layer of torchvision's network
                "dim": 128,  # [N]: moco_dim
                "temperature": 0.1,  # [N]: moco_t
                "momentum": 0.99,  # [N]: moco_m, constant
                "queue": 4096,  # [N]: moco_k
                "symmetric": True,  # [N]: of the row "Symmetric"
                "groups": 8,  # [N]: bn_splits
            },
        },
        [
            "vectors are the backbone's, 512 numbers; published: the output of the head, 128 numbers",
            "eight groups pass the network one after the other, 32 passes a step, which takes a GPU much longer than one pass with split norms",
        ],
    ),
}
