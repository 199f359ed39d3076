"""A training of so many minutes: network and sizes, by the speed of this machine."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from featurestore.errors import ConfigError
from featurestore.progress import Listener
from featurestore.sources import ImageFile
from trainers.config.machine import describe_load, on_several, on_this_machine
from trainers.config.recipes import Recipe
from trainers.config.resolve import method_of, resolve
from trainers.config.schema import Config
from trainers.config.sizes import usual_side
from trainers.methods import METHODS

# Images a second that a training reaches with a configuration on so many images; 0 where it does not fit the memory. The third argument is
# the speed that is enough, 0 where any is. Raises ConfigError when the network cannot take the crops.
Measure = Callable[[Config, int, float], float]
NETWORK_SETTINGS = (
    "backbone",
    "patch_size",
    "registers",
    "image_size",
    "view_size",
)  # the settings that describe a network and its sizes
EPOCHS = 500  # passes after which a small collection teaches nothing new
TIMING = 0.1  # of the minutes, after which no further network is timed


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network and its sizes, and how many images a training must see for it to beat the candidates after it."""

    backbone: str
    image_size: int  # pixels, of the encoder
    view_size: int  # pixels, of the views in training
    images: int
    work: float = 0.0  # for a view: billions of multiplications, or of known weights its pixels

    @property
    def network(self) -> str:
        return f"{self.backbone} at {self.image_size} px"

    @property
    def views(self) -> str:
        return f"views of {self.view_size} px"


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen."""

    layer: Mapping[str, Any]  # settings
    lines: list[str]  # why
    seen: float | None = None  # images that the training will see in all; None where the network was not timed
    is_enough: bool = True  # False: known weights would see too few images for it to pay, and nothing was chosen


# From the best and slowest down; benchmarks/results/training.md, "Networks by the minute", has the measurements.
CANDIDATES = (
    Candidate("resnet18", 224, 168, 1_500_000, 1.11),
    Candidate("resnet18", 128, 96, 1_500_000, 0.33),
    Candidate("resnet18", 64, 48, 1_500_000, 1.25),  # with the stem for small images, which keeps their size
    Candidate("resnet18", 32, 32, 1_500_000, 0.56),
    Candidate("conv4", 64, 48, 300_000, 0.03),
    Candidate("conv4", 32, 24, 0),
    # For crops that are too small for the candidates above.
    Candidate("conv4", 32, 32, 0),
    Candidate("conv4", 64, 48, 0),
    Candidate("resnet18", 32, 32, 0),
)

# Of networks with known weights: views in training, and how many images must be seen for it to pay.
KNOWN_VIEWS = ((160, 100_000), (128, 50_000))


def choose(
    files: Sequence[ImageFile], given: Mapping[str, Any], recipe: Recipe, measure: Measure, listener: Listener
) -> Choice:
    """Choose what `given` leaves open for a training of `given["minutes"]`; nothing without minutes.

    The choice is the first candidate that sees its number of images in that time and is not larger than the images at hand. Where the network
    or a size is given, and on several devices, nothing is chosen; of known weights only the size of the views, or that there is too little
    time for them. Raises ConfigError when no candidate takes the crops of the method.
    """
    minutes = given.get("minutes")
    if not isinstance(minutes, (int, float)) or not 0 < minutes < math.inf or given.get("recipe", "auto") != "auto":
        return Choice({}, [])
    method = method_of(given)
    candidates = () if on_several(given) or METHODS[method].needs_vit else _candidates(files, given)
    if not candidates:
        return Choice({}, [f"{so_many(minutes, 'minutes')}: {method}"])

    busy = describe_load()
    if busy and not given.get("base"):  # else it was said before
        listener.note(
            f"{busy}: networks are timed as slower than they are, so a smaller one may be chosen; --backbone and --image-size choose without timing"
        )
    passed_over: list[str] = []
    too_much = math.inf  # work, of a network that was too slow
    began, seconds = time.monotonic(), 60 * minutes
    refusals: list[ConfigError] = []
    for candidate in candidates:
        if candidate.work >= too_much:
            continue  # larger images with less work come first
        what = f"{candidate.network} with {candidate.views}" if given.get("init") else candidate.network
        if candidate.images and time.monotonic() - began > TIMING * seconds:
            passed_over.append(f"{what} was not timed, because timing has taken a tenth of the minutes")
            continue
        listener.start(f"timing {candidate.network}, {candidate.views}", None)
        sizes = {"image_size": candidate.image_size, "view_size": candidate.view_size}
        layer = {"backbone": candidate.backbone, **sizes}
        needed = min(candidate.images, EPOCHS * len(files))
        config = on_this_machine(resolve(layer, given, recipe=recipe))
        try:
            seen = seconds * measure(config, len(files), needed / seconds)
        except ConfigError as error:
            refusals.append(error)
            passed_over.append(f"{candidate.network} with {candidate.views} is refused ({error})")
            continue
        if seen >= needed:
            chosen = f"{so_many(minutes, 'minutes')} on this machine: {method}, {candidate.network}, {candidate.views}"
            return Choice(layer, ["; ".join([chosen, *passed_over])], seen if needed else None)
        too_much = candidate.work or too_much
        epochs = f"{seen / len(files):,.1f}" if seen > 0.1 * len(files) else "less than 0.1"
        why = (
            f"is too slow: {epochs} of the {needed / len(files):,.0f} epochs that it needs"
            if seen
            else "does not fit the memory"
        )
        passed_over.append(f"{what} {why}")
    if given.get("init") and len(refusals) < len(passed_over):  # of other networks, the last candidates need no images
        return Choice({}, [f"{so_many(minutes, 'minutes')} on this machine: {'; '.join(passed_over)}"], is_enough=False)
    raise refusals[-1]


def so_many(length: float, unit: str) -> str:
    """Say a length in epochs or minutes; `unit` in the plural."""
    return f"{length:g} {unit.removesuffix('s') if length == 1 else unit}"


def _candidates(files: Sequence[ImageFile], given: Mapping[str, Any]) -> Sequence[Candidate]:
    """Give the candidates that `given` leaves open, none where it names network or sizes."""
    if given.get("init") and given.get("stem") == "published" and given.get("view_size") is None:
        name, size = str(given["backbone"]), given["image_size"]
        smaller = [Candidate(name, size, view, images, view**2) for view, images in KNOWN_VIEWS if view < size]
        # The last one for networks that take no other size.
        return [*smaller, Candidate(name, size, size, KNOWN_VIEWS[0][1], size**2)]
    if any(given.get(key) is not None for key in (*NETWORK_SETTINGS, "init")):
        return ()
    largest = max(usual_side(files), CANDIDATES[-1].image_size)
    return [candidate for candidate in CANDIDATES if candidate.image_size <= largest]
