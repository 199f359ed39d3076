"""Encoder files: what is in one, how it runs, how it is written.

Images come in, as paths, URLs, PIL images or files of a source; `Encoder.embed` and `Encoder.embed_files` decode and
preprocess them, run the network, and give an `Embedded`: vectors, and a reason for each image without one. `write` and
`graph_edit` make such files and need the onnx package, so they are not imported here.
"""

from featurestore.encoders.card import CARD_KEY, Card
from featurestore.encoders.classifier import Classifier
from featurestore.encoders.embedded import Embedded, EmbeddedImage, FailedImage, KnownImage
from featurestore.encoders.encoder import ATTENTION, PROBABILITIES, Encoder, fingerprint
from featurestore.encoders.session import PROVIDERS

__all__ = [
    "ATTENTION",
    "CARD_KEY",
    "PROBABILITIES",
    "PROVIDERS",
    "Card",
    "Classifier",
    "Embedded",
    "EmbeddedImage",
    "Encoder",
    "FailedImage",
    "KnownImage",
    "fingerprint",
]
