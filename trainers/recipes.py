"""Recipes: settings chosen by the number of images. docs/recipes.md explains each; any setting given by the user wins."""

from collections.abc import Callable, Mapping
from typing import Any

Recipe = Callable[[str, Mapping[str, Any]], dict[str, Any]]
SMALL, MEDIUM, LARGE = 20_000, 200_000, 1_000_000  # images


def choose(images: int) -> Recipe:
    """Give the recipe for a number of images: a function of the method's name and what the user gave, to a layer of settings."""

    def recipe(method: str, given: Mapping[str, Any]) -> dict[str, Any]:
        batch_size = given.get("batch_size") or batch_of(images)
        layer: dict[str, Any] = {"batch_size": batch_size, "epochs": epochs_of(images)}
        epochs = given.get("epochs") or layer["epochs"]
        if isinstance(epochs, int):
            layer["optimizer"] = {"warmup": round(min(0.1, max(0.02, 10 / max(epochs, 1))), 4)}
        slow = images >= MEDIUM
        match method:
            case "byol" | "moco-v3":
                layer[method] = {"momentum": 0.996 if slow else 0.99}
            case "moco-v1" | "moco-v2":
                layer[method] = {"momentum": 0.999 if slow else 0.99, "queue": queue_of(images)}
            case "dino":
                layer[method] = {
                    "momentum": 0.996 if slow else 0.99,
                    "prototypes": prototypes_of(images),
                    "teacher_temperature": 0.07 if slow else 0.04,
                }
        return layer

    return recipe


def batch_of(images: int) -> int:
    """A quarter of the collection, as a power of two between 16 and 256, so that an epoch has a few steps."""
    return min(256, max(16, _power_of_two(images // 4)))


def epochs_of(images: int) -> int:
    """Few images are seen more often: about two million views, within 50 to 800 epochs."""
    return int(min(800, max(50, 10 * round(200_000 / images))))


def queue_of(images: int) -> int:
    """Keys in MoCo's queue: at most half the collection, so that an image seldom meets its own older key."""
    return max(16, min(65_536 if images >= MEDIUM else 4096, _power_of_two(images // 2)))


def prototypes_of(images: int) -> int:
    """DINO's prototypes: as many as the collection can fill."""
    return 1024 if images < SMALL else 4096 if images < MEDIUM else 16_384 if images < LARGE else 65_536


def _power_of_two(number: int) -> int:
    """The largest power of two that is no more than `number`."""
    return 1 << max(0, number.bit_length() - 1)
