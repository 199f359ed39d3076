"""What views may change, by a look at the images."""

from collections.abc import Mapping, Sequence
from typing import Any

from featurestore.errors import SourceError
from featurestore.progress import Listener
from featurestore.sources import ImageFile
from trainers.data.collection import look_at

LOOK_FROM = 1.0  # minutes of a training; a shorter one does not look at the images first


def by_look(
    files: Sequence[ImageFile], given: Mapping[str, Any], listener: Listener
) -> tuple[dict[str, Any], list[str]]:
    """Choose what views may change by looking at the images, and say why; nothing for trainings that are too short for it."""
    minutes = given.get("minutes")
    is_long = isinstance(minutes, (int, float)) and minutes >= LOOK_FROM
    if given.get("recipe", "auto") != "auto" or not (is_long or (minutes is None and not given.get("epochs"))):
        return {}, []
    listener.start("looking at the images", None)
    try:
        look = look_at(files, given.get("workers"), given.get("bands"))
    except SourceError:  # the training reports what it cannot read
        return {}, []
    own = given.get("augment", {})
    augment: dict[str, float] = {}
    lines = []
    if look.grey and not own.keys() & {"hue", "saturation", "grey"}:
        augment |= {"hue": 0.0, "saturation": 0.0, "grey": 0.0}
        lines.append("all images looked at are grey: views differ in brightness and contrast, not in colour")
    if look.has_sides and "flip" not in own:
        augment["flip"] = 0.0
        lines.append(
            f"left and right differ in these images: a small network tells {look.told_apart:.0%} of them from their mirror images. So views "
            "are not mirrored; to mirror them: --set augment.flip=0.5"
        )
    return ({"augment": augment} if augment else {}), lines
