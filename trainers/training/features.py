"""The vectors of images by a torch network, as those that its encoder file will give."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from featurestore.ann.normalize import unit_rows
from featurestore.errors import EncoderError
from featurestore.estimators.whitening import Part, fit
from featurestore.imaging.preprocess import IMAGENET_MEAN, IMAGENET_STD
from trainers.augmentations import Channels, normalise

BATCH = 512  # images that go through a network together
# Pixels of a side at which a processor takes so many: more would not stay in its caches, which halves the speed of EfficientNet-Lite0.
CACHED_SIDE, LEAST_BATCH = 32, 8
PIXELS = 16  # side of raw pixels as a baseline

Vectors = NDArray[np.float32]


class RawPixels(nn.Module):
    """No network: the pixels of an image at `side` pixels or fewer, as the vector that every network must beat."""

    def __init__(self, side: int = PIXELS) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(x, min(self.side, x.shape[-1])).flatten(1)


@torch.no_grad()
def vectors(network: nn.Module, batches: Iterable[Tensor]) -> Vectors:
    """Encode batches of normalised pixels (B, 3, S, S) in evaluation mode to unit-length float32 (N, D); the module's mode is restored."""
    was_training = network.training
    network.eval()
    # A compiled network would be compiled again for evaluation mode and for each batch size.
    with torch.compiler.set_stance("force_eager"):
        chunks = [F.normalize(network(batch).float(), dim=1).cpu() for batch in batches]
    network.train(was_training)
    return torch.cat(chunks).numpy()


def features(
    network: nn.Module,
    pixels: Tensor,
    mean: Channels = IMAGENET_MEAN,
    std: Channels = IMAGENET_STD,
) -> Vectors:
    """Encode uint8 (N, 3, S, S), on any device, to unit-length float32 (N, D), as `vectors`."""
    device = device_of(network, pixels)
    chunks = torch.split(pixels, batch_for(pixels.shape[-1], device))
    return vectors(network, (normalise(chunk.to(device).float() / 255, mean, std) for chunk in chunks))


def batch_for(side: int, device: torch.device) -> int:
    """Choose how many images of `side` px go through a network together, when nothing is learnt."""
    return max(LEAST_BATCH, min(BATCH, BATCH * CACHED_SIDE**2 // side**2)) if device.type == "cpu" else BATCH


def device_of(network: nn.Module, pixels: Tensor) -> torch.device:
    """Give the device of a network; of raw pixels, which have no parameters, that of the pixels."""
    return next(network.parameters(), pixels).device


def finished(
    bank: Vectors, queries: Vectors | None, parts: Sequence[Part] | None = None, whiten: bool = True
) -> tuple[Vectors, Vectors | None]:
    """Make of vectors, (N, D) and (M, D), those of an encoder: whitened by the bank, each of their parts by itself, at unit length.

    Not whitened where the vectors of the bank are too few or all equal.
    """
    parts = parts or [Part(bank.shape[1])]
    return joined(finished_parts(bank, queries, parts, whiten), parts)


def finished_parts(
    bank: Vectors, queries: Vectors | None, parts: Sequence[Part], whiten: bool = True
) -> list[tuple[Vectors, Vectors | None]]:
    """Whiten each part of vectors by itself, as `finished`, before it gets its length."""
    ends = np.cumsum([part.dim for part in parts])[:-1]
    banks = [unit_rows(piece) for piece in np.split(bank, ends, axis=1)]
    asked = [None] * len(parts) if queries is None else [unit_rows(piece) for piece in np.split(queries, ends, axis=1)]
    pieces = list(zip(banks, asked, strict=True))
    if not whiten:
        return pieces
    try:
        fitted = [fit(piece, part.kept) for piece, part in zip(banks, parts, strict=True)]
    except EncoderError:
        return pieces
    return [(map_(b), None if q is None else map_(q)) for map_, (b, q) in zip(fitted, pieces, strict=True)]


def joined(pieces: Sequence[tuple[Vectors, Vectors | None]], parts: Sequence[Part]) -> tuple[Vectors, Vectors | None]:
    """Give parts of vectors their lengths, and then all of a vector unit length."""

    def join(of_parts: Sequence[Vectors]) -> Vectors:
        return unit_rows(np.concatenate([part.length * x for part, x in zip(parts, of_parts, strict=True)], axis=1))

    queries = [q for _, q in pieces if q is not None]
    return join([b for b, _ in pieces]), join(queries) if queries else None
