"""The encoder: images in, vectors out. The one place that decodes, preprocesses and runs the network."""

import hashlib
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.normalize import unit_rows
from featurestore.encoders.card import CARD_KEY, Card
from featurestore.encoders.embedded import Embedded, EmbeddedImage, FailedImage, KnownImage
from featurestore.encoders.session import open_session, read_encoder_file, run, runnable
from featurestore.errors import EncoderCardMissing, EncoderError
from featurestore.imaging.guarded import SECONDS
from featurestore.imaging.load import IsKnown, Known, Loaded, Picture
from featurestore.imaging.pool import load_all
from featurestore.imaging.preprocess import Preprocess
from featurestore.imaging.quality import measure
from featurestore.imaging.single import load_one
from featurestore.sources import Failure, ImageFile
from featurestore.system.cpus import available_cpus
from featurestore.system.interrupts import uninterrupted
from featurestore.system.text import LONGEST, shortened

BATCH = 16  # images that the network sees at a time
BATCH_SECONDS = 5.0  # how long a stream collects a batch: images that come slowly are handed on in smaller ones
BATCH_RESULTS = 1024  # of a stream, with failures and known files, which do not fill a batch
REPEATED = (
    1e-3  # largest difference between two runs, relative to the largest value: graphics cards do not add in one order
)
HELD_SECONDS = 5.0  # that Ctrl-C waits for a batch: a stranger's network may never end
MOST_HEADS = 256  # of attention; vision transformers have up to 48
ATTENTION, PROBABILITIES = "attention", "probabilities"  # outputs that a graph may have behind the vectors


