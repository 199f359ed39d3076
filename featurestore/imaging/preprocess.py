"""From a decoded image to the pixels that a network sees, as the record in an encoder's card says."""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featurestore.errors import ConfigError, EncoderError
from featurestore.imaging.decode import Decoded

# The only place with these numbers (ImageNet, Deng et al. 2009; statistics as published with torchvision).
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

INTERPOLATIONS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
RESIZES = ("shorter", "stretch")
LAST_BAND = 9999
FLAT = 4  # levels of 255: less contrast is noise
LOOK = 4  # pixels a side that are looked at first
MAX_SIDE = 8192  # pixels; one image of this size is 200 MB


@dataclass(frozen=True, slots=True)
class Preprocess:
    """How an image becomes uint8 pixels (size, size, 3), and the `mean` and `std` that the graph applies to pixels / 255."""

    size: int  # side of the square that the network sees
    shorter_side: int  # length that the shorter side is resized to before the square is cut from the centre
    resize: str = "shorter"  # "shorter" keeps the aspect ratio and crops the centre; "stretch" does neither
    interpolation: str = "bicubic"  # antialiased, as Pillow does it
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    bands: tuple[int, ...] | None = (
        None  # which bands of an image are read, from 1: three, or one as grey; None: its colours
    )

    def __post_init__(self) -> None:
        if self.resize not in RESIZES or self.interpolation not in INTERPOLATIONS:
            raise EncoderError(
                f"preprocess: resize {self.resize!r} and interpolation {self.interpolation!r}; expected one of {RESIZES} and one "
                f"of {tuple(INTERPOLATIONS)}; the encoder was made by a newer version or by hand: export it again"
            )
        whole = isinstance(self.size, int) and isinstance(self.shorter_side, int)
        if not whole or not 1 <= self.size <= self.shorter_side <= MAX_SIDE:
            raise EncoderError(
                f"preprocess: size {self.size!r} and shorter_side {self.shorter_side!r} make no sense; expected 1 <= size <= shorter_side <= {MAX_SIDE}"
            )
        finite = all(math.isfinite(value) for value in (*self.mean, *self.std))
        if not finite or len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise EncoderError(
                f"preprocess: mean {self.mean} and std {self.std} make no sense; expected three means, three positive stds"
            )

        if self.bands is not None and not _are_bands(self.bands):
            raise EncoderError(
                f"preprocess: bands {self.bands!r} make no sense; expected three or one, counted from 1, such as 4,3,2"
            )

    def keeps(self, width: int, height: int) -> bool:
        """Whether the network sees images of that size as they are."""
        return width == height == self.size and (self.resize == "stretch" or self.shorter_side == self.size)

    def to_json(self) -> dict[str, Any]:
        """Give the record as it stands in a card: without `bands` where there are none, as before there were any."""
        record = asdict(self)
        if self.bands is None:
            del record["bands"]
        return record

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> "Preprocess":
        """Read a record. Raises EncoderError for missing or unknown fields."""
        try:
            values: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value for key, value in record.items()
            }
            return cls(**values)
        except (TypeError, OverflowError, AttributeError) as error:
            names = ", ".join(field.name for field in fields(cls))
            raise EncoderError(
                f"preprocess record: expected the fields {names}; found {sorted(record)}; export the encoder again"
            ) from error


def _are_bands(value: object) -> bool:
    if not isinstance(value, tuple) or len(value) not in (1, 3):
        return False
    return all(type(band) is int and 1 <= band <= LAST_BAND for band in value)


def read_bands(text: str) -> tuple[int, ...]:
    """Read bands as they are typed, such as "4,3,2" or "1". Raises ConfigError."""
    try:
        bands = tuple(int(part) for part in text.split(","))
    except ValueError:
        bands = ()
    if not _are_bands(bands):
        raise ConfigError(f"bands {text!r}: expected three or one, counted from 1, such as 4,3,2")
    return bands


def apply(decoded: Decoded, record: Preprocess) -> NDArray[np.uint8]:
    """Resize and crop in one antialiased pass over the pixels that are used: uint8 (size, size, 3)."""
    image = decoded.image
    width, height = image.size
    if record.keeps(width, height):
        return np.asarray(image)
    if record.resize == "stretch":
        box = (0.0, 0.0, float(width), float(height))
    else:
        side = min(width, height) * record.size / record.shorter_side
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
    resized = image.resize((record.size, record.size), INTERPOLATIONS[record.interpolation], box=box)
    return np.asarray(resized)


def is_flat(pixels: NDArray[np.uint8]) -> bool:
    """Whether no channel of the pixels, (size, size, 3), varies by more than FLAT levels."""
    step = max(1, len(pixels) // LOOK)
    few = pixels[::step, ::step].tobytes()  # nearly always they tell, and bytes are faster than an array of so few
    if any(max(few[channel::3]) - min(few[channel::3]) > FLAT for channel in range(3)):
        return False
    return bool(np.ptp(pixels.reshape(-1, 3), axis=0).max() <= FLAT)
