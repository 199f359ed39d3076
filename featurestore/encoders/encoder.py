"""The encoder file: an ONNX graph with its card, run by onnxruntime. The only import of onnxruntime."""

import hashlib
import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featurestore.encoders.onnx_check import check_whole
from featurestore.errors import EncoderCardMissing, EncoderError
from featurestore.imaging.preprocess import Preprocess
from featurestore.system.cpus import available_cpus
from featurestore.system.text import first_line

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

CARD_KEY = "featurestore"  # key of the card in the ONNX metadata
CARD_VERSION = 1
MAX_BYTES = 2 << 30  # of an encoder file: the largest message that its format knows
LONGEST_NAME = 200  # characters
ATTENTION, PROBABILITIES = "attention", "probabilities"  # outputs that a graph may have behind that of the vectors

PROVIDERS = {  # what runs an encoder: its name in onnxruntime, and what brings it
    "cpu": ("CPUExecutionProvider", "onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu in place of onnxruntime"),
    "coreml": ("CoreMLExecutionProvider", "onnxruntime on macOS"),
    "openvino": ("OpenVINOExecutionProvider", "onnxruntime-openvino in place of onnxruntime"),
}


@dataclass(frozen=True, slots=True)
class Card:
    """What an encoder file says of itself."""

    preprocess: Preprocess
    dim: int  # D
    method: str  # what trained it
    backbone: str
    branch: str  # which of the method's networks was exported
    trained_on: dict[
        str, Any
    ]  # {"count": images, "sha256": of their pixels, "weights": which published ones}; no paths
    config_hash: str
    featurestore_version: str
    classes: tuple[str, ...] = ()  # of a classifier: what it tells apart, in the order of its probabilities
    classifier: dict[str, Any] = field(default_factory=dict)  # of a classifier: how it was made, and its figures

    def to_json(self) -> str:
        record = asdict(self)
        if not self.classes:  # an encoder's card is what it was before there were classifiers
            del record["classes"], record["classifier"]
        return json.dumps({"card_version": CARD_VERSION, **record}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, path: str | Path) -> "Card":
        """Read a card; raises EncoderError when it is of a newer version or incomplete."""
        try:
            record = json.loads(text)
            version = record.pop("card_version")
            if version > CARD_VERSION:
                raise EncoderError(
                    f"{path}: its card has version {version}, this featurestore reads up to {CARD_VERSION}; upgrade featurestore"
                )
            classes = tuple(record.get("classes", ()))
            card = cls(**{**record, "preprocess": Preprocess.from_json(record["preprocess"]), "classes": classes})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise EncoderError(f"{path}: its card cannot be read ({error}); export the encoder again") from error
        names = (card.method, card.backbone, card.branch, card.config_hash, card.featurestore_version)
        if not all(map(_is_name, names)):
            raise EncoderError(
                f"{path}: its card cannot be read (expected names of up to {LONGEST_NAME} printable characters); export the encoder again"
            )
        if not _is_origin(card.trained_on):
            raise EncoderError(
                f"{path}: its card cannot be read (expected in trained_on a count, and texts of up to {LONGEST_NAME} printable characters); export the encoder again"
            )
        if not _are_classes(card.classes) or not isinstance(card.classifier, dict):
            raise EncoderError(
                f"{path}: its card cannot be read (expected as classes two different texts or more, and none empty); export the classifier again"
            )
        return card


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and len(value) <= LONGEST_NAME


def _is_origin(value: object) -> bool:
    if not isinstance(value, dict) or type(value.get("count")) is not int:
        return False
    return all(_is_name(said) for key, said in value.items() if key != "count")


