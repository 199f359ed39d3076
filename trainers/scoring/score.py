"""From a run and a store to the column ssl_loss: bank, losses of all images, one transaction."""

import hashlib
import math
import operator
import time
import tomllib
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from featurestore.errors import ConfigError, EvaluationError, Interrupted
from featurestore.imaging.load import Known, Loaded
from featurestore.imaging.pool import load_all
from featurestore.imaging.preprocess import Preprocess
from featurestore.metadata import MEASURED, check_measured, fill_measured
from featurestore.progress import Listener, shows_progress
from featurestore.sources import Failure, ImageFile
from featurestore.sources.reasons import Reasons, describe
from featurestore.storage import Storage
from featurestore.system.spool import Spool
from featurestore.system.text import counted
from trainers.config.machine import on_this_machine
from trainers.config.resolve import resolve
from trainers.config.schema import Config
from trainers.methods import Method
from trainers.runtime.threads import fit_threads, restores_threads
from trainers.scoring.scorer import Scorer
from trainers.training.setup import open_run, preprocess_of

COMMAND, COLUMN = "score", "ssl_loss"
VIEWS = 8  # of each image; of a method that compares two, pairs
MOST_VIEWS = 256
BANK = 1024  # images that every image is compared with


@dataclass(frozen=True, slots=True)
class ScoreReport:
    """The result of `score`."""

    images: int  # that got a loss
    failed: int  # that have none: their files are gone, changed, or cannot be read
    column: str
    method: str  # of the run, whose loss it is
    views: int
    seed: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class _Item(NamedTuple):
    id: int
    path: str
    sha256: str | None  # of the content that the store knows
    size: int
    mtime_ns: int


@shows_progress
@restores_threads
def score(
    run: str | Path,
    store: Storage | str | Path,
    *,
    views: int = VIEWS,
    seed: int = 0,
    missing: bool = False,
    device: str = "auto",
    listener: Listener | None = None,
) -> ScoreReport:
    """Write the loss that the method of a training run has on each image of a store into the column ssl_loss.

    The loss is a mean over `views` random views (pairs of views, where the method compares two), which are the same for all images, as are
    the images of the store that a method with negatives compares with. So it depends on the image and on `seed`, not on the order or number
    of images at a time. Items whose files are gone, changed or broken have none. missing: only items without a loss get one, the others keep
    theirs. Raises StoreNotFound, StoreBusy, TrainingError when `run` does not hold a training run, ConfigError, QueryError when the items
    have a column of that name that `score` did not write, EvaluationError when there are too few images; Interrupted on Ctrl-C, with the store unchanged.
    """
    began, listener = time.monotonic(), listener or Listener()
    if not 1 <= views <= MOST_VIEWS:
        raise ConfigError(f"views {views}: expected at least 1 and at most {MOST_VIEWS}")
    if seed < 0:
        raise ConfigError(f"seed {seed}: expected at least 0")
    opened = store if isinstance(store, Storage) else Storage.open(store)
    has_column = check_measured(opened, COMMAND, COLUMN)
    config, method, _ = open_run(Path(run))
    here = {"device": device, "devices": 1, "precision": "32-true"}
    config = on_this_machine(resolve(tomllib.loads(config.to_toml()), here))
    if config.device == "cpu" and (said := fit_threads()):
        listener.note(said)
    items = [_Item(*row) for row in zip(*(column.to_pylist() for column in opened.catalog.items.places()), strict=True)]
    wanted = items
    if missing and has_column:
        without = set(opened.catalog.items.select(f"{COLUMN} IS NULL").tolist())
        wanted = [item for item in items if item.id in without]
    try:
        values = _losses_of(wanted, items, config, method, views, seed, listener)
    except KeyboardInterrupt as stop:
        raise Interrupted("interrupted; the store is as it was: run the command again") from stop
    if wanted and not values.rows and not missing:  # a disk that is not there should not cost the losses of before
        raise EvaluationError(
            f"none of {counted(len(wanted), 'image')} can be read and is what was indexed; the store is as it was: put the files back, "
            "or say where they are now: featurestore relocate STORE OLD NEW"
        )
    images = fill_measured(opened, COMMAND, COLUMN, values, everywhere=not missing)
    seconds = round(time.monotonic() - began, 2)
    return ScoreReport(images, len(wanted) - images, COLUMN, config.method, views, seed, seconds)


