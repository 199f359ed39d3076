"""From a decoded image to the pixels a network sees."""

import math
from typing import Any

import numpy as np
import pytest
from PIL import Image

from featurestore.encoders.card import Card
from featurestore.errors import ConfigError, EncoderError
from featurestore.imaging import preprocess
from featurestore.imaging.decode import Decoded
from featurestore.imaging.preprocess import Preprocess, read_bands


def picture(width: int, height: int) -> Image.Image:
    """A smooth picture, so that one pixel of shift shows and rounding does not."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 9 + c) + np.cos(y / 7 - c) for c in range(3)]
    return Image.fromarray(np.uint8((np.stack(waves, axis=2) + 2) * 63))


def decoded(image: Image.Image) -> Decoded:
    return Decoded(image, *image.size)


def naive(image: Image.Image, record: Preprocess) -> Image.Image:
    """Resize the whole picture, then cut the square from its centre."""
    scale = record.shorter_side / min(image.size)
    whole = image.resize(
        (round(image.width * scale), round(image.height * scale)), preprocess.INTERPOLATIONS[record.interpolation]
    )
    left, top = (whole.width - record.size) // 2, (whole.height - record.size) // 2
    return whole.crop((left, top, left + record.size, top + record.size))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("width", "height", "size", "shorter_side"),
    [(64, 64, 16, 16), (64, 64, 16, 32), (96, 64, 24, 32), (64, 96, 24, 32), (200, 100, 20, 50), (30, 20, 40, 40), (128, 64, 64, 64), (640, 64, 32, 32)],
)  # fmt: skip
def test_one_pass_equals_resizing_and_then_cropping(
    width: int, height: int, size: int, shorter_side: int, interpolation: str
) -> None:
    record = Preprocess(size, shorter_side, interpolation=interpolation)
    found = preprocess.apply(decoded(picture(width, height)), record)
    expected = np.asarray(naive(picture(width, height), record), np.int16)
    assert found.shape == (size, size, 3)
    assert found.dtype == np.uint8
    assert np.abs(found - expected).max() <= 2


def test_stretching_ignores_the_aspect() -> None:
    image = picture(90, 30)
    found = preprocess.apply(decoded(image), Preprocess(16, 16, resize="stretch"))
    np.testing.assert_array_equal(found, np.asarray(image.resize((16, 16), Image.Resampling.BICUBIC)))


@pytest.mark.parametrize("resize", preprocess.RESIZES)
@pytest.mark.parametrize("size", [(1, 1), (1, 20_000), (20_000, 1), (3, 7)])
def test_one_colour_stays_one_colour_in_every_shape(size: tuple[int, int], resize: str) -> None:
    found = preprocess.apply(decoded(Image.new("RGB", size, (10, 200, 77))), Preprocess(12, 14, resize=resize))
    assert (found == (10, 200, 77)).all()
    assert found.shape == (12, 12, 3)


def test_the_record_survives_json() -> None:
    record = Preprocess(32, 36, "stretch", "bilinear", (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    written = record.to_json()
    assert written == {
        "size": 32, "shorter_side": 36, "resize": "stretch", "interpolation": "bilinear", "mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6),
    }  # fmt: skip
    assert Preprocess.from_json({**written, "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}) == record


def test_bands_are_in_the_record_only_where_there_are_any() -> None:
    """So that encoders without them keep their card and their fingerprint."""
    assert "bands" not in Preprocess(32, 32).to_json()
    assert Preprocess.from_json({**Preprocess(32, 32).to_json(), "bands": [4, 3, 2]}).bands == (4, 3, 2)
    card = Card(Preprocess(32, 32, bands=(7,)), 4, "m", "b", "x", {"count": 0}, "", "0")
    assert Card.from_json(card.to_json(), "e.onnx") == card


@pytest.mark.parametrize("text", ["", "4,3", "4;3;2", "0,1,2", "1,2,3,4", "red"])
def test_bands_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=rf"^bands {text!r}: expected three or one, counted from 1, such as 4,3,2$"):
        read_bands(text)


def test_bands_are_read_as_they_are_typed() -> None:
    assert (read_bands("4,3,2"), read_bands(" 8 ")) == ((4, 3, 2), (8,))


@pytest.mark.parametrize(
    "change",
    [
        {"size": 0}, {"size": 33}, {"resize": "fit"}, {"interpolation": "nearest"}, {"mean": (0.0, 0.0)}, {"std": (1.0, 1.0, 0.0)},
        {"std": (1.0,)}, {"new_field": 1}, {"size": "32"}, {"std": 1.0}, {"size": 31.5}, {"shorter_side": 10**9}, {"shorter_side": None},
        {"mean": (0.0, 0.0, math.nan)}, {"std": (1.0, 1.0, math.inf)}, {"std": (10**400, 1, 1)}, {"mean": "abc"}, {"mean": ("0", "0", "0")}, {"bands": [1, 2]}, {"bands": [0]}, {"bands": "4,3,2"}, {"bands": [1.0]},
    ],
)  # fmt: skip
def test_a_record_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(EncoderError, match=r"export|make no sense"):
        Preprocess.from_json({**Preprocess(32, 32).to_json(), **change})


def test_a_record_with_a_missing_field_names_the_fields() -> None:
    with pytest.raises(EncoderError, match=r"expected the fields size, shorter_side.*found \['size'\]"):
        Preprocess.from_json({"size": 32})
