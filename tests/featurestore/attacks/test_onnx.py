"""Encoder files of strangers: networks that never end, want all memory, or give other vectors each time. On the command line and in Python."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto

from featurestore import Classifier, Encoder, FeatureStore, encoders
from featurestore.encoders import limits
from featurestore.errors import EncoderError, StoreCorrupt
from featurestore.sources import ImageFile
from tests.featurestore.attacks import networks
from tests.featurestore.attacks.canary import Canary
from tests.featurestore.commands import Run
from tests.featurestore.fakes import CARD, DIM, SIZE, paint, write_encoder

ROOT = Path(__file__).parents[3]
PIXELS = np.zeros((1, SIZE, SIZE, 3), np.uint8)
MOST = 1 << 30  # bytes that a network may take in these tests


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "IMAGE_SECONDS", 0.02)


@pytest.mark.usefixtures("impatient")
def test_a_network_that_never_ends_is_stopped_on_each_road(
    tmp_path: Path, colours: Path, store_path: Path, canary: Canary, run: Run
) -> None:
    file = networks.written(networks.endless(), tmp_path / "endless.onnx")
    told = rf"'{file}': its network did not end within .* s, and was stopped; use another encoder, .*: {limits.TRUST}=1"
    with pytest.raises(EncoderError, match=told):
        Encoder(file).encode(PIXELS)
    with pytest.raises(EncoderError, match=told):
        FeatureStore.open(tmp_path / "new.store", file).index(colours)
    before = sorted(store_path.rglob("*"))
    for arguments in (
        ("index", tmp_path / "new.store", colours, "--encoder", file),
        ("index", store_path, colours, "--encoder", file),
    ):
        code, out, err = run(*arguments)
        assert (code, "did not end within" in err) == (1, True)
        canary.check(out, err)
    assert not (tmp_path / "new.store").exists()
    assert sorted(store_path.rglob("*")) == before


def test_a_network_that_ends_for_most_images_is_stopped_at_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Encoder(networks.written(networks.endless_for_white(), tmp_path / "white.onnx"))
    assert encoder.encode(PIXELS).shape == (1, DIM)
    monkeypatch.setattr(limits, "IMAGE_SECONDS", 0.02)
    with pytest.raises(EncoderError, match="did not end within"):
        encoder.embed([paint(tmp_path / "white.png", (255, 255, 255))])
    assert encoder.encode(PIXELS).shape == (1, DIM)  # and goes on afterwards


def test_ctrl_c_does_not_wait_for_a_network_that_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is held back until a batch is done, so that the batch is kept."""
    monkeypatch.setattr(limits, "IMAGE_SECONDS", 1.0)
    monkeypatch.setattr(encoders.encoder, "HELD_SECONDS", 0.1)
    encoder = Encoder(networks.written(networks.endless_for_white(), tmp_path / "white.onnx"))
    white = paint(tmp_path / "white.png", (255, 255, 255))
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        list(encoder.embed_files([(ImageFile(str(white), None, None, 0, 0), None)]))


def test_the_user_may_lift_the_limits(tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OPEN_SECONDS", -1.0)
    monkeypatch.setattr(limits, "IMAGE_SECONDS", -1.0)
    monkeypatch.setenv(limits.TRUST, "1")
    assert Encoder(encoder).encode(PIXELS).shape == (1, DIM)


@pytest.mark.parametrize("kind", ["ConstantOfShape", "Expand", "Tile", "Range", "Resize"])
@pytest.mark.parametrize("count", [1 << 36, 1 << 62])
def test_a_network_that_wants_more_memory_than_there_is_is_refused(tmp_path: Path, kind: str, count: int) -> None:
    file = networks.written(networks.vast(kind, count), tmp_path / "vast.onnx")
    with pytest.raises(EncoderError, match=r"wants more than .* GiB of memory|that onnxruntime can run; found: "):
        Encoder(file).encode(PIXELS)


@pytest.mark.parametrize("kind", ["RandomNormal", "RandomUniformLike", "Dropout", "Multinomial", "Bernoulli"])
def test_a_network_that_gives_other_vectors_each_time_enters_no_store(
    tmp_path: Path, colours: Path, store_path: Path, run: Run, kind: str
) -> None:
    file = networks.written(networks.random(kind), tmp_path / "random.onnx")
    with pytest.raises(EncoderError, match="gives the same images other vectors each time"):
        FeatureStore.open(tmp_path / "new.store", file).index(colours)
    code, _, err = run("index", store_path, colours, "--encoder", file)
    assert (code, "gives the same images other vectors each time" in err) == (1, True)
    assert not (tmp_path / "new.store").exists()
    assert len(list((store_path / "encoders").iterdir())) == 1


@pytest.mark.parametrize("made", networks.BOMBS.values(), ids=networks.BOMBS.keys())
def test_a_graph_that_nobody_could_run_is_refused_in_one_line(tmp_path: Path, made: ModelProto) -> None:
    with pytest.raises(EncoderError, match=r"that onnxruntime can run; found: |its graph has") as found:
        Encoder(networks.written(made, tmp_path / "bomb.onnx"))
    assert len(str(found.value).splitlines()) == 1
    assert len(str(found.value)) < 1000


# -- cards


def values_of(field: str, *values: object) -> list[tuple[str, object]]:
    return [(field, value) for value in values]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *values_of("size", 10**9, 0, -1, 8.0, "8", None, True, [8]),
        *values_of("std", [0.0] * 3, [-1.0] * 3, [float("nan")] * 3, [1e400] * 3, [1.0] * 99, "abc", []),
        *values_of("mean", [float("inf")] * 3, ["0", "0", "0"], {}, [[0.0]] * 3),
        *values_of("bands", [10**6], [0], list(range(1, 10**5)), "1", [1.0]),
        *values_of("interpolation", "../../x", "nearest", 7, ["bicubic"]),
    ],
)
def test_a_card_with_absurd_preprocessing_is_refused(tmp_path: Path, field: str, value: object) -> None:
    record = json.loads(CARD.to_json())
    record["preprocess"][field] = value
    with pytest.raises(EncoderError):
        Encoder(write_encoder(tmp_path / "odd.onnx", json.dumps(record)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *values_of("method", "x" * 10**6, "\x1b[2J", "a\nb", 7, None, {"a": 1}),
        *values_of("backbone", "\u202egnp.exe", "\0"),
        *values_of("trained_on", {"count": 10**400, "sha256": "\x07"}, {"count": "1"}, [], None),
        *values_of("classes", ["a"], ["a", "a"], ["a", ""], ["a", "b" * 2000], ["a", 7], [["a"], ["b"]], 7),
        *values_of("dim", -1, 10**30, "batch", 12.5, [12], None),
        ("card_version", 10**9),
        ("new_field", 1),
    ],
)
def test_a_card_with_absurd_texts_is_refused(tmp_path: Path, field: str, value: object) -> None:
    record = {**json.loads(CARD.to_json()), field: value}
    with pytest.raises(EncoderError):
        Encoder(write_encoder(tmp_path / "odd.onnx", json.dumps(record)))


