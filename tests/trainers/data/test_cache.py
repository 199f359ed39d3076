"""Decoded pixels in a mapped file: the same as in memory, kept from run to run, made anew when the images change."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from featurestore.errors import DiskError
from featurestore.imaging.preprocess import Preprocess
from featurestore.imaging.readings import Readings
from tests.featurestore.fakes import paint
from trainers.data import cache
from trainers.data import images as data

RECORD = Preprocess(8, 8)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for number in range(6):
        paint(tmp_path / "images" / f"{number}.png", (40 * number, 0, 7))
    (tmp_path / "images" / "3.png").write_bytes(b"no picture")
    return tmp_path / "images"


def load(source: Path, where: Path | None) -> tuple[data.Images, int]:
    """The images, and how many files were decoded for them."""
    ticks: list[None] = []
    images = data.load(data.list_training_files(source).training, RECORD, tick=lambda: ticks.append(None), cache=where)
    return images, len(ticks)


def test_mapped_is_as_in_memory_and_decoded_once(source: Path, tmp_path: Path) -> None:
    where = tmp_path / "pixels.cache"
    expected, _ = load(source, None)
    for decoded in (6, 0):
        images, ticks = load(source, where)
        assert ticks == decoded
        assert torch.equal(images.pixels, expected.pixels)
        assert (images.files, images.failures, images.sha256) == (expected.files, expected.failures, expected.sha256)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "pixels.cache", "pixels.json"]


def test_changed_images_are_decoded_anew(source: Path, tmp_path: Path) -> None:
    where = tmp_path / "pixels.cache"
    before, _ = load(source, where)
    paint(source / "5.png", (1, 2, 3))
    os.utime(source / "5.png", ns=(1, 1))
    after, ticks = load(source, where)
    assert ticks == 6
    assert after.sha256 != before.sha256
    assert torch.equal(after.pixels, load(source, None)[0].pixels)


@pytest.mark.parametrize("damage", ["shorter", "changed", "notes cut off", "notes of another kind"])
def test_a_file_that_is_no_longer_as_it_was_written_is_made_anew(source: Path, tmp_path: Path, damage: str) -> None:
    where = tmp_path / "pixels.cache"
    load(source, where)
    match damage:
        case "shorter":
            os.truncate(where, 100)
        case "changed":
            where.write_bytes(bytes(where.stat().st_size))
        case "notes cut off":
            os.truncate(tmp_path / "pixels.json", 20)
        case _:
            (tmp_path / "pixels.json").write_text("[1]")
    again, ticks = load(source, where)
    assert ticks == 6
    assert torch.equal(again.pixels, load(source, None)[0].pixels)


def test_an_old_file_makes_room_for_the_new(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = tmp_path / "pixels.cache"
    load(source, where)
    os.utime(source / "5.png", ns=(1, 1))
    genuine = cache._reserve

    def reserve(handle: int, count: int) -> None:
        assert not where.exists()
        genuine(handle, count)

    monkeypatch.setattr(cache, "_reserve", reserve)
    assert load(source, where)[1] == 6


def test_a_disk_without_enough_room_is_named_where_none_can_be_reserved(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    load(source, tmp_path / "pixels.cache")
    monkeypatch.setattr(shutil, "disk_usage", lambda handle: SimpleNamespace(free=1))
    with pytest.raises(DiskError, match="No space left on device"):
        load(source, tmp_path / "other.cache")


def test_nothing_can_change_the_file_through_its_pixels(source: Path, tmp_path: Path) -> None:
    files = data.list_training_files(source).training
    held = cache.decode_to_cache(tmp_path / "pixels.cache", files, RECORD, lambda pixels: ([0], [], Readings()))
    assert not held.pixels.flags.writeable


def test_a_decoding_that_was_killed_is_done_again(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = tmp_path / "pixels.cache"
    with monkeypatch.context() as patch:
        patch.setattr(np.memmap, "flush", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            load(source, where)
    assert [path.name for path in tmp_path.iterdir()] == ["images"]
    assert load(source, where)[1] == 6


def test_a_full_disk_is_named_and_leaves_nothing(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, count: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "_reserve", full)
    with pytest.raises(
        DiskError, match=r"pixels\.cache could not be written \(No space left on device\); free some space"
    ):
        load(source, tmp_path / "pixels.cache")
    assert [path.name for path in tmp_path.iterdir()] == ["images"]
