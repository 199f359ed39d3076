"""The encoders of a store: which is the default, what they are called, and how one is dropped."""

import os
import re
from pathlib import Path

from featurestore.errors import ConfigError, DiskError
from featurestore.storage import Storage
from featurestore.storage.encoder_files import encoder_file
from featurestore.system.plain_file import delete_within, open_within
from featurestore.system.text import as_argument

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def set_default_encoder(store: Storage, encoder: str | Path) -> str:
    """Make an encoder the one that is used when none is named; returns its name. Raises EncoderNotInStore."""
    with store.writing():
        record = store.encoder_record(encoder)
        store.catalog.encoders.set_default(record.fingerprint)
    return record.name


def rename_encoder(store: Storage, encoder: str | Path, name: str) -> None:
    """Give an encoder another name. Raises EncoderNotInStore; ConfigError when the name is unfit or taken."""
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"name {name!r}: expected 1 to 64 letters, digits, dots, dashes and underscores, beginning with a letter or digit"
        )
    with store.writing():
        record = store.encoder_record(encoder)
        others = [r for r in store.catalog.encoders.all() if r.fingerprint != record.fingerprint]
        if any(r.name.startswith(name) or r.fingerprint.startswith(name) for r in others):
            raise ConfigError(
                f"name {name!r}: another encoder of the store is called so, or begins so; choose another name"
            )
        store.catalog.encoders.rename(record.fingerprint, name)


def drop_encoder(store: Storage, encoder: str | Path) -> int:
    """Remove an encoder with its vectors, its index and its file; returns how many vectors. Items and labels stay.

    Raises EncoderNotInStore; ConfigError when a classifier needs it, or when only the start of its name is given; DiskError.
    """
    with store.writing():
        record = store.encoder_record(encoder)
        is_start = encoder_file(encoder) is None and str(encoder) != record.name
        if is_start and not (len(str(encoder)) >= 6 and record.fingerprint.startswith(str(encoder))):
            raise ConfigError(f"encoder {str(encoder)!r}: to drop {record.name}, give its whole name")
        needed = [c.name for c in store.catalog.classifiers.all() if c.encoder == record.fingerprint]
        if needed:
            raise ConfigError(
                f"encoder {record.name} is needed by the classifier {needed[0]}; drop that first: featurestore classify STORE --drop {as_argument(needed[0])}"
            )
        vectors = len(store.catalog.encoded.rows_in_use(record.fingerprint)[0])
        try:
            os.close(open_within(store.layout.dropped_mark(record.fingerprint), os.O_WRONLY | os.O_CREAT))
            store.catalog.encoders.drop(record.fingerprint)
        except OSError as error:
            raise DiskError(
                f"{error.filename} could not be written ({error.strerror}); what is left of {record.name} is deleted by the next featurestore optimize"
            ) from error
        for path in store.layout.dropped_files(store.catalog.encoders.all()):
            delete_within(path)
    return vectors
