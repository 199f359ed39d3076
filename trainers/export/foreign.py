"""Networks from elsewhere: any ONNX network of images becomes an encoder file, given its preprocessing. Needs no torch."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx

from featurestore.encoders import write as encoder_file
from featurestore.encoders.card import CARD_KEY, Card
from featurestore.errors import ConfigError, EncoderError, ExportError, FeatureStoreError
from featurestore.progress import Listener
from featurestore.system.text import as_argument, first_line
from featurestore.system.user_file import refuse_pipe
from featurestore.version import __version__
from trainers.export.batch import free_batch, one_by_one
from trainers.export.foreign_input import fixed_batch, normalise
from trainers.export.foreign_output import looks_like_probabilities, pool, try_network
from trainers.export.preprocess_file import ForeignPreprocess
from trainers.export.subgraph import PREFIX, keep_output, plain


def export_foreign(path: str | Path, given: ForeignPreprocess, out: Path, listener: Listener | None = None) -> Path:
    """Add normalisation, pooling and a card to the ONNX network at `path`, check the result, and write it to `out`.

    What the chosen output does not need is left out; a batch size that is fixed is made free. Raises ConfigError when the network does not
    fit what is `given`, ExportError when it does not run, or when its vectors are not finite numbers, all equal, or depend on the batch.
    """
    path, listener = Path(path), listener or Listener()
    model = load(path)
    if any(entry.key == CARD_KEY for entry in model.metadata_props):
        raise ConfigError(
            f"{path}: has a card already; use it as it is: featurestore index --encoder {as_argument(path)}"
        )
    sha256 = hashlib.sha256(encoder_file.serialise(model)).hexdigest()  # with the weights from files beside it
    model = onnx.compose.add_prefix(model, PREFIX)
    output, left_out = keep_output(model.graph, given.output, path)
    if left_out:
        listener.note(
            f"{plain(output)} does not need the inputs {', '.join(left_out)}: left out, with what belongs to them"
        )
    batch = fixed_batch(model.graph)
    normalise(model.graph, given, path)
    found = try_network(model, output, batch or 1, given.record.size, path)
    if looks_like_probabilities(found):
        listener.note(
            f"{plain(output)} looks like the probabilities of {found.shape[1]} classes; a value before the classifier makes better vectors: name it as output in the preprocess file"
        )
    dim = pool(model.graph, output, found, given, path)
    card = Card(
        preprocess=given.record,
        dim=dim,
        method="foreign",
        backbone="".join(letter for letter in path.stem if letter.isprintable())[:100],
        branch=plain(output)[:100],
        trained_on={"count": 0, "sha256": "", "weights": f"sha256:{sha256}"},
        config_hash=hashlib.sha256(json.dumps(asdict(given), sort_keys=True).encode()).hexdigest()[:16],
        featurestore_version=__version__,
    )
    return _write(model, card, batch, out, path, listener)


def _write(model: onnx.ModelProto, card: Card, batch: int, out: Path, path: Path, listener: Listener) -> Path:
    """Write a network that takes any batch, or one that takes a batch of one and is run image by image; `batch` is the fixed one, or 0."""
    pixels = encoder_file.check_pixels(card.preprocess)

    def write(network: onnx.ModelProto) -> Path:
        encoder_file.write(network, card, out, lambda encoder: encoder_file.check_alone(encoder, pixels))
        return out

    free = onnx.ModelProto()
    free.CopyFrom(model)
    if batch:
        free_batch(free.graph, batch)
    try:
        return write(free)
    except ExportError as error:
        if batch != 1:
            raise ExportError(f"{path}: {_fixed_at(batch)}{error}") from error
    except EncoderError as error:
        if batch > 1:
            raise ExportError(f"{path}: {_fixed_at(batch)}{error}; export it again with a dynamic batch") from error
    try:
        write(one_by_one(model, card.preprocess.size, card.dim))
    except (EncoderError, ExportError) as error:
        raise ExportError(f"{path}: it takes a batch of one only, and fails image by image: {error}") from error
    listener.note(
        "the network takes a batch of one only, so images go through it one by one, which is slower; export it again with a dynamic batch for full speed"
    )
    return out


def _fixed_at(batch: int) -> str:
    return f"its batch is fixed at {batch}, and it gives no right vectors with another: " if batch else ""


def has_card(path: Path) -> bool:
    """Whether an ONNX file is an encoder file already; raises EncoderError."""
    return any(entry.key == CARD_KEY for entry in load(path, weights_beside=False).metadata_props)


def load(path: Path, weights_beside: bool = True) -> onnx.ModelProto:
    """Read an ONNX file, and weights in files beside it; raises EncoderError, ExportError above 2 GB."""
    try:
        refuse_pipe(path)
        model = onnx.load(path, load_external_data=False)
        if weights_beside:
            _check_files_beside(model, path)
            onnx.load_external_data_for_model(model, str(path.parent))
        return model
    except FeatureStoreError:
        raise
    except OSError as error:
        raise EncoderError(f"{path}: expected an ONNX file, found: {error.strerror}; check the path") from error
    except Exception as error:  # protobuf and onnx raise their own classes
        raise EncoderError(f"{path}: expected an ONNX file, found: {first_line(error)}; check the path") from error


def _check_files_beside(model: onnx.ModelProto, path: Path) -> None:
    """Raise EncoderError when a file with weights is missing, ExportError when they have more than 2 GB: many may name one file, or its holes."""
    size, missing = 0, set[str]()
    for tensor in _tensors(model):
        place = {entry.key: entry.value for entry in tensor.external_data}
        file = path.parent / place.get("location", "")
        if "location" in place and file.is_file():
            size += max(0, int(place.get("length") or file.stat().st_size - int(place.get("offset", 0))))
        elif place:
            missing.add(place.get("location", ""))
    if missing:
        raise EncoderError(
            f"{path}: its weights are in {', '.join(sorted(missing)[:3])}, expected in the same folder, found none there; copy "
            f"{'them' if len(missing) > 1 else 'it'} beside the ONNX file"
        )
    if size > encoder_file.LARGEST:
        raise encoder_file.too_large(f"{size / 1e9:.1f} GB of weights")


def _tensors(message: Any) -> Iterator[onnx.TensorProto]:
    """Give all tensors of a network, wherever they are: as values, in attributes, subgraphs and functions."""
    if isinstance(message, onnx.TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if hasattr(value, "append") else [value]:  # repeated or not
                yield from _tensors(part)
