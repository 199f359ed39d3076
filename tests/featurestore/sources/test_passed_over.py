"""What is not an image of a collection is passed over, and counted."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from featurestore.errors import SourceError
from featurestore.sources import Failure, ImageFile, open_source
from featurestore.sources.folders import Folder
from featurestore.sources.listing import Listing
from featurestore.sources.passed_over import PassedOver
from featurestore.sources.reasons import Reasons
from tests.featurestore.sources.tars import write_tar

TREE = {  # file: what it counts as, None for an image; a folder that is passed over counts once
    "a.JPG": None,
    "rose/b .png": None,
    "rose/c.png ": None,
    "@eaDir/a.jpg/thumb.jpg": "system",
    "rose/@EADIR/b.png": "system",
    "#recycle/c.jpg": "system",
    "$RECYCLE.BIN/d.jpg": "system",
    "System Volume Information/e.jpg": "system",
    "lost+found/f.jpg": "system",
    "__MACOSX/rose/._b.png": "system",
    "rose/Thumbs.db": "system",
    "._a.JPG": "hidden",
    ".Trash-1000/g.jpg": "hidden",
    "rose/clip.MP4": ".mp4",
    "notes.txt": ".txt",
    "report.2026-11-28 draft": "other",
    "Makefile": "other",
}


def on_disk(folder: Path) -> str:
    for name in TREE:
        (folder / "s" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "s" / name).write_bytes(b"text")
    return f"{folder}/s"


def in_tar(folder: Path) -> str:
    return str(write_tar(folder / "s.tar", [(name, b"text") for name in TREE]))


def behind_url(folder: Path) -> str:
    files = fsspec.filesystem("memory")
    for name in TREE:
        files.pipe_file(f"/s/{name}", b"text")
    return "memory://s"


@pytest.fixture(autouse=True)
def no_memory() -> Iterator[None]:
    yield
    fsspec.filesystem("memory").store.clear()


@pytest.mark.parametrize("make", [on_disk, in_tar, behind_url])
def test_what_systems_leave_behind_and_other_files_are_counted(tmp_path: Path, make: Callable[[Path], str]) -> None:
    source = open_source(make(tmp_path))
    assert [entry.path[-5:] for entry in source] == ["a.JPG", " .png", ".png "]
    assert source.passed_over.counts == Counter(kind for kind in TREE.values() if kind)


@pytest.mark.parametrize("make", [on_disk, in_tar, behind_url])
def test_what_the_user_excludes_is_counted(tmp_path: Path, make: Callable[[Path], str]) -> None:
    source = open_source(make(tmp_path), ["rose"])
    assert [entry.path[-5:] for entry in source] == ["a.JPG"]
    assert source.passed_over.counts["excluded"] > 0
    assert not list(open_source(make(tmp_path), ["*.[jJ][pP][gG]", "*.png*"]))


def test_lists_and_single_files_are_excluded_too(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text(f"{on_disk(tmp_path)}/a.JPG\ns/rose/b .png\n")
    for source, pattern, left in (("l.txt", "/rose/", ["a.JPG"]), ("s/a.JPG", "a.*", [])):
        opened = open_source(tmp_path / source, [pattern])
        assert [Path(entry.path).name for entry in opened] == left
        assert opened.passed_over.counts == {"excluded": 1}


def test_ignore_files_hold_for_their_folder(tmp_path: Path) -> None:
    root = on_disk(tmp_path)
    Path(root, ".featurestoreignore").write_text("# not these\n*.JPG\n/notes.txt\n")
    Path(root, "rose", ".featurestoreignore").write_text("!*\n[bc]*\n")
    assert list(open_source(root)) == []
    assert len(list(open_source(root, ["!b*"]))) == 1  # what is given comes first
    behind_url(tmp_path)
    fsspec.filesystem("memory").pipe_file("/s/.featurestoreignore", b"*.JPG")
    assert [entry.path for entry in open_source("memory://s")] == ["memory://s/rose/b .png", "memory://s/rose/c.png "]


def test_an_ignore_file_that_cannot_be_read_is_a_failure(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".featurestoreignore")
    assert list(open_source(tmp_path)) == [Failure(f"{tmp_path.resolve()}/.featurestoreignore", "not a regular file")]


def test_one_line_tells_all_kinds() -> None:
    passed_over = PassedOver()
    assert passed_over.describe() == ""
    for name in [
        *["a.nef"] * 2,
        "b.HEIC",
        *["c.mp4"] * 3,
        "d.mov",
        "e.zip",
        *["f.txt"] * 3,
        *["g.json"] * 2,
        "h.pdf",
        "README",
    ]:
        passed_over.add_file(name, "/photos")
    passed_over.add("hidden", 4)
    passed_over.add_file("i.tar", "/photos")
    assert passed_over.describe() == (
        "passed over: 1 .heic (to read them: pip install 'featurestore[heic]'), 2 .nef (to read them: pip install 'featurestore[raw]'), "
        "4 videos (.mp4 .mov), 1 archive (.zip), 1 .tar (to take the images inside, name /photos/*.tar), 4 hidden, 7 others (.txt .json .pdf)"
    )


# -- sources that are no collections


def test_a_store_a_pipe_and_a_device_are_refused_as_sources(tmp_path: Path) -> None:
    (tmp_path / "my.store").mkdir()
    (tmp_path / "my.store" / "catalog.duckdb").touch()
    os.mkfifo(tmp_path / "list.txt")  # reading it would wait for a writer
    for source, found in (
        ("my.store", "found a store"),
        ("list.txt", "found a pipe"),
        ("/dev/zero", "found a pipe, a socket or a device"),
    ):
        with pytest.raises(SourceError, match=found):
            open_source(tmp_path / source)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("metadata.csv", r"found a \.csv file; labels from a file are given by --labels FILE"),
        ("clip.mp4", r"found a \.mp4 file"),
        ("README", "found another file"),
        ("a.nef", r"reading \.nef needs the package rawpy; to install it: pip install 'featurestore\[raw\]'"),
    ],
)
def test_a_file_that_is_not_an_image_is_refused(tmp_path: Path, name: str, found: str) -> None:
    (tmp_path / name).write_text("path,label\n")
    with pytest.raises(SourceError, match=found):
        open_source(tmp_path / name)
    (tmp_path / name).write_bytes(b"\xff\xd8\xff")
    if not name.endswith(".nef"):
        [entry] = open_source(tmp_path / name)
        assert isinstance(entry, ImageFile)


def test_a_tar_without_images_lists_nothing(tmp_path: Path) -> None:
    inner = write_tar(tmp_path / "inner.tar", [("a.jpg", b"a")])
    for members, counted in (({}, {}), ({"inner.tar": inner.read_bytes()}, {".tar": 1})):
        source = open_source(write_tar(tmp_path / "outer.tar", members.items()))
        assert (list(source), source.passed_over.counts) == ([], counted)


# -- what a run says


def listing(*entries: ImageFile | Failure) -> Listing:
    listed = Listing()
    listed.start(Folder("/s"))
    for entry in entries:
        listed.count(entry)
    return listed


def image(label: str | None, split: str | None, **more: Any) -> ImageFile:
    return ImageFile("/a.jpg", label, split, 1, 0, **more)


def test_counts_of_a_listing_are_told() -> None:
    listed = listing(
        image("a", "train"), image("b", "train"), image(None, "test"), image(None, None, labels=("b", "c"))
    )
    assert listed.describe() == "4 images: train 2, test 1, without a split 1; 3 classes; 3 labels found"
    assert listing(image("a", None)).describe() == "1 image; 1 class (a); 1 label found"
    listed.check_labels(["s"])
    with pytest.raises(
        SourceError, match=r"expected images in folders of their classes.*found no label for 1 image of s"
    ):
        listing(image(None, "train")).check_labels(["s"])


def test_no_image_is_refused_with_the_reasons() -> None:
    gone = [Failure(f"/{n}.jpg", "no such file, or it has vanished") for n in range(3)]
    with pytest.raises(
        SourceError,
        match=r"no image found in s;.*; 3 files: no such file, or it has vanished, the first /0\.jpg; 1 file: ",
    ):
        listing(*gone, Failure("/x", "not a file but a folder")).check_images(["s"])


def test_reasons_are_grouped_without_the_details_of_one_file() -> None:
    reasons = Reasons()
    for path, reason in (
        ("/a", "empty"),
        ("/b", "took longer than 3 s"),
        ("/c", "cut off: 5 bytes"),
        ("/d", "took longer than 30 s"),
    ):
        reasons.add(Failure(path, reason))
    assert [(group.count, group.first) for group in reasons.counts()] == [(2, "/b"), (1, "/a"), (1, "/c")]
    assert len(reasons) == 4
