"""A store on disk: the one place that joins catalog, vectors, indexes and encoder files."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np

from featurestore.catalog import Catalog, EncoderRecord, no_such_encoder
from featurestore.catalog.schema import SCHEMA_VERSION
from featurestore.encoders.encoder import Encoder, fingerprint
from featurestore.errors import DiskError, QueryError, StoreCorrupt, StoreError, StoreNotFound
from featurestore.storage.encoder_files import EncoderFiles, check_dim, encoder_file
from featurestore.storage.labelled_items import LabelledItems
from featurestore.storage.layout import Layout
from featurestore.storage.no_match import describe_no_match
from featurestore.storage.snapshot import ItemVectors, Snapshot, Snapshots
from featurestore.storage.untrusted_files import require_no_hard_links, require_trusted
from featurestore.storage.vector_writer import VectorWriter
from featurestore.storage.vectors import VectorFile
from featurestore.system.disk import sync_folder
from featurestore.system.lock import catalog_lock, writer_lock
from featurestore.system.text import as_argument, is_utf8


class Storage:
    """The directory of a store, opened: what the rooms above work on."""

    def __init__(self, path: Path, encoder: Encoder | None, provider: str) -> None:
        self.path = path
        self.layout = Layout(path)
        self.given_encoder = encoder
        self.catalog = Catalog(self.layout.catalog)
        self.snapshots = Snapshots(self.catalog, self.layout)
        self.encoders = EncoderFiles(self.layout, provider, encoder)

    @classmethod
    def open(cls, path: str | Path, encoder: str | Path | None = None, provider: str = "cpu") -> Self:
        """Open a store. With an encoder the store may be missing: the first `index` creates it, and calls use that encoder.

        encoder: an ONNX file, the folder of a training run, or the name of an encoder that the store has.

        provider: what runs encoders: cpu, cuda, coreml or openvino. A store of an older schema is migrated.
        Raises StoreNotFound, StoreError (the folder is something else, or a newer store), StoreUntrusted (a link or the like is in it), StoreCorrupt, EncoderError.
        """
        if not is_utf8(str(path)):
            raise StoreError(f"store {str(path)!r}: its path is not valid UTF-8; rename the folder")
        layout = Layout(Path(path))
        require_trusted(layout)
        if not layout.is_store():
            if any(layout.vectors.glob("*.f16")):
                raise StoreCorrupt(
                    f"{layout.catalog} is missing, but the store has vectors; put it back from a backup, or see: featurestore verify {as_argument(path)}"
                )
            if encoder is None:
                raise StoreNotFound(
                    f"no store at {str(path)!r}; create one: featurestore index {as_argument(path)} SOURCE --encoder encoder.onnx"
                )
            if not layout.may_become_store():
                raise StoreError(
                    f"{str(path)!r} exists and is not a store; expected a store or a path where nothing is yet; the store comes before the sources"
                )
        file = None if encoder is None else encoder_file(encoder)
        if file is None and encoder is not None and (not layout.is_store() or Path(encoder).suffix == ".onnx"):
            file = Path(encoder)  # whose error says what is missing
        store = cls(Path(path), Encoder(file, provider=provider) if file is not None else None, provider)
        if layout.is_store() and store.catalog.schema_version() < SCHEMA_VERSION:
            store._migrate()
        if encoder is not None and file is None:
            store.given_encoder = store.encoders.open(store.encoder_record(encoder))
        return store

    def create(self) -> None:
        """Create the store, when it does not exist. Raises DiskError, EncoderError when its encoder gives other vectors each time."""
        if not self.layout.is_store() and self.given_encoder is not None:
            self.given_encoder.check_repeats()
        try:
            for folder in (self.path, self.layout.vectors, self.layout.encoders):
                folder.mkdir(parents=True, exist_ok=True)
            sync_folder(self.path.parent)
        except OSError as error:
            raise DiskError(
                f"store {str(self.path)!r} cannot be created: {error.strerror}; choose another place"
            ) from error
        with self.writing():
            self.catalog.create()

    def _migrate(self) -> None:
        """Bring the catalog to the present schema, with checksums of the vectors as they are."""
        with self.writing(), self.holding_catalog():
            if self.catalog.schema_version() < SCHEMA_VERSION:  # otherwise another process was faster
                self.catalog.rewrite(lambda record: self.vector_file(record).checksums(record.rows))

    def writing(self) -> AbstractContextManager[None]:
        """Be the store's only writer for the length of the block. Raises StoreBusy, StoreUntrusted, DiskError."""
        return self._holding(writer_lock(self.path))

    def holding_catalog(self) -> AbstractContextManager[None]:
        """Hold the catalog's file for the length of the block: to set a person's labels, beside the writer, or to put another file there.

        So labels of persons need not wait until a writer is done, and never land in a file that is being replaced. Raises as `writing`.
        """
        return self._holding(catalog_lock(self.path))

    @contextmanager
    def _holding(self, lock: AbstractContextManager[None]) -> Iterator[None]:
        with lock:
            require_trusted(self.layout)
            require_no_hard_links(self.layout)
            yield

    def add_encoder(self, encoder: Encoder) -> EncoderRecord:
        """Copy an encoder's file into the store and add it to the catalog, unless it is there; returns its record.

        Raises DiskError, StoreError, StoreCorrupt, EncoderError when a new one gives other vectors each time.
        """
        known = {record.fingerprint: record for record in self.catalog.encoders.all()}
        if encoder.fingerprint not in known:
            encoder.check_repeats()
        else:
            check_dim(encoder, known[encoder.fingerprint])
        self.encoders.add(encoder)
        return known.get(encoder.fingerprint) or self.catalog.encoders.add(
            encoder.fingerprint, encoder.name, encoder.dim, encoder.card.to_json()
        )

    def encoder_record(self, wanted: str | Path | None, snapshot: Snapshot | None = None) -> EncoderRecord:
        """Find the encoder that a call means: by file or run, by name, or by the start of name or fingerprint. Without one: the encoder
        given at opening, else the default of the store.

        Raises EncoderNotInStore.
        """
        records = (snapshot or self.snapshots.now()).encoders
        if wanted is None and self.given_encoder is not None:
            wanted = self.given_encoder.fingerprint
        if wanted is None:
            matching = records[:1]
        elif (file := encoder_file(wanted)) is not None:
            own = fingerprint(file)
            matching = [r for r in records if r.fingerprint == own]
        else:
            text = str(wanted)
            matching = [r for r in records if r.name == text] or [
                r for r in records if r.name.startswith(text) or r.fingerprint.startswith(text)
            ]
        if wanted is not None and not matching and Path(wanted).is_dir():
            fingerprint(Path(wanted))  # whose error says what the folder lacks
        if len(matching) != 1:
            raise no_such_encoder(None if wanted is None else str(wanted), records)
        return matching[0]

    def view(self, encoder: str | Path | None = None, where: str | None = None) -> ItemVectors:
        """Give the items that an encoder has vectors of, and these vectors, mapped, as they are now: all, or those for which an SQL
        expression is true.

        Raises EncoderNotInStore; QueryError when no item matches `where`.
        """
        snapshot = self.snapshots.now()
        view = snapshot.item_vectors(self.encoder_record(encoder, snapshot).fingerprint)
        if where is None:
            return view
        chosen = np.isin(view.items.ids, self.catalog.items.select(where))
        if not chosen.any():
            raise QueryError(describe_no_match(self.catalog, where, view.items.encoder))
        return replace(view, items=view.items.only(chosen))

    def labelled_items(self, encoder: str | Path | None = None, where: str | None = None) -> LabelledItems:
        """Give the labelled items of an encoder, in splits for evaluation: all, or those for which an SQL expression is true.

        Raises EncoderNotInStore, EvaluationError; QueryError when no item matches `where`.
        """
        return self.labelled_among(self.view(encoder, where), where)

    def labelled_among(self, view: ItemVectors, where: str | None = None) -> LabelledItems:
        """Give the labelled items among those of a view, which were chosen by `where`, as `labelled_items`."""
        return LabelledItems.of(view, self.snapshots.now().twins(), where)

    def vector_file(self, record: EncoderRecord) -> VectorFile:
        """Give the vector file of an encoder."""
        return VectorFile(self.layout.vector_file(record), record.dim)

    def vector_writer(self, record: EncoderRecord) -> VectorWriter:
        """Give what appends vectors of an encoder; within `writing`."""
        return VectorWriter(self.catalog, self.layout, record)
