"""An encoder and a classifier of its vectors joined into one ONNX file: an image in, class probabilities out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.normalize import unit_rows
from featurestore.catalog import Catalog, ClassifierRecord
from featurestore.classification.record import from_record
from featurestore.encoders.encoder import ATTENTION, CARD_KEY, PROBABILITIES, Encoder
from featurestore.errors import ExportError
from featurestore.estimators.linear_classifier import LinearClassifier
from featurestore.imaging.pool import Prepared, prepare
from featurestore.sources import ImageFile
from featurestore.sources.filesystem import is_url
from featurestore.storage.snapshot import View
from featurestore.system.disk import written_whole
from featurestore.system.packages import need
from featurestore.system.text import first_line
from featurestore.version import __version__

PIXELS, VECTOR = "pixels", "vector"
PREFIX = "encoder/"  # before the names of the encoder's own values
LOOKED_AT = 32  # images of the store that the joined file is tried on
# The largest errors of a unit vector that are allowed: of the same network run again, of other sizes of a batch, and rounded to float16.
EXACT, AGREEMENT, ROUNDED = 1e-5, 1e-4, 1e-3
LEAST = 1e-5  # error of a probability that is always allowed


def export_classifier(catalog: Catalog, view: View, encoder: Encoder, record: ClassifierRecord, out: Path) -> int:
    """Write encoder and classifier as one ONNX file, tried on images of the store before it gets its name; returns on how many.

    Raises ConfigError when onnx is missing, StoreCorrupt, ExportError when the file says something else than the store, DiskError.
    """
    need("onnx", extra="eval")
    model = from_record(record)
    joined = join(encoder, model, record)
    pixels, kept = _images(catalog, view, encoder)
    with written_whole(out, "free some space or choose another place") as part:
        part.write_bytes(joined)
        _prove(Encoder(part), encoder, model, pixels, kept)
    return len(kept)


def join(encoder: Encoder, model: LinearClassifier, record: ClassifierRecord) -> bytes:
    """The bytes of the joined file. Raises ExportError when the encoder's graph cannot be joined."""
    import onnx

    facts = {**record.card["figures"], "featurestore_version": __version__}
    card = replace(encoder.card, classes=model.classes, classifier=facts)
    try:
        whole = _graph(onnx.load_model_from_string(encoder.path.read_bytes()), encoder, model)
        others = {entry.key: entry.value for entry in whole.metadata_props}
        onnx.helper.set_model_props(whole, {**others, CARD_KEY: card.to_json()})
        data: bytes = whole.SerializeToString(deterministic=True)
    except Exception as error:  # of protobuf, whose classes differ from version to version
        raise ExportError(
            f"encoder {encoder.name}: its graph cannot be joined with a classifier ({first_line(error)}); export the encoder again"
        ) from error
    return data


def _graph(network: Any, encoder: Encoder, model: LinearClassifier) -> Any:
    """The network with a classifier behind it: outputs `vector`, unit length, and `probabilities`, in the order of the card's classes."""
    from onnx import TensorProto, compose, helper, numpy_helper

    def output(name: str, width: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])

    whole = compose.add_prefix(network, PREFIX)  # names of ours are free then, whatever the encoder's are
    graph = whole.graph
    former = {found.name.removeprefix(PREFIX): found for found in graph.output}
    own_input, own_output = graph.input[0].name, graph.output[0].name
    graph.input[0].name = PIXELS
    graph.node.insert(0, helper.make_node("Identity", [PIXELS], [own_input]))
    sharp = np.float32(1 / model.temperature)
    graph.initializer.extend([
        numpy_helper.from_array(np.ascontiguousarray(model.weights * sharp), "weights"),
        numpy_helper.from_array(model.bias * sharp, "bias"),
    ])  # fmt: skip
    graph.node.extend([
        helper.make_node("LpNormalization", [own_output], [VECTOR], axis=1, p=2),
        helper.make_node("Gemm", [VECTOR, "weights", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [PROBABILITIES], axis=1),
    ])  # fmt: skip
    del graph.output[:]
    graph.output.extend([output(VECTOR, encoder.dim), output(PROBABILITIES, len(model.classes))])
    if ATTENTION in former:
        graph.node.append(helper.make_node("Identity", [former[ATTENTION].name], [ATTENTION]))
        former[ATTENTION].name = ATTENTION
        graph.output.append(former[ATTENTION])
    return whole


def _images(catalog: Catalog, view: View, encoder: Encoder) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Some images of the store that are still as they were encoded, (n, size, size, 3), and the vectors kept of them, (n, D)."""
    items = view.items
    places = np.unique(np.linspace(0, len(items.rows) - 1, min(LOOKED_AT, len(items.rows))).astype(int))
    paths = items.paths.take(places).to_pylist()
    known, _ = catalog.known(encoder.fingerprint, paths)
    size = encoder.preprocess.size
    pixels, rows = [np.empty((0, size, size, 3), np.uint8)], []
    for path, row in zip(paths, items.rows[places], strict=True):
        if is_url(path):
            continue  # may take long
        found = prepare(ImageFile(path, None, None, 0, 0), encoder.preprocess)
        if isinstance(found, Prepared) and path in known and found.sha256 == known[path].sha256:
            pixels.append(found.pixels[None])
            rows.append(row)
    return np.concatenate(pixels), np.asarray(view.vectors[rows], np.float32)


def _awkward(size: int) -> NDArray[np.uint8]:
    """Images that no collection needs to hold: noise, fine and coarse, a ramp, all black, all white."""
    rng = np.random.default_rng(0)
    images = np.zeros((5, size, size, 3), np.uint8)
    images[0] = rng.integers(0, 256, (size, size, 3))
    images[1] = rng.integers(0, 256, 3)
    images[2] = np.linspace(0, 255, size).astype(np.uint8)[:, None, None]
    images[4] = 255
    return images


def _prove(
    joined: Encoder,
    encoder: Encoder,
    model: LinearClassifier,
    pixels: NDArray[np.uint8],
    kept: NDArray[np.float32],
) -> None:
    """Compare the joined file with the encoder and the classifier one after the other, and with the vectors kept of images. Raises ExportError."""
    drawn = _awkward(encoder.preprocess.size)
    batch = np.concatenate([pixels, drawn])
    found = joined.probabilities(batch)
    alone = np.concatenate([joined.probabilities(one[None]) for one in batch])
    expected = model.probabilities(unit_rows(encoder.encode(batch)))
    _compare("the encoder and the classifier one after the other", found, expected, EXACT * model.steepest)
    _compare("itself, given images one by one", alone, found, AGREEMENT * model.steepest)
    _compare(
        "what the store keeps of its images",
        found[: len(kept)],
        model.probabilities(unit_rows(kept)),
        ROUNDED * model.steepest,
    )


def _compare(what: str, found: NDArray[np.floating], expected: NDArray[np.floating], allowed: float) -> None:
    worst = float(np.nan_to_num(np.abs(found - expected)).max(initial=0.0))
    same_gaps = (np.isnan(found) == np.isnan(expected)).all()
    if not same_gaps or worst > LEAST + allowed:
        raise ExportError(
            f"the exported classifier disagrees with {what}: probabilities differ by {worst:.2g}, allowed {LEAST + allowed:.2g}; "
            "nothing was written; if the encoder's vectors were made on another provider, index once more on the CPU"
        )
