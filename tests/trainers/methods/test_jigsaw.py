"""Jigsaw: its orders and its pieces, as the paper describes them."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from featurestore.errors import ConfigError
from tests.trainers.small import AT
from trainers.augmentations import AugmentConfig
from trainers.config.resolve import resolve
from trainers.methods.jigsaw import Jigsaw, JigsawSettings, distant_orders
from trainers.training.setup import build


@pytest.mark.parametrize(("pieces", "count"), [(4, 24), (4, 6), (4, 99), (9, 60)])
def test_orders_are_distinct_permutations_and_always_the_same(pieces: int, count: int) -> None:
    orders = distant_orders(pieces, count)
    rows = {tuple(row) for row in orders.tolist()}
    assert len(rows) == len(orders) == min(count, math.factorial(pieces))
    assert all(sorted(row) == list(range(pieces)) for row in rows)
    assert torch.equal(orders, distant_orders(pieces, count))


def test_each_order_is_as_far_from_those_before_as_any_could_be() -> None:
    """Algorithm 1 of the paper, checked by search over all permutations."""
    orders = [tuple(row) for row in distant_orders(4, 12).tolist()]

    def distance(a: tuple[int, ...], b: tuple[int, ...]) -> int:
        return sum(x != y for x, y in zip(a, b, strict=True))

    for i in range(1, len(orders)):
        reach = {p: min(distance(p, q) for q in orders[:i]) for p in itertools.permutations(range(4))}
        assert reach[orders[i]] == max(reach.values())


def jigsaw(grid: int = 2, size: int = 16) -> Jigsaw:
    class Tiny(nn.Module):
        num_features = 6

        def forward(self, x: Tensor) -> Tensor:
            return x.mean(dim=(2, 3)).repeat(1, 2)

    settings = JigsawSettings(grid=grid, orders=6, piece=0.5, hidden=8)
    return Jigsaw(Tiny(), settings, Jigsaw.make_views(AugmentConfig(), size, settings))


@pytest.mark.parametrize(("grid", "size"), [(2, 16), (2, 33), (3, 48)])
def test_pieces_leave_a_gap_and_lie_anywhere_in_their_own_cell(grid: int, size: int) -> None:
    method = jigsaw(grid, size)
    side = method.views[0].size
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    x = torch.stack([rows, columns, rows]).float().expand(2, 3, side, side)  # every pixel says where it lies
    assert method.piece < method.cell
    assert method.piece == pytest.approx(0.75 * method.cell, abs=0.5)
    starts = set()
    for seed in range(8):
        pieces = method._cut(x, seed)
        assert len(pieces) == grid**2
        for number, piece in enumerate(pieces):
            assert piece.shape == (2, 3, method.piece, method.piece)
            top, left = int(piece[0, 0, 0, 0]), int(piece[0, 1, 0, 0])
            assert int(piece[0, 0, -1, 0]) - top == int(piece[0, 1, 0, -1]) - left == method.piece - 1
            row, column = divmod(number, grid)
            assert row * method.cell <= top <= (row + 1) * method.cell - method.piece
            assert column * method.cell <= left <= (column + 1) * method.cell - method.piece
            starts.add((number, top, left))
    assert len(starts) > 2 * grid**2


def test_pieces_are_normalised_one_by_one_and_shuffled_into_the_drawn_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    method = jigsaw().eval()
    x = torch.rand(10, 3, method.views[0].size, method.views[0].size) * 5 + 2
    x = x * torch.linspace(1, 4, x.shape[3])  # brighter to the right: unnormalised, this gives away the position
    cut: list[Tensor] = []
    genuine = method._cut

    def spy(*arguments: Any) -> list[Tensor]:
        cut.extend(genuine(*arguments))
        return cut

    seen: list[Tensor] = []
    monkeypatch.setattr(method, "_cut", spy)
    method.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    orders: list[tuple[int, ...]] = []

    class Oracle(nn.Module):
        """Knows the pieces, and so the order."""

        def forward(self, code: Tensor) -> Tensor:
            laid = seen[0].view(10, 4, 3, method.piece, method.piece)
            known = [tuple(row) for row in method.orders.tolist()]
            logits = torch.zeros(10, len(known))
            for i in range(10):
                order = []
                for slot in range(4):
                    alike = [
                        float(torch.corrcoef(torch.stack([laid[i, slot].flatten(), p[i].flatten()]))[0, 1]) for p in cut
                    ]
                    order.append(alike.index(max(alike)))
                orders.append(tuple(order))
                logits[i, known.index(tuple(order))] = 50
            return logits

    method.register_module("classify", Oracle())
    step = method.loss([x], AT)
    assert step.loss.item() == pytest.approx(0, abs=1e-6)
    assert step.logs["order_accuracy"] == 1.0
    assert len(set(orders)) > 1  # images have orders of their own
    torch.testing.assert_close(seen[0].mean(dim=(1, 2, 3)), torch.zeros(40), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen[0].std(dim=(1, 2, 3)), torch.ones(40), atol=1e-4, rtol=0)


def test_the_backbone_has_to_accept_the_pieces_and_not_the_whole_image() -> None:
    vit = {"backbone": "vit_tiny_patch16_224", "patch_size": 8, "image_size": 32}
    assert isinstance(build(resolve({"method": "jigsaw", **vit})), Jigsaw)  # pieces of 16 px out of 42
    with pytest.raises(ConfigError, match="crops of 8 px"):
        build(resolve({"method": "jigsaw", "backbone": "conv4", "image_size": 16}))
