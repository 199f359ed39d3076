"""From images to vectors: in order, with a reason for each image that has none."""

import hashlib
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from featurestore import Encoder
from featurestore.encoders import Embedded, FailedImage, KnownImage
from featurestore.encoders import encoder as running
from featurestore.imaging import IsKnown, pool
from featurestore.sources import ImageFile
from tests.featurestore.fakes import DIM, paint, unit

BLACK = "the encoder gave a vector that is zero or not finite"


@pytest.fixture
def opened(encoder: Path) -> Encoder:
    return Encoder(encoder)


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The size of each batch that the network ran on."""
    sizes: list[int] = []
    encode = Encoder.encode

    def counted(self: Encoder, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        sizes.append(len(pixels))
        return encode(self, pixels)

    monkeypatch.setattr(Encoder, "encode", counted)
    return sizes


def named(path: Path, known: str = "") -> tuple[ImageFile, IsKnown]:
    return ImageFile(str(path), None, None, 0, 0), known.__eq__


def paths(folder: Path, count: int) -> list[Path]:
    return [paint(folder / f"{n}.png", (255, n, 0)) for n in range(count)]


def decoders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "decode"]


def test_images_come_from_paths_urls_and_memory(tmp_path: Path, opened: Encoder) -> None:
    path = paint(tmp_path / "a.png", (255, 0, 9), size=16)
    with Image.open(path) as image:
        found = opened.embed([path, str(path), f"file://{path}", image])
    np.testing.assert_allclose(found.vectors, [unit((255, 0, 9))] * 4, atol=1e-6)
    assert found.vectors.dtype == np.float32
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    facts = [(image.place, image.path, image.sha256, image.width, image.height) for image in found.images]
    file = [(place, name, sha256, 16, 16) for place, name in enumerate((str(path), str(path), f"file://{path}"))]
    assert facts == [*file, (3, "", "", 16, 16)]
    assert (found.failures, found.known, len(found)) == ([], [], 4)


def test_what_has_no_vector_is_a_failure_in_its_place(tmp_path: Path, opened: Encoder, batches: list[int]) -> None:
    good, black = paint(tmp_path / "good.png", (1, 2, 3)), paint(tmp_path / "black.png", (0, 0, 0))
    (tmp_path / "text.png").write_text("text")
    broken = Image.open(good)
    broken.fp.close()  # type: ignore[union-attr]
    found = opened.embed([tmp_path / "gone.png", good, black, tmp_path / "text.png", broken, good])
    assert [image.place for image in found.images] == [1, 5]
    np.testing.assert_allclose(found.vectors, [unit((1, 2, 3))] * 2, atol=1e-6)
    gone, text, memory, zero = found.failures
    assert gone == FailedImage(0, f"{tmp_path}/gone.png", "no such file, or it has vanished")
    assert (text.place, text.readable, memory.place, memory.path, memory.readable) == (3, False, 4, "", False)
    assert zero == FailedImage(2, str(black), BLACK, readable=True)
    assert len(found) == 6
    assert batches == [3]  # one image is not padded to sixteen: a search waits for it


def test_nothing_runs_where_no_image_is_readable(tmp_path: Path, opened: Encoder, batches: list[int]) -> None:
    for images in ([], [tmp_path / "gone.png"]):
        found = opened.embed(images)
        assert found.vectors.shape == (0, DIM)
        assert len(found) == len(images)
    assert list(opened.embed_files([])) == []
    assert batches == []


def test_a_stream_gives_what_one_call_gives(tmp_path: Path, opened: Encoder, batches: list[int]) -> None:
    files = paths(tmp_path, 40)
    for n in (3, 17, 39):
        files[n].write_bytes(b"no image")
    paint(files[5], (0, 0, 0))
    streamed = Embedded.concatenate(list(opened.embed_files(map(named, files), workers=3)), DIM)
    assert batches == [16, 16, 16]  # the last one is padded: one shape for all
    whole = opened.embed(files)
    assert [replace(image, quality=None) for image in streamed.images] == whole.images  # which is not measured
    assert None not in {image.quality for image in streamed.images}
    assert streamed.failures == whole.failures
    np.testing.assert_allclose(streamed.vectors, whole.vectors, atol=1e-6)


def test_known_content_is_not_encoded(tmp_path: Path, opened: Encoder) -> None:
    files = paths(tmp_path, 3)
    known = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    [found] = opened.embed_files([named(files[0], known[0]), named(files[1], known[2]), named(files[2], known[2])])
    assert (found.known, [image.place for image in found.images]) == (
        [KnownImage(0, known[0]), KnownImage(2, known[2])],
        [1],
    )


def test_a_batch_does_not_wait_for_images_that_come_slowly(
    tmp_path: Path, opened: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "BATCH_SECONDS", 0.1)

    def slowly() -> Iterator[tuple[ImageFile, None]]:
        for path in paths(tmp_path, 20):
            time.sleep(0.03)
            yield ImageFile(str(path), None, None, 0, 0), None

    monkeypatch.setattr(pool, "AHEAD", 0)
    sizes = [len(found) for found in opened.embed_files(slowly(), workers=1)]
    assert sum(sizes) == 20
    assert max(sizes) < 16


def test_a_batch_of_what_is_not_encoded_is_bounded(
    tmp_path: Path, opened: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "BATCH_RESULTS", 4)
    found = list(opened.embed_files(named(tmp_path / f"{n}.png") for n in range(10)))
    assert [len(batch) for batch in found] == [4, 4, 2]


def test_ctrl_c_in_a_batch_is_raised_after_the_batch(
    tmp_path: Path, opened: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = Encoder.encode

    def pressed(self: Encoder, pixels: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return encode(self, pixels)

    monkeypatch.setattr(Encoder, "encode", pressed)
    before = signal.getsignal(signal.SIGINT)
    stream = opened.embed_files(map(named, paths(tmp_path, 40)))
    assert len(next(stream).images) == 16
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    assert signal.getsignal(signal.SIGINT) is before
    assert decoders() == []


def test_ctrl_c_before_a_batch_hands_no_batch_on_twice(
    tmp_path: Path, opened: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = opened.embed_files(map(named, paths(tmp_path, 40)))
    next(stream)

    def pressed(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "uninterrupted", pressed)
    with pytest.raises(KeyboardInterrupt):
        next(stream)


def test_a_stream_that_is_left_ends_its_threads(tmp_path: Path, opened: Encoder) -> None:
    stream = opened.embed_files(map(named, paths(tmp_path, 40)), workers=2)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert decoders() == []
