"""Labels and splits from the place of a source itself, as when a shell gives d/train d/test or d/train/*."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pytest

from featurestore.sources import ImageFile, open_source, open_sources
from tests.featurestore.fakes import paint
from tests.featurestore.sources.tables import save_dataset, write_parquet
from tests.featurestore.sources.tars import write_tar

RED = (255, 0, 0)
Told = dict[str, tuple[str | None, str | None]]  # label and split by the end of the path


def told(root: Path | str, *sources: str) -> Told:
    """Label and split of every image of sources below a folder."""
    listed = [e for source in open_sources([(f"{root}/{name}", ()) for name in sources]) for e in source]
    return {e.path.removeprefix(f"{root}/"): (e.label, e.split) for e in listed if isinstance(e, ImageFile)}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path.resolve()
    for name in ("d/train/rose/a.png", "d/train/tulip/b.png", "d/test/rose/c.png", "d/test/loose.png"):
        paint(root / name, RED)
    return root


ALL: Told = {
    "d/train/rose/a.png": ("rose", "train"),
    "d/train/tulip/b.png": ("tulip", "train"),
    "d/test/rose/c.png": ("rose", "test"),
    "d/test/loose.png": (None, "test"),
}


@pytest.mark.parametrize(
    "sources",
    [
        ["d"],
        ["d/train", "d/test"],
        ["d/train/rose", "d/train/tulip", "d/test"],
        ["d/test", "d/train/rose/a.png", "d/train/tulip/b.png"],
        ["d/train/../train", "d/test/"],
        ["d/train", "d"],
    ],
)
def test_a_part_of_a_tree_says_what_the_tree_says(data: Path, sources: list[str]) -> None:
    assert told(data, *sources) == ALL


def test_a_source_is_known_by_the_name_that_the_user_gave(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "d" / "valid").symlink_to(data / "elsewhere")
    paint(data / "elsewhere" / "rose" / "v.png", RED)
    assert told(data, "d/valid") == {"elsewhere/rose/v.png": ("rose", "val")}
    monkeypatch.chdir(data / "d" / "train")
    assert {(e.label, e.split) for e in open_source(".") if isinstance(e, ImageFile)} == {
        ("rose", "train"),
        ("tulip", "train"),
    }


@pytest.mark.parametrize(
    ("source", "beside"), [("test", []), ("dev", ["test"]), ("test/rose", ["code"]), ("tr", ["train", "training"])]
)
def test_a_name_alone_is_no_split(tmp_path: Path, source: str, beside: list[str]) -> None:
    root = tmp_path.resolve()
    paint(root / source / "a.png", RED)
    for name in beside:
        (root / name).mkdir()
    assert told(root, source) == {f"{source}/a.png": (None, None)}


def test_class_folders_that_are_given_together_are_labels(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    for name in ("photos/rose/a.png", "photos/tulip/b.png", "photos/c.png"):
        paint(root / name, RED)
    together = {"photos/rose/a.png": ("rose", None), "photos/tulip/b.png": ("tulip", None)}
    assert told(root, "photos/rose", "photos/tulip") == together
    assert told(root, "photos/rose/a.png", "photos/tulip/b.png") == together
    assert told(root, "photos/rose") == {"photos/rose/a.png": (None, None)}
    assert told(root, "photos/c.png") == {"photos/c.png": (None, None)}


def test_the_wider_of_two_nested_sources_comes_first(data: Path) -> None:
    for order in (["d/train/rose", "d"], ["d", "d/train/rose"]):
        first, second = open_sources([(data / name, ()) for name in order])
        assert (first.path, second.path) == (f"{data}/d", f"{data}/d/train/rose")


@pytest.mark.parametrize(
    "names", [("train.tar", "test.tar"), ("Train-000.tar", "eval-000.tar"), ("train_1.tar", "testing_1.tar")]
)
def test_tars_are_of_the_split_that_they_are_named_after(tmp_path: Path, names: tuple[str, str]) -> None:
    root = tmp_path.resolve()
    for name in names:
        write_tar(root / name, [("rose/a.jpg", b"a"), ("val/rose/b.jpg", b"b")])
    for name, split in zip(names, ("train", "test"), strict=True):
        assert told(root, name) == {f"{name}::rose/a.jpg": ("rose", split), f"{name}::val/rose/b.jpg": ("rose", "val")}
    (root / names[0]).unlink()
    assert told(root, names[1])[f"{names[1]}::rose/a.jpg"] == ("rose", None)


def test_tables_are_of_the_split_of_their_name_or_folder_unless_their_rows_say_another(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    rows = pa.table({"image": [b"a", b"b"], "label": ["x", "y"], "split": ["", "val"]})
    for name in (
        "d/train/part.parquet",
        "d/test/part.parquet",
        "train-00000-of-00002.parquet",
        "test-00000-of-00001.parquet",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_parquet(root, rows).rename(root / name)
    for name in ("d/test/part.parquet", "test-00000-of-00001.parquet"):
        assert list(told(root, name).values()) == [("x", "test"), ("y", "val")]


def test_a_saved_dataset_may_be_a_part_of_a_split(tmp_path: Path) -> None:
    rows = pa.table({"image": [b"a", b"b"], "label": ["x", "y"]})
    save_dataset(tmp_path / "set", rows.slice(0, 1), rows.slice(1))
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
    (tmp_path / "set").rename(tmp_path / "train" / "set")
    assert [split for _, split in told(tmp_path.resolve(), "train/set").values()] == ["train", "train"]


def test_lists_are_of_the_split_that_they_are_named_after(data: Path) -> None:
    for name in ("train.txt", "val.txt"):
        (data / name).write_text("d/train/rose/a.png\nd/train/tulip/b.png\n")
    assert told(data, "val.txt") == {
        "d/train/rose/a.png": ("rose", "val"),
        "d/train/tulip/b.png": ("tulip", "val"),
    }


def test_a_list_says_what_the_folder_of_its_files_says(data: Path) -> None:
    (data / "all.txt").write_text("".join(f"{name}\n" for name in ALL))
    assert told(data, "all.txt") == ALL
    (data / "rose.txt").write_text("d/train/rose/a.png\n")
    assert told(data, "rose.txt") == {"d/train/rose/a.png": ("rose", "train")}
    paint(data / "flat" / "x.png", RED)
    (data / "flat.txt").write_text("flat/x.png\n")
    assert told(data, "flat.txt") == {"flat/x.png": (None, None)}


@pytest.fixture
def memory() -> Iterator[Any]:
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield files
    files.store.clear()


def test_a_folder_behind_a_url_is_of_the_split_of_its_name(memory: Any) -> None:
    for name in ("train/rose/a.jpg", "test/rose/b.jpg"):
        memory.pipe_file(f"/x/{name}", b"a")
    assert told("memory://x", "test") == {"test/rose/b.jpg": ("rose", "test")}
    assert told("memory://x", "train/rose", "test/") == {
        "train/rose/a.jpg": ("rose", "train"),
        "test/rose/b.jpg": ("rose", "test"),
    }
