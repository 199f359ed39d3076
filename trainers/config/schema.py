"""The schema of the configuration: frozen dataclasses whose fields carry defaults and ranges."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal

import tomli_w

from trainers.augmentations import AugmentConfig
from trainers.optimization.optimizers import OptimizerConfig
from trainers.settings import hashed, setting

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of a training run, resolved: nothing is decided later."""

    method: str = "simclr"
    backbone: str = "resnet18"
    # Pixels, of a ViT; smaller is better and slower (DINO, section 5.1)
    patch_size: int | None = setting(None, least=1, most="image_size")
    # Tokens of a ViT without a place, in which it can keep what it computes (Darcet et al. 2024); 0: as many as the backbone has by its name
    registers: int = setting(0, least=0, usual=(0, 16), later=True)
    # Share of residual branches that are dropped, in the student only
    drop_path: float = setting(0.0, least=0, below=1)
    # Weights to start from: "timm", "torchvision:NAME", a file of weights, the folder of a run, or "none" for random ones
    init: str | None = None
    # Known weights that stay as they are, and that the trained network stands beside in the encoder: as `init`, but no run
    base: str | None = setting(None, later=True)
    base_backbone: str | None = setting(None, later=True)  # the network of these weights
    base_size: int | None = setting(None, least=8, most=4096, later=True)  # pixels, of the images that it sees
    # published: as the network was published; auto: ResNets have a smaller one up to 64 px. With `init` of known weights always published.
    stem: Literal["auto", "published"] = setting("auto", later=True)
    image_size: int = setting(32, least=8, most=4096)  # pixels, the side of the square that the encoder sees
    # Pixels, of the views in training; None: image_size. Smaller is faster and as good (FixRes, Touvron et al. 2019).
    view_size: int | None = setting(None, least=8, most=4096)
    # Of pixels / 255, subtracted from them; None: ImageNet's
    mean: tuple[float, float, float] | None = setting(None, later=True)
    # By which they are divided then; None: ImageNet's
    std: tuple[float, float, float] | None = setting(None, above=0, later=True)
    # Which bands of the images are read: three, or one as grey
    bands: tuple[int, ...] | None = setting(None, least=1, later=True)
    epochs: int = setting(100, least=1, most=100_000)  # without effect when minutes is given
    minutes: float | None = setting(None, above=0, most=43_200, usual=(0.5, 10_080))  # train for this long instead
    batch_size: int = setting(256, least=2, most=65_536, usual=(8, 65_536))  # images a step, over all devices
    accumulate: int = setting(1, least=1)  # parts in which the batch goes through the network
    recipe: Literal["auto", "none"] = (
        "auto"  # auto: settings that are not given depend on the number and size of the images
    )
    seed: int = setting(0, least=0, most=2**63 - 1)
    device: Device = "auto"
    precision: Precision = "auto"
    devices: int = setting(1, least=1)  # processes, one a device
    compile: bool = False  # compile the backbone with torch.compile
    tensorboard: bool = False  # write logs for TensorBoard beside metrics.jsonl
    stop_on_collapse: bool = False
    workers: int | None = setting(None, least=0, most=1024)  # threads that decode; None or 0: one a processor
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    settings: Any = None  # the method's own dataclass; its table carries the method's name

    def to_table(self) -> dict[str, Any]:
        """Give all settings as nested tables; the method's own stand under its name."""
        return self._named(dataclasses.asdict(self))

    def to_toml(self) -> str:
        """Write the configuration as TOML, as `--config` reads it."""
        return tomli_w.dumps(_without_none(self.to_table()))

    def hash(self) -> str:
        """Hash the settings: 16 hexadecimal digits. Those that earlier versions did not have count when they are not the default."""
        table = self._named(hashed(self))
        return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()[:16]

    def _named(self, table: dict[str, Any]) -> dict[str, Any]:
        return {self.method if key == "settings" else key: value for key, value in table.items()}


def _without_none(table: dict[str, Any]) -> dict[str, Any]:
    return {k: _without_none(v) if isinstance(v, dict) else v for k, v in table.items() if v is not None}
