"""Recipes: settings chosen by the number and the size of the images; what the user gives wins. docs/guides/recipes.md gives the reasons.

Here stands what holds for every method; its own part is in `Method.recipe`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from trainers.config.parse import merge
from trainers.methods import METHODS, Situation
from trainers.methods.situation import power_of_two
from trainers.models.backbones import CONV4_SMALLEST, is_transformer

Recipe = Callable[[str, Mapping[str, Any]], dict[str, Any]]  # from a method's name and the given settings to settings
SMALL_SIZE = 64  # pixels; up to this image size a processor gets conv4
SMALL_VIT = "vit_tiny_patch16_224"
# Bytes of a GPU for each pixel of the square that an image's views have. What a step keeps for its backward pass was measured: ResNet-50, 2,000
# to 2,900 by method; ResNet-18 and conv4, 600 to 850; in float32 1.6 times that. The rest is for weights, views and the images themselves.
BYTES_A_PIXEL = 4096
BYTES_OF_SMALL, SMALL_NETWORKS = 2048, ("conv4", "resnet18")
# A training of fewer steps learns more from smaller batches, down to this one.
FEW_STEPS, SMALL_BATCH = 1000, 32
USUAL_PATCH = 16  # pixels; smaller patches are more tokens, each as large
MOST_PATCHES = 14  # along a side, as of ViTs at 224 px with patches of 16
NETWORK_CHOICES = (
    "backbone",
    "patch_size",
    "registers",
    "init",
)  # when the user gives one of them, the recipe leaves the network alone


def choose(images: int, device: str, memory: int = 0, seen: float | None = None) -> Recipe:
    """Make the recipe for a number of images and a device: a function from a method's name and the given settings to settings.

    memory: bytes of each GPU, 0 for a processor. seen: images that a training of some minutes sees in all; None where that is not known.
    """

    def recipe(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        method = METHODS[name]
        size = _positive(given.get("image_size"), 32)
        view = _positive(given.get("view_size"), size)
        room = memory * _positive(given.get("devices"), 1) / _bytes_of(given, view)
        batch_size, epochs, steps = batch_of(images, size, int(room)), epochs_of(images), None
        if seen is not None:
            if not given.get("init"):  # with known weights it was not measured
                batch_size = batch_for_steps(batch_size, seen)
            steps = round(seen / _positive(given.get("batch_size"), batch_size))
        layer: dict[str, Any] = {"batch_size": batch_size, "optimizer": {"warmup": 0.1}}
        if not given.get("minutes"):
            layer["epochs"] = epochs
            epochs = _positive(given.get("epochs"), epochs)
            layer["optimizer"] = {"warmup": round(min(0.1, max(0.02, 10 / epochs)), 4)}
            steps = epochs * max(1, images // _positive(given.get("batch_size"), batch_size))
        situation = Situation(images, view, steps)
        own = method.recipe(situation)
        if method.needs_vit and not (given.get("backbone") or given.get("init")):
            layer |= {"backbone": SMALL_VIT, "patch_size": patch_of(size)}
        if device == "cpu" and size <= SMALL_SIZE and not method.needs_vit and not any(map(given.get, NETWORK_CHOICES)):
            crop = given.get(name), method.crop_setting, own
            if round(view * _share_of_crop(*crop)) >= CONV4_SMALLEST:
                layer["backbone"] = "conv4"
        layer = merge(layer, {name: own} if own else {})
        network = str(layer.get("backbone", given.get("backbone")))
        return merge(layer, method.recipe_for_network(situation, is_transformer(network)))

    return recipe


def describe(layer: Mapping[str, Any], resolved: Mapping[str, Any], where: str = "") -> list[str]:
    """List as `key value` what a recipe chose and nothing replaced; `resolved` is the table of the resolved settings."""
    lines: list[str] = []
    for key, value in layer.items():
        if isinstance(value, Mapping):
            lines += describe(value, resolved[key], f"{where}{key}.")
        elif resolved[key] == value:
            lines.append(f"{where}{key} {value}")
    return lines


def batch_of(images: int, size: int, room: int = 0) -> int:
    """Choose a power of two from 16 to 256: a quarter of the collection, so that an epoch has a few steps, if the memory allows.

    Any machine is taken to have room for 256 images up to 64 px, 128 up to 128 px and 64 above; `room`: those that fit a GPU.
    """
    most = 256 if size <= 64 else 128 if size <= 128 else 64
    most = max(most, min(256, power_of_two(room)))
    return min(most, max(16, power_of_two(images // 4)))


def batch_for_steps(most: int, seen: float) -> int:
    """Choose a power of two from SMALL_BATCH to `most`, so that `seen` images make FEW_STEPS steps, if they are enough for that."""
    return min(most, max(SMALL_BATCH, power_of_two(round(seen / FEW_STEPS))))


def patch_of(size: int) -> int:
    """Choose the side of a ViT's patches, in pixels: the smallest that divides an image of `size` px into MOST_PATCHES a side or fewer."""
    return next(side for side in range(1, size + 1) if size % side == 0 and size // side <= MOST_PATCHES)


def epochs_of(images: int) -> int:
    """Choose 50 to 800 epochs, in which about two million views are seen: each of few images more often."""
    return int(min(800, max(50, 10 * round(200_000 / images))))


def _bytes_of(given: Mapping[str, Any], view: int) -> float:
    """Estimate the bytes that an image with views of `view` px takes on a GPU."""
    small = given.get("backbone") in (None, *SMALL_NETWORKS) and not given.get("init")
    tokens = (USUAL_PATCH / min(USUAL_PATCH, _positive(given.get("patch_size"), USUAL_PATCH))) ** 2
    return view**2 * (BYTES_OF_SMALL if small else BYTES_A_PIXEL * tokens)


def _share_of_crop(given: Any, key: str | None, chosen: Mapping[str, Any]) -> float:
    """Give the side of a method's smallest crop as a share of the view's."""
    if key is None:
        return 1.0
    share = given.get(key) if isinstance(given, Mapping) else None
    return float(share if isinstance(share, (int, float)) else chosen[key])


def _positive(value: Any, default: int) -> int:
    """Give a value that makes sense, else the default; what makes no sense is refused later, by name."""
    return value if isinstance(value, int) and value > 0 else default
