"""What views may change, by a look at the images."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from featurestore.errors import SourceError
from featurestore.progress import Listener
from featurestore.sources import ImageFile
from trainers.augmentations import AugmentConfig
from trainers.data.collection import FEWEST, load_sample, look_at
from trainers.data.images import Images
from trainers.training.labelled_sample import take_sample
from trainers.training.view_trials import try_views

# Minutes of a training; a shorter one does not look at the images first, or does not try views.
LOOK_FROM, TRY_FROM = 1.0, 5.0
COLOURS, SIDES = {"hue": 0.0, "saturation": 0.0, "grey": 0.0}, {"flip": 0.0}  # settings of views that keep them
NOT_MIRRORED = "So views are not mirrored; to mirror them: --set augment.flip=0.5"
COLOURS_KEPT = "So views keep their colours; to change them: --set augment.hue=0.1 --set augment.saturation=0.4 --set augment.grey=0.2"


def by_look(
    files: Sequence[ImageFile], given: Mapping[str, Any], labelled: bool, listener: Listener
) -> tuple[dict[str, Any], list[str]]:
    """Choose what views may change by looking at the images, and say why; nothing for trainings that are too short for it.

    labelled: whether views may be compared by the labels of the images.
    """
    length = given.get("minutes") or (0.0 if given.get("epochs") else float("inf"))
    if given.get("recipe", "auto") != "auto" or length < LOOK_FROM:
        return {}, []
    listener.start("looking at the images", None)
    try:
        images = load_sample(files, given.get("workers"), given.get("bands"))
    except SourceError:  # the training reports what it cannot read
        return {}, []
    own = given.get("augment", {})
    chosen, lines = _see(images.pixels, own)
    if length >= TRY_FROM and len(images.pixels) >= FEWEST:
        listener.start("trying views", None)
        tried, why = _try(images, {**chosen, **own}, labelled)
        chosen, lines = {**chosen, **tried}, [*lines, *why]
    return ({"augment": chosen} if chosen else {}), lines


def _see(pixels: Tensor, own: Mapping[str, Any]) -> tuple[dict[str, float], list[str]]:
    look = look_at(pixels)
    chosen: dict[str, float] = {}
    lines = []
    if look.grey and not own.keys() & COLOURS.keys():
        chosen |= COLOURS
        lines.append("all images looked at are grey: views differ in brightness and contrast, not in colour")
    if look.has_sides and not own.keys() & SIDES.keys():
        chosen |= SIDES
        lines.append(
            f"left and right differ in these images: a small network tells {look.told_apart:.0%} of them from their mirror images. {NOT_MIRRORED}"
        )
    return chosen, lines


def _try(images: Images, decided: Mapping[str, Any], labelled: bool) -> tuple[dict[str, float], list[str]]:
    """Try what is not decided: colours, and left and right, which take labels to judge."""
    sample = take_sample(images, None) if labelled else None
    usual = AugmentConfig(**{key: decided[key] for key in (*COLOURS, *SIDES) if key in decided})
    kept = {"colour matters": (COLOURS, COLOURS_KEPT), "left and right matter": (SIDES, NOT_MIRRORED)}
    keeping = {
        what: replace(usual, **settings)  # type: ignore[arg-type]
        for what, (settings, _) in kept.items()
        if not decided.keys() & settings.keys() and (sample is not None or settings is COLOURS)
    }
    chosen: dict[str, float] = {}
    lines = []
    for what, trial in try_views(images.pixels, usual, keeping, sample).items() if keeping else ():
        settings, said = kept[what]
        if trial.matters:
            chosen |= settings
            lines.append(f"{what} in these images: {trial}. {said}")
    return chosen, lines
