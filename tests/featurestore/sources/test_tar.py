"""Tars of images as sources."""

import os
import tarfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featurestore.errors import ImageError
from featurestore.sources import Failure, containers, filesystem, find, open_source, read
from featurestore.sources.local_files import FileState
from featurestore.sources.lru_cache import LruCache
from featurestore.sources.tar import Tar
from tests.featurestore.sources.tables import images
from tests.featurestore.sources.tars import write_tar

JPEG = b"\xff\xd8\xff"


def names(source: Path) -> list[str]:
    return [image.path.partition("::")[2] for image in images(source)]


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_and_foreign_names_are_found_again(tmp_path: Path, form: int) -> None:
    members = {"x" * 150 + "/" + "y" * 150 + ".jpg": b"long", "größe/図.jpg": b"foreign", "a::b.tar::c.jpg": b"colons"}
    members |= {"../up.jpg": b"harmless"}
    path = write_tar(tmp_path / "shard.tar", members.items(), form)
    assert {name: read(f"{path}::{name}") for name in names(path)} == members


def test_labels_come_from_cls_then_json_then_the_folder(tmp_path: Path) -> None:
    members = [
        ("000.jpg", b"a"), ("000.cls", b"3\n"), ("000.json", b'{"label": "not this"}'),
        ("001.json", b'{"label": "rose", "cls": 7}'), ("001.jpg", b"b"),
        ("002.jpg", b"c"), ("002.json", b'{"cls": 7}'),
        ("003.jpg", b"d"), ("003.txt", b"a caption is no label"),
        ("tulip/004.jpg", b"e"), ("tulip/004.json", b"{broken"),
        ("tulip/005.jpg", b"f"), ("tulip/005.json", b"[1]"),
        ("tulip/006.jpg", b"g"), ("tulip/006.cls", b"  "),
        ("007.left.jpg", b"h"), ("007.cls", b"pair"),
        ("my.photo.jpg", b"i"), ("my.photo.cls", b"dotted"),
    ]  # fmt: skip
    labels = [image.label for image in images(write_tar(tmp_path / "shard.tar", members))]
    assert labels == ["3", "rose", "7", None, "tulip", "tulip", "tulip", "pair", "dotted"]


def test_a_json_may_hold_a_list_of_labels(tmp_path: Path) -> None:
    members = [
        ("000.jpg", b"a"), ("000.json", b'{"label": ["tulip", "rose", "tulip"]}'),
        ("001.jpg", b"b"), ("001.json", b'{"labels": ["rose"]}'),
        ("rose/002.jpg", b"c"), ("rose/002.json", b'{"label": []}'),
    ]  # fmt: skip
    found = images(write_tar(tmp_path / "shard.tar", members))
    assert [(i.label, i.labels) for i in found] == [(None, ("rose", "tulip")), ("rose", ()), ("rose", ())]


def test_folders_say_label_and_split(tmp_path: Path) -> None:
    members = ["train/rose/a.jpg", "./test/b.jpg", "./val/tulip/c.jpg", "rose/train/d.jpg"]
    found = images(write_tar(tmp_path / "shard.tar", ((name, b"x") for name in members)))
    assert [(i.label, i.split) for i in found] == [("rose", "train"), (None, "test"), ("tulip", "val"), ("train", None)]


def test_only_images_are_members(tmp_path: Path) -> None:
    members = dict.fromkeys(("a.jpg", "._a.jpg", ".git/b.jpg", "README", "c.txt"), b"4") | {"bare": JPEG}
    path = write_tar(tmp_path / "shard.tar", members.items())
    with tarfile.open(path, "a") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE):
            info = tarfile.TarInfo(f"{kind.decode()}.jpg")
            info.type, info.linkname = kind, "a.jpg"
            tar.addfile(info)
    assert names(path) == ["a.jpg", "bare"]


def test_of_equal_names_the_last_counts(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "shard.tar", [("a.jpg", b"old"), ("b.jpg", b"other"), ("a.jpg", b"newer")])
    assert names(path) == ["b.jpg", "a.jpg"]
    assert read(f"{path}::a.jpg") == b"newer"


def test_names_unfit_for_a_catalog_are_failures(tmp_path: Path) -> None:
    members = dict.fromkeys(("a\nb.jpg", "caf\udce9.jpg", "c.jpg"), b"1")
    path = write_tar(tmp_path / "shard.tar", members.items(), tarfile.GNU_FORMAT)
    assert list(find(path))[:2] == [
        Failure(f"{path}::a\\x0ab.jpg", "the file name contains control characters; rename the file"),
        Failure(f"{path}::caf\\udce9.jpg", "the file name is not valid UTF-8; rename the file"),
    ]
    assert names(path) == ["c.jpg"]


BACKWARDS = tarfile.TarInfo("b.jpg")
BACKWARDS.size = -1024  # read as a size, it would lead back to the same header again and again


