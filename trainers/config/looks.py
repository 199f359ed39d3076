"""What views may change, by a look at the images."""

from collections.abc import Mapping, Sequence
from typing import Any

from featurestore.errors import SourceError
from featurestore.progress import Listener
from featurestore.sources import ImageFile
from trainers.augmentations import AugmentConfig
from trainers.data.collection import FEWEST, load_sample, look_at
from trainers.training.view_trials import try_colours

# Minutes of a training; a shorter one does not look at the images first, or does not try views.
LOOK_FROM, TRY_FROM = 1.0, 3.0
COLOURS = {"hue": 0.0, "saturation": 0.0, "grey": 0.0}  # settings of views that keep their colours


def by_look(
    files: Sequence[ImageFile], given: Mapping[str, Any], labelled: bool, listener: Listener
) -> tuple[dict[str, Any], list[str]]:
    """Choose what views may change by looking at the images, and say why; nothing for trainings that are too short for it.

    labelled: whether trials may be compared by the labels of the images.
    """
    minutes = given.get("minutes")
    if minutes is None:
        length = 0.0 if given.get("epochs") else float("inf")
    else:
        length = minutes if isinstance(minutes, (int, float)) else 0.0
    if given.get("recipe", "auto") != "auto" or length < LOOK_FROM:
        return {}, []
    listener.start("looking at the images", None)
    try:
        images = load_sample(files, given.get("workers"), given.get("bands"))
    except SourceError:  # the training reports what it cannot read
        return {}, []
    look, own = look_at(images.pixels), given.get("augment", {})
    augment: dict[str, float] = {}
    lines = []
    if look.has_sides and "flip" not in own:
        augment["flip"] = 0.0
        lines.append(
            f"left and right differ in these images: a small network tells {look.told_apart:.0%} of them from their mirror images. So views "
            "are not mirrored; to mirror them: --set augment.flip=0.5"
        )
    if own.keys() & COLOURS.keys():
        pass
    elif look.grey:
        augment |= COLOURS
        lines.append("all images looked at are grey: views differ in brightness and contrast, not in colour")
    elif length >= TRY_FROM and len(images.pixels) >= FEWEST:
        listener.start("trying views with and without changes of colour", None)
        flip = own.get("flip", augment.get("flip", AugmentConfig().flip))
        trial = try_colours(images, flip, labelled)
        if trial.matters:
            augment |= COLOURS
            lines.append(
                f"colour matters in these images: {trial}. So views keep their colours; to change them: "
                "--set augment.hue=0.1 --set augment.saturation=0.4 --set augment.grey=0.2"
            )
    return ({"augment": augment} if augment else {}), lines
