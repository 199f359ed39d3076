"""Known weights in a network: by name, behind prefixes, or in order; and what does not fit is told."""

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from featurestore.errors import ConfigError
from trainers.models.known_weights import take_weights

Weights = dict[str, Tensor]
FIRST = "conv1.0.weight"  # of timm's smallest ResNet


def network(name: str = "test_resnet", **options: Any) -> nn.Module:
    made: nn.Module = timm.create_model(name, num_classes=0, **options)
    return made.eval()


def weights() -> Weights:
    """The weights of another network of this kind, with its classifier."""
    found = timm.create_model("test_resnet", num_classes=5).state_dict()
    return {name: torch.rand_like(tensor) if tensor.is_floating_point() else tensor for name, tensor in found.items()}


def renamed(found: Weights) -> Weights:
    """Other names, with the same last part."""
    return {f"_layer{number}.{name.rpartition('.')[2]}": tensor for number, (name, tensor) in enumerate(found.items())}


def prefixed(prefix: str, found: Weights) -> Weights:
    return {prefix + name: tensor for name, tensor in found.items()}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: found, "tensors taken"),
        (lambda found: prefixed("module.", found), "whose names begin with module."),
        (lambda found: prefixed("module.backbone.", found) | {"module.head.weight": torch.ones(3)}, "module.backbone."),
        (lambda found: {k: v.half() for k, v in found.items()}, "tensors taken"),
        (lambda found: {k: v for k, v in found.items() if "num_batches" not in k}, "tensors taken"),
        (renamed, "in order, because the names differ"),
    ],
)
def test_all_tensors_are_taken_and_the_classifier_is_left(change: Callable[[Weights], Weights], words: str) -> None:
    found, own = weights(), network()
    lines = take_weights(own, change(found), "--init w.pt")
    count = sum("num_batches" not in name for name in own.state_dict())
    assert lines[0].startswith(f"--init w.pt: {count} of {count} tensors taken")
    assert words in lines[0]
    assert len(lines) == 2
    assert "not used, such as a classifier: " in lines[1]
    for name, tensor in own.state_dict().items():
        if "num_batches" not in name:
            torch.testing.assert_close(tensor, found[name], atol=1e-3, rtol=0)


def test_torchvisions_resnet_is_timms() -> None:
    theirs = torchvision.models.resnet18().eval()
    own = network("resnet18")
    lines = take_weights(own, theirs.state_dict(), "--init torchvision:resnet18")
    assert "fc.weight, fc.bias" in lines[1]
    theirs.fc = nn.Identity()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(own(x), theirs(x))


def test_a_vit_takes_weights_of_another_size() -> None:
    found = timm.create_model("test_vit", num_classes=3).state_dict()  # at 160 px
    own = network("test_vit", img_size=64)
    assert len(take_weights(own, prefixed("backbone.", found), "w")) == 2
    torch.testing.assert_close(own.state_dict()["patch_embed.proj.weight"], found["patch_embed.proj.weight"])


def test_what_is_missing_or_of_another_shape_starts_at_random_and_is_told() -> None:
    found, own = weights(), network()
    last = [name for name in own.state_dict() if name.endswith("conv2.weight")][-1]
    before = own.state_dict()[last].clone()
    found[last] = torch.ones(1, 2)
    del found["layer1.0.bn1.weight"]
    lines = take_weights(own, found, "w")
    assert lines[1].startswith("w: 2 tensors start from random values: layer1.0.bn1.weight is missing, ")
    assert f"{last} (1, 2) in place of {tuple(before.shape)}" in lines[1]
    torch.testing.assert_close(own.state_dict()[last], before)


def misfit(found: Weights) -> Weights:
    """In order, but for the shape of one."""
    changed = renamed(found)
    changed[list(changed)[6]] = torch.ones(7)
    return changed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (misfit, ["of which 0 fit", "_layer0.weight"]),
        (
            lambda found: {k: v for k, v in found.items() if k != FIRST},
            [f"beginning with {FIRST}", f"{FIRST} is missing"],
        ),
        (lambda found: found | {FIRST: torch.ones(2, 3, 7, 7)}, ["(2, 3, 7, 7) in place of"]),
        (lambda found: {}, ["found 0 tensors"]),
        (lambda found: found | {FIRST: torch.full_like(found[FIRST], torch.nan)}, ["finite numbers", FIRST]),
    ],
)
def test_weights_of_another_network_are_refused(change: Callable[[Weights], Weights], words: list[str]) -> None:
    own = network()
    before = {name: tensor.clone() for name, tensor in own.state_dict().items()}
    with pytest.raises(ConfigError) as caught:
        take_weights(own, change(weights()), "--init w.pt")
    assert all(word in str(caught.value) for word in ["--init w.pt", "choose", *words]), str(caught.value)
    for name, tensor in own.state_dict().items():
        torch.testing.assert_close(tensor, before[name])
