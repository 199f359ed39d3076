"""Thumbnails of a store: made once, for the contents that the catalog knows, and never those of other files."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featurestore import FeatureStore
from featurestore.imaging.pool import load_all
from featurestore.progress import Listener
from featurestore.sources import Failure
from featurestore.storage import thumbnails as module
from featurestore.storage.thumbnails import SIDE, ContentFile, Thumbnails, thumbnails
from featurestore.system import lock
from featurestore.system.checked_file import write_checked


class Looks(Listener):
    def __init__(self) -> None:
        self.looked = 0
        self.notes: list[str] = []

    def advance(self, amount: int = 1, detail: str = "") -> None:
        self.looked += amount

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Five pictures of noise in odd shapes."""
    rng = np.random.default_rng(0)
    files = [tmp_path / f"{n}.png" for n in range(5)]
    for n, file in enumerate(files):
        Image.fromarray(rng.integers(0, 256, (20 + 30 * n, 70, 3), np.uint8)).save(file)
    return files


def look(store_path: Path, files: list[Path], listener: Listener | None = None) -> Thumbnails:
    return thumbnails(FeatureStore.open(store_path), [content_file(file) for file in files], listener or Listener())


def content_file(file: Path) -> ContentFile:
    return ContentFile(hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_size, 0, str(file))


def naive(file: Path) -> np.ndarray:
    """The picture squeezed into a square, and then grey."""
    small = Image.open(file).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    r, g, b = np.asarray(small, np.float64).transpose(2, 0, 1)
    return np.asarray(0.299 * r + 0.587 * g + 0.114 * b)


def test_they_are_the_pictures_and_made_once(store_path: Path, pictures: list[Path]) -> None:
    listener = Looks()
    found = look(store_path, pictures[:3], listener)
    for grey, file in zip(found.grey, pictures, strict=False):
        np.testing.assert_allclose(grey, naive(file), atol=1.01)
    assert found.known.all()
    assert listener.looked == 3
    for files, looked in ((pictures[:3], 3), (pictures[2::-1], 3), (pictures, 5), (pictures[4:], 5)):
        again = look(store_path, files, listener)
        np.testing.assert_array_equal(
            again.grey[[files.index(f) for f in files if f in pictures[:3]]],
            found.grey[[pictures.index(f) for f in files if f in pictures[:3]]],
        )
        assert again.known.all()
        assert listener.looked == looked


def test_the_file_loses_what_is_no_longer_in_the_store(store_path: Path, pictures: list[Path], encoder: Path) -> None:
    file = store_path / "derived" / "thumbnails.grey"
    store = FeatureStore.open(store_path, encoder)
    store.index(pictures[0])
    look(store_path, pictures[:1])
    one = file.stat().st_size
    look(store_path, pictures[1:3])  # contents that the store does not know
    assert file.stat().st_size == one + 2 * (32 + SIDE**2)
    look(store_path, pictures[3:4])
    assert file.stat().st_size == one + 32 + SIDE**2
    store.delete(f"path = '{pictures[0]}'")
    look(store_path, pictures[4:])
    assert file.stat().st_size == one


def test_pictures_that_are_gone_changed_or_broken_have_none(store_path: Path, pictures: list[Path]) -> None:
    files = [content_file(file) for file in pictures]
    pictures[0].unlink()
    pictures[1].write_bytes(pictures[2].read_bytes())
    pictures[3].write_bytes(b"broken")
    files[3] = content_file(pictures[3])
    files += [files[2]._replace(sha256="zz"), files[2]._replace(sha256="")]
    found = thumbnails(FeatureStore.open(store_path), files, Listener())
    assert found.known.tolist() == [False, False, True, False, True, False, False]
    assert not found.grey[~found.known].any()


def test_a_picture_inside_a_container(store_path: Path, pictures: list[Path], tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(pictures[1], "deep/one.png")
    inside = content_file(pictures[1])._replace(path=f"{tmp_path / 'a.tar'}::deep/one.png")
    found = thumbnails(FeatureStore.open(store_path), [inside], Listener())
    np.testing.assert_allclose(found.grey[0], naive(pictures[1]), atol=1.01)


@pytest.mark.parametrize("damage", ["a byte", "the end", "all"])
def test_a_damaged_file_is_made_again(store_path: Path, pictures: list[Path], damage: str) -> None:
    found = look(store_path, pictures)
    file = store_path / "derived" / "thumbnails.grey"
    data = file.read_bytes()
    file.write_bytes({"a byte": data[:70] + b"?" + data[71:], "the end": data[:-40], "all": b""}[damage])
    listener = Looks()
    np.testing.assert_array_equal(look(store_path, pictures, listener).grey, found.grey)
    assert listener.looked == 5
    assert file.read_bytes() == data


def test_what_was_made_before_ctrl_c_is_kept(
    store_path: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_all

    def stopped(*arguments: object) -> Iterator[object]:
        for n, image in enumerate(whole(*arguments)):  # type: ignore[arg-type]
            if n == 3:
                raise KeyboardInterrupt
            yield image

    with monkeypatch.context() as patched:
        patched.setattr(module, "load_all", stopped)
        with pytest.raises(KeyboardInterrupt):
            look(store_path, pictures)
    listener = Looks()
    assert look(store_path, pictures, listener).known.all()
    assert listener.looked == 2


def test_failures_of_reading_are_no_pictures(
    store_path: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "load_all", lambda files, _shape: (Failure(file.path, "no") for file, _ in files))
    assert not look(store_path, pictures).known.any()
    assert not (store_path / "derived").exists()


def test_where_nothing_may_be_written_they_are_made_each_time(
    store_path: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "WAIT_SECONDS", 0.0)
    listener = Looks()
    with lock.writer_lock(store_path):
        assert look(store_path, pictures, listener).known.all()
    [note] = listener.notes
    assert "the small pictures are not kept for next time: store" in note
    assert look(store_path, []).grey.shape == (0, SIDE, SIDE)


def test_many_are_kept_while_they_are_made(
    store_path: Path, pictures: list[Path], encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FeatureStore.open(store_path, encoder).index(pictures[0].parent)
    monkeypatch.setattr(module, "FIRST", 1)
    kept: list[int] = []

    def counted(path: Path, parts: Iterator[bytes]) -> None:
        write_checked(path, parts)
        kept.append(path.stat().st_size // (32 + SIDE**2))

    monkeypatch.setattr(module, "write_checked", counted)
    found = look(store_path, pictures)
    assert kept == [1, 2, 4, 5]
    listener = Looks()
    np.testing.assert_array_equal(look(store_path, pictures, listener).grey, found.grey)
    assert listener.looked == 0
