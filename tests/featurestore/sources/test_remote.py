"""Sources behind a URL, in fsspec's file system in memory."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from featurestore.errors import ImageError, SourceError
from featurestore.sources import Failure, ImageFile, containers, filesystem, find, open_source, read
from featurestore.sources.remote import RemoteFolder
from tests.featurestore.sources.tables import images
from tests.featurestore.sources.tars import write_tar


@pytest.fixture
def memory() -> Iterator[Any]:
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield files
    files.store.clear()


def test_a_folder_is_listed_as_on_disk(memory: Any) -> None:
    names = "test/b.png train/rose/a.jpg train/rose/.hidden.jpg notes.csv .git/c.jpg a::b.tar::c.jpg shards/1.tar"
    for name in names.split():
        memory.pipe_file(f"/x/{name}", name.encode())
    source = open_source("memory://x/")
    found = [entry for entry in source if isinstance(entry, ImageFile)]
    assert [(i.path, i.label, i.split, i.size) for i in found] == [
        ("memory://x/a::b.tar::c.jpg", None, None, 15),
        ("memory://x/test/b.png", None, "test", 10),
        ("memory://x/train/rose/a.jpg", "rose", "train", 16),
    ]
    assert source.prefix == "memory://x/"
    assert source.passed_over.counts == {"hidden": 2, ".csv": 1, ".tar": 1}
    assert "1 .tar (to take the images inside, name memory://x/shards/*.tar)" in source.passed_over.describe()


def test_one_image_is_a_source(memory: Any) -> None:
    memory.pipe_file("/x/a.jpg", b"image")
    [image] = images("memory://x/a.jpg")
    assert (image.path, image.size, read(image.path)) == ("memory://x/a.jpg", 5, b"image")
    assert open_source("memory://x/a.jpg").prefix is None


def test_a_remote_tar_is_not_asked_after_for_every_read_but_seen_when_it_was_replaced(
    memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.pipe_file("/x/t.tar", write_tar(tmp_path / "t.tar", [("a.jpg", b"old"), ("b.jpg", b"b")]).read_bytes())
    images("memory://x/t.tar")
    with monkeypatch.context() as patched:
        patched.setattr(filesystem, "file_state", lambda path: pytest.fail("asked again"))
        assert [read("memory://x/t.tar::a.jpg") for _ in range(9)] == [b"old"] * 9
    new = write_tar(tmp_path / "t.tar", [("b.jpg", b"bb" * 999), ("a.jpg", b"new")])
    memory.pipe_file("/x/t.tar", new.read_bytes())
    monkeypatch.setattr(containers, "TRUSTED_SECONDS", 0.0)
    assert read("memory://x/t.tar::a.jpg") == b"new"


def test_lists_name_urls(memory: Any, tmp_path: Path) -> None:
    memory.pipe_file("/x/rose/a.jpg", b"a")
    (tmp_path / "l.txt").write_text("memory://x/rose/a.jpg\nmemory://x/rose/gone.jpg\nmemory://x/rose\n")
    image, gone, folder = find(tmp_path / "l.txt")
    assert isinstance(image, ImageFile)
    assert (image.label, read(image.path)) == ("rose", b"a")
    assert gone == Failure("memory://x/rose/gone.jpg", "no such file, or it has vanished")
    assert folder == Failure("memory://x/rose", "not a file but a folder")


def test_a_file_url_is_one_too(tmp_path: Path) -> None:
    path = tmp_path / "rose" / "a.jpg"
    path.parent.mkdir()
    path.write_bytes(b"a")
    os.utime(path, (5, 1_700_000_000.25))
    [image] = images(f"file://{tmp_path}")
    assert image == ImageFile(f"file://{tmp_path}/rose/a.jpg", "rose", None, 1, 1_700_000_000_250_000_000)
    assert read(image.path) == b"a"


def test_a_root_is_a_folder(memory: Any) -> None:
    memory.pipe_file("/rose/a.jpg", b"a")
    source = open_source("memory://")
    [image] = source
    assert isinstance(image, ImageFile)
    assert (image.path, image.label, source.prefix) == ("memory://rose/a.jpg", "rose", "memory://")
    assert RemoteFolder("file:///").prefix == "file:///"


# -- what goes wrong


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        *((url, "expected a URL that fsspec can open.*check the URL") for url in ("zip://a.jpg", "reference://x", "dir://x")),
        ("nonsense://x", "unknown scheme nonsense://"),
    ],
)  # fmt: skip
def test_a_file_system_that_cannot_be_made_is_refused(url: str, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        open_source(url)
    with pytest.raises(ImageError, match=reason):
        read(url)


def test_a_subfolder_that_cannot_be_listed_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no sign that its images have vanished."""
    for name in ("locked/a.jpg", "open/b.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"a")
    ls = LocalFileSystem.ls

    def refuse(self: Any, path: str, *arguments: Any, **options: Any) -> Any:
        if path.endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return ls(self, path, *arguments, **options)

    monkeypatch.setattr(LocalFileSystem, "ls", refuse)
    failure, image = find(f"file://{tmp_path}")
    assert failure == Failure(
        f"file://{tmp_path}/locked", "a folder that cannot be listed; not readable: permission denied"
    )
    assert image.path == f"file://{tmp_path}/open/b.jpg"


def test_object_stores_list_a_whole_tree_at_once(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe_file("/x/a.jpg", b"a")
    listed = {"/x/b.jpg": {"size": 3, "type": "file", "mtime": 5}}
    monkeypatch.setattr(type(memory), "find", lambda self, path, detail: listed)
    [image] = images("memory://x")
    assert (image.path, image.size) == ("memory://x/b.jpg", 3)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(scheme: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    with pytest.raises(SourceError, match=r"s3://bucket/x.*Install s3fs"):
        open_source("s3://bucket/x")
    with pytest.raises(ImageError, match="Install s3fs"):
        read("s3://bucket/x/a.jpg")


def test_what_the_other_side_refuses_is_a_reason(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("429 slow down")

    memory.pipe_file("/x/a.jpg", b"a")
    monkeypatch.setattr(type(memory), "cat_file", refuse)
    with pytest.raises(ImageError, match="429 slow down"):
        read("memory://x/a.jpg")
    monkeypatch.setattr(type(memory), "find", refuse)
    with pytest.raises(SourceError, match="429 slow down"):
        list(find("memory://x"))
    monkeypatch.setattr(type(memory), "info", refuse)
    with pytest.raises(SourceError, match="429 slow down"):
        open_source("memory://x")


def test_a_value_error_of_a_file_system_is_no_unknown_scheme(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(memory), "_get_kwargs_from_urls", lambda url: int("bad port"))
    with pytest.raises(SourceError, match="bad port"):
        open_source("memory://x")


def test_listings_that_a_file_system_keeps_are_not_trusted(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(type(memory), "invalidate_cache", lambda self, path=None: asked.append(path))
    memory.pipe_file("/x/a.jpg", b"a")
    images("memory://x")
    images("memory://x/a.jpg")
    assert asked == ["/x", "/x/a.jpg"]


def test_the_mark_of_a_version_stands_for_a_time_that_is_not_told() -> None:
    class Files:
        def ukey(self, path: str) -> str:
            return path

    def mtime(path: str, **info: Any) -> int:
        return filesystem.state_of(Files(), path, {"size": 1, **info}).mtime_ns

    assert mtime("a") == mtime("a") != mtime("b")
    assert mtime("a", ETag="1") == mtime("b", ETag="1") != mtime("a", ETag="2")
    assert 0 <= mtime("a") < 1 << 63
    assert mtime("a", LastModified="2026-01-01T00:00:00+00:00") == 1_767_225_600_000_000_000