def fingerprint(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes in hex: the identity of an encoder. Raises EncoderError when it cannot be read."""
    return hashlib.sha256(read_encoder_file(path)).hexdigest()


class Encoder:
    """An encoder file, opened."""

    def __init__(self, path: str | Path, threads: int | None = None, provider: str = "cpu") -> None:
        """Open an encoder with `threads` threads (default: one per processor) on "cpu", "cuda", "coreml" or "openvino".

        Raises EncoderError when the file is not a usable ONNX file or the provider is not available, EncoderCardMissing
        when the file has no card.
        """
        self.path = Path(path)
        data = read_encoder_file(path)  # once: the bytes that are hashed are the bytes that run
        self.fingerprint = hashlib.sha256(data).hexdigest()
        self._session = open_session(path, data, threads or available_cpus(), provider)
        with runnable(path):  # raises for texts that are not UTF-8
            text = self._session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
            inputs = [(x.type, x.shape[1:]) for x in self._session.get_inputs()]
            outputs = {x.name: (x.type, x.shape[1:]) for x in self._session.get_outputs()}
        if text is None:
            raise EncoderCardMissing(
                f"encoder {str(path)!r}: expected a card with the preprocessing in its ONNX metadata, found none; "
                "make the file with `featurestore train` or `featurestore export`"
            )
        self.card = Card.from_json(text, path)
        self._repeats = False  # whether `check_repeats` has found it so
        size = self.preprocess.size
        vectors = [*outputs.values()][:1]
        is_dim = isinstance(self.dim, int) and self.dim >= 1  # a graph may have a name as its size, and so may a card
        fits = inputs == [("tensor(uint8)", [size, size, 3])] and vectors == [("tensor(float)", [self.dim])]
        if not (is_dim and fits):
            raise EncoderError(
                f"encoder {str(path)!r}: its card promises uint8 (B, {size}, {size}, 3) to float32 (B, {self.dim}), "
                f"its graph has {shortened(f'{inputs} to {vectors}', LONGEST)}; export the encoder again"
            )
        self._vectors = next(iter(outputs)), self.dim  # the first output, whatever its name, holds them
        self._has_attention = outputs.get(ATTENTION, ("",))[0] == "tensor(float)"
        classes = self.card.classes
        if classes and outputs.get(PROBABILITIES) != ("tensor(float)", [len(classes)]):
            raise EncoderError(
                f"classifier {str(path)!r}: expected an output {PROBABILITIES}, float32 (B, {len(classes)}), since its card names {len(classes)} "
                f"classes; its graph has {shortened(str(outputs), LONGEST)}; export the classifier again"
            )

    @property
    def dim(self) -> int:
        return self.card.dim

    @property
    def preprocess(self) -> Preprocess:
        return self.card.preprocess

    @property
    def name(self) -> str:
        """A short name: the method and the start of the fingerprint, and whether it is whitened."""
        return f"{self.card.method}-{self.fingerprint[:8]}" + "-whitened" * bool(self.card.whitening)

    # -- images

    def embed(self, images: Iterable[Picture]) -> Embedded:
        """Embed images, each a path, a URL, the bytes of a file or a PIL image; what cannot be used is among the failures.

        Raises EncoderError when the network cannot run.
        """
        loaded = ((place, load_one(image, self.preprocess)) for place, image in enumerate(images))
        return Embedded.concatenate([self._embed(batch) for batch in _batches(loaded)], self.dim)

    def embed_files(
        self,
        files: Iterable[tuple[ImageFile, IsKnown | None]],
        workers: int | None = None,
        seconds: float = SECONDS,
    ) -> Iterator[Embedded]:
        """Embed the files of a source batch by batch, in order, while `workers` threads load the next ones.

        Each file comes with a function of its content's hash, or None: where that says that the content is known, the
        file is not encoded. A file that takes more than `seconds` to load is a failure. Ctrl-C during a batch is raised
        after the batch was handed on, or after HELD_SECONDS. Raises EncoderError when the network cannot run.
        """
        with closing(load_all(files, self.preprocess, workers, seconds, with_small=True)) as loaded:
            for batch in _batches(enumerate(loaded)):
                embedded = None
                try:
                    with uninterrupted(HELD_SECONDS):
                        embedded = self._embed(batch, BATCH)
                except KeyboardInterrupt:
                    if embedded is not None:  # else it came before the batch was begun
                        yield embedded
                    raise
                yield embedded

    def load(self, image: Picture | ImageFile) -> Loaded | Failure:
        """Decode and preprocess one image as the card says, without running the network."""
        return load_one(image, self.preprocess)

    def _embed(self, batch: "_Batch", padded: int = 0) -> Embedded:
        """Run the network on the loaded images of a batch, padded to `padded` images: one shape keeps its memory flat."""
        ready = [(place, found) for place, found in batch if isinstance(found, Loaded)]
        failures = [
            FailedImage(place, found.path, found.reason, unread=found.unread)
            for place, found in batch
            if isinstance(found, Failure)
        ]
        known = [KnownImage(place, found.sha256) for place, found in batch if isinstance(found, Known)]
        if not ready:
            return Embedded([], np.empty((0, self.dim), np.float32), failures, known)
        size = self.preprocess.size
        pixels = np.zeros((max(len(ready), padded), size, size, 3), np.uint8)
        for row, (_, found) in enumerate(ready):
            pixels[row] = found.pixels
        vectors = unit_rows(self.encode(pixels)[: len(ready)])
        has_vector = np.asarray(np.isfinite(vectors).all(axis=1))
        forms = {place: found.small for place, found in ready if found.small is not None}
        quality = dict(zip(forms, measure(list(forms.values())), strict=True))
        images = []
        for (place, found), usable in zip(ready, has_vector.tolist(), strict=True):
            if usable:
                facts = found.width, found.height, found.how, found.flat, quality.get(place)
                images.append(EmbeddedImage(place, found.path, found.sha256, *facts))
            else:
                reason = "the encoder gave a vector that is zero or not finite"
                failures.append(FailedImage(place, found.path, reason, readable=True))
        return Embedded(images, vectors[has_vector], failures, known)

    # -- pixels

    def encode(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run the network on preprocessed pixels, uint8 (B, size, size, 3): its own output, float32 (B, D).

        Raises EncoderError when the network cannot run or its output has another shape than the card says.
        """
        return self._run({"vectors": self._vectors}, pixels)[0]

    def check_repeats(self) -> None:
        """Run the network twice on noise. Raises EncoderError when it gives other vectors the second time: no image could be found by them."""
        if self._repeats:
            return
        pixels = np.random.default_rng(0).integers(0, 256, (2, self.preprocess.size, self.preprocess.size, 3), np.uint8)
        first, second = (self._run({"vectors": self._vectors}, pixels)[0] for _ in range(2))
        largest = np.abs(first[np.isfinite(first)]).max(initial=0.0)
        if not np.allclose(first, second, rtol=0, atol=REPEATED * largest, equal_nan=True):
            raise EncoderError(
                f"encoder {str(self.path)!r}: its network gives the same images other vectors each time; export it again in evaluation mode, without random values"
            )
        self._repeats = True

    def attention(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the attention of the class token in the last layer: (B, heads, h, w), each map with a sum below 1.

        Raises EncoderError when the encoder was exported without it, or its output is no such maps.
        """
        if not self._has_attention:
            raise EncoderError(
                f"encoder {str(self.path)!r} has no attention output; export a run of a ViT again: featurestore export RUN --attention --out encoder.onnx"
            )
        maps = run(self._session, [ATTENTION], pixels, self.path)[0]
        most = len(pixels), MOST_HEADS, self.preprocess.size, self.preprocess.size
        fits = maps.ndim == 4 and all(1 <= n <= limit for n, limit in zip(maps.shape, most, strict=True))
        if not fits or not np.isfinite(maps).all():
            raise EncoderError(
                f"encoder {str(self.path)!r}: expected attention (B, heads, h, w) of finite numbers, at most {most}, its graph gave {maps.shape}; "
                "export the encoder again"
            )
        return maps

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return a classifier's probabilities, (B, C) in the order of the card's classes; NaN where the vector is zero, or one of both is not finite.

        Raises EncoderError when the file is an encoder without classes.
        """
        if not self.card.classes:
            raise EncoderError(
                f"encoder {str(self.path)!r} is not a classifier; make one from the labels of a store: featurestore classify STORE --train --name NAME, "
                "then featurestore classify STORE --export FILE.onnx --name NAME"
            )
        vectors, probabilities = self._run(
            {"vectors": self._vectors, "probabilities": (PROBABILITIES, len(self.card.classes))}, pixels
        )
        finite = np.isfinite(np.hstack([vectors, probabilities])).all(axis=1, keepdims=True)
        return np.where(finite & vectors.any(axis=1, keepdims=True), probabilities, np.float32(np.nan))

    def _run(self, outputs: dict[str, tuple[str, int]], pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Run the network for some outputs, given by what they hold, their name and their width: each (B, width). Raises EncoderError."""
        found = run(self._session, [name for name, _ in outputs.values()], pixels, self.path)
        for (what, (_, width)), values in zip(outputs.items(), found, strict=True):
            if values.shape != (len(pixels), width):
                raise EncoderError(
                    f"encoder {str(self.path)!r}: expected {what} of the shape ({len(pixels)}, {width}), its graph gave {values.shape}; export the encoder again"
                )
        return found


_Batch = list[tuple[int, Loaded | Known | Failure]]  # each with its place


def _batches(loaded: Iterable[tuple[int, Loaded | Known | Failure]]) -> Iterator[_Batch]:
    """Collect results until BATCH of them are ready for the network, or enough time has passed."""
    batch: _Batch = []
    ready = 0
    for place, found in loaded:
        if not batch:
            began = time.monotonic()
        batch.append((place, found))
        ready += isinstance(found, Loaded)
        if ready == BATCH or len(batch) == BATCH_RESULTS or time.monotonic() - began > BATCH_SECONDS:
            yield batch
            batch, ready = [], 0
    if batch:
        yield batch
