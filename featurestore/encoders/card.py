"""The card in an encoder file: how to preprocess its images, and where the network comes from."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from featurestore.errors import EncoderError
from featurestore.imaging.preprocess import Preprocess

CARD_KEY = "featurestore"  # key of the card in the ONNX metadata
CARD_VERSION = 1
LONGEST_NAME, LONGEST_CLASS = 200, 1_000  # characters


@dataclass(frozen=True, slots=True)
class Card:
    """What the metadata of an encoder file says about it."""

    preprocess: Preprocess
    dim: int  # D
    method: str  # what trained it
    backbone: str
    branch: str  # which of the method's networks was exported
    trained_on: dict[str, Any]  # {"count": images, "sha256": of their pixels, "weights": published ones}; no paths
    config_hash: str
    featurestore_version: str
    classes: tuple[str, ...] = ()  # of a classifier: in the order of its probabilities
    classifier: dict[str, Any] = field(default_factory=dict)  # of a classifier: how it was trained, and its figures
    whitening: dict[str, Any] = field(default_factory=dict)  # of a whitened encoder: what was fitted, and on what

    def to_json(self) -> str:
        record = {**asdict(self), "preprocess": self.preprocess.to_json()}
        if not self.classes:  # the card of an encoder has the same fields as before there were classifiers
            del record["classes"], record["classifier"]
        if not self.whitening:
            del record["whitening"]
        return json.dumps({"card_version": CARD_VERSION, **record}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, path: str | Path) -> "Card":
        """Read the card of the file at `path`. Raises EncoderError when it is incomplete or of a newer version."""
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
            raise _unreadable(path, str(error)) from error
        names = (card.method, card.backbone, card.branch, card.config_hash, card.featurestore_version)
        if not all(map(_is_name, names)):
            raise _unreadable(path, f"expected names of up to {LONGEST_NAME} printable characters")
        if not _is_origin(card.trained_on):
            raise _unreadable(
                path, f"expected in trained_on a count, and texts of up to {LONGEST_NAME} printable characters"
            )
        if card.whitening != {} and not (
            isinstance(card.whitening, dict) and type(card.whitening.get("images")) is int
        ):
            raise _unreadable(path, "expected in whitening the number of images that it was fitted to")
        if not _are_classes(card.classes) or not isinstance(card.classifier, dict):
            raise _unreadable(
                path,
                f"expected at least two classes, all different, none empty or longer than {LONGEST_CLASS} characters",
            )
        return card


def _unreadable(path: str | Path, reason: str) -> EncoderError:
    return EncoderError(f"{path}: its card cannot be read ({reason}); export the file again")


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and len(value) <= LONGEST_NAME


def _is_origin(value: object) -> bool:
    if not isinstance(value, dict) or type(value.get("count")) is not int:
        return False
    return all(_is_name(text) for key, text in value.items() if key != "count")


def _are_classes(value: tuple[object, ...]) -> bool:
    """Return whether these can be the classes of a classifier; an encoder has none."""
    return len(value) != 1 and all(map(_is_class, value)) and len(set(value)) == len(value)


def _is_class(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_CLASS
