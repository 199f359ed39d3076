"""Short trainings of a small network: what should views keep that they usually change?

Views in changed colours teach a network to overlook colour, and mirrored ones to overlook left and right. That usually helps: colour tells
images apart that show the same. Where it is what images show, such as ripe fruit or an arrow, it does harm.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from featurestore.imaging.preprocess import IMAGENET_MEAN, IMAGENET_STD
from trainers.augmentations import AugmentConfig, ViewSpec, augment
from trainers.losses import nt_xent
from trainers.models.backbones import Conv4
from trainers.models.heads import simclr_projection
from trainers.optimization.schedules import learning_rate
from trainers.training.features import finished
from trainers.training.labelled_sample import LabelledSample, encode, knn_right
from trainers.training.view_retrieval import encode_two_views, view_top1

WIDTH, STEPS, BATCH = 16, 200, 64  # of the small network; steps, and images a step: some ten seconds on one core
VIEW, RATE, TEMPERATURE = 0.75, 0.05, 0.2  # side of a view as a share of the image's
CLEARLY = 0.05  # of k-NN accuracy, by which it must help to keep something
# Without labels: where seeing colours finds at most this many times as many images again, many images share a colour (docs/decisions.md).
SHARED = 1.35


@dataclass(frozen=True, slots=True)
class Trial:
    """What a small network is worth that learned from views that keep something, and one that learned from views that change it.

    With labels, k-NN accuracy; without, the share of images that are found again by another crop.
    """

    kept: float
    changed: float
    labelled: bool

    @property
    def matters(self) -> bool:
        """Whether views should keep it; without labels this can be told of colours alone.

        A network that sees colours finds crops of an image far more easily, as long as they are accidents of that image. Where
        it does not, many images share a colour, and it may be what they have in common.
        """
        return self.kept >= self.changed + CLEARLY if self.labelled else self.kept <= SHARED * self.changed

    def __str__(self) -> str:
        if self.labelled:
            return f"a small network that tells them apart has a k-NN accuracy of {self.kept:.2f}, one that does not {self.changed:.2f}"
        how_much = "little" if self.matters else "much"
        return (
            f"seeing them helps {how_much} to find an image again by another crop ({self.kept:.0%} of the images, {self.changed:.0%} without), "
            f"so {'many' if self.matters else 'few'} images share them"
        )


def try_views(
    pixels: Tensor, changing: AugmentConfig, keeping: Mapping[str, AugmentConfig], sample: LabelledSample | None
) -> dict[str, Trial]:
    """Train on images, uint8 (N, 3, S, S), with usual views, and with each kind that keeps something, and compare.

    sample: labelled ones of them to compare by; without, by crops found. The same images give the same answer; torch's global generator
    stays as it was.
    """

    def worth(network: nn.Module, seen: AugmentConfig) -> float:
        return crops_found(network, pixels, seen) if sample is None else knn_top1(network, sample)

    usual = learn_from(pixels, changing)
    return {
        what: Trial(worth(learn_from(pixels, views), views), worth(usual, views), sample is not None)
        for what, views in keeping.items()
    }


def learn_from(pixels: Tensor, views: AugmentConfig) -> nn.Module:
    """Train a small network with SimCLR on images, uint8 (N, 3, S, S)."""
    rng = Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Conv4(WIDTH)
        whole = nn.Sequential(network, simclr_projection(network.num_features, 256, 64, 2))
    optimizer = torch.optim.SGD(whole.parameters(), momentum=0.9, weight_decay=5e-4)
    view = ViewSpec(round(VIEW * pixels.shape[-1]), 0.0, 0.0, views)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = learning_rate(step / STEPS, RATE, 0.1, "cosine")
        batch = pixels[torch.randint(len(pixels), (BATCH,), generator=rng)]
        z1, z2 = whole(torch.cat([augment(batch, view, rng), augment(batch, view, rng)])).chunk(2)
        optimizer.zero_grad()
        torch.autograd.backward(nt_xent(z1, z2, TEMPERATURE))
        optimizer.step()
    return network.eval()


def crops_found(network: nn.Module, pixels: Tensor, views: AugmentConfig) -> float:
    """Compute the share of images whose view is nearer to another view of them than to one of any other image."""
    both, _ = finished(encode_two_views(network, pixels, ViewSpec(pixels.shape[-1], 0.0, 0.0, views)), None)
    return view_top1(both)


def knn_top1(network: nn.Module, sample: LabelledSample) -> float:
    """Compute the k-NN accuracy of a network on labelled images."""
    return float(knn_right(sample, *finished(*encode(sample, network, IMAGENET_MEAN, IMAGENET_STD))).mean())
