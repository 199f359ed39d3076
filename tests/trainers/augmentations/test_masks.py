"""Masks of patches: how many are hidden, that they are blocks, and that they follow their seed."""

import pytest
import torch
from torch import Tensor

from trainers.augmentations.masks import block_masks, count_hidden

SHARES = (0.1, 0.5)


def draw(images: int, grid: tuple[int, int], shares: tuple[float, float] = SHARES, seed: int = 0) -> Tensor:
    return block_masks(images, grid, shares, torch.Generator().manual_seed(seed), torch.device("cpu"))


@pytest.mark.parametrize("grid", [(1, 1), (2, 2), (4, 4), (8, 8), (14, 14), (3, 7)])
@pytest.mark.parametrize("images", [2, 4, 7, 64])
def test_half_of_the_images_have_the_numbers_of_hidden_patches_that_were_promised(
    images: int, grid: tuple[int, int]
) -> None:
    patches = grid[0] * grid[1]
    hidden = draw(images, grid).sum(dim=1)
    promised = count_hidden(images, patches, SHARES)
    assert sorted(hidden.tolist()) == [0] * (images - images // 2) + sorted(promised)
    assert all(max(1, round(0.1 * patches)) <= count <= max(1, round(0.5 * patches)) for count in promised)


def test_shares_are_spread_evenly_from_the_least_to_the_most() -> None:
    assert count_hidden(16, 100, (0.1, 0.17)) == [10, 11, 12, 13, 14, 15, 16, 17]
    assert count_hidden(4, 100, (0.3, 0.3)) == [30, 30]
    assert count_hidden(2, 16, (0.01, 1.0)) == [1]


def edges(masks: Tensor) -> float:
    """The share of the neighbours of hidden patches that are seen: masks are bool (N, h, w)."""
    across, down = masks[:, :, 1:] ^ masks[:, :, :-1], masks[:, 1:] ^ masks[:, :-1]
    return (across.sum() + down.sum()).item() / masks.sum().item()


def test_hidden_patches_are_blocks() -> None:
    """Single patches have nearly four seen neighbours each where few are hidden; a square of 20 has 0.9."""
    blocks = draw(400, (14, 14), (0.1, 0.1)).view(-1, 14, 14)
    single = torch.rand(400, 196).argsort(dim=1).argsort(dim=1).lt(20).view(-1, 14, 14)
    assert edges(blocks) < 1.3
    assert edges(single) > 3


def test_every_patch_is_hidden_about_as_often() -> None:
    """Less often at the border, where fewer rectangles lie, and no half is preferred."""
    often = draw(4000, (8, 8)).float().mean(dim=0).view(8, 8)
    assert often.sum().item() == pytest.approx(0.5 * 0.3 * 64, rel=0.05)
    assert often.min() > 0.025
    assert often.max() < 0.3
    for half in (often[:4], often[:, :4]):
        assert half.sum().item() == pytest.approx(0.5 * often.sum().item(), rel=0.05)


def test_masks_follow_their_seed_and_differ_between_images() -> None:
    masks = draw(32, (8, 8))
    assert torch.equal(masks, draw(32, (8, 8)))
    assert not torch.equal(masks, draw(32, (8, 8), seed=1))
    hidden = [tuple(row) for row in masks.tolist() if any(row)]
    assert len(set(hidden)) == len(hidden) == 16
