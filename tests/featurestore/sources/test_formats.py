"""Which names are those of images, and which packages the others need."""

import importlib.util
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from featurestore.sources import formats


def test_every_extra_is_one_of_the_project_and_has_a_decoder() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    for package, extra in formats.NEEDS.values():
        assert [one.split(">=")[0] for one in project["optional-dependencies"][extra]] == [package]
        assert package.replace("-", "_").removesuffix("_plugin") in formats.DECODERS[extra]


def test_a_suffix_is_always_an_image_or_needs_a_package() -> None:
    assert not formats.ALWAYS & set(formats.NEEDS)
    assert formats.ALWAYS <= formats.IMAGE_SUFFIXES <= formats.ALWAYS | set(formats.NEEDS)


def test_the_first_decoder_that_is_installed_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"pillow_heif"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: SimpleNamespace() if name in installed else None)
    assert formats.decoder("heic") == "pillow_heif"
    assert formats.decoder("raw") is None
