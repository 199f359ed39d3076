"""MoCo: when keys enter the queue, and in which groups they are computed."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.trainers.small import AT, batch, close, make, without_norm
from trainers.losses import info_nce_queue


def test_keys_enter_the_queue_after_both_losses() -> None:
    """Both directions see the queue as it was before the step; all keys, and these once, are in it afterwards."""
    method = without_norm(make("moco-v2"))
    first, second = batch(method)
    old = method.keys.clone()
    step = method.loss([first, second], AT)
    with torch.no_grad():
        expected = torch.stack([
            info_nce_queue(method.online(q), method.teacher(k), old, method.settings.temperature)
            for q, k in ((first, second), (second, first))
        ]).mean()  # fmt: skip
        close(step.loss, expected)
        method.after_step(step.carry, AT._replace(fraction=0.0))
        assert method.pointer.item() == 16
        close(method.keys[16:], old[16:])


def influences(compute: Callable[[Tensor], Tensor], view: Tensor) -> list[set[int]]:
    """For each row, the images on which its output depends."""
    with torch.no_grad():
        before, sets = compute(view), [set[int]() for _ in view]
        for other in range(len(view)):
            changed = view.clone()
            changed[other] = torch.randn_like(changed[other])
            for row in (compute(changed) != before).any(dim=1).nonzero()[:, 0].tolist():
                sets[row].add(other)
    return sets


def test_keys_are_shuffled_between_groups_of_batch_statistics() -> None:
    """The batch statistics of a key come from other images than those of its query."""
    method = make("moco-v2", groups=8)
    view = batch(method, 16)[0]
    of_query = influences(lambda x: method._in_groups(method.online, x), view)
    of_key = influences(lambda x: method._shuffled_keys(x, seed=3), view)
    assert all(i in group and len(group) == 2 for i, group in enumerate(of_query))
    assert all(i in group and len(group) == 2 for i, group in enumerate(of_key))  # in its own place again
    assert sum(a != b for a, b in zip(of_query, of_key, strict=True)) >= 12


@pytest.mark.parametrize(("images", "groups"), [(2, 1), (16, 1), (64, 2), (130, 4), (256, 8), (1024, 8)])
def test_without_a_number_a_group_has_32_images(images: int, groups: int) -> None:
    method = make("moco-v2", groups=None)
    means = method._in_groups(Centred(), torch.arange(images, dtype=torch.float32)[:, None])
    assert len(means.unique()) == groups


class Centred(torch.nn.Module):
    """Gives each image the mean of those it comes with."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean().expand_as(x)
