"""The encoder file: an ONNX graph with its card, run by onnxruntime. The only import of onnxruntime."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from featurestore.errors import EncoderCardMissing, EncoderError
from featurestore.preprocess import Preprocess

CARD_KEY = "featurestore"  # key of the card in the ONNX metadata
CARD_VERSION = 1


@dataclass(frozen=True, slots=True)
class Card:
    """What an encoder file says of itself."""

    preprocess: Preprocess
    dim: int  # D
    method: str  # what trained it
    backbone: str
    branch: str  # which of the method's networks was exported
    trained_on: dict[str, Any]  # {"count": images, "sha256": of their pixels}; no paths
    config_hash: str
    featurestore_version: str

    def to_json(self) -> str:
        return json.dumps({"card_version": CARD_VERSION, **asdict(self)}, sort_keys=True)

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
            return cls(**{**record, "preprocess": Preprocess.from_json(record["preprocess"])})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise EncoderError(f"{path}: its card cannot be read ({error}); export the encoder again") from error


def fingerprint(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hex: the identity of an encoder. Raises EncoderError when it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EncoderError(
            f"encoder {str(path)!r}: expected an ONNX file, found: {error.strerror}; check the path"
        ) from error


class Encoder:
    """An encoder file, opened: images of its preprocessing in, vectors out."""

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        """Open an encoder on the CPU, with `threads` threads (default: onnxruntime's choice).

        Raises EncoderError when the file is no such ONNX, EncoderCardMissing when it has no card.
        """
        self.path = Path(path)
        self.fingerprint = fingerprint(path)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # decode threads need the cores
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises its own classes for every kind of damage
            raise EncoderError(
                f"encoder {str(path)!r}: expected an ONNX file that onnxruntime can run; found: {_first_line(error)}"
            ) from error
        text = self._session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
        if text is None:
            raise EncoderCardMissing(
                f"encoder {str(path)!r}: expected a card with the preprocessing in its ONNX metadata, found none; "
                "without it pixels would be guessed: make the file with `featurestore train` or `featurestore export`"
            )
        self.card = Card.from_json(text, path)
        size = self.preprocess.size
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        shapes = [(x.type, x.shape[1:]) for x in inputs], [(x.type, x.shape[1:]) for x in outputs[:1]]
        if shapes != ([("tensor(uint8)", [size, size, 3])], [("tensor(float)", [self.dim])]):
            raise EncoderError(
                f"encoder {str(path)!r}: its card promises uint8 (B, {size}, {size}, 3) to float32 (B, {self.dim}), "
                f"its graph has {shapes[0]} to {shapes[1]}; export the encoder again"
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
        """Encode preprocessed pixels, uint8 (B, size, size, 3), to the network's own output, float32 (B, D)."""
        return self._run("vector", pixels)

    def attention(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Where the class token of the last layer looks: (B, heads, h, w), each map with sum below 1.

        Raises EncoderError when the encoder was exported without it.
        """
        if len(self._session.get_outputs()) < 2:
            raise EncoderError(
                f"encoder {str(self.path)!r} has no attention; export a run of a ViT again: featurestore export RUN --attention --out encoder.onnx"
            )
        return self._run("attention", pixels)

    def _run(self, output: str, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = self._session.run([output], {self._session.get_inputs()[0].name: pixels})[0]
        return result


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
