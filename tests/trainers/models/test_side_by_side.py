"""A known network and a trained one as one encoder."""

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from trainers.models.backbones import Conv4
from trainers.models.readout import with_layout
from trainers.models.side_by_side import SideBySide


class Pixels(nn.Module):
    """The pixels of an image of `side` px as its vector."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.num_features = 3 * side**2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)


def test_the_known_part_has_unit_length_and_the_trained_one_less() -> None:
    known, trained = Conv4(4).eval(), with_layout(Conv4(4).eval(), 32)
    assert trained is not None
    both = SideBySide(known, trained, 32).with_length(0.8).eval()
    x = torch.randn(3, 3, 64, 64)
    first, second = torch.split(both(x), [32, trained.num_features], dim=1)
    assert both.num_features == 32 + trained.num_features
    torch.testing.assert_close(first, F.normalize(known(x), dim=1))
    torch.testing.assert_close(second.norm(dim=1), torch.full((3,), 0.8))


def test_the_trained_network_sees_the_images_smaller_as_if_they_had_been_decoded_so() -> None:
    pixels = np.random.default_rng(0).integers(60, 200, (48, 48, 3), np.uint8)
    small = np.asarray(Image.fromarray(pixels).resize((16, 16), Image.Resampling.BICUBIC))
    x, expected = (torch.from_numpy(np.array(each)).permute(2, 0, 1)[None].float() for each in (pixels, small))
    seen = SideBySide(Pixels(48), Pixels(16), 16, 1.0)(x)[:, 3 * 48**2 :]
    torch.testing.assert_close(seen, F.normalize(expected.flatten(1), dim=1), atol=4e-4, rtol=0)
