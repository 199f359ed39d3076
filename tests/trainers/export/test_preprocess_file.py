"""The preprocess file: what it says, and mistakes in it."""

import json
from pathlib import Path
from typing import Any

import pytest

from featurestore.errors import ConfigError
from featurestore.imaging.preprocess import Preprocess
from tests.trainers.export.onnx_networks import (
    preprocess_file,
)
from trainers.export.preprocess_file import ForeignPreprocess, read_preprocess
from trainers.export.targets import _preprocess_of


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    toml = preprocess_file(tmp_path / "p.toml", layout="nhwc", pool="mean", output="x")
    values = {"size": 16, "shorter_side": 20, "resize": "shorter", "interpolation": "bilinear", "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]}  # fmt: skip
    (tmp_path / "p.json").write_text(json.dumps({**values, "layout": "nhwc", "pool": "mean", "output": "x"}))
    expected = ForeignPreprocess(
        Preprocess(16, 20, "shorter", "bilinear", (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)), "nhwc", "x", "mean"
    )
    assert read_preprocess(toml) == read_preprocess(tmp_path / "p.json") == expected


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"mean": None}, "expected size, shorter_side, resize, interpolation, mean, std.*found interpolation, resize"),
        ({"colour": "rgb"}, "found colour, interpolation"),
        ({"size": "sixteen"}, "whole numbers as size"),
        ({"std": [0.0, 1.0, 1.0]}, "three positive stds"),
        ({"resize": "longer"}, "resize 'longer'"),
        ({"layout": "chw"}, "a layout of"),
        ({"pool": "max"}, "a pool of"),
        ({"output": 3}, "texts as resize, interpolation and output"),
        ({"size": 16.5}, "whole numbers as size"),
        ({"mean": ["a", "b", "c"]}, "lists of numbers as mean"),
        (
            {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]},
            r"pixels from 0 to 1, found .*give mean = \[0.485, 0.456, 0.406\] and std = \[0.229, 0.224, 0.225\]",
        ),
        (
            {"mean": [0.229, 0.224, 0.225], "std": [0.485, 0.456, 0.406]},
            r"they seem to be exchanged: give mean = \[0.485, 0.456, 0.406\] and std = \[0.229, 0.224, 0.225\]",
        ),
        ({"mean": [127.5, 127.5, 127.5]}, r"give mean = \[0.5, 0.5, 0.5\]"),
    ],
)
def test_a_mistake_in_the_preprocess_file_is_named(more: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        read_preprocess(preprocess_file(tmp_path / "p.toml", **more))


@pytest.mark.parametrize(
    ("mean", "std"),
    [([0.5] * 3, [0.5] * 3), ([0.0] * 3, [1.0] * 3), ([0.48, 0.46, 0.41], [0.27, 0.26, 0.28]), ([0.5] * 3, [1.0] * 3)],
)
def test_usual_means_and_stds_are_taken(mean: list[float], std: list[float], tmp_path: Path) -> None:
    assert read_preprocess(preprocess_file(tmp_path / "p.toml", mean=mean, std=std)).record.std == tuple(std)


def test_a_preprocess_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text("size = ")
    for path in (tmp_path / "p.toml", tmp_path / "none.json"):
        with pytest.raises(ConfigError, match="expected a TOML or JSON file"):
            read_preprocess(path)


def test_the_example_of_the_page_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "guides" / "own-onnx.md").read_text(encoding="utf-8")
    (tmp_path / "p.toml").write_text(page.partition("```toml\n")[2].partition("```")[0], encoding="utf-8")
    reading = read_preprocess(tmp_path / "p.toml")
    assert (reading.record.shorter_side, reading.layout, reading.output, reading.pool) == (
        256,
        "nchw",
        "flatten",
        "none",
    )


def test_bands_of_the_command_go_before_those_of_the_file(tmp_path: Path) -> None:
    given = preprocess_file(tmp_path / "p.toml", bands=[4, 3, 2])
    assert read_preprocess(given).record.bands == (4, 3, 2)
    with pytest.raises(ConfigError, match=r"bands .* make no sense"):
        read_preprocess(preprocess_file(tmp_path / "q.toml", bands=[4, 3]))
    assert _preprocess_of("other.onnx", given, (7,)).record.bands == (7,)
