"""Networks of strangers whose outputs are not what they declare: for vectors, for classes, and for attention."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper
from PIL import Image

from featurestore import Classifier, Encoder, FeatureStore
from featurestore.errors import EncoderError, ImageError
from featurestore.imaging import guarded
from tests.featurestore.attacks import networks
from tests.featurestore.attacks.canary import Canary
from tests.featurestore.attacks.images import jpeg_of_scans
from tests.featurestore.attacks.test_written_files import check, leave_links
from tests.featurestore.commands import Run
from tests.featurestore.fakes import CARD, DIM, SIZE

PIXELS = np.zeros((1, SIZE, SIZE, 3), np.uint8)
IMAGE = Image.fromarray(PIXELS[0])


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_vectors_of_another_shape_are_refused(tmp_path: Path, colours: Path, rows: int) -> None:
    file = networks.written(networks.giving(vector=(rows, DIM)), tmp_path / "rows.onnx")
    with pytest.raises(EncoderError, match="expected vectors of the shape"):
        FeatureStore.open(tmp_path / "new.store", file).index(colours)
    assert not (tmp_path / "new.store").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0])
def test_vectors_that_are_no_numbers_enter_no_store(tmp_path: Path, value: float) -> None:
    file = networks.written(networks.giving(fill=value, vector=(16, DIM)), tmp_path / "odd.onnx")
    found = Encoder(file).embed([IMAGE] * 16)
    assert len(found.images) == 0
    assert {failure.reason for failure in found.failures} == {"the encoder gave a vector that is zero or not finite"}


KINDS = replace(CARD, classes=("a", "b", "c"))


@pytest.mark.parametrize("shapes", [((0, DIM), (1, 3)), ((3, DIM), (1, 3)), ((1, DIM), (0, 3)), ((1, DIM), (3, 3))])
def test_a_classifier_whose_outputs_do_not_fit_is_refused(tmp_path: Path, shapes: tuple[tuple[int, int], ...]) -> None:
    made = networks.giving(KINDS, vector=shapes[0], probabilities=shapes[1])
    with pytest.raises(EncoderError, match=r"expected (vectors|probabilities) of the shape"):
        Classifier(networks.written(made, tmp_path / "classifier.onnx"))


def test_a_classifier_of_other_widths_than_its_card_says_is_refused(tmp_path: Path) -> None:
    good = networks.giving(KINDS, vector=(1, DIM), probabilities=(1, 3))
    assert len(Classifier(networks.written(good, tmp_path / "good.onnx")).classify(IMAGE)) == 3
    for card in (replace(KINDS, classes=("a", "b")), replace(KINDS, dim=DIM + 1)):
        good.metadata_props[0].value = card.to_json()
        with pytest.raises(EncoderError, match=r"its card (names|promises)"):
            Classifier(networks.written(good, tmp_path / "odd.onnx"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_probabilities_that_are_no_numbers_are_not_given(tmp_path: Path, value: float) -> None:
    made = networks.giving(KINDS, vector=(1, DIM), probabilities=(1, 3))
    expand = next(node for node in made.graph.node if node.output[0] == "probabilities")
    expand.input[0] = "odd"
    made.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), "odd"))
    with pytest.raises(ImageError, match="cannot be classified"):
        Classifier(networks.written(made, tmp_path / "classifier.onnx")).classify(IMAGE)


@pytest.mark.parametrize("shape", [(1, 3, SIZE, SIZE + 1), (1, 257, 2, 2), (1, 0, 2, 2), (2, 1, 2, 2), (1, 1, 0, 2)])
def test_attention_that_cannot_be_drawn_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    made = networks.giving(vector=(1, DIM), attention=shape)
    with pytest.raises(EncoderError, match="expected attention"):
        Encoder(networks.written(made, tmp_path / "attention.onnx")).attention(PIXELS)


# -- the command `attention`


def with_attention(folder: Path, *shape: int) -> Path:
    return networks.written(
        networks.giving(vector=(1, DIM), attention=shape or (1, 3, 2, 2)), folder / "attention.onnx"
    )


def test_attention_follows_no_link(run: Run, tmp_path: Path, colours: Path, canary: Canary) -> None:
    out = tmp_path / "shared" / "attention.png"
    leave_links(out, canary)
    assert run("attention", with_attention(tmp_path), colours / "mixed" / "cyan.png", "--out", out)[0] == 0
    check(out, canary)


def refused(run: Run, encoder: Path, image: Path, out: Path, told: str) -> None:
    status, printed, err = run("attention", encoder, image, "--out", out)
    assert (status, printed, len(err.splitlines())) == (1, "", 1)
    assert told in err
    assert not out.exists()


@pytest.mark.slow
def test_attention_does_not_wait_for_an_image(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "SECONDS", 0.3)
    (tmp_path / "slow.jpg").write_bytes(jpeg_of_scans(4000, 1200))
    os.mkfifo(tmp_path / "pipe.png")
    encoder, out = with_attention(tmp_path), tmp_path / "a.png"
    refused(run, encoder, tmp_path / "slow.jpg", out, "took longer than 0.3 s to decode")
    refused(run, encoder, tmp_path / "pipe.png", out, "expected an image file")


def test_attention_refuses_what_is_no_encoder(run: Run, tmp_path: Path, colours: Path) -> None:
    """A run whose encoder is a pipe, a pipe, and a network that gives other maps than a picture can show."""
    os.mkfifo(tmp_path / "encoder.onnx")
    image, out = colours / "mixed" / "cyan.png", tmp_path / "a.png"
    refused(run, tmp_path, image, out, "found: a folder")
    refused(run, tmp_path / "encoder.onnx", image, out, "found: not a regular file")
    refused(run, with_attention(tmp_path, 1, 100_000, 1, 1), image, out, "expected attention")
    refused(run, with_attention(tmp_path), image, tmp_path / "a.exe", ".png")
