"""Draw the attention of a ViT over the image it belongs to."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featurestore.encoders import Encoder
from featurestore.errors import ImageError
from featurestore.rendering import contact_sheet as sheet
from featurestore.sources import Failure
from featurestore.system.disk import require_suffix

SIDE = 320  # pixels of a drawn map
# From dark to bright; colours between these are interpolated.
RAMP = np.array([[0, 0, 30], [90, 20, 110], [200, 60, 70], [250, 160, 40], [255, 250, 190]], np.float32)


def draw(encoder: Encoder, image: str | Path, out: str | Path) -> Path:
    """Draw the image as the encoder sees it, the mean attention of all heads, and each head. Raises ImageError, EncoderError, ConfigError."""
    require_suffix(Path(out), sheet.SUFFIXES, "a picture")
    loaded = encoder.load(image)
    if isinstance(loaded, Failure):
        raise ImageError(f"{str(image)!r}: expected an image file; {loaded.reason}")
    (maps,) = encoder.attention(loaded.pixels[None])  # (heads, h, w)
    seen = Image.fromarray(loaded.pixels)
    tiles: list[tuple[Image.Image | str, str, str]] = [(seen, "image", str(image))]
    tiles.append((overlay(seen, maps.mean(axis=0)), "all heads", "mean"))
    tiles += [
        (overlay(seen, one), f"head {number}", f"strongest {one.max():.3f}") for number, one in enumerate(maps, start=1)
    ]
    sheet.save(sheet.contact_sheet(tiles, "Attention of the class token, last layer", 1), Path(out))
    return Path(out)


def overlay(image: Image.Image, weights: NDArray[np.float32]) -> Image.Image:
    """Blend one map, (h, w), over an image: its smallest weight is dark, its largest bright."""
    span = float(weights.max() - weights.min()) or 1.0
    level = Image.fromarray(((weights - weights.min()) / span * 255).astype(np.uint8)).resize(
        (SIDE, SIDE), Image.Resampling.BICUBIC
    )
    place = np.asarray(level, np.float32) / 255 * (len(RAMP) - 1)
    below = np.minimum(place.astype(int), len(RAMP) - 2)
    colours = RAMP[below] + (place - below)[..., None] * (RAMP[below + 1] - RAMP[below])
    return Image.blend(
        image.convert("L").convert("RGB").resize((SIDE, SIDE)), Image.fromarray(colours.astype(np.uint8)), 0.65
    )