@pytest.mark.parametrize(
    ("damage", "listed", "reason"),
    [
        (lambda tar: tar[: 512 + 100], [], "cut off or damaged"),
        (lambda tar: tar[:1024], ["a.jpg"], "cut off or damaged"),
        (lambda tar: tar[: 1024 + 300], ["a.jpg"], "cut off or damaged"),
        (lambda tar: tar[: 1024 + 512 + 100], ["a.jpg"], "cut off or damaged"),
        (lambda tar: tar[:1024] + b"rubbish" * 50 + tar[1374:], ["a.jpg"], "cut off or damaged"),
        (lambda tar: tar[:1024] + BACKWARDS.tobuf(tarfile.GNU_FORMAT) + bytes(1024), ["a.jpg"], "-1024"),
        (lambda tar: b"", [], "empty"),
        (lambda tar: b"no tar " * 200, [], "not a tar"),
        (lambda tar: b"\x1f\x8b\x08\0" + tar, [], "expected an uncompressed tar, found one compressed by gzip; uncompress"),
        (lambda tar: b"\x28\xb5\x2f\xfd" + tar, [], "zstd"),
    ],
)  # fmt: skip
def test_a_damaged_tar_gives_what_is_whole_and_a_failure(
    tmp_path: Path, damage: Callable[[bytes], bytes], listed: list[str], reason: str
) -> None:
    """The headers begin at 0, 1024 and 2048: the cuts are in data, before, within and behind a header."""
    path = write_tar(tmp_path / "shard.tar", [("a.jpg", b"a" * 400), ("b.jpg", b"b" * 400), ("c.jpg", b"c")])
    path.write_bytes(damage(path.read_bytes()))
    source = open_source(path)
    *found, failure = source
    assert [entry.path for entry in found] == [f"{path}::{name}" for name in listed]
    assert isinstance(failure, Failure)
    assert failure.path == str(path)
    assert reason in failure.reason
    assert source.prefix is None  # nothing behind the damage has vanished


def test_the_name_of_the_first_member_is_not_taken_for_a_packer(tmp_path: Path) -> None:
    assert names(write_tar(tmp_path / "shard.tar", [("BZhang.jpg", b"x")])) == ["BZhang.jpg"]


def test_an_empty_tar_holds_nothing(tmp_path: Path) -> None:
    assert list(find(write_tar(tmp_path / "shard.tar", []))) == []


def test_a_member_whose_end_is_gone_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "shard.tar", [("a.jpg", b"a" * 400), ("b.jpg", b"b" * 400)])
    assert names(path) == ["a.jpg", "b.jpg"]
    os.truncate(path, 1024 + 512 + 100)
    with pytest.raises(ImageError, match="no such image"):
        read(f"{path}::b.jpg")
    assert read(f"{path}::a.jpg") == b"a" * 400


def test_a_tar_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tar(tmp_path / "shard.tar", [("a.jpg", b"a" * 400)])
    assert read(f"{path}::a.jpg") == b"a" * 400
    read_span = filesystem.read_span

    def overtaken(*arguments: object) -> bytes:
        write_tar(path, [("b.jpg", b"b" * 20_000)])
        return read_span(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(filesystem, "read_span", overtaken)
    with pytest.raises(ImageError, match="changed while it was read"):
        read(f"{path}::a.jpg")


def test_threads_read_the_right_members_of_more_tars_than_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "_opened", LruCache(100))  # five of these tars
    rng = np.random.default_rng(0)
    wanted: dict[str, bytes] = {}
    for shard in range(12):
        members = {f"{n}.jpg": rng.bytes(int(rng.integers(1, 3000))) for n in range(10)}
        path = write_tar(tmp_path / f"{shard}.tar", members.items())
        wanted |= {f"{path}::{name}": data for name, data in members.items()}
    order = rng.permutation(list(wanted) * 3).tolist()
    with ThreadPoolExecutor(8) as pool:
        assert all(data == wanted[path] for path, data in zip(order, pool.map(read, order), strict=True))


def test_an_index_is_not_made_for_every_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tar(tmp_path / "shard.tar", ((f"{n}.jpg", b"x") for n in range(9)))
    opened: list[object] = []
    really_open = tarfile.open

    def count(*arguments: Any, **options: Any) -> Any:
        opened.append(arguments)
        return really_open(*arguments, **options)

    monkeypatch.setattr(tarfile, "open", count)
    for image in images(path):
        read(image.path)
    assert len(opened) == 1


def test_a_tar_that_takes_long_to_open_holds_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, other = (write_tar(tmp_path / name, [("a.jpg", name.encode())]) for name in ("slow.tar", "other.tar"))
    begun, release = threading.Event(), threading.Event()

    def stall(path: str, state: FileState) -> Tar:
        if path == str(slow):
            begun.set()
            release.wait(20)
        return Tar(path, state)

    monkeypatch.setitem(containers.READERS, ".tar", stall)
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(read, f"{slow}::a.jpg")
        try:
            assert begun.wait(20)
            assert pool.submit(read, f"{other}::a.jpg").result(5) == b"other.tar"
        finally:
            release.set()
        assert waiting.result(5) == b"slow.tar"
