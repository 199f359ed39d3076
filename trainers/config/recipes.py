"""Recipes: settings chosen by the number and the size of the images. docs/guides/recipes.md explains each; whatever the user gives wins."""

from collections.abc import Callable, Mapping
from typing import Any

Recipe = Callable[[str, Mapping[str, Any]], dict[str, Any]]
SMALL, MEDIUM, LARGE = 20_000, 200_000, 1_000_000  # images
SMALL_SIZE = 64  # pixels, up to which a processor has a network of its own
NETWORK = ("backbone", "patch_size", "init")  # whoever gives one of them chooses the network
SMALLEST_CROP = 16  # pixels; a smaller one shows nothing, and four halvings leave none of it


def choose(images: int, device: str) -> Recipe:
    """Give the recipe for a number of images on a device: a function of the method's name and what the user gave, to a layer of settings."""

    def recipe(method: str, given: Mapping[str, Any]) -> dict[str, Any]:
        size = _positive(given.get("image_size"), 32)
        view = _positive(given.get("view_size"), size)
        batch_size, epochs = batch_of(images, size), epochs_of(images)
        layer: dict[str, Any] = {"batch_size": batch_size, "optimizer": {"warmup": 0.1}}
        smallest = round(view * _share_of_crops(method, given, view))
        if device == "cpu" and smallest >= SMALLEST_CROP and size <= SMALL_SIZE and not any(map(given.get, NETWORK)):
            layer["backbone"] = "conv4"
        slow = images >= MEDIUM
        momentum = 0.996 if slow else 0.99
        if not given.get("minutes"):
            layer["epochs"] = epochs
            epochs = _positive(given.get("epochs"), epochs)
            layer["optimizer"] = {"warmup": round(min(0.1, max(0.02, 10 / epochs)), 4)}
            momentum = min(
                momentum, momentum_of(epochs * max(1, images // _positive(given.get("batch_size"), batch_size)))
            )
        if "vit" in str(given.get("backbone")) and method not in ("dino", "lejepa", "mae"):  # which have AdamW anyway
            lr, decay = (1.5e-4, 0.1) if method == "moco-v3" else (5e-4, 0.05)
            layer["optimizer"] |= {"name": "adamw", "lr": lr, "weight_decay": decay}
        match method:
            case "simclr" | "simclr-v2" if given.get("minutes"):
                layer[method] = {"temperature": 0.2}
            case "byol" | "moco-v3":
                layer[method] = {"momentum": momentum}
            case "moco-v1" | "moco-v2":
                layer[method] = {"momentum": 0.999 if slow else 0.99, "queue": queue_of(images)}
            case "dino":
                layer[method] = {
                    "momentum": max(0.97, momentum),  # a faster teacher and its student agree on nothing at all
                    "prototypes": prototypes_of(images),
                    "teacher_temperature": 0.07 if slow else 0.04,
                    "local_size": crop_of(view),
                }
            case "lejepa":
                layer[method] = {"local_size": crop_of(view)}
            case "jigsaw":
                large = view > 64
                layer[method] = {
                    "grid": 3 if large else 2,
                    "orders": 100 if large else 24,
                    "piece": 0.33 if large else crop_of(view),
                }
        return layer

    return recipe


def told(layer: Mapping[str, Any], resolved: Mapping[str, Any], where: str = "") -> list[str]:
    """Say what a recipe's layer chose and nobody overrode, as `key value`; `resolved` is the table of the resolved settings."""
    lines: list[str] = []
    for key, value in layer.items():
        if isinstance(value, Mapping):
            lines += told(value, resolved[key], f"{where}{key}.")
        elif resolved[key] == value:
            lines.append(f"{where}{key} {value}")
    return lines


def batch_of(images: int, size: int) -> int:
    """A quarter of the collection, so that an epoch has a few steps, and no more than memory holds: a power of two from 16 to 256."""
    most = 256 if size <= 64 else 128 if size <= 128 else 64
    return min(most, max(16, _power_of_two(images // 4)))


def epochs_of(images: int) -> int:
    """Few images are seen more often: about two million views, within 50 to 800 epochs."""
    return int(min(800, max(50, 10 * round(200_000 / images))))


def queue_of(images: int) -> int:
    """Keys in MoCo's queue: at most half the collection, so that an image seldom meets its own older key."""
    return max(16, min(65_536 if images >= MEDIUM else 4096, _power_of_two(images // 2)))


def prototypes_of(images: int) -> int:
    """DINO's prototypes: as many as the collection can fill."""
    return 1024 if images < SMALL else 4096 if images < MEDIUM else 16_384 if images < LARGE else 65_536


def crop_of(size: int) -> float:
    """Side of local crops and jigsaw pieces as a share of the image size: a half, and at least SMALLEST_CROP pixels."""
    return round(min(1.0, max(0.5, SMALLEST_CROP / size)), 4)


def _share_of_crops(method: str, given: Mapping[str, Any], view: int) -> float:
    """Side of the smallest pictures that a method shows its network, as a share of the view's; none fit mae, which needs a ViT."""
    match method:
        case "mae":
            return 0.0
        case "dino" | "lejepa" | "jigsaw":
            own, key = given.get(method), "piece" if method == "jigsaw" else "local_size"
            share = own.get(key) if isinstance(own, Mapping) else None
            return share if isinstance(share, (int, float)) else crop_of(view)
        case _:
            return 1.0


def momentum_of(steps: int) -> float:
    """The teacher's momentum in a training of so many steps: it remembers a twenty-fifth of them, and ten at least."""
    return round(1 - min(0.1, 25 / steps), 4)


def _positive(value: Any, default: int) -> int:
    """What was given, where it makes sense; what does not is refused later, by name."""
    return value if isinstance(value, int) and value > 0 else default


def _power_of_two(number: int) -> int:
    """The largest power of two that is no more than `number`."""
    return 1 << max(0, number.bit_length() - 1)
