"""The images that encoders are compared on when a training has ended, at the size that each of them sees."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from featurestore.progress import Listener
from featurestore.sources import ImageFile
from trainers.config.schema import Config
from trainers.data.even import even_sample
from trainers.data.images import Images, load
from trainers.training.labelled_sample import MOST_LARGE, SMALL_SIZE, LabelledSample, take_sample
from trainers.training.setup import base_preprocess_of
from trainers.training.whitening import MOST_WHITENED_LARGE

VIEWED, VIEWED_LARGE = 1000, 250  # images whose views are compared, at most; the second of large ones


@dataclass(frozen=True)
class Compared:
    """Training images, those held back, and samples with labels, by their side in pixels; of all sizes the same images are compared."""

    images: Mapping[int, Images]
    samples: Mapping[int, LabelledSample]  # empty without labels

    def pixels(self, size: int) -> Tensor:
        """Give some training images, uint8 (N, 3, size, size), to compare their views."""
        return even_sample(self.images[size].pixels, VIEWED if max(self.images) <= SMALL_SIZE else VIEWED_LARGE)


def compare_on(images: Images, sample: LabelledSample | None, config: Config, listener: Listener) -> Compared:
    """Take what encoders are compared on; for known weights that a network was trained beside, some images at their size, too.

    sample: of the images as they were trained on. Raises SourceError when no image can be read again.
    """
    size = config.image_size
    if config.base is None or config.base_size == size:
        return Compared({size: images}, {} if sample is None else {size: sample})
    larger = _load_again(images, config, listener)
    by_size = {size: _only(images, larger), larger.pixels.shape[-1]: larger}
    samples = {side: take_sample(each, each.held_back, MOST_LARGE) for side, each in by_size.items()}
    labelled = {side: each for side, each in samples.items() if each is not None and sample is not None}
    return Compared(by_size, labelled)


def _load_again(images: Images, config: Config, listener: Listener) -> Images:
    """Decode some of the images at the size that known weights see."""
    record, held_back = base_preprocess_of(config), images.held_back
    files = even_sample(images.files, MOST_WHITENED_LARGE)
    others = even_sample(held_back.files, MOST_LARGE) if held_back is not None else ()
    listener.start(f"decoding at {record.size} px", len(files) + len(others))

    def decode(wanted: Sequence[ImageFile]) -> Images:
        return load(list(wanted), record, config.workers, listener.advance)

    return dataclasses.replace(decode(files), held_back=decode(others) if others else None)


def _only(images: Images, others: Images) -> Images:
    """Take of images those that are among others."""
    held_back = images.held_back
    if held_back is not None and others.held_back is not None:
        held_back = _only(held_back, others.held_back)
    wanted = set(others.files)
    rows = [row for row, file in enumerate(images.files) if file in wanted]
    files = tuple(images.files[row] for row in rows)
    return dataclasses.replace(images, pixels=images.pixels[torch.tensor(rows)], files=files, held_back=held_back)
