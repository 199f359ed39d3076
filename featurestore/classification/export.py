"""Export a classifier and its encoder as one ONNX file: an image in, class probabilities out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.normalize import unit_rows
from featurestore.catalog import Catalog
from featurestore.classification.predict import find_encoder
from featurestore.classification.record import from_record
from featurestore.encoders import Encoder
from featurestore.errors import ExportError
from featurestore.estimators.linear_classifier import LinearClassifier
from featurestore.imaging import Loaded
from featurestore.sources.filesystem import is_url
from featurestore.storage import ItemVectors, Storage
from featurestore.system.packages import require
from featurestore.system.text import first_line
from featurestore.version import __version__

CHECKED = 32  # images of the store that the file is checked with
# The largest allowed errors of a unit vector: of the same network run again, of other batch sizes, and rounded to float16.
EXACT, AGREEMENT, ROUNDED = 1e-5, 1e-4, 1e-3
LEAST = 1e-5  # error of a probability that is always allowed


def export(store: Storage, name: str, out: str | Path) -> int:
    """Write a classifier and its encoder as one ONNX file for `Classifier`, checked with images of the store; returns their number.

    Raises QueryError, EncoderNotInStore, ConfigError when onnx is missing, StoreCorrupt, ExportError when the file disagrees with the
    store, DiskError.
    """
    require("onnx", extra="eval")
    import onnx  # slow to import, and not always installed

    from featurestore.encoders.graph_edit import append_classifier
    from featurestore.encoders.write import check_pixels, write

    snapshot, record = store.snapshots.now(), store.catalog.classifiers.get(name)
    encoder_record = find_encoder(record, snapshot.encoders)
    encoder, view = store.encoders.open(encoder_record), snapshot.item_vectors(encoder_record.fingerprint)
    classifier = from_record(record, encoder.dim)
    facts = {**record.card.get("figures", {}), "featurestore_version": __version__}
    card = replace(encoder.card, classes=classifier.classes, classifier=facts)
    sharpness = np.float32(1 / classifier.temperature)
    try:
        network = onnx.load_model_from_string(encoder.path.read_bytes())
        joined = append_classifier(network, classifier.weights * sharpness, classifier.bias * sharpness)
    except Exception as error:  # of protobuf, whose classes differ from version to version
        raise ExportError(
            f"encoder {encoder.name}: its graph cannot be joined with a classifier ({first_line(error)}); export the encoder again"
        ) from error
    pixels, stored = _unchanged_images(store.catalog, view, encoder)
    size = encoder.preprocess.size
    plain = np.stack([np.full((size, size, 3), grey, np.uint8) for grey in (0, 255)])
    batch = np.concatenate([pixels, check_pixels(encoder.preprocess), plain])
    write(joined, card, Path(out), lambda written: _check(written, encoder, classifier, batch, stored))
    return len(stored)


def _unchanged_images(
    catalog: Catalog, view: ItemVectors, encoder: Encoder
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Load some images of the store whose content is still the encoded one, (n, size, size, 3), and their stored vectors, (n, D)."""
    items = view.items
    places = np.unique(np.linspace(0, len(items.rows) - 1, min(CHECKED, len(items.rows))).astype(int))
    paths = items.paths.take(places).to_pylist()
    known, _ = catalog.changes.known(encoder.fingerprint, paths)
    size = encoder.preprocess.size
    pixels, rows = [np.empty((0, size, size, 3), np.uint8)], []
    for path, row in zip(paths, items.rows[places], strict=True):
        if is_url(path):
            continue  # may take long
        loaded = encoder.load(path)
        if isinstance(loaded, Loaded) and path in known and loaded.sha256 == known[path].sha256:
            pixels.append(loaded.pixels[None])
            rows.append(row)
    return np.concatenate(pixels), np.asarray(view.vectors[rows], np.float32)


def _check(
    written: Encoder,
    encoder: Encoder,
    classifier: LinearClassifier,
    pixels: NDArray[np.uint8],
    stored: NDArray[np.float32],
) -> None:
    """Compare the file with encoder and classifier run one after the other, and with the stored vectors of the first images. Raises ExportError."""
    found = written.probabilities(pixels)
    single = np.concatenate([written.probabilities(one[None]) for one in pixels])
    expected = classifier.probabilities(unit_rows(encoder.encode(pixels)))
    from_store = classifier.probabilities(unit_rows(stored))
    _compare("the encoder and the classifier run one after the other", found, expected, EXACT * classifier.steepest)
    _compare("itself, given images one by one", single, found, AGREEMENT * classifier.steepest)
    _compare("the vectors in the store", found[: len(stored)], from_store, ROUNDED * classifier.steepest)


def _compare(what: str, found: NDArray[np.floating], expected: NDArray[np.floating], allowed: float) -> None:
    worst = float(np.nan_to_num(np.abs(found - expected)).max(initial=0.0))
    same_gaps = (np.isnan(found) == np.isnan(expected)).all()
    if not same_gaps or worst > LEAST + allowed:
        raise ExportError(
            f"the exported classifier disagrees with {what}: probabilities differ by {worst:.2g}, allowed {LEAST + allowed:.2g}; "
            "nothing was written; if the encoder's vectors were made on another provider, index once more on the CPU"
        )
