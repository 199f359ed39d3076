"""What a collection shows that decides which views do harm: are all images grey, and do they have a left and a right?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from featurestore.imaging.preprocess import Preprocess
from featurestore.sources import ImageFile
from trainers.augmentations import AugmentConfig, ViewSpec, augment, normalise
from trainers.data.even import even_sample
from trainers.data.images import Images, load
from trainers.models.backbones import Conv4

SIZE, IMAGES = 32, 800  # pixels of the side, and images that are looked at
STEPS, BATCH = 150, 32  # of the small network, and pairs a step: 10 seconds on one core
WIDTH, RATE, DECAY = 16, 3e-3, 0.05
FEWEST = 100  # images; with fewer, the share is luck
SHARE, ERRORS = (
    0.6,
    3.5,
)  # of pairs that a network must tell apart, and by how many standard errors more than half of them
VIEWS = AugmentConfig(crop_min=0.6, flip=0.0, hue=0.0, saturation=0.2, grey=0.0)


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen in a sample of a collection."""

    grey: bool  # all images
    told_apart: float  # share of held-back images that a small network tells from their mirror images; 0.5 is chance
    pairs: int  # that this was measured on; 0: it was not

    @property
    def has_sides(self) -> bool:
        """Whether left and right differ in this collection, as in writing: then a mirror image is no image of it."""
        errors = (self.told_apart - 0.5) * 2 * math.sqrt(self.pairs)
        return self.told_apart >= SHARE and errors >= ERRORS


def load_sample(files: Sequence[ImageFile], workers: int | None = None, bands: Sequence[int] | None = None) -> Images:
    """Decode an even sample of a collection to small images. Raises SourceError when none can be read."""
    return load(
        list(even_sample(files, IMAGES)),
        Preprocess(size=SIZE, shorter_side=SIZE, bands=tuple(bands) if bands else None),
        workers,
    )


def look_at(pixels: Tensor) -> Look:
    """Look at the images of a collection, uint8 (N, 3, S, S)."""
    grey = bool((pixels[:, :1] == pixels).all())
    if len(pixels) < FEWEST:
        return Look(grey, 0.5, 0)
    share, pairs = tell_from_mirror_images(pixels)
    return Look(grey, share, pairs)


def tell_from_mirror_images(pixels: Tensor) -> tuple[float, int]:
    """Train a small network to tell images from their mirror images: the share of held-back images where it does, and their number.

    pixels: uint8 (N, 3, S, S). Where it cannot, mirror images are like other images of the collection (Lin et al. 2020, "Visual chirality").
    The same images give the same answer; torch's global generator stays as it was.
    """
    rng = Generator().manual_seed(0)
    order = torch.randperm(len(pixels), generator=rng)
    held_back, training = order[: len(pixels) // 4], order[len(pixels) // 4 :]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(Conv4(WIDTH), nn.Linear(8 * WIDTH, 1))
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    is_mirrored = torch.cat([torch.zeros(BATCH), torch.ones(BATCH)])
    view = ViewSpec(pixels.shape[-1], 0.0, 0.0, VIEWS)
    for _ in range(STEPS):
        images = pixels[training[torch.randint(len(training), (BATCH,), generator=rng)]]
        logits = network(augment(torch.cat([images, images.flip(3)]), view, rng)).squeeze(1)
        optimizer.zero_grad()
        torch.autograd.backward(F.binary_cross_entropy_with_logits(logits, is_mirrored))
        optimizer.step()
    network.eval()
    with torch.no_grad():
        plain, mirrored = (
            network(normalise(images.float() / 255)).squeeze(1)
            for images in (pixels[held_back], pixels[held_back].flip(3))
        )
    return float(((plain < mirrored).float() + (plain == mirrored).float() / 2).mean()), len(held_back)