def _losses_of(
    wanted: Sequence[_Item],
    items: Sequence[_Item],
    config: Config,
    method: Method,
    views: int,
    seed: int,
    listener: Listener,
) -> Spool:
    """Compute the losses of some items of a store: rows of MEASURED. Raises EvaluationError when there is nothing to compare with."""
    if not wanted:
        return Spool(MEASURED)
    record = preprocess_of(config)
    bank = _load_bank(items, record, seed, listener) if method.has_negatives else None
    scorer = Scorer(method, None if bank is None else bank.pixels, torch.device(config.device), views, seed)
    return _losses(scorer, bank, wanted, record, listener)


class _BankImages(NamedTuple):
    pixels: Tensor  # uint8 (M, 3, S, S)
    places: dict[str, int]  # by the hash of the content


def _load_bank(items: Sequence[_Item], record: Preprocess, seed: int, listener: Listener) -> _BankImages:
    """Draw BANK images of different contents: those whose hashes, mixed with the seed, are the smallest.

    So it does not depend on the order of the items, and a few new items change little of it. Raises EvaluationError when fewer than two can be read.
    """
    by_content = {item.sha256: item for item in items if item.sha256}
    drawn = sorted(by_content.values(), key=lambda item: hashlib.sha256(f"{seed} {item.sha256}".encode()).digest())
    found: list[Loaded] = []
    listener.start("images to compare with", min(BANK, len(drawn)))
    with closing(_load(drawn, record)) as loaded:
        for image in loaded:
            if isinstance(image, Loaded):
                found.append(image)
                listener.advance()
            if len(found) == BANK:
                break
    if len(found) < 2:
        raise EvaluationError(
            f"expected at least 2 different images that can be read and are what was indexed, found {len(found)} of {len(drawn)}: the loss of this "
            "method compares an image with others; put the files back, or say where they are now: featurestore relocate STORE OLD NEW"
        )
    return _BankImages(_pixels(found), {image.sha256: place for place, image in enumerate(found)})


def _losses(
    scorer: Scorer, bank: _BankImages | None, items: Sequence[_Item], record: Preprocess, listener: Listener
) -> Spool:
    """Compute the losses of those items that can be read and are as the store knows them: rows of MEASURED."""
    values, failures = Spool(MEASURED), Reasons()
    known = {} if bank is None else bank.places
    size = scorer.batch_for(record.size)
    batch: list[tuple[_Item, Loaded]] = []

    def empty_batch() -> None:
        places = torch.tensor([known.get(image.sha256, -1) for _, image in batch])
        losses = scorer.losses(_pixels([image for _, image in batch]), places)
        for (item, _), loss in zip(batch, losses.tolist(), strict=True):
            if math.isfinite(loss):
                values.add((item.id, item.sha256, loss))
            else:
                failures.add(Failure(item.path, "its loss is not a finite number"))
        listener.advance(len(batch))
        batch.clear()

    listener.start("scoring", len(items))
    with closing(_load(items, record)) as loaded:
        for item, image in zip(items, loaded, strict=True):
            if isinstance(image, Loaded):
                batch.append((item, image))
                if len(batch) == size:
                    empty_batch()
            else:
                failures.add(image if isinstance(image, Failure) else Failure(item.path, "is not what was indexed"))
                listener.advance()
    if batch:
        empty_batch()
    if failures:
        listener.note(f"without a loss: {counted(len(failures), 'item')}; {describe(failures.counts())}")
    return values


def _load(items: Sequence[_Item], record: Preprocess) -> Generator[Loaded | Known | Failure]:
    """Load items, of which those with another content than the store knows are only read."""
    return load_all(
        (
            (ImageFile(item.path, None, None, item.size, item.mtime_ns), partial(operator.ne, item.sha256))
            for item in items
        ),
        record,
    )


def _pixels(images: Sequence[Loaded]) -> Tensor:
    """Join images to one tensor: uint8 (B, 3, S, S)."""
    return torch.from_numpy(np.stack([image.pixels.transpose(2, 0, 1) for image in images]))
