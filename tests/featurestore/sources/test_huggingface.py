"""Folders that `save_to_disk` of Hugging Face datasets leaves, written here as that library writes them."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from featurestore.errors import SourceError
from featurestore.sources import Failure, find, open_source, read
from tests.featurestore.sources.tables import hugging_face, images, save_dataset


def test_the_folders_of_a_dataset_dict_are_its_splits(tmp_path: Path) -> None:
    for split in ("train", "validation", "extra"):
        save_dataset(tmp_path / "sets" / split, hugging_face([split.encode()], label=[0]))
    (tmp_path / "sets" / "dataset_dict.json").write_text('{"splits": ["train", "validation", "extra"]}')
    splits = {i.split: read(i.path) for i in images(tmp_path / "sets")}
    assert splits == {"train": b"train", "val": b"validation", "extra": b"extra"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset in two files of one image each."""
    return save_dataset(tmp_path / "set", hugging_face([b"a"], label=[1]), hugging_face([b"b"], label=[0]))


def test_one_arrow_file_of_a_dataset_is_a_source_by_itself(folder: Path) -> None:
    [found] = images(folder / "data-00001-of-00002.arrow")
    assert (found.label, read(found.path)) == ("rose", b"b")


def test_a_missing_file_of_a_dataset_is_a_failure_and_nothing_has_vanished(folder: Path) -> None:
    gone = folder / "data-00000-of-00002.arrow"
    gone.unlink()
    source = open_source(folder)
    failure, image = source
    assert failure == Failure(str(gone), "no such file, or it has vanished")
    assert image.path == f"{folder}/data-00001-of-00002.arrow::0"
    assert source.prefix is None


def test_a_dataset_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="found the columns text"):
        open_source(save_dataset(tmp_path / "set", pa.table({"text": ["a"]})))


NO_NAMES = (3, None, "", "..", "../x.arrow", "/x.arrow", "a\0b", "\ud800")


@pytest.mark.parametrize(
    "state", ["{", "[]", "{}", "[" * 100_000, *(json.dumps({"_data_files": [{"filename": name}]}) for name in NO_NAMES)]
)
def test_a_damaged_state_is_refused(folder: Path, state: str) -> None:
    (folder / "state.json").write_text(state)
    with pytest.raises(SourceError, match=r"state\.json.*save_to_disk"):
        list(find(folder))


@pytest.mark.parametrize("splits", ["3", "[3]", '["."]', '["../set"]', '["again"]', "[[]]"])
def test_splits_that_are_no_folders_of_a_dataset_are_refused(tmp_path: Path, splits: str) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "again").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "dataset_dict.json").write_text(f'{{"splits": {splits}}}')
    with pytest.raises(SourceError, match="save_to_disk"):
        list(find(tmp_path / "set"))


def test_features_nested_without_end_name_no_labels(folder: Path) -> None:
    (folder / "dataset_info.json").write_text("[" * 100_000)
    assert [i.label for i in images(folder)] == ["1", "0"]
