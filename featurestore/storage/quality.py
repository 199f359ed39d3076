"""What the pixels say of items that an older version has indexed, or whose vectors came without it."""

from collections.abc import Callable, Mapping
from contextlib import closing

import pyarrow as pa

from featurestore.catalog.schema import QUALITY
from featurestore.errors import DiskError, StoreBusy, StoreUntrusted
from featurestore.imaging.load import Loaded
from featurestore.imaging.pool import load_all
from featurestore.imaging.preprocess import Preprocess
from featurestore.imaging.quality import SIDE, Quality, measure
from featurestore.progress import Listener
from featurestore.sources import ImageFile
from featurestore.storage.storage import Storage
from featurestore.storage.thumbnails import ContentFile

PART = 16_384  # images that are measured before their values are written


def complete_quality(store: Storage, listener: Listener) -> None:
    """Fill the columns brightness, contrast, sharpness and colourfulness where they are empty, by decoding each content once.

    Items whose files are gone, cannot be decoded, or have another content by now stay as they are. Bands are read as the default encoder
    does. When this is interrupted, what was measured is kept. A store that cannot be written is left as it is, and a note says so. Raises
    EncoderNotInStore, SourceError, TooManyOpenFiles.
    """
    measures = store.catalog.measures
    if not measures.unknown() or not _write(store, measures.share, listener):
        return
    files = [ContentFile(*found) for found in measures.unknown()]
    record = Preprocess(SIDE, SIDE, bands=store.encoder_record(None).bands)
    done: set[str] = set()
    found: dict[str, Quality] = {}

    def save() -> bool:
        values, written = _table(found), bool(found)
        found.clear()
        return not written or _write(store, lambda: measures.set(values), listener)

    listener.start("measuring the pictures", len(files))
    given = (
        (ImageFile(file.path, None, None, file.size, file.mtime_ns), _is_of_no_use(file.sha256, done)) for file in files
    )
    try:
        with closing(load_all(given, record, with_small=True)) as loaded:
            for file, image in zip(files, loaded, strict=True):
                if isinstance(image, Loaded) and image.sha256 == file.sha256 and image.small is not None:
                    done.add(file.sha256)
                    [found[file.sha256]] = measure([image.small])
                listener.advance()
                if len(found) >= PART and not save():
                    return
    finally:
        save()


def _is_of_no_use(sha256: str, done: set[str]) -> Callable[[str], bool]:
    """Give what tells whether a file's content is not the one that is wanted, or was measured already."""
    return lambda content: content != sha256 or content in done


def _table(found: Mapping[str, Quality]) -> pa.Table:
    columns = list(zip(*found.values(), strict=True)) or [()] * len(QUALITY)
    values = {name: pa.array(column, pa.float64()) for name, column in zip(QUALITY, columns, strict=True)}
    return pa.table({"sha256": pa.array(list(found), pa.string()), **values})


def _write(store: Storage, write: Callable[[], None], listener: Listener) -> bool:
    """Write as the only writer; where that cannot be done, say so and give False."""
    try:
        with store.writing():
            write()
    except (StoreBusy, DiskError, StoreUntrusted) as error:
        listener.note(f"some items have no brightness, contrast, sharpness and colourfulness yet: {error}")
        return False
    return True
