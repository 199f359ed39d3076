"""The one road from what a user gives to settled settings: by the images, by the time, and by the machine."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featurestore.progress import Listener
from featurestore.sources import ImageFile
from trainers.config import recipes, time_budget
from trainers.config.length import images_seen, say_length
from trainers.config.looks import by_look
from trainers.config.machine import find_device, memory_of, on_several, on_this_machine
from trainers.config.parse import merge, over_file, read_settings, read_toml
from trainers.config.resolve import method_of, resolve
from trainers.config.schema import Config
from trainers.config.sizes import by_images
from trainers.config.time_budget import Measure
from trainers.data.images import check_enough
from trainers.methods import METHODS
from trainers.models.local_weights import local_start
from trainers.models.start import kind_of_start, settings_of_start
from trainers.optimization.optimizers import unusual_rate
from trainers.settings import unusual

OF_INPUT = ("bands", "stem", "mean", "std")  # how a network takes its images
BESIDE = "the weights of {backbone} stay as they are, and a smaller network is trained beside them; --set view_size=96 trains {backbone} itself"


@dataclass(frozen=True, slots=True)
class Settled:
    """Settings that leave nothing open, and lines that say what was chosen and why."""

    config: Config
    lines: tuple[str, ...] = ()


def read_given(config: str | Path | Mapping[str, Any] | None, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Lay `settings` over `config`, a TOML file or a mapping. Raises ConfigError."""
    base = config if isinstance(config, Mapping) else {} if config is None else read_toml(config)
    return over_file(base, settings)


def settle(
    files: Sequence[ImageFile], given: Mapping[str, Any], measure: Measure, listener: Listener, labelled: bool = False
) -> Settled:
    """Settle the settings of a training on `files`: what is not given is chosen.

    A budget of minutes chooses network and sizes by the speed that `measure` finds; the recipe chooses by the number of images;
    the machine decides device and precision. labelled: whether kinds of views may be compared by the labels of the images. Raises ConfigError,
    and TrainingError when there are too few images.
    """
    check_enough(len(files), "images")
    device = find_device(given.get("device", "auto"))
    known, lines = _known_start(given)
    given = _with_start({**known, **given})
    recipe = recipes.choose(len(files), device, memory_of(device))
    sizes = by_images(files, given, device)
    choice = time_budget.choose(files, given, recipe, measure, listener)
    if not choice.is_enough:
        given, lines = _beside(given), [*lines, *choice.lines, BESIDE.format(**given)]
        choice = time_budget.choose(files, given, recipe, measure, listener)
    by_time, lines = {**sizes, **choice.layer}, [*lines, *choice.lines]
    seen = choice.seen or images_seen(on_this_machine(resolve(by_time, given, recipe=recipe)), len(files), measure)
    recipe = recipes.choose(len(files), device, memory_of(device), seen)
    views, why = by_look(files, given, labelled, listener)
    lines += why
    config = on_this_machine(resolve(by_time, views, given, recipe=recipe))
    if config.minutes is None and "epochs" not in given and config.recipe == "auto" and not on_several(given):
        lines.append(say_length(config, len(files), measure))
    if config.recipe == "auto":
        by_number = recipe(config.method, merge(by_time, given))
        if chosen := recipes.describe(by_number, config.to_table()):
            lines.append(f"recipe for {len(files):,} images of {config.image_size} px: {', '.join(chosen)}")
    return Settled(config, (*lines, *_doubts(config, len(files))))


def _known_start(given: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """Give published weights that are on this machine to a training of some minutes whose start and network are open, and say so."""
    open_ = given.get("minutes") and given.get("recipe", "auto") == "auto" and not METHODS[method_of(given)].needs_vit
    if not open_ or any(given.get(key) is not None for key in (*time_budget.NETWORK_SETTINGS, "init")):
        return {}, []
    known = local_start()
    said = "starts from the published weights of {backbone}, which are on this machine; --init none starts from random ones"
    return known, [said.format(**known)] if known else []


def _beside(given: Mapping[str, Any]) -> dict[str, Any]:
    """Leave known weights as they are, for another network to be trained beside them; mean and deviation of their pixels stay."""
    moved = {"init": "base", "backbone": "base_backbone", "image_size": "base_size"}
    left = {key: value for key, value in given.items() if key not in (*moved, "stem")}
    return {**left, **{base: given[key] for key, base in moved.items()}}


def _doubts(config: Config, images: int) -> list[str]:
    """Say what is allowed, but probably not meant."""
    shared = dataclasses.replace(config, settings=None)
    lines = [*unusual(shared), *unusual_rate(config.optimizer), *unusual(config.settings, f"{config.method}.")]
    if config.batch_size > images:
        lines.append(f"a batch of {config.batch_size} is more than the {images} images: each step takes all of them")
    return [*lines, *METHODS[config.method].doubts(config.settings, images)]


def _with_start(given: Mapping[str, Any]) -> dict[str, Any]:
    """Lay what is given over the network's settings of what a training starts from; first layers of known weights stay as published."""
    if given.get("init") in (None, "none"):
        return {key: value for key, value in given.items() if key != "init"}
    init = str(given["init"])
    if kind_of_start(init) == "run":
        theirs = read_settings(Path(init))
        return over_file(
            {key: theirs[key] for key in (*time_budget.NETWORK_SETTINGS, *OF_INPUT) if key in theirs}, given
        )
    own = settings_of_start(init, given.get("backbone"), resolve().backbone)
    return {**over_file(own, given), "stem": "published"}
