"""MoCo: when keys enter the queue, and in which groups they are computed."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tests.trainers.small import AT, batch, close, fails, make
from trainers.losses import info_nce_queue
from trainers.methods import Progress, Step
from trainers.methods.moco import MoCo
from trainers.models.queue import enqueue


def without_norm(method: Any) -> Any:
    """Take out BatchNorm, so that a query or key does not depend on its group."""
    for module in list(method.modules()):
        for name, child in module.named_children():
            if isinstance(child, (nn.BatchNorm1d, nn.BatchNorm2d)):
                module.register_module(name, nn.Identity())
    return method


def check_no_key_meets_its_own_image(method: MoCo) -> None:
    """Both directions see the queue as it was before the step; all keys, and these once, are in it afterwards."""
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


def test_keys_enter_the_queue_after_both_losses() -> None:
    class Enqueues(MoCo):
        def loss(self, views: Sequence[Tensor], at: Progress) -> Step:
            losses, keys = [], []
            for query, key in ((0, 1), (1, 0)):
                keys.append(self.teacher(views[key]).detach())
                losses.append(info_nce_queue(self.online(views[query]), keys[-1], self.keys.clone(), 0.2))
                enqueue(self.keys, self.pointer, keys[-1])
            return Step(torch.stack(losses).mean(), losses[0].detach(), {}, torch.cat(keys))

    check_no_key_meets_its_own_image(without_norm(make("moco-v2")))
    fails(check_no_key_meets_its_own_image, without_norm(make("moco-v2", Enqueues)))


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


def check_shuffled_groups(method: MoCo) -> None:
    """The batch statistics of a key come from other images than those of its query."""
    view = batch(method, 16)[0]
    of_query = influences(lambda x: method._in_groups(method.online, x), view)
    of_key = influences(lambda x: method._shuffled_keys(x, seed=3), view)
    assert all(i in group and len(group) == 2 for i, group in enumerate(of_query))
    assert all(i in group and len(group) == 2 for i, group in enumerate(of_key))  # in its own place again
    assert sum(a != b for a, b in zip(of_query, of_key, strict=True)) >= 12


def test_keys_are_shuffled_between_groups_of_batch_statistics() -> None:
    class DoesNotShuffle(MoCo):
        @torch.no_grad()
        def _shuffled_keys(self, view: Tensor, seed: int) -> Tensor:
            return self._in_groups(self.teacher, view)

    check_shuffled_groups(make("moco-v2", groups=8))
    assert MoCo.Settings().groups == 8
    fails(check_shuffled_groups, make("moco-v2", groups=1))  # shuffled within the whole batch
    fails(check_shuffled_groups, make("moco-v2", DoesNotShuffle))
