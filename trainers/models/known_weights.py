"""Known weights taken over by a network: tensors are matched by name, whatever goes before the names, or in order."""

from collections import Counter
from collections.abc import Mapping

import torch
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import Tensor, nn

from featurestore.errors import ConfigError
from featurestore.system.text import counted, printable
from trainers.runtime.quiet import quiet

SHOWN = 3  # names in a message
OTHERS = 4  # tensors of a file beside those of its network, such as a classifier; more are of a deeper network
COUNTER = "num_batches_tracked"  # of BatchNorm: older files have none, and no network here uses it


def take_weights(network: nn.Module, found: Mapping[str, Tensor], who: str) -> list[str]:
    """Copy the tensors of `found` that fit into a network without classifier; returns what was taken, as lines for the log.

    Names count, after the prefix under which most of them are found, such as `module.` or `backbone.`. Where names do not fit, tensors are
    matched in order, if all of them have the right shapes. `who` names the weights in messages. Raises ConfigError when nothing fits,
    when the first layer is missing or of another shape, and when a number is not finite.
    """
    own = _without_counters(network.state_dict())
    given = _without_counters(found)
    prefix = _prefix_of(own, given)
    named = _resized(network, {name[len(prefix) :]: t for name, t in given.items() if name.startswith(prefix)})
    matched = {name: named[name] for name in own if name in named and named[name].shape == own[name].shape}
    how = f", whose names begin with {printable(prefix[:60])}" if prefix else ""
    left = [name for name in given if name.removeprefix(prefix) not in matched or not name.startswith(prefix)]
    if len(matched) < len(own) and (in_order := _in_order(own, given)):
        matched, how = in_order, ", in order, because the names differ and all shapes agree"
        left = list(given)[len(own) :]
    wrong = [
        f"{name} {tuple(named[name].shape)} in place of {tuple(own[name].shape)}"
        if name in named
        else f"{name} is missing"
        for name in own
        if name not in matched
    ]
    first = _first_layer(network)
    if not matched or first not in matched:
        raise ConfigError(
            f"{who}: expected {counted(len(own), 'tensor')} of the network, beginning with {first} {tuple(own[first].shape)}; found "
            f"{counted(len(given), 'tensor')} ({_few([f'{name} {tuple(tensor.shape)}' for name, tensor in given.items()])}), of which {len(matched)} fit"
            f"{f' ({_few(wrong)})' if matched else ''}; choose the --backbone that the weights are of, or other weights"
        )
    if bad := [name for name, tensor in matched.items() if not torch.isfinite(tensor).all()]:
        raise ConfigError(f"{who}: expected finite numbers, found others in {_few(bad)}; choose other weights")
    with torch.no_grad():
        for name, tensor in matched.items():
            own[name].copy_(tensor)
    lines = [f"{who}: {len(matched)} of {counted(len(own), 'tensor')} taken{how}"]
    if wrong:
        lines.append(f"{who}: {counted(len(wrong), 'tensor')} start from random values: {_few(wrong)}")
    if left:
        lines.append(f"{who}: not used, such as a classifier: {_few(left)}")
    return lines


def fit(network: nn.Module, found: Mapping[str, Tensor]) -> bool:
    """Whether `found` is of this network: all its tensors by name or in order, and little else; the network may be on the device "meta"."""
    own, given = _without_counters(network.state_dict()), _without_counters(found)
    prefix = _prefix_of(own, given)
    by_name = all(prefix + name in given and given[prefix + name].shape == own[name].shape for name in own)
    return (by_name and len(given) - len(own) <= OTHERS) or bool(_in_order(own, given))


def _without_counters(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if not name.endswith(COUNTER)}


def _prefix_of(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """Give what stands before the names of the network in most of the given names; of several the first."""
    prefixes = Counter[str]()
    for name in given:
        parts = name.split(".")
        for i in range(len(parts)):
            if ".".join(parts[i:]) in own:
                prefixes[name[: len(name) - len(".".join(parts[i:]))]] += 1
    return prefixes.most_common(1)[0][0] if prefixes else ""


def _in_order(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Match all tensors of the network with the first of the given by shape and kind; nothing where one does not fit.

    What is left may be one linear layer, the classifier.
    """
    if not 0 <= len(given) - len(own) <= 2:
        return {}
    pairs = list(zip(own.items(), given.items(), strict=False))
    if all(a.shape == b.shape and _kind(x) == _kind(y) for (x, a), (y, b) in pairs):
        return {name: tensor for (name, _), (_, tensor) in pairs}
    return {}


def _resized(network: nn.Module, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """Fit patches and positions of a ViT to the size of this one, as timm does with its own weights."""
    if not isinstance(network, VisionTransformer):
        return given
    try:
        with quiet(None):
            return dict(checkpoint_filter_fn(given, network))
    except Exception:  # weights of another network, which the caller tells by their names
        return given


def _kind(name: str) -> str:
    """Give the last part of a name, such as weight or running_mean."""
    return name.rpartition(".")[2]


def _first_layer(network: nn.Module) -> str:
    """Name the weight of the layer that sees the image; of a network without such layers its first tensor."""
    layers = (
        f"{name}.weight" for name, module in network.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))
    )
    return next(layers, next(iter(network.state_dict())))


def _few(texts: list[str]) -> str:
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return printable(", ".join(text[:100] for text in texts[:SHOWN])) + more
