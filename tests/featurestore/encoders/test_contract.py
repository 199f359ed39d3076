"""What every encoder file promises, whoever wrote it and whatever its graph looks like."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from featurestore import Encoder
from featurestore.ann.normalize import unit_rows
from featurestore.encoders import Card, fingerprint
from featurestore.encoders.graph_edit import add_card
from featurestore.encoders.write import check_alone, check_pixels
from tests.featurestore.encoders.graphs import CHANGES, joined
from tests.featurestore.fakes import CARD, write_encoder
from trainers.export.pixel_baseline import export_pixels

GOLDEN = Path(__file__).parents[1] / "golden"
Make = Callable[[Path], Path]


def changed(change: Callable[[Path], None]) -> Make:
    def make(path: Path) -> Path:
        change(write_encoder(path))
        return path

    return make


def rewritten(path: Path) -> Path:
    """Written by a person with the onnx package: the card comes last."""
    model = onnx.load(write_encoder(path, card=None))
    model.metadata_props.add(key="author", value="somebody")
    add_card(model, CARD)
    onnx.save(model, path)
    return path


MEMBERS: dict[str, Make] = {
    "quadrants": write_encoder,
    "golden": lambda path: Path(shutil.copy(GOLDEN / "encoder.onnx", path)),
    "pixels": lambda path: export_pixels(8, path),
    "classifier": changed(joined),
    "rewritten": rewritten,
    **{change.__name__: changed(change) for change in CHANGES},
}
every_member = pytest.mark.parametrize("make", MEMBERS.values(), ids=MEMBERS)


@every_member
def test_its_card_and_fingerprint_are_those_of_the_file(tmp_path: Path, make: Make) -> None:
    path = make(tmp_path / "encoder.onnx")
    encoder = Encoder(path)
    assert encoder.fingerprint == fingerprint(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert encoder.name == f"{encoder.card.method}-{encoder.fingerprint[:8]}"
    assert (encoder.dim, encoder.preprocess) == (encoder.card.dim, encoder.card.preprocess)
    assert Card.from_json(encoder.card.to_json(), path) == encoder.card


@every_member
def test_an_image_has_one_vector_in_every_batch(tmp_path: Path, make: Make) -> None:
    encoder = Encoder(make(tmp_path / "encoder.onnx"), threads=1)
    size = encoder.preprocess.size
    pixels: NDArray[np.uint8] = np.random.default_rng(0).integers(0, 256, (32, size, size, 3), np.uint8)
    alone = np.concatenate([encoder.encode(image[None]) for image in pixels])
    for count in (0, 2, 7, 32):
        vectors = encoder.encode(pixels[:count])
        assert vectors.dtype == np.float32
        assert vectors.shape == (count, encoder.dim)
        np.testing.assert_allclose(vectors, alone[:count], atol=1e-5)
    check_alone(encoder, check_pixels(encoder.preprocess))


@every_member
def test_vectors_of_files_are_finite_and_of_unit_length(tmp_path: Path, make: Make, colours: Path) -> None:
    encoder = Encoder(make(tmp_path / "encoder.onnx"))
    files = sorted(colours.rglob("*.png"))
    found = encoder.embed([*files, tmp_path / "gone.png"])
    assert [image.path for image in found.images] == list(map(str, files))
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-6)
    pixels = np.stack([loaded.pixels for file in files if hasattr(loaded := encoder.load(file), "pixels")])
    np.testing.assert_allclose(found.vectors, unit_rows(encoder.encode(pixels)), atol=1e-6)
    assert [failure.place for failure in found.failures] == [len(files)]
