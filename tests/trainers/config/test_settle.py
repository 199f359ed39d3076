"""From what is given to settled settings: what a training starts from, and how long it says it will take."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from featurestore.errors import ConfigError
from featurestore.progress import Listener
from featurestore.sources import ImageFile
from trainers.augmentations import AugmentConfig
from trainers.config import looks
from trainers.config import settle as settling
from trainers.config.schema import Config
from trainers.config.settle import Settled, settle
from trainers.config.time_budget import KNOWN_VIEWS
from trainers.data.collection import Look
from trainers.training.view_trials import Trial

FILES = [ImageFile(f"{number}.png", None, None, 1, 0) for number in range(1000)]


def settled(speed: float = 1e6, labelled: bool = False, **given: Any) -> Settled:
    def measure(config: Config, images: int, enough: float) -> float:
        return math.inf if not enough else speed

    return settle(FILES, {"device": "cpu", **given}, measure, Listener(), labelled)


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "local_start", lambda: {"init": "timm", "backbone": "tf_efficientnet_lite0"})


@pytest.mark.usefixtures("local")
def test_minutes_start_from_weights_that_are_on_this_machine_and_say_so() -> None:
    found = settled(minutes=5)
    config = found.config
    assert (config.init, config.backbone, config.image_size, config.stem) == (
        "timm",
        "tf_efficientnet_lite0",
        224,
        "published",
    )
    assert config.mean == (0.5, 0.5, 0.5)
    assert "starts from the published weights of tf_efficientnet_lite0, which are on this machine" in found.lines[0]


@pytest.mark.usefixtures("local")
@pytest.mark.parametrize("given", [{}, {"init": "timm", "backbone": "tf_efficientnet_lite0"}])
def test_known_weights_that_would_see_too_few_images_stay_as_they_are(given: dict[str, Any]) -> None:
    found = settled(speed=10.0, minutes=5, **given)
    config = found.config
    assert (config.base, config.base_backbone, config.base_size) == ("timm", "tf_efficientnet_lite0", 224)
    assert (config.init, config.backbone, config.image_size, config.stem) == (None, "conv4", 32, "auto")
    assert config.mean == (0.5, 0.5, 0.5)  # both see the same pixels
    assert any("views of 128 px is too slow: 3.0 of the 50 epochs that it needs" in line for line in found.lines)
    assert any(
        line
        == "the weights of tf_efficientnet_lite0 stay as they are, and a smaller network is trained beside them; --set view_size=96 trains tf_efficientnet_lite0 itself"
        for line in found.lines
    )
    itself = settled(speed=10.0, minutes=5, view_size=96, init="timm", backbone="tf_efficientnet_lite0").config
    assert (itself.init, itself.base, itself.view_size) == ("timm", None, 96)


def test_known_weights_for_one_size_stay_as_they_are_when_that_is_too_slow(tmp_path: Any) -> None:
    torch.save({}, tmp_path / "w.pth")
    given = {"minutes": 5, "init": str(tmp_path / "w.pth"), "backbone": "resnet18", "device": "cpu"}

    def of_one_size(config: Config, images: int, enough: float) -> float:
        if config.init and config.view_size != 224:
            raise ConfigError("takes 224 px alone")
        return 1.0 if enough else math.inf

    assert settle(FILES, given, of_one_size, Listener()).config.base == given["init"]

    def of_no_size(config: Config, images: int, enough: float) -> float:
        raise ConfigError("fits no size")

    with pytest.raises(ConfigError, match="fits no size"):
        settle(FILES, given, of_no_size, Listener())


@pytest.mark.usefixtures("local")
@pytest.mark.parametrize(
    "given", [{"minutes": 5, "init": "none"}, {"minutes": 5, "backbone": "resnet18"}, {"epochs": 5}]
)
def test_other_trainings_start_from_random_weights(given: dict[str, Any]) -> None:
    assert settled(**given).config.init is None


@pytest.mark.parametrize("rung", [0, 1])
def test_the_views_of_known_weights_are_as_large_as_the_minutes_allow(rung: int, tmp_path: Any) -> None:
    torch.save({}, tmp_path / "w.pth")
    timed: list[int | None] = []

    def measure(config: Config, images: int, enough: float) -> float:
        timed.append(config.view_size)
        return KNOWN_VIEWS[rung][1] / 300

    start = {"minutes": 5, "init": str(tmp_path / "w.pth"), "backbone": "resnet18", "device": "cpu"}
    config = settle(FILES, start, measure, Listener()).config
    views = [view for view, _ in KNOWN_VIEWS[: rung + 1]]
    assert (config.image_size, config.view_size) == (224, views[-1])
    assert timed == views
    assert settle(FILES, {**start, "view_size": 64}, measure, Listener()).config.view_size == 64


def test_a_training_whose_length_was_not_given_says_how_long_it_takes() -> None:
    found = settled(speed=100.0)
    [line] = [line for line in found.lines if "will take" in line]
    assert found.config.epochs == 800
    assert line == (
        "800 epochs will take about 2 hours on this machine; --minutes 10 trains for ten minutes, with a network and a size chosen for that"
    )
    assert any(line.endswith("about 80 seconds on this machine") for line in settled(speed=10_000.0).lines)
    assert not any("will take" in line for line in settled(devices=2).lines)
    assert any("may not fit the memory; --minutes 10" in line for line in settled(speed=0.0).lines)
    assert not any("will take" in line for line in settled(epochs=3).lines)


def test_a_training_of_few_steps_takes_smaller_batches_and_a_faster_teacher() -> None:
    speeds = (1.0, 100.0, 150.0, 1e6)  # images a second, for one minute
    found = [settled(speed, minutes=1, method="byol", backbone="conv4").config for speed in speeds]
    assert [config.batch_size for config in found] == [32, 32, 32, 128]
    assert [config.settings.momentum for config in found] == [0.9, 0.9, 0.911, 0.99]
    assert settled(150.0, minutes=10, method="byol", backbone="conv4").config.batch_size == 64
    given = settled(150.0, minutes=1, method="byol", backbone="conv4", batch_size=16).config
    assert (given.batch_size, given.settings.momentum) == (16, 0.9555)
    known = settled(1e4, minutes=1, backbone="resnet18", init="timm").config
    assert known.batch_size == 64  # as without minutes, at 224 px
    for unknown in ({"minutes": 0.4}, {"minutes": 1, "devices": 2}):
        config = settled(1.0, method="byol", backbone="conv4", **unknown).config
        assert (config.batch_size, config.settings.momentum) == (128, 0.99)
    unfit = settled(0.0, minutes=1, method="byol", backbone="conv4").config  # the memory
    assert (unfit.batch_size, unfit.settings.momentum) == (128, 0.99)


def test_the_default_method_and_one_named_by_its_own_settings() -> None:
    assert settled(epochs=1).config.method == "simclr"
    assert settled(epochs=1, byol={"momentum": 0.95}).config.method == "byol"


@pytest.mark.parametrize(
    ("look", "expected", "words"),
    [
        (Look(True, 0.5, 0), (0.5, 0.0, 0.0, 0.0, 0.4), "all images looked at are grey"),
        (Look(False, 0.96, 250), (0.0, 0.1, 0.4, 0.2, 0.4), "tells 96% of them from their mirror images"),
        (Look(False, 0.5, 250), (0.5, 0.1, 0.4, 0.2, 0.4), ""),
    ],
)
def test_views_change_what_the_images_allow(
    look: Look, expected: tuple[float, ...], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "load_sample", lambda *_: SimpleNamespace(pixels=torch.zeros(10)))
    monkeypatch.setattr(looks, "look_at", lambda *_: look)
    found = settled(minutes=5)
    a = found.config.augment
    assert (a.flip, a.hue, a.saturation, a.grey, a.brightness) == expected
    assert words in " ".join(found.lines)
    given = settled(minutes=5, augment={"flip": 0.25, "hue": 0.2})
    assert given.config.augment.flip == 0.25  # what is given wins, and nothing is said of it
    assert not any("looked at" in line or "mirror" in line for line in given.lines)


@pytest.mark.parametrize("labelled", [True, False])
def test_views_keep_what_a_trial_finds_to_matter(labelled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[float, float, list[str]]] = []

    def trial(pixels: Any, usual: AugmentConfig, keeping: dict[str, AugmentConfig], sample: Any) -> dict[str, Trial]:
        asked.append((usual.flip, usual.hue, list(keeping)))
        assert all((views.hue, views.flip) != (usual.hue, usual.flip) for views in keeping.values())
        return {what: Trial(0.9, 0.2, sample is not None) for what in keeping}

    monkeypatch.setattr(looks, "load_sample", lambda *_: SimpleNamespace(pixels=torch.zeros(200)))
    monkeypatch.setattr(looks, "look_at", lambda *_: Look(False, 0.5, 250))
    monkeypatch.setattr(looks, "try_views", trial)
    monkeypatch.setattr(looks, "take_sample", lambda *_: "labelled ones")
    found = settled(labelled=labelled, minutes=5)
    a = found.config.augment
    assert (a.hue, a.saturation, a.grey, a.brightness) == ((0.0, 0.0, 0.0, 0.4) if labelled else (0.1, 0.4, 0.2, 0.4))
    assert a.flip == (0.0 if labelled else 0.5)
    colour, sides = "colour matters", "left and right matter"
    for what in (colour, sides):
        assert any(f"{what} in these images: a small network" in line for line in found.lines) == labelled
    settled(labelled=labelled, augment={"flip": 0.25})  # also for a training whose length is open
    settled(labelled=labelled, minutes=5, augment={"grey": 0.1})
    assert asked == [
        (0.5, 0.1, [colour, sides] if labelled else [colour]),
        (0.25, 0.1, [colour]),
        *[(0.5, 0.1, [sides])] * labelled,
    ]
    for other in ({"minutes": 4}, {"minutes": 5, "augment": {"grey": 0.1, "flip": 0.5}}, {"epochs": 5}):
        settled(labelled=labelled, **other)
    assert len(asked) == 2 + labelled


def test_without_enough_labels_sides_are_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "load_sample", lambda *_: SimpleNamespace(pixels=torch.zeros(200)))
    monkeypatch.setattr(looks, "look_at", lambda *_: Look(False, 0.5, 250))
    monkeypatch.setattr(looks, "take_sample", lambda *_: None)
    monkeypatch.setattr(looks, "try_views", lambda *given: {what: Trial(0.1, 0.2, False) for what in given[2]})
    a = settled(labelled=True, minutes=5).config.augment
    assert (a.hue, a.flip) == (0.0, 0.5)


@pytest.mark.parametrize("given", [{"minutes": 0.5}, {"epochs": 5}, {"recipe": "none"}])
def test_short_trainings_and_fixed_recipes_do_not_look(given: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "load_sample", lambda *_: pytest.fail("looked"))
    settled(**given)
