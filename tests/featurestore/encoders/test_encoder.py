"""The encoder file: its card, its fingerprint, and what it says today as on the day it was made."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from featurestore import Encoder
from featurestore.encoders.card import Card
from featurestore.encoders.encoder import fingerprint
from featurestore.errors import EncoderCardMissing, EncoderError
from featurestore.imaging import decode as images
from tests.featurestore.fakes import CARD, COLOURS, DIM, SIZE, write_broken_encoder, write_encoder

GOLDEN = Path(__file__).parents[1] / "golden"


def test_encoding_gives_the_mean_colour_of_each_quadrant(encoder: Path) -> None:
    pixels = np.zeros((1, 8, 8, 3), np.uint8)
    pixels[0, :4, :4] = COLOURS["red"]
    pixels[0, :4, 4:] = COLOURS["cyan"]
    pixels[0, 4:, 4:, 2] = 51
    pixels[0, 4, 4, 2] = 51 + 160  # one of sixteen: the mean is 61
    opened = Encoder(encoder)
    assert (opened.card, opened.dim, opened.preprocess) == (CARD, DIM, CARD.preprocess)
    found = opened.encode(pixels)
    np.testing.assert_allclose(found, [[1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 61 / 255]], atol=1e-6)
    assert found.dtype == np.float32


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
        (json.dumps({**json.loads(CARD.to_json()), "method": "byol\x1b[2J"}), "cannot be read.*printable"),
        (json.dumps({**json.loads(CARD.to_json()), "method": ["byol"]}), "cannot be read.*printable"),
        (json.dumps({**json.loads(CARD.to_json()), "backbone": "x" * 100_000}), "cannot be read.*printable"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_a_card_that_cannot_be_read_is_refused(tmp_path: Path, card: str, reason: str) -> None:
    with pytest.raises(EncoderError, match=reason):
        Encoder(write_encoder(tmp_path / "odd.onnx", card=card))


@pytest.mark.parametrize(
    "trained_on",
    [
        None,
        [],
        "3",
        {},
        {"count": "3"},
        {"count": True},
        {"count": 3, "weights": "a\x1b[2J"},
        {"count": 3, "weights": "x" * 201},
    ],
)
def test_a_card_that_says_nothing_printable_of_its_origin_is_refused(trained_on: object) -> None:
    with pytest.raises(EncoderError, match=r"cannot be read.*trained_on"):
        Card.from_json(json.dumps({**json.loads(CARD.to_json()), "trained_on": trained_on}), "odd.onnx")


@pytest.mark.parametrize("dim", [13, 0, -12, "12", None, [12], 1e400])
def test_a_card_that_contradicts_its_graph_in_the_dim_is_refused(tmp_path: Path, dim: object) -> None:
    card = json.dumps({**json.loads(CARD.to_json()), "dim": dim})
    with pytest.raises(EncoderError, match=r"promises .* float32 \(B, .*\), its graph has"):
        Encoder(write_encoder(tmp_path / "odd.onnx", card=card))


def test_a_card_that_contradicts_its_graph_in_the_size_is_refused(tmp_path: Path) -> None:
    path = write_encoder(tmp_path / "odd.onnx", size=16)
    with pytest.raises(EncoderError, match=r"promises uint8 \(B, 8, 8, 3\).*\[16, 16, 3\]"):
        Encoder(path)


@pytest.mark.parametrize("size", [0, -8, 8.0, "8", None, 10**9, 10**400])
def test_a_card_whose_size_is_no_size_is_refused(tmp_path: Path, size: object) -> None:
    card = json.loads(CARD.to_json())
    card["preprocess"] |= {"size": size, "shorter_side": size}
    with pytest.raises(EncoderError, match="make no sense"):
        Encoder(write_encoder(tmp_path / "odd.onnx", card=json.dumps(card)))


# -- files that are no encoders; more of them in test_onnxfile.py


def test_what_is_no_onnx_is_refused(tmp_path: Path) -> None:
    whole = write_encoder(tmp_path / "whole.onnx").read_bytes()
    for name, data in {
        "text": b"weights", "empty": b"", "zeros": bytes(1000), "ones": b"\xff" * 1000, "ort": b"\x18\0\0\0ORTM" + bytes(90), "twice": whole + whole[:99],
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(data)
        with pytest.raises(EncoderError, match="expected an ONNX file that onnxruntime can run; found: "):
            Encoder(tmp_path / name)
    with pytest.raises(EncoderError, match="expected an ONNX file that onnxruntime can run"):
        Encoder(write_broken_encoder(tmp_path / "half.onnx"))
    for path in (tmp_path / "absent.onnx", tmp_path, tmp_path / "text" / "below.onnx"):
        with pytest.raises(EncoderError, match="expected an ONNX file, found: "):
            Encoder(path)


def test_a_pipe_or_a_device_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    for path in (tmp_path / "pipe.onnx", Path("/dev/zero")):
        with pytest.raises(EncoderError, match="expected an ONNX file, found: not a regular file"):
            Encoder(path)
        with pytest.raises(EncoderError, match="expected an ONNX file, found: not a regular file"):
            fingerprint(path)


def test_a_file_beyond_two_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "vast.onnx").open("wb") as file:
        file.truncate(3 << 30)  # a hole: takes no room
    with pytest.raises(EncoderError, match="found: 3,221,225,472 bytes, more than 2,147,483,648"):
        Encoder(tmp_path / "vast.onnx")


def test_a_cut_anywhere_is_refused(tmp_path: Path) -> None:
    data = write_encoder(tmp_path / "whole.onnx").read_bytes()
    for length in range(0, len(data), 7):
        (tmp_path / "cut.onnx").write_bytes(data[:length])
        with pytest.raises(EncoderError):
            Encoder(tmp_path / "cut.onnx")


def test_a_flipped_bit_gives_an_encoder_or_a_refusal(tmp_path: Path) -> None:
    data = write_encoder(tmp_path / "whole.onnx").read_bytes()
    places = np.random.default_rng(0).integers(0, 8 * len(data), 200)
    opened = 0
    for place in places:
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        (tmp_path / "damaged.onnx").write_bytes(damaged)
        try:
            vectors = Encoder(tmp_path / "damaged.onnx", threads=1).encode(np.zeros((2, SIZE, SIZE, 3), np.uint8))
        except EncoderError:
            continue
        opened += 1
        assert vectors.shape == (2, DIM)
    assert 0 < opened < len(places)  # names and numbers of the card may change, the wiring may not


def test_what_is_hashed_is_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is replaced after it was read: fingerprint, card and graph are still of one file."""
    path = write_encoder(tmp_path / "encoder.onnx")
    before = path.read_bytes()
    read_bytes = Path.read_bytes

    def replaced_meanwhile(self: Path) -> bytes:
        data = read_bytes(self)
        write_encoder(path, card=replace(CARD, method="another"), scale=0.5)
        return data

    monkeypatch.setattr(Path, "read_bytes", replaced_meanwhile)
    opened = Encoder(path)
    assert opened.fingerprint == hashlib.sha256(before).hexdigest()
    assert opened.card.method == CARD.method
    assert opened.encode(np.full((1, SIZE, SIZE, 3), 255, np.uint8))[0] == pytest.approx(1.0)


