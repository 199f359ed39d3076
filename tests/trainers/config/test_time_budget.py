"""The choice for so many minutes: by the machine's speed and the images' size, and never over what was given."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from featurestore.errors import ConfigError, TrainingError
from featurestore.progress import Listener
from featurestore.sources import ImageFile
from tests.trainers.small import config_of
from trainers.config import recipes
from trainers.config import time_budget as budget
from trainers.config.schema import Config
from trainers.config.time_budget import CANDIDATES
from trainers.data import images as data
from trainers.training.step import TrainingStep


def pictures(folder: Path, side: int, count: int = 8) -> list[ImageFile]:
    folder.mkdir()
    for number in range(count):
        Image.fromarray(np.full((side + 5, side, 3), number, np.uint8)).save(folder / f"{number}.png")
    return data.list_training_files(folder).training


def choose(files: list[ImageFile], said: list[str] | None = None, **given: Any) -> dict[str, Any]:
    """The layer; `said` is told why."""
    given = {"minutes": 10, "device": "cpu", **given}
    layer, lines = budget.choose(files, given, recipes.choose(len(files), "cpu"), Listener())
    (said if said is not None else []).extend(lines)
    return layer


def machine(monkeypatch: pytest.MonkeyPatch, speeds: dict[tuple[str, int], float]) -> list[tuple[str, int]]:
    """A machine of known speed, images a second by network and size, and what it was asked for."""
    asked = []

    def speed(config: Config, images: int, wanted: float) -> float:
        asked.append((config.backbone, config.image_size))
        return speeds.get(asked[-1], 0.0)

    monkeypatch.setattr(budget, "speed", speed)
    return asked


def test_the_highest_candidate_that_sees_enough_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = pictures(tmp_path / "images", side=80) * 1000  # 8,000 of them: every candidate needs all of its images
    said: list[str] = []
    asked = machine(monkeypatch, {("resnet18", 64): 1_400_000 / 600, ("resnet18", 32): 1_600_000 / 600})
    chosen = choose(files, said)
    assert chosen == {"method": "simclr", "backbone": "resnet18", "image_size": 32, "view_size": 32}
    assert asked == [("resnet18", 64), ("resnet18", 32)]  # 224 and 128 px would blow up images of 80
    assert said == [
        "10 minutes on this machine: simclr, resnet18 at 32 px, views of 32 px; resnet18 at 64 px would see 1,400,000 of 1,500,000 images"
    ]


def test_a_slow_machine_takes_the_lowest_candidate_untimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = machine(monkeypatch, {})
    chosen = choose(pictures(tmp_path / "images", side=300))
    assert (chosen["backbone"], chosen["image_size"], chosen["view_size"]) == ("conv4", 32, 24)
    assert asked == [(candidate.backbone, candidate.image_size) for candidate in CANDIDATES if candidate.images]


def test_a_small_collection_needs_fewer_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = pictures(tmp_path / "images", side=32, count=10)
    machine(monkeypatch, {("resnet18", 32): 10 * time_budget.EPOCHS / 600})
    assert choose(files)["backbone"] == "resnet18"


def test_images_smaller_than_every_candidate_take_the_smallest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, {})
    assert choose(pictures(tmp_path / "images", side=8))["image_size"] == 32


@pytest.mark.parametrize(
    "given",
    [
        {"backbone": "resnet18"},
        {"image_size": 32},
        {"view_size": 24},
        {"patch_size": 4},
        {"init": "timm"},
        {"devices": 2},
        {"method": "mae"},
    ],
)
def test_what_is_given_is_not_chosen_again(
    given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = machine(monkeypatch, {})
    assert choose(pictures(tmp_path / "images", 32), **given) == {"method": given.get("method", "simclr")}
    assert not asked


@pytest.mark.parametrize("given", [{"recipe": "none"}, {"minutes": None}, {"minutes": -1}, {"minutes": "3"}])
def test_without_a_budget_or_a_recipe_nothing_is_chosen(given: dict[str, Any], tmp_path: Path) -> None:
    assert choose(pictures(tmp_path / "images", 32), **given) == {}


def test_torchrun_is_several_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert choose(pictures(tmp_path / "images", 32)) == {"method": "simclr"}


def test_settings_of_a_method_mean_that_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, {})
    files = pictures(tmp_path / "images", 32)
    assert choose(files, byol={"momentum": 0.98})["method"] == "byol"


def test_a_network_that_does_not_fit_the_memory_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Any, batch: Any, at: Any) -> Any:
        raise TrainingError("does not fit the memory")

    monkeypatch.setattr(TrainingStep, "run", full)
    said: list[str] = []
    assert choose(pictures(tmp_path / "images", 64), said)["backbone"] == "conv4"
    assert "resnet18 at 64 px does not fit the memory; resnet18 at 32 px does not fit the memory" in said[0]


def test_memory_that_is_full_before_a_step_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(budget, "launch", full)
    assert budget.speed(config_of("simclr"), images=100, wanted=1.0) == 0.0


def test_another_method_keeps_its_name_and_gets_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, {})
    chosen = choose(pictures(tmp_path / "images", 32), method="byol")
    assert (chosen["method"], chosen["backbone"]) == ("byol", "conv4")


def test_the_usual_side_is_the_median_of_shorter_sides_without_what_cannot_be_read(tmp_path: Path) -> None:
    files = pictures(tmp_path / "images", side=40)
    Path(files[0].path).write_bytes(b"no picture")
    Image.new("RGB", (7, 900)).save(files[1].path)
    Image.new("1", (20_000, 20_000)).save(files[2].path)  # a decompression bomb
    assert budget.usual_side(files) == 40
    for file in files:
        Path(file.path).unlink()
    assert budget.usual_side(files) == 0


def test_speed_is_that_of_whole_steps_and_a_hopeless_network_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    genuine = TrainingStep.run

    def counted(self: Any, batch: Any, at: Any) -> Any:
        taken.append(len(batch))
        return genuine(self, batch, at)

    monkeypatch.setattr(TrainingStep, "run", counted)
    config = config_of("simclr", backbone="conv4", batch_size=8)
    assert budget.speed(config, images=100, wanted=1e9) > 0
    assert budget.speed(config, images=5, wanted=1e9) > 0
    assert taken == [8, 5]
    monkeypatch.setattr(budget, "ENOUGH", 0.01)
    assert budget.speed(config, images=100, wanted=0.1) > 0
    assert len(taken) >= 2 + 1 + 2


@pytest.mark.parametrize("settings", [{"accumulate": 8}, {"compile": True}])
def test_a_processor_is_timed_by_plain_steps(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: pytest.fail("a timing compiles nothing"))
    config = config_of("simclr", backbone="conv4", batch_size=8, device="cpu", **settings)
    assert budget.speed(config, images=100, wanted=1e9) > 0


def test_candidates_that_cannot_take_the_crops_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, {})
    files = pictures(tmp_path / "images", 32)
    said: list[str] = []
    chosen = choose(files, said, method="dino", dino={"local_size": 0.5})
    assert (chosen["backbone"], chosen["image_size"], chosen["view_size"]) == ("conv4", 32, 32)
    assert "; conv4 at 32 px with views of 24 px is refused (conv4 cannot take the crops of 12 px" in said[0]
    assert choose(files, method="dino", dino={"local_size": 0.3})["backbone"] == "resnet18"
    with pytest.raises(ConfigError, match="crops of 0 px"):
        choose(files, method="dino", dino={"local_size": 0.001})
