"""Configuration: frozen dataclasses, filled from defaults, a TOML file and `--set`; an unknown key fails."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal

import tomli_w

from trainers.augmentations.pipeline import AugmentConfig
from trainers.optimization.optimizers import OptimizerConfig

Device = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of a training run, resolved: nothing in it is decided later."""

    method: str = "byol"
    backbone: str = "resnet18"
    patch_size: int | None = None  # pixels, of a ViT; the smaller the better and the slower (DINO, section 5.1)
    drop_path: float = 0.0  # share of residual branches left out, in the student alone
    init: str | None = None  # weights to start from: "timm", or the folder of a run
    image_size: int = 32  # pixels, the side of the square the encoder sees
    # Pixels, of the views in training; by default image_size. Smaller is quicker, and no worse (FixRes, Touvron et al. 2019).
    view_size: int | None = None
    epochs: int = 100  # without effect when minutes is given
    minutes: float | None = None  # train for this long instead
    batch_size: int = 256  # images a step, over all devices, each with all its views
    accumulate: int = 1  # parts in which the batch goes through the network
    recipe: Literal["auto", "none"] = "auto"  # auto: what is not given is chosen by the number and size of the images
    seed: int = 0
    device: Device = "auto"
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    devices: int = 1  # processes, one a device
    compile: bool = False  # the backbone, by torch.compile
    tensorboard: bool = False  # logs for TensorBoard beside metrics.jsonl
    stop_on_collapse: bool = False
    workers: int | None = None  # decode threads; default one a processor
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    settings: Any = None  # the method's own dataclass; its table carries the method's name

    def to_table(self) -> dict[str, Any]:
        """Give all settings as nested tables, the method's own under its name."""
        table = dataclasses.asdict(self)
        table[self.method] = table.pop("settings")
        return table

    def to_toml(self) -> str:
        """Write the configuration as TOML, as `--config` reads it."""
        return tomli_w.dumps(_without_none(self.to_table()))

    def hash(self) -> str:
        """A short hash of everything that shapes the result."""
        return hashlib.sha256(json.dumps(self.to_table(), sort_keys=True).encode()).hexdigest()[:16]


def _without_none(table: dict[str, Any]) -> dict[str, Any]:
    return {k: _without_none(v) if isinstance(v, dict) else v for k, v in table.items() if v is not None}
