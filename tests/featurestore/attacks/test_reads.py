"""A disk that fails at the nth read, and a process that may open no more files: one line, and nothing that is known is lost."""

import errno
import os
import resource
import tarfile
from multiprocessing.connection import Connection
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurestore import FeatureStore
from featurestore.errors import FeatureStoreError, TooManyOpenFiles
from tests.featurestore.attacks.failing import FailingReads
from tests.featurestore.children import Child
from tests.featurestore.fakes import COLOURS, paint
from tests.featurestore.life import look


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six images in a folder, three of them behind a link, the same in a tar, and one that is left out."""
    for name, colour in COLOURS.items():
        paint(tmp_path / ("linked" if name < "g" else "photos") / f"{name}.png", colour)
    (tmp_path / "photos" / "other.disk").symlink_to(tmp_path / "linked")
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        for image in sorted(tmp_path.rglob("*.png")):
            archive.add(image, image.name)
    paint(tmp_path / "photos" / "left out.png", (1, 2, 3))
    (tmp_path / "photos" / ".featurestoreignore").write_text("left*")
    return tmp_path / "photos"


def later(time: int, *files: Path) -> None:
    for file in files:
        os.utime(file, (2_000_000_000 + time, 2_000_000_000 + time))


def test_a_known_image_that_cannot_be_read_keeps_its_item(tmp_path: Path, encoder: Path) -> None:
    image = paint(tmp_path / "photos" / "alone" / "new.png", (9, 9, 99))
    store = FeatureStore.open(tmp_path / "my.store", encoder)
    paint(tmp_path / "photos" / "other.png", (9, 99, 9))
    store.index(tmp_path / "photos")
    known = look(store.path)
    for nth, _ in enumerate(("stat", "open", "read"), start=1):
        later(nth, image)
        with pytest.MonkeyPatch.context() as patch:
            FailingReads(image.parent, patch, nth, errno.EIO)
            assert store.index(tmp_path / "photos").failed == 1
        assert look(store.path) == known | {"failed new.png": "not readable: Input/output error"}
    with pytest.MonkeyPatch.context() as patch:
        FailingReads(image.parent, patch, 2, errno.EMFILE)
        with pytest.raises(TooManyOpenFiles, match=r"new\.png could not be opened \(too many open files\)"):
            store.index(tmp_path / "photos")
    assert store.index(tmp_path / "photos").unchanged == 2
    assert look(store.path) == known


def test_a_linked_folder_that_cannot_be_followed_keeps_its_items(tmp_path: Path, encoder: Path) -> None:
    paint(tmp_path / "photos" / "one.png", (9, 9, 99))
    paint(tmp_path / "disk" / "two.png", (9, 99, 9))
    link = tmp_path / "photos" / "other.disk"
    link.symlink_to(tmp_path / "disk")
    store = FeatureStore.open(tmp_path / "my.store", encoder)
    assert store.index(tmp_path / "photos").added == 2
    link.unlink()
    link.symlink_to(link)  # a circle, which the system gives up with an error
    report = store.index(tmp_path / "photos")
    assert (report.unchanged, report.removed, report.failed) == (1, 0, 1)
    assert store.info()["items"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("code", [errno.EIO, errno.EMFILE])
def test_a_read_that_fails_removes_no_item(tmp_path: Path, encoder: Path, photos: Path, code: int) -> None:
    sources = photos, tmp_path / "photos.tar"
    store = FeatureStore.open(tmp_path / "my.store", encoder)
    store.index(*sources)
    known = look(store.path)
    nth, failed, ended = 1, 0, list[str]()
    while True:
        later(nth, *photos.rglob("*.png"), *(tmp_path / "linked").iterdir(), sources[1])
        with pytest.MonkeyPatch.context() as patch:
            disk = FailingReads(tmp_path, patch, nth, code)
            try:
                failed += store.index(*sources, workers=1).failed
            except (FeatureStoreError, OSError) as error:  # the command line makes a line of either
                ended.append(str(error).lower())
        now = look(store.path)
        assert {name: now[name] for name in now if not name.startswith("failed")} == known, nth
        if disk.calls < nth:
            break
        nth += 3
    assert nth > 20
    assert (failed == 0) == (code == errno.EMFILE)
    assert len(ended) > 5
    assert all(os.strerror(code).lower() in line and "\n" not in line for line in ended)
    assert store.index(*sources).unchanged == 12
    assert not store.failures()


def index_many(pipe: Connection, store: Path, encoder: Path, folder: Path) -> None:
    """Index all files of a folder where no file gets a number of 64 or more."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    report = FeatureStore.open(store, encoder).index(*sorted(folder.iterdir()))
    pipe.send((report.added, report.failed))


@pytest.mark.slow
def test_many_containers_need_few_open_files(tmp_path: Path, encoder: Path, photos: Path) -> None:
    image = photos / "red.png"
    (tmp_path / "many").mkdir()
    for number in range(100):
        with tarfile.open(tmp_path / "many" / f"{number}.tar", "w") as archive:
            archive.add(image, "red.png")
        pq.write_table(pa.table({"image": [image.read_bytes()]}), tmp_path / "many" / f"{number}.parquet")
    with Child(index_many, tmp_path / "my.store", encoder, tmp_path / "many") as child:
        assert child.hear(120) == (200, 0)
