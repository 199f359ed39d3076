"""The profile of a step: every part has a time, and nothing is written."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from featurestore.cli import cli
from trainers.training.profile import profile

PARTS = ["load", "augment", "forward", "backward", "optimiser", "after step"]
OPTIONS = ["--method", "byol", "--backbone", "conv4", "--image-size", "16", "--batch-size", "8", "--steps", "1"]


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainers.training.profile.WARM_UP", 1)
    monkeypatch.setattr("trainers.training.profile.ROUNDS", 2)


def test_every_part_has_a_time_and_the_whole_is_no_shorter_than_its_limit(few_shapes: Path) -> None:
    before = sorted(few_shapes.rglob("*"))
    found = CliRunner().invoke(cli, ["profile", str(few_shapes), *OPTIONS, "--json"])
    assert found.exit_code == 0, found.output
    said = json.loads(found.stdout)
    assert list(said["parts"]) == PARTS
    assert all(ms >= 0 for ms in said["parts"].values())
    assert said["images_per_second"] == pytest.approx(1000 * 8 / said["step_ms"])
    assert said["spread"][0] <= said["share"] <= said["spread"][1]
    assert sorted(few_shapes.rglob("*")) == before

    lines = CliRunner().invoke(cli, ["profile", str(few_shapes), *OPTIONS]).stdout.splitlines()
    assert lines[0].startswith("byol, conv4, 16 px, batch 8")
    assert [line[:10].strip() for line in lines[1:7]] == PARTS
    assert "images/s" in lines[7]
    assert lines[8].startswith("limit")


def test_a_batch_in_parts_and_an_image_that_cannot_be_read(few_shapes: Path) -> None:
    next(few_shapes.rglob("*.png")).write_bytes(b"no picture")
    found = profile(
        few_shapes, method="moco-v2", backbone="conv4", image_size=16, batch_size=1000, accumulate=2, steps=1, devices=1
    )
    assert found.batch_size <= len(list(few_shapes.rglob("*.png"))) - 1
    assert all(ms > 0 for ms in found.parts.values())
