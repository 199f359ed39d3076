"""The encoder file: its card, its fingerprint, and what it says today as on the day it was made."""

import hashlib
import json
import os
from contextlib import suppress
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
from tests.featurestore.fakes import CARD, COLOURS, DIM, RECORD, SIZE, write_encoder

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


def test_without_a_card_it_is_refused(tmp_path: Path) -> None:
    path = write_encoder(tmp_path / "bare.onnx", card=None)
    with pytest.raises(EncoderCardMissing, match=r"bare\.onnx.*expected a card.*featurestore export"):
        Encoder(path)


def card_with(**changes: object) -> str:
    return json.dumps({**json.loads(CARD.to_json()), **changes})


UNREADABLE: list[dict[str, object]] = [
    {"preprocess": None}, {"classes": ["a"]}, {"classes": ["a", "a"]}, {"classes": ["a", 1]}, {"classes": ["a", ""]}, {"classes": 3},
    {"classes": ["a", "b"], "classifier": 1},
]  # fmt: skip
UNPRINTABLE: list[dict[str, object]] = [{"method": "byol\x1b[2J"}, {"method": ["byol"]}, {"backbone": "x" * 201}]
NO_ORIGINS: tuple[object, ...] = (
    None, [], "3", {}, {"count": "3"}, {"count": True}, {"count": 3, "weights": "a\x1b[2J"}, {"count": 3, "weights": "x" * 201},
)  # fmt: skip


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        *((text, "its card cannot be read") for text in ("no json", "[]", "{}", "[" * 100_000)),
        *((card_with(**changes), "its card cannot be read") for changes in UNREADABLE),
        *((card_with(**changes), "cannot be read.*names.*printable") for changes in UNPRINTABLE),
        *((card_with(trained_on=origin), "cannot be read.*trained_on") for origin in NO_ORIGINS),
        (card_with().replace('"dim"', '"dimensions"'), "cannot be read.*dim"),
        (card_with(card_version=99), "version 99.*upgrade featurestore"),
        (card_with(preprocess={"size": 8}), "expected the fields"),
        (card_with(preprocess={**RECORD.to_json(), "size": 0}), "make no sense"),
    ],
)
def test_a_card_that_cannot_be_read_is_refused(card: str, reason: str) -> None:
    with pytest.raises(EncoderError, match=reason):
        Card.from_json(card, "odd.onnx")


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        *(
            ({"card": card_with(dim=dim)}, r"promises .* float32 \(B, .*\), its graph has")
            for dim in (13, 0, -12, "12", None, [12], 1e400)
        ),
        ({"size": 16}, r"promises uint8 \(B, 8, 8, 3\).*\[16, 16, 3\]"),
        ({"card": card_with(classes=["a", "b"])}, "expected an output probabilities.*its card names 2 classes"),
        ({"card": "{}"}, "its card cannot be read"),
    ],
)
def test_a_card_that_contradicts_its_graph_is_refused(tmp_path: Path, odd: dict[str, Any], reason: str) -> None:
    with pytest.raises(EncoderError, match=reason):
        Encoder(write_encoder(tmp_path / "odd.onnx", **odd))


# -- files that are no encoders; more of them in test_onnx_check.py


def test_what_is_no_onnx_is_refused(tmp_path: Path) -> None:
    whole = write_encoder(tmp_path / "whole.onnx").read_bytes()
    for name, data in {
        "text": b"weights", "empty": b"", "zeros": bytes(1000), "ones": b"\xff" * 1000, "ort": b"\x18\0\0\0ORTM" + bytes(90), "twice": whole + whole[:99],
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(data)
        with pytest.raises(EncoderError, match="expected an ONNX file that onnxruntime can run; found: "):
            Encoder(tmp_path / name)
    for path in (tmp_path / "absent.onnx", tmp_path, tmp_path / "text" / "below.onnx"):
        with pytest.raises(EncoderError, match="expected an ONNX file, found: "):
            Encoder(path)


def test_a_pipe_or_a_device_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    for path in (tmp_path / "pipe.onnx", Path("/dev/zero")):
        for reads in (Encoder, fingerprint):
            with pytest.raises(EncoderError, match="expected an ONNX file, found: not a regular file"):
                reads(path)


def test_a_file_beyond_two_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "vast.onnx").open("wb") as file:
        file.truncate(3 << 30)  # a hole: takes no room
    with pytest.raises(EncoderError, match="found: 3,221,225,472 bytes, more than 2,147,483,648"):
        Encoder(tmp_path / "vast.onnx")


def test_a_cut_anywhere_is_refused(tmp_path: Path) -> None:
    data = write_encoder(tmp_path / "whole.onnx").read_bytes()
    for length in range(0, len(data), 13):
        (tmp_path / "cut.onnx").write_bytes(data[:length])
        with pytest.raises(EncoderError):
            Encoder(tmp_path / "cut.onnx")


def test_a_flipped_bit_gives_an_encoder_or_a_refusal(tmp_path: Path) -> None:
    data = write_encoder(tmp_path / "whole.onnx").read_bytes()
    shapes = set()
    for place in np.random.default_rng(0).integers(0, 8 * len(data), 120):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        (tmp_path / "damaged.onnx").write_bytes(damaged)
        with suppress(EncoderError):
            encoder = Encoder(tmp_path / "damaged.onnx", threads=1)
            shapes.add(encoder.encode(np.zeros((2, SIZE, SIZE, 3), np.uint8)).shape)
    assert shapes == {(2, DIM)}  # names and numbers of the card may change, the wiring may not


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


@pytest.mark.parametrize(
    ("provider", "reason"),
    [
        ("tpu", "one of cpu, cuda, coreml, openvino"),
        ("cuda", "CUDAExecutionProvider, found one with CPU.*; install onnxruntime-gpu"),
        ("openvino", "OpenVINOExecutionProvider, found one with CPU.*; install onnxruntime-openvino"),
        ("coreml", "CoreMLExecutionProvider, found one with CPU.*; install onnxruntime on macOS"),
    ],
)
def test_a_provider_that_is_unknown_or_that_onnxruntime_lacks_is_refused(
    encoder: Path, monkeypatch: pytest.MonkeyPatch, provider: str, reason: str
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(EncoderError, match=f"provider '{provider}': expected .*{reason}"):
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


SESSION = onnxruntime.InferenceSession


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    here = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: here)


@pytest.mark.usefixtures("cuda")
def test_the_provider_that_was_asked_for_is_the_only_one_named(encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "InferenceSession", FakeSession)
    assert Encoder(encoder, provider="cuda").dim == DIM
    assert FakeSession.asked == ["CUDAExecutionProvider"]


@pytest.mark.usefixtures("cuda")
def test_a_silent_fall_back_to_the_cpu_is_refused(encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a library of CUDA is missing, onnxruntime says so in its log and takes the CPU."""
    monkeypatch.setattr(onnxruntime, "InferenceSession", FakeSession)
    monkeypatch.setattr(FakeSession, "get_providers", lambda self: ["CPUExecutionProvider"])
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
