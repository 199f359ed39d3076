"""The choice for so many minutes: by the machine's speed and the images' size, and never over what was given."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from featurestore.errors import ConfigError
from featurestore.progress import Listener
from featurestore.sources import ImageFile
from featurestore.system.cpus import available_cpus
from tests.trainers.runs import Notes
from trainers.config import recipes
from trainers.config.schema import Config
from trainers.config.sizes import usual_side
from trainers.config.time_budget import EPOCHS, Choice, Measure, choose, so_many
from trainers.data import images as data
from trainers.training.setup import build


def pictures(folder: Path, side: int, count: int = 8) -> list[ImageFile]:
    folder.mkdir()
    for number in range(count):
        Image.fromarray(np.full((side + 5, side, 3), number, np.uint8)).save(folder / f"{number}.png")
    return data.list_training_files(folder).training


class Machine:
    """A machine of known speed, images a second by network and size, which remembers what it timed."""

    def __init__(self, speeds: dict[tuple[str, int], float] | None = None) -> None:
        self.speeds, self.timed = speeds or {}, list[tuple[str, int]]()

    def __call__(self, config: Config, images: int, enough: float) -> float:
        if not enough:
            return float("inf")
        self.timed.append((config.backbone, config.image_size))
        return self.speeds.get(self.timed[-1], 0.0)


def chosen(
    files: list[ImageFile], measure: Measure | None = None, **given: Any
) -> tuple[tuple[str, int, int], str, str]:
    """The network with its sizes, the method that is named, and why."""
    choice = choose_all(files, measure, **given)
    layer, [why] = choice.layer, choice.lines
    method = why.split(": ")[1].split(",")[0]
    return (layer["backbone"], layer["image_size"], layer["view_size"]), method, why


def choose_all(files: list[ImageFile], measure: Measure | None = None, **given: Any) -> Choice:
    given = {"minutes": 10, "device": "cpu", **given}
    return choose(files, given, recipes.choose(len(files), "cpu"), measure or Machine(), Listener())


def test_the_first_candidate_that_sees_enough_is_taken(tmp_path: Path) -> None:
    files = pictures(tmp_path / "images", side=80) * 1000  # 8,000 of them: every candidate needs all of its images
    machine = Machine({("resnet18", 64): 1_400_000 / 600, ("resnet18", 32): 1_600_000 / 600})
    assert chosen(files, machine) == (
        ("resnet18", 32, 32),
        "simclr",
        "10 minutes on this machine: simclr, resnet18 at 32 px, views of 32 px; resnet18 at 64 px is too slow: 175.0 of the 188 epochs that it needs",
    )
    assert machine.timed == [("resnet18", 64), ("resnet18", 32)]  # 224 and 128 px would enlarge images of 80


def test_a_busy_machine_is_named_before_networks_are_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, heard = pictures(tmp_path / "images", side=80), Notes()

    def choose_under(load: float) -> list[str]:
        monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0))
        heard.lines.clear()
        choose(files, {"minutes": 10, "device": "cpu"}, recipes.choose(len(files), "cpu"), Machine(), heard)
        return heard.lines

    cpus = available_cpus()
    assert choose_under(cpus) == []
    assert choose_under(cpus + 4.5) == [
        f"the machine is busy (load {cpus + 4.5} on {cpus} processors): networks are timed as slower than they are, so a smaller one may be "
        "chosen; --backbone and --image-size choose without timing"
    ]


def test_one_minute_is_said_in_the_singular() -> None:
    assert [so_many(length, "minutes") for length in (0.5, 1, 1.0, 2.0)] == [
        "0.5 minutes",
        "1 minute",
        "1 minute",
        "2 minutes",
    ]


def test_timing_ends_after_a_tenth_of_the_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, machine = pictures(tmp_path / "images", side=300), Machine()
    seconds = iter([0.0, 0.0, 59.0, 61.0, 61.0, 61.0])
    monkeypatch.setattr("trainers.config.time_budget.time", SimpleNamespace(monotonic=lambda: next(seconds)))
    network, _, why = chosen(files, machine)
    assert (network, len(machine.timed)) == (("conv4", 32, 24), 2)
    assert "conv4 at 64 px was not timed, because timing has taken a tenth of the minutes" in why


def test_a_slow_machine_takes_the_last_candidate_untimed(tmp_path: Path) -> None:
    machine = Machine()
    network, method, why = chosen(pictures(tmp_path / "images", side=300), machine, method="byol")
    assert (network, method) == (("conv4", 32, 24), "byol")
    assert "resnet18 at 128 px does not fit the memory; conv4 at 64 px does not fit the memory" in why  # speed 0
    # ResNet-18 at 64 and 32 px has more work than at 128 px, since its first layers do not shrink such images.
    assert machine.timed == [("resnet18", 224), ("resnet18", 128), ("conv4", 64)]


def test_a_small_collection_needs_fewer_images(tmp_path: Path) -> None:
    files = pictures(tmp_path / "images", side=32, count=10)
    machine = Machine({("resnet18", 32): 10 * EPOCHS / 600})
    assert chosen(files, machine)[0][0] == "resnet18"
    assert choose_all(files, machine).seen == pytest.approx(10 * EPOCHS)
    assert choose_all(files, Machine()).seen is None  # the last candidate is not timed


def test_images_smaller_than_every_candidate_take_the_smallest(tmp_path: Path) -> None:
    assert chosen(pictures(tmp_path / "images", side=8))[0][1] == 32


@pytest.mark.parametrize(
    "given",
    [
        {"backbone": "resnet18"}, {"image_size": 32}, {"view_size": 24}, {"patch_size": 4}, {"registers": 4}, {"init": "timm"}, {"devices": 2},
        {"method": "mae"}, {"method": "ibot"},
    ],
)  # fmt: skip
def test_what_is_given_is_not_chosen_again(given: dict[str, Any], tmp_path: Path) -> None:
    machine = Machine()
    choice = choose_all(pictures(tmp_path / "images", 32), machine, **given)
    assert (choice.layer, choice.seen) == ({}, None)
    assert not machine.timed


@pytest.mark.parametrize("given", [{"recipe": "none"}, {"minutes": None}, {"minutes": -1}, {"minutes": "3"}])
def test_without_a_budget_or_a_recipe_nothing_is_chosen(given: dict[str, Any], tmp_path: Path) -> None:
    assert choose_all(pictures(tmp_path / "images", 32), **given) == Choice({}, [])


def test_torchrun_is_several_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert choose_all(pictures(tmp_path / "images", 32)).layer == {}


def test_settings_of_a_method_select_that_method(tmp_path: Path) -> None:
    assert chosen(pictures(tmp_path / "images", 32), byol={"momentum": 0.98})[1] == "byol"


def test_the_usual_side_is_the_median_of_shorter_sides_without_what_cannot_be_read(tmp_path: Path) -> None:
    files = pictures(tmp_path / "images", side=40)
    Path(files[0].path).write_bytes(b"no picture")
    Image.new("RGB", (7, 900)).save(files[1].path)
    Image.new("1", (20_000, 20_000)).save(files[2].path)  # a decompression bomb
    assert usual_side(files) == 40
    for file in files:
        Path(file.path).unlink()
    assert usual_side(files) == 0


def test_candidates_that_cannot_take_the_crops_are_passed_over(tmp_path: Path) -> None:
    def measure(config: Config, images: int, enough: float) -> float:
        build(config)
        return 0.0 if enough else float("inf")

    files = pictures(tmp_path / "images", 32)
    network, _, why = chosen(files, measure, method="dino", dino={"local_size": 0.5})
    assert network == ("conv4", 32, 32)
    assert "; conv4 at 32 px with views of 24 px is refused (conv4 cannot take the crops of 12 px" in why
    assert chosen(files, measure, method="dino", dino={"local_size": 0.3})[0][0] == "resnet18"
    with pytest.raises(ConfigError, match="crops of 0 px"):
        choose_all(files, measure, method="dino", dino={"local_size": 0.001})
