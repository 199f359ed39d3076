"""The encoder file: its card, its fingerprint, and what it says today as on the day it was made."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featurestore import Encoder, images, pipeline
from featurestore.encoder import Card, fingerprint
from featurestore.errors import EncoderCardMissing, EncoderError
from featurestore.images import ImageFile
from featurestore.vectors import unit_rows
from tests.featurestore.fakes import CARD, COLOURS, DIM, paint, write_broken_encoder, write_encoder

GOLDEN = Path(__file__).parent / "golden"


def test_an_encoder_says_what_its_card_says(encoder: Path) -> None:
    opened = Encoder(encoder)
    assert opened.card == CARD
    assert (opened.dim, opened.preprocess) == (DIM, CARD.preprocess)
    assert opened.fingerprint == hashlib.sha256(encoder.read_bytes()).hexdigest()
    assert opened.name == f"quadrants-{opened.fingerprint[:8]}"


def test_encoding_gives_the_mean_colour_of_each_quadrant(encoder: Path) -> None:
    pixels = np.zeros((1, 8, 8, 3), np.uint8)
    pixels[0, :4, :4] = COLOURS["red"]
    pixels[0, :4, 4:] = COLOURS["cyan"]
    pixels[0, 4:, 4:, 2] = 51
    pixels[0, 4, 4, 2] = 51 + 160  # one of sixteen: the mean is 61
    found = Encoder(encoder).encode(pixels)
    np.testing.assert_allclose(found, [[1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 61 / 255]], atol=1e-6)
    assert found.dtype == np.float32


@pytest.mark.parametrize("count", [1, 2, 7, 32])
def test_a_batch_gives_what_its_images_give_alone(encoder: Path, count: int) -> None:
    opened = Encoder(encoder, threads=1)
    pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8)
    alone = np.concatenate([opened.encode(image[None]) for image in pixels])
    np.testing.assert_allclose(opened.encode(pixels), alone, atol=1e-6)


def test_the_card_survives_json(tmp_path: Path) -> None:
    assert Card.from_json(CARD.to_json(), "encoder.onnx") == CARD


def test_without_a_card_it_is_refused(tmp_path: Path) -> None:
    path = write_encoder(tmp_path / "bare.onnx", card=None)
    with pytest.raises(EncoderCardMissing, match=r"bare\.onnx.*expected a card.*featurestore export"):
        Encoder(path)


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ("no json", "cannot be read"),
        ("[]", "cannot be read"),
        ("{}", "cannot be read"),
        (json.dumps({**json.loads(CARD.to_json()), "card_version": 99}), "version 99.*upgrade featurestore"),
        (json.dumps({**json.loads(CARD.to_json()), "preprocess": {"size": 8}}), "expected the fields"),
        (json.dumps({**json.loads(CARD.to_json()), "preprocess": None}), "cannot be read"),
        (json.dumps({k: v for k, v in json.loads(CARD.to_json()).items() if k != "dim"}), "cannot be read.*dim"),
    ],
)
def test_a_card_that_cannot_be_read_is_refused(tmp_path: Path, card: str, reason: str) -> None:
    with pytest.raises(EncoderError, match=reason):
        Encoder(write_encoder(tmp_path / "odd.onnx", card=card))


def test_a_card_that_contradicts_its_graph_is_refused(tmp_path: Path) -> None:
    path = write_encoder(tmp_path / "odd.onnx", card=replace(CARD, dim=13))
    with pytest.raises(EncoderError, match=r"promises .* float32 \(B, 13\), its graph has"):
        Encoder(path)
    path = write_encoder(tmp_path / "odd.onnx", size=16)
    with pytest.raises(EncoderError, match=r"promises uint8 \(B, 8, 8, 3\).*\[16, 16, 3\]"):
        Encoder(path)


def test_what_is_no_onnx_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="expected an ONNX file that onnxruntime can run"):
        Encoder(write_broken_encoder(tmp_path / "half.onnx"))
    (tmp_path / "text.onnx").write_text("weights")
    with pytest.raises(EncoderError, match="expected an ONNX file that onnxruntime can run"):
        Encoder(tmp_path / "text.onnx")
    for path in (tmp_path / "absent.onnx", tmp_path):
        with pytest.raises(EncoderError, match="expected an ONNX file, found: "):
            Encoder(path)


# -- the golden set: made once, kept for ever


def test_todays_code_gives_the_golden_vector() -> None:
    kept = json.loads((GOLDEN / "vector.json").read_text())
    assert fingerprint(GOLDEN / "encoder.onnx") == kept["fingerprint"]
    encoder = Encoder(GOLDEN / "encoder.onnx")
    picture = GOLDEN / "picture.jpg"
    prepared = pipeline.prepare(ImageFile(str(picture), None, None, 0, 0), encoder.preprocess)
    assert isinstance(prepared, pipeline.Prepared)
    assert (prepared.width, prepared.height) == (kept["width"], kept["height"])
    found = unit_rows(encoder.encode(prepared.pixels[None]))[0]
    np.testing.assert_allclose(found, kept["vector"], atol=4e-3)  # JPEG decoders may differ by a level


def test_the_golden_vector_is_the_mean_colour_of_each_quadrant() -> None:
    kept = json.loads((GOLDEN / "vector.json").read_text())
    upright = np.asarray(images.decode((GOLDEN / "picture.jpg").read_bytes()).image, np.float64)
    height, width = upright.shape[:2]
    assert (width, height) == (kept["width"], kept["height"]) == (64, 96)
    side = 64 * 8 // 10  # the card: a square of 8 pixels from a shorter side of 10
    square = upright[(96 - side) // 2 : (96 + side) // 2, (64 - side) // 2 : (64 + side) // 2]
    half = len(square) // 2
    means = [
        square[rows, cols].mean(axis=(0, 1))
        for rows in (slice(half), slice(half, None))
        for cols in (slice(half), slice(half, None))
    ]
    x = np.concatenate(means)
    np.testing.assert_allclose(kept["vector"], x / np.linalg.norm(x), atol=0.02)


# -- the pipeline


def test_preparing_keeps_the_order_and_hands_on_failures(tmp_path: Path) -> None:
    files = []
    for number in range(150):
        path = tmp_path / f"{number:03}.png"
        if number % 10 == 3:
            path.write_bytes(b"no image")
        else:
            paint(path, (number, 0, 0))
        files.append(ImageFile(str(path), None, None, 0, 0))
    results = list(pipeline.prepare_all(((f, None) for f in files), CARD.preprocess, workers=2))
    assert [r.path if isinstance(r, images.Failure) else r.file.path for r in results] == [f.path for f in files]
    for number, result in enumerate(results):
        if number % 10 == 3:
            assert isinstance(result, images.Failure)
        else:
            assert isinstance(result, pipeline.Prepared)
            assert (result.pixels == (number, 0, 0)).all()


def test_what_waits_is_bounded(tmp_path: Path) -> None:
    path = paint(tmp_path / "x.png", (1, 2, 3))
    taken = 0

    def endless() -> object:
        nonlocal taken
        while True:
            taken += 1
            yield ImageFile(str(path), None, None, 0, 0), None

    results = pipeline.prepare_all(endless(), CARD.preprocess, workers=1)  # type: ignore[arg-type]
    next(results)
    assert taken <= 40
    results.close()  # type: ignore[attr-defined]


def test_known_bytes_are_not_decoded(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(b"no image")
    file = ImageFile(str(path), None, None, 0, 0)
    assert pipeline.prepare(file, CARD.preprocess, hashlib.sha256(b"no image").hexdigest()) == pipeline.Same(file)
    assert isinstance(pipeline.prepare(file, CARD.preprocess, "another"), images.Failure)


def test_a_file_that_vanished_is_a_failure(tmp_path: Path) -> None:
    found = pipeline.prepare(ImageFile(str(tmp_path / "gone.png"), None, None, 0, 0), CARD.preprocess)
    assert found == images.Failure(str(tmp_path / "gone.png"), "no such file, or it has vanished")