def test_a_card_cannot_take_a_name_of_the_graph_for_a_number(tmp_path: Path) -> None:
    """A graph may leave the length of its vectors open under a name, and a card may give that name as the length."""
    made = networks.network(*networks.spread("grey"), card=replace(CARD, dim="width").to_json())  # type: ignore[arg-type]
    made.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "width"
    with pytest.raises(EncoderError, match="its card promises"):
        Encoder(networks.written(made, tmp_path / "named.onnx"))


# -- the encoder in the store of a stranger


def test_an_encoder_that_was_exchanged_in_a_store_does_not_run(
    tmp_path: Path, store_path: Path, colours: Path, canary: Canary, run: Run
) -> None:
    """Its name is the fingerprint that it should have; its bytes have another."""
    [own] = (store_path / "encoders").iterdir()
    networks.written(networks.endless(), own)
    told = "expected the fingerprint .*; the file was changed: put the right one back"
    picture = colours / "primary" / "red.png"
    with pytest.raises(StoreCorrupt, match=told):
        FeatureStore.open(store_path).search(picture)
    for arguments in (
        ("search", store_path, picture),
        ("search", store_path, picture, "--encoder", own.stem[:8]),
        ("index", store_path, colours),
    ):
        code, out, err = run(*arguments)
        assert (code, "fingerprint" in out + err) == (1, True), arguments
        canary.check(out, err)


def test_a_classifier_that_never_ends_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "IMAGE_SECONDS", 0.02)
    made = networks.endless()
    made.graph.output.append(made.graph.output[0])
    made.graph.output[1].name = "probabilities"
    made.graph.node[-1].output[0] = "probabilities"
    made.graph.node[-1].input[0] = "grey"
    card = replace(CARD, classes=tuple(map(str, range(DIM))))
    made.metadata_props[0].value = card.to_json()
    with pytest.raises(EncoderError):
        Classifier(networks.written(made, tmp_path / "classifier.onnx"))


# -- in a process of their own: what cannot be interrupted, and what takes time

CODE = """
import sys
from featurestore import cli
from featurestore.encoders import limits
limits.IMAGE_SECONDS, limits.OPEN_SECONDS, limits.STOP_SECONDS = 0.05, 2.0, 0.2
limits.most_bytes = lambda: MOST
cli.main()
"""


def indexed_by(made: ModelProto, folder: Path, colours: Path) -> tuple[int, str, float]:
    """Index with a network in a child process; returns its exit status, what it said, and how long it took."""
    file = networks.written(made, folder / "harm.onnx")
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", CODE.replace("MOST", str(MOST)), "index", str(folder / "new.store"), str(colours), "--encoder", str(file)],
        capture_output=True, text=True, cwd=ROOT, timeout=120,
    )  # fmt: skip
    return done.returncode, done.stderr, time.monotonic() - began


@pytest.mark.slow
@pytest.mark.parametrize(
    ("made", "told"),
    [
        (networks.endless(), "did not end within"),
        (networks.one_long_step(9_000), "did not end within"),
        (networks.folded(2_000, 400), "did not end within|wants more than"),
        (networks.folded(500, 20_000), "did not end within|wants more than"),
        (networks.vast("Expand", 1 << 31), "wants more than 1.0 GiB of memory"),
        (networks.vast("doubling", 1), "was stopped"),
        (networks.doubling_functions(), "did not end within|wants more than"),
    ],
    ids=["loop", "step", "folded", "many-folded", "expand", "doubling", "functions"],
)
def test_the_command_ends_in_one_line_whatever_the_network_does(
    tmp_path: Path, colours: Path, canary: Canary, made: ModelProto, told: str
) -> None:
    code, err, seconds = indexed_by(made, tmp_path, colours)
    assert code == 1
    assert re.search(told, err)
    assert len(err.splitlines()) == 1
    assert seconds < 30
    assert not (tmp_path / "new.store").exists()
    canary.check(err)
