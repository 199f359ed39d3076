"""Brightness, contrast, sharpness and colourfulness of pictures whose values can be computed by hand, or by a slow and simple version."""

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from featurestore.imaging import tasks
from featurestore.imaging.preprocess import Preprocess
from featurestore.imaging.quality import SIDE, Quality, measure, small_form
from tests.featurestore.imaging.image_bytes import multiband, saved

Pixels = NDArray[np.uint8]


def plain(colour: tuple[int, int, int], height: int = 8, width: int = 8) -> Pixels:
    return np.full((height, width, 3), colour, np.uint8)


def halves(left: tuple[int, int, int], right: tuple[int, int, int]) -> Pixels:
    return np.concatenate([plain(left, 8, 4), plain(right, 8, 4)], axis=1)


def noise(height: int = 40, width: int = 30, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def smooth(height: int, width: int) -> Image.Image:
    """Blobs of colour with edges, twice as large as noise that was blurred."""
    blurred = Image.fromarray(noise(height // 2, width // 2)).filter(ImageFilter.GaussianBlur(1))
    return blurred.resize((width, height), Image.Resampling.BICUBIC)


def naive(pixels: Pixels) -> Quality:
    """Each pixel by itself."""
    height, width, _ = pixels.shape
    r, g, b = pixels.astype(np.float64).transpose(2, 0, 1)
    luma, rg, yb = 0.299 * r + 0.587 * g + 0.114 * b, r - g, (r + g) / 2 - b
    laplacian = gradient = 0.0
    for y in range(height):
        for x in range(width):
            around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            steps = [luma[v, u] - luma[y, x] for v, u in around if 0 <= v < height and 0 <= u < width]
            laplacian += sum(steps) ** 2
            gradient += sum(step**2 for step in steps) / 2  # each step is seen from both its ends
    colour = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
    return Quality(luma.mean() / 255, luma.std() / 255, laplacian / gradient / 8, min(1, colour / 255))


BLACK, WHITE, GREY, RED, BLUE = (0, 0, 0), (255, 255, 255), (102, 102, 102), (255, 0, 0), (0, 0, 255)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (plain(BLACK), (0, 0, 0, 0)),
        (plain(WHITE), (1, 0, 0, 0)),
        (plain(GREY), (0.4, 0, 0, 0)),
        (plain(GREY, 1, 1), (0.4, 0, 0, 0)),
        (plain(RED), (0.299, 0, 0, 0.3 * np.hypot(1, 0.5))),
        (plain(BLUE), (0.114, 0, 0, 0.3)),
        # The gradient is one step in each row; the Laplacian is that step on both sides of it.
        (halves(BLACK, WHITE), (0.5, 0.5, 2 / 8, 0)),
        (halves(GREY, WHITE), (0.7, 0.3, 2 / 8, 0)),
        # Yellow against blue goes from 0.5 to -1, red against green from 1 to 0.
        (halves(RED, BLUE), (0.2065, 0.0925, 2 / 8, 1)),  # 0.901 + 0.168
    ],
    ids=["black", "white", "grey", "one pixel", "red", "blue", "black and white", "grey and white", "red and blue"],
)  # fmt: skip
def test_values_of_plain_pictures(pixels: Pixels, expected: tuple[float, ...]) -> None:
    [found] = measure([pixels])
    assert found == pytest.approx(expected, abs=1e-4)


def test_a_chessboard_is_as_sharp_as_can_be_and_noise_a_good_half_of_that() -> None:
    board = (np.indices((SIDE, SIDE)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    grey = noise(SIDE, SIDE)[..., :1].repeat(3, axis=2)
    found = measure([board, grey])
    assert 0.98 < found[0].sharpness <= 1
    assert found[1].sharpness == pytest.approx(5 / 8, abs=0.02)  # of independent values, 20 variances over 4
    assert found[1].colourfulness == 0


def test_pictures_of_several_sizes_are_measured_together_and_in_their_order() -> None:
    pictures = [noise(40, 30, 0), noise(9, 70, 1), noise(40, 30, 2), noise(1, 5, 3), noise(5, 1, 4), noise(40, 30, 5)]
    np.testing.assert_allclose(measure(pictures), [naive(picture) for picture in pictures], atol=1e-4)
    assert measure([]) == []


def test_less_contrast_is_no_less_sharpness() -> None:
    pixels = noise()
    [full, half] = measure([pixels, pixels // 4 + 96])
    assert half.contrast == pytest.approx(full.contrast / 4, rel=0.02)
    assert half.sharpness == pytest.approx(full.sharpness, rel=0.02)


def test_the_more_a_picture_is_blurred_the_less_sharp_it_is() -> None:
    picture = smooth(300, 400)
    copies = [picture, *(picture.filter(ImageFilter.GaussianBlur(radius)) for radius in (1, 2, 4, 8))]
    sharpness = [found.sharpness for found in measure([small_form(copy) for copy in copies])]
    assert sharpness == sorted(sharpness, reverse=True)
    assert sharpness[2] < 0.8 * sharpness[0]


@pytest.mark.parametrize(
    ("size", "expected"), [((128, 128), (128, 128)), ((5, 3), (5, 3)), ((129, 64), (128, 64)), ((600, 400), (128, 85)), ((9000, 4), (128, 1))]
)  # fmt: skip
def test_no_side_of_the_small_form_is_longer_than_it_may_be(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert small_form(Image.new("RGB", size)).shape == (expected[1], expected[0], 3)


def test_the_small_form_is_a_mean_over_areas() -> None:
    picture = noise(2 * SIDE, 2 * SIDE)
    blocks = picture.reshape(SIDE, 2, SIDE, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(small_form(Image.fromarray(picture)), blocks, atol=0.51)


# -- which pixels are measured

RECORDS = [Preprocess(32, 32), Preprocess(64, 72), Preprocess(300, 320), Preprocess(16, 16, "stretch", "bilinear")]


def small(data: bytes, record: Preprocess) -> Pixels:
    found = tasks.pixels(data, record, with_small=True).small
    assert found is not None
    return found


@pytest.mark.parametrize("size", [(640, 480), (200, 900), (256, 256), (130, 100)])
def test_what_is_measured_does_not_depend_on_the_encoder(size: tuple[int, int]) -> None:
    data = saved(smooth(size[1], size[0]), "jpeg", quality=95, subsampling=0)
    found = [tasks.pixels(data, record, with_small=True).small for record in RECORDS]
    forms = [form for form in found if form is not None]
    assert found[2] is not None
    assert {max(form.shape) for form in forms} == {SIDE}
    values = np.array(measure(forms))
    np.testing.assert_allclose(values, values[[-1]].repeat(len(forms), axis=0), rtol=0.05, atol=0.005)


@pytest.mark.parametrize(("kind", "measured"), [("jpeg", False), ("png", True)])
def test_a_jpeg_that_is_decoded_too_small_is_not_measured(kind: str, measured: bool) -> None:
    found = tasks.pixels(saved(smooth(480, 640), kind), Preprocess(32, 32), with_small=True)
    assert (found.small is not None) == measured
    assert tasks.pixels(saved(smooth(1024, 1024), kind), Preprocess(32, 32), with_small=True).small is not None


def test_the_encoder_sees_the_same_pixels_whether_or_not_they_are_measured() -> None:
    data = saved(smooth(480, 640), "jpeg")
    for record in RECORDS:
        alone = tasks.pixels(data, record)
        assert alone.small is None
        np.testing.assert_array_equal(alone.pixels, tasks.pixels(data, record, with_small=True).pixels)


@pytest.mark.parametrize("record", [Preprocess(32, 32), Preprocess(32, 32, "stretch"), Preprocess(32, 40)])
def test_the_whole_picture_is_measured_before_any_crop(record: Preprocess) -> None:
    for width in (32, 96):
        pixels = noise(32, width)
        np.testing.assert_array_equal(small(saved(Image.fromarray(pixels), "png"), record), pixels)


def deep(values: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values.astype(np.uint16)[:, :, 0] * 257).save(buffer, "PNG")
    return buffer.getvalue()


ODD: dict[str, tuple[bytes, dict[str, Any]]] = {
    "alpha": (saved(Image.fromarray(np.dstack([noise(), noise(seed=1)[..., 0]])), "png"), {}),
    "16 bits": (deep(noise()), {}),
    "CMYK": (saved(Image.fromarray(noise()).convert("CMYK"), "jpeg"), {}),
    "a palette": (saved(Image.fromarray(noise()).convert("P"), "png"), {}),
    "one bit": (saved(Image.fromarray(noise()).convert("1"), "png"), {}),
    "five bands": (multiband(np.dstack([noise(), noise(seed=1)[..., :2]])), {"bands": (5, 3, 1)}),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_channels_have_values_too(kind: str) -> None:
    data, options = ODD[kind]
    [found] = measure([small(data, Preprocess(16, 16, **options))])
    assert 0 < found.brightness < 1
    assert 0 < found.contrast <= 0.5
    assert 0 < found.sharpness < 1
    assert (found.colourfulness > 0) == (kind not in ("16 bits", "one bit"))
