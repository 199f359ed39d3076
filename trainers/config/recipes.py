"""Recipes: settings chosen by the number and the size of the images; what the user gives wins. docs/guides/recipes.md gives the reasons.

Here stands what holds for every method; its own part is in `Method.recipe`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from trainers.methods import METHODS, Situation
from trainers.methods.situation import power_of_two
from trainers.models.backbones import CONV4_SMALLEST, is_transformer

Recipe = Callable[[str, Mapping[str, Any]], dict[str, Any]]  # from a method's name and the given settings to settings
SMALL_SIZE = 64  # pixels; up to this image size a processor gets conv4
SMALL_VIT = "vit_tiny_patch16_224"
MOST_PATCHES = 14  # along a side, as of ViTs at 224 px with patches of 16
NETWORK_CHOICES = (
    "backbone",
    "patch_size",
    "registers",
    "init",
)  # when the user gives one of them, the recipe leaves the network alone


def choose(images: int, device: str) -> Recipe:
    """Make the recipe for a number of images and a device: a function from a method's name and the given settings to settings."""

    def recipe(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        method, variant = METHODS[name], METHODS[name].variants[name]
        size = _positive(given.get("image_size"), 32)
        view = _positive(given.get("view_size"), size)
        batch_size, epochs, steps = batch_of(images, size), epochs_of(images), None
        layer: dict[str, Any] = {"batch_size": batch_size, "optimizer": {"warmup": 0.1}}
        if not given.get("minutes"):
            layer["epochs"] = epochs
            epochs = _positive(given.get("epochs"), epochs)
            layer["optimizer"] = {"warmup": round(min(0.1, max(0.02, 10 / epochs)), 4)}
            steps = epochs * max(1, images // _positive(given.get("batch_size"), batch_size))
        if is_transformer(str(given.get("backbone"))) and variant.optimizer.get("name") != "adamw":
            layer["optimizer"] |= method.vit_optimizer
        own = method.recipe(Situation(images, view, steps))
        if method.needs_vit and not (given.get("backbone") or given.get("init")):
            layer |= {"backbone": SMALL_VIT, "patch_size": patch_of(size)}
        if device == "cpu" and size <= SMALL_SIZE and not method.needs_vit and not any(map(given.get, NETWORK_CHOICES)):
            crop = given.get(name), method.crop_setting, own
            if round(view * _share_of_crop(*crop)) >= CONV4_SMALLEST:
                layer["backbone"] = "conv4"
        return {**layer, name: own} if own else layer

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


def batch_of(images: int, size: int) -> int:
    """Choose a power of two from 16 to 256: a quarter of the collection, so that an epoch has a few steps, if the memory allows."""
    most = 256 if size <= 64 else 128 if size <= 128 else 64
    return min(most, max(16, power_of_two(images // 4)))


def patch_of(size: int) -> int:
    """Choose the side of a ViT's patches, in pixels: the smallest that divides an image of `size` px into MOST_PATCHES a side or fewer."""
    return next(side for side in range(1, size + 1) if size % side == 0 and size // side <= MOST_PATCHES)


def epochs_of(images: int) -> int:
    """Choose 50 to 800 epochs, in which about two million views are seen: each of few images more often."""
    return int(min(800, max(50, 10 * round(200_000 / images))))


def _share_of_crop(given: Any, key: str | None, chosen: Mapping[str, Any]) -> float:
    """Give the side of a method's smallest crop as a share of the view's."""
    if key is None:
        return 1.0
    share = given.get(key) if isinstance(given, Mapping) else None
    return float(share if isinstance(share, (int, float)) else chosen[key])


def _positive(value: Any, default: int) -> int:
    """Give a value that makes sense, else the default; what makes no sense is refused later, by name."""
    return value if isinstance(value, int) and value > 0 else default