def fingerprint(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hex: the identity of an encoder. Raises EncoderError when it cannot be read."""
    return hashlib.sha256(_read(path)).hexdigest()


def _are_classes(value: tuple[object, ...]) -> bool:
    """Whether these are classes of a classifier, or the none of an encoder."""
    return len(value) != 1 and all(isinstance(one, str) and one for one in value) and len(set(value)) == len(value)


class Encoder:
    """An encoder file, opened: images of its preprocessing in, vectors out."""

    def __init__(self, path: str | Path, threads: int | None = None, provider: str = "cpu") -> None:
        """Open an encoder with `threads` threads (default: one a processor) on "cpu", "cuda", "coreml" or "openvino".

        Raises EncoderError when the file is no such ONNX or the provider is not to be had, EncoderCardMissing when the
        file has no card.
        """
        self.path = Path(path)
        data = _read(path)  # once: what is hashed is what runs
        self.fingerprint = hashlib.sha256(data).hexdigest()
        self._session = _session(path, data, threads or available_cpus(), provider)
        with _runnable(path):  # texts that are not UTF-8 are found out here
            text = self._session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
            inputs = [(x.type, x.shape[1:]) for x in self._session.get_inputs()]
            outputs = {x.name: (x.type, x.shape[1:]) for x in self._session.get_outputs()}
        if text is None:
            raise EncoderCardMissing(
                f"encoder {str(path)!r}: expected a card with the preprocessing in its ONNX metadata, found none; "
                "without it pixels would be guessed: make the file with `featurestore train` or `featurestore export`"
            )
        self.card = Card.from_json(text, path)
        self._outputs = list(outputs)  # the first, whatever it is called, holds the vectors
        size = self.preprocess.size
        vectors = [*outputs.values()][:1]
        if inputs != [("tensor(uint8)", [size, size, 3])] or vectors != [("tensor(float)", [self.dim])]:
            raise EncoderError(
                f"encoder {str(path)!r}: its card promises uint8 (B, {size}, {size}, 3) to float32 (B, {self.dim}), "
                f"its graph has {inputs} to {vectors}; export the encoder again"
            )
        classes = self.card.classes
        if classes and outputs.get(PROBABILITIES) != ("tensor(float)", [len(classes)]):
            raise EncoderError(
                f"classifier {str(path)!r}: its card names {len(classes)} classes, so that an output {PROBABILITIES}, float32 (B, {len(classes)}), "
                f"is expected; its graph has {outputs}; export the classifier again"
            )

    @property
    def dim(self) -> int:
        return self.card.dim

    @property
    def preprocess(self) -> Preprocess:
        return self.card.preprocess

    @property
    def name(self) -> str:
        """A short name: the method and the start of the fingerprint."""
        return f"{self.card.method}-{self.fingerprint[:8]}"

    def encode(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode preprocessed pixels, uint8 (B, size, size, 3), to the network's own output, float32 (B, D).

        Raises EncoderError when the network cannot run or gives another shape than its card says.
        """
        [vectors] = self._run([self._outputs[0]], pixels)
        if vectors.shape != (len(pixels), self.dim):
            raise EncoderError(
                f"encoder {str(self.path)!r}: expected vectors of the shape ({len(pixels)}, {self.dim}), its graph gave {vectors.shape}; export the encoder again"
            )
        return vectors

    def attention(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Where the class token of the last layer looks: (B, heads, h, w), each map with sum below 1.

        Raises EncoderError when the encoder was exported without it.
        """
        if ATTENTION not in self._outputs:
            raise EncoderError(
                f"encoder {str(self.path)!r} has no attention; export a run of a ViT again: featurestore export RUN --attention --out encoder.onnx"
            )
        return self._run([ATTENTION], pixels)[0]

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What a classifier takes images for, (B, C) in the order of the card's classes; NaN where the network made no vector.

        Raises EncoderError when the file is an encoder and no classifier.
        """
        if not self.card.classes:
            raise EncoderError(
                f"encoder {str(self.path)!r} is no classifier; make one of the labels of a store: featurestore classify STORE --train --name NAME, "
                "then featurestore classify STORE --export FILE.onnx --name NAME"
            )
        vectors, probabilities = self._run([self._outputs[0], PROBABILITIES], pixels)
        if probabilities.shape != (len(pixels), len(self.card.classes)):
            raise EncoderError(
                f"classifier {str(self.path)!r}: expected probabilities of the shape ({len(pixels)}, {len(self.card.classes)}), "
                f"its graph gave {probabilities.shape}; export the classifier again"
            )
        made = np.isfinite(vectors).all(axis=1, keepdims=True) & vectors.any(axis=1, keepdims=True)
        return np.where(made, probabilities, np.float32(np.nan))

    def _run(self, outputs: list[str], pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        with _runnable(self.path):
            results: list[NDArray[np.float32]] = self._session.run(
                outputs, {self._session.get_inputs()[0].name: pixels}
            )
        return results


def _read(path: str | Path) -> bytes:
    try:
        found = Path(path).stat()
        if stat.S_ISREG(found.st_mode) and found.st_size <= MAX_BYTES:
            return Path(path).read_bytes()
    except OSError as error:
        raise EncoderError(
            f"encoder {str(path)!r}: expected an ONNX file, found: {error.strerror}; check the path"
        ) from error
    what = f"{found.st_size:,} bytes, more than {MAX_BYTES:,}" if stat.S_ISREG(found.st_mode) else "no regular file"
    raise EncoderError(f"encoder {str(path)!r}: expected an ONNX file, found: {what}; check the path")


def _session(path: str | Path, data: bytes, threads: int, provider: str) -> "InferenceSession":
    """Let onnxruntime open the bytes of an encoder on one provider and on no other."""
    import onnxruntime  # takes long, and most commands do without

    onnxruntime.set_default_logger_severity(4)  # what it would print of a broken file is in the error that it raises
    name = _provider(provider)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads  # its own default counts the machine's processors, not those left to us
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # decode threads need the cores
    options.add_session_config_entry("session.load_model_format", "ONNX")  # and not ORT's own, which is not checked
    with _runnable(path):
        check_whole(data)
        session = onnxruntime.InferenceSession(data, options, providers=[name], enable_fallback=0)
    session._model_bytes = None  # it keeps them for a fall-back, as large as the weights, and we want none
    if session.get_providers()[0] != name:
        raise EncoderError(
            f"provider {provider!r}: expected onnxruntime to run the encoder with {name}, it chose {session.get_providers()[0]}; "
            "the driver or a library that it needs is missing: install it, or choose another provider"
        )
    return session


def _provider(provider: str) -> str:
    """The name that onnxruntime has for a provider; raises EncoderError when it is not to be had."""
    if provider not in PROVIDERS:
        raise EncoderError(f"provider {provider!r}: expected one of {', '.join(PROVIDERS)}")
    import onnxruntime

    name, package = PROVIDERS[provider]
    available = onnxruntime.get_available_providers()
    if name not in available:
        raise EncoderError(
            f"provider {provider!r}: expected an onnxruntime with {name}, found one with {', '.join(available)}; install {package}, or choose another provider"
        )
    return name


@contextmanager
def _runnable(path: str | Path) -> Iterator[None]:
    """Turn whatever onnxruntime raises, its own classes for every kind of damage, into EncoderError."""
    try:
        yield
    except Exception as error:
        raise EncoderError(
            f"encoder {str(path)!r}: expected an ONNX file that onnxruntime can run; found: {first_line(error)}"
        ) from error