# -- running


def test_threads_are_those_this_process_may_use(encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featurestore.encoders.encoder.available_cpus", lambda: 3)
    assert Encoder(encoder)._session.get_session_options().intra_op_num_threads == 3
    assert Encoder(encoder, threads=1)._session.get_session_options().intra_op_num_threads == 1


def test_pixels_of_another_size_are_refused(encoder: Path) -> None:
    with pytest.raises(EncoderError, match="expected an ONNX file that onnxruntime can run; found: "):
        Encoder(encoder).encode(np.zeros((1, 9, 9, 3), np.uint8))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_memory_stays_flat_over_batches_of_one_shape(encoder: Path) -> None:
    opened = Encoder(encoder)
    pixels = np.zeros((512, SIZE, SIZE, 3), np.uint8)  # 0.4 MB as floats

    def pages() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    for _ in range(20):
        opened.encode(pixels)
    before = pages()
    for _ in range(300):
        opened.encode(pixels)
    assert (pages() - before) * os.sysconf("SC_PAGE_SIZE") < 8 << 20  # all batches together would be 120 MB


# -- providers


def test_an_unknown_provider_is_refused(encoder: Path) -> None:
    with pytest.raises(EncoderError, match="provider 'tpu': expected one of cpu, cuda, coreml, openvino"):
        Encoder(encoder, provider="tpu")


@pytest.mark.parametrize(
    ("provider", "name", "package"),
    [
        ("cuda", "CUDAExecutionProvider", "onnxruntime-gpu"),
        ("openvino", "OpenVINOExecutionProvider", "onnxruntime-openvino"),
        ("coreml", "CoreMLExecutionProvider", "onnxruntime on macOS"),
    ],
)
def test_a_provider_that_onnxruntime_lacks_is_refused(
    encoder: Path, monkeypatch: pytest.MonkeyPatch, provider: str, name: str, package: str
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(EncoderError, match=f"an onnxruntime with {name}, found one with CPU.*; install {package}"):
        Encoder(encoder, provider=provider)


class FakeSession:
    """Stands for a session on a machine with a graphics card: runs on the CPU whatever is asked."""

    asked: list[str]

    def __init__(self, data: bytes, options: Any, providers: list[str], enable_fallback: int) -> None:
        type(self).asked = providers
        self.session = SESSION(data, options, providers=["CPUExecutionProvider"])
        self.found = providers

    def get_providers(self) -> list[str]:
        return [*self.found, "CPUExecutionProvider"]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)


class FallenBack(FakeSession):
    """onnxruntime where a library of CUDA is missing: it says so in its log and takes the CPU."""

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]


SESSION = onnxruntime.InferenceSession


def test_the_provider_that_was_asked_for_is_the_only_one_named(encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    monkeypatch.setattr(onnxruntime, "InferenceSession", FakeSession)
    assert Encoder(encoder, provider="cuda").dim == DIM
    assert FakeSession.asked == ["CUDAExecutionProvider"]


def test_a_silent_fall_back_to_the_cpu_is_refused(encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    monkeypatch.setattr(onnxruntime, "InferenceSession", FallenBack)
    with pytest.raises(EncoderError, match="with CUDAExecutionProvider, it chose CPUExecutionProvider; a driver"):
        Encoder(encoder, provider="cuda")


# -- the golden set: made once, kept for ever


def test_todays_code_gives_the_golden_vector() -> None:
    kept = json.loads((GOLDEN / "vector.json").read_text())
    assert fingerprint(GOLDEN / "encoder.onnx") == kept["fingerprint"]
    encoder = Encoder(GOLDEN / "encoder.onnx")
    picture = GOLDEN / "picture.jpg"
    embedded = encoder.embed([picture])
    assert (embedded.images[0].width, embedded.images[0].height) == (kept["width"], kept["height"])
    np.testing.assert_allclose(embedded.vectors, [kept["vector"]], atol=4e-3)  # JPEG decoders may differ by a level


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
