"""Training takes its images from any source."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featurestore.errors import SourceError
from featurestore.imaging.preprocess import Preprocess
from featurestore.sources import ImageFile
from tests.featurestore.fakes import paint
from trainers.data import images as data


def pack(folder: Path, tar: Path, *names: str) -> Path:
    with tarfile.open(tar, "w") as shard:
        for number, name in enumerate(names):
            image = paint(folder / f"{number}.png", (40 * number, 0, 0)).read_bytes()
            info = tarfile.TarInfo(name)
            info.size = len(image)
            shard.addfile(info, io.BytesIO(image))
    return tar


def test_how_files_were_read_is_kept_with_their_pixels(tmp_path: Path) -> None:
    """Also where the pixels come from the file of an earlier run."""
    for number in range(2):
        Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 64).save(tmp_path / f"{number}.png")
    files = data.list_training_files(tmp_path).training
    first, *others = (
        data.load(files, Preprocess(8, 8), cache=cache).readings for cache in (None, *[tmp_path / "c"] * 2)
    )
    assert others == [first, first]
    [line] = first.lines()
    assert line.startswith("2 of 2 images: 16 bits a channel, of which 12 are in use")


def test_images_of_a_tar_are_trained_on_but_for_those_of_val_and_test(tmp_path: Path) -> None:
    tar = pack(
        tmp_path, tmp_path / "s.tar", "train/rose/a.png", "test/rose/b.png", "val/rose/c.png", "train/tulip/d.png"
    )
    files = data.list_training_files(tar)
    assert [f.path for f in files.training] == [f"{tar}::train/rose/a.png", f"{tar}::train/tulip/d.png"]
    assert [f.path for f in files.held_back] == [f"{tar}::test/rose/b.png"]
    assert files.describe_splits() == "trained on: 2 of split train; left out: 1 of split test, 1 of split val"
    loaded = data.load(files.training, Preprocess(8, 8))
    assert loaded.pixels[:, 0, 0, 0].tolist() == [0, 120]
    assert [f.label for f in loaded.files] == ["rose", "tulip"]


def test_a_folder_of_tars_is_refused_with_what_to_name(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    pack(tmp_path, tmp_path / "shards" / "s.tar", "a.png")
    with pytest.raises(
        SourceError, match=r"no image found in .*1 \.tar \(to take the images inside, name .*shards/\*\.tar\)"
    ):
        data.list_training_files(tmp_path / "shards")


def test_a_split_that_is_named_is_trained_on(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for number in range(2):
            paint(tmp_path / split / "rose" / f"{number}.png", (9, 9, 9))
    files = data.list_training_files(tmp_path / "test")
    assert (len(files.training), files.held_back, files.left_out) == (2, [], {})
    assert files.notes(with_labels=True, exclude=["x"]) == [
        "trained on: 2 of split test, which was named",
        "2 images: test 2; 1 class (rose); 2 labels found",
        "nothing matched --exclude x",
    ]
    assert len(data.list_training_files(tmp_path, ["train/rose/0.png"]).training) == 1
    with pytest.raises(
        SourceError,
        match=r"found 2 of other splits \(test\) and none else; to train on these, name their folder: .*/test",
    ):
        data.list_training_files(tmp_path, ["train"])


def test_files_none_of_which_can_be_read_are_refused_with_the_reasons(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.png").touch()
    with pytest.raises(
        SourceError,
        match=r"none of 2 files could be read as an image; 2 files: empty file \(0 bytes\), the first .*a\.png",
    ):
        data.load(data.list_training_files(tmp_path).training, Preprocess(8, 8))


def test_what_several_processes_would_hold_is_mapped_sooner() -> None:
    files = [ImageFile("a.png", None, None, 1, 0)] * 100
    record = Preprocess(1024, 1024)  # 300 MiB for these
    assert not data.is_large(files, record, processes=6)
    assert data.is_large(files, record, processes=7)
