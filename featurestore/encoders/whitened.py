"""Put a whitening behind an encoder: a new encoder file. Needs the onnx package."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from featurestore.ann.normalize import unit_rows
from featurestore.encoders.encoder import Encoder
from featurestore.encoders.graph_edit import append_whitening
from featurestore.encoders.session import read_encoder_file
from featurestore.encoders.write import check, check_pixels, write
from featurestore.errors import EncoderError, ExportError
from featurestore.estimators.whitening import Whitening, fit
from featurestore.system.text import first_line


def write_whitened(encoder: Encoder, vectors: NDArray[np.floating], out: Path) -> Whitening:
    """Fit a whitening to some of an encoder's vectors, (N, D), and write both as a new encoder file, which is checked before it gets its name.

    The card says how many vectors it was fitted to, and the fingerprint of the encoder. Raises EncoderError for an encoder that is
    whitened, a classifier, or vectors that `fit` refuses; ExportError, DiskError.
    """
    require_plain(encoder)
    try:
        whitening = fit(vectors)
    except EncoderError as error:
        raise EncoderError(f"encoder {encoder.name} cannot be whitened: {error}") from error
    facts = {**whitening.facts, "encoder": encoder.fingerprint}
    try:
        model = append_whitening(onnx.load_model_from_string(read_encoder_file(encoder.path)), whitening)
    except Exception as error:  # of protobuf, whose classes differ from version to version
        raise ExportError(
            f"encoder {encoder.name}: its graph cannot be joined with a whitening ({first_line(error)}); export the encoder again"
        ) from error
    pixels = check_pixels(encoder.preprocess)
    expected = whitening(unit_rows(encoder.encode(pixels)))
    write(model, replace(encoder.card, whitening=facts), out, lambda written: check(written, expected, pixels))
    return whitening


def require_plain(encoder: Encoder) -> None:
    """Raise EncoderError for an encoder that is whitened already, or is a classifier."""
    if encoder.card.whitening:
        raise EncoderError(f"encoder {encoder.name} is whitened already; choose the one that it was made from")
    if encoder.card.classes:
        raise EncoderError(f"{encoder.name} is a classifier; expected an encoder")
