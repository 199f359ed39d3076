"""A store on disk: the one place that joins catalog, vectors, indexes and encoder files."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

from featurestore.catalog import PART, Catalog, EncoderRecord, no_such_encoder
from featurestore.catalog.schema import SCHEMA_VERSION
from featurestore.encoders.encoder import Encoder, fingerprint
from featurestore.errors import DiskError, StoreCorrupt, StoreError, StoreNotFound
from featurestore.storage.encoder_files import KeptEncoders
from featurestore.storage.labelled_items import Labelled
from featurestore.storage.snapshot import Moment, View, Views
from featurestore.storage.vectors import VectorFile
from featurestore.system.disk import sync_folder
from featurestore.system.lock import only_writer

STORE_PARTS = {
    "lock",
    "vectors",
    "encoders",
    "indexes",
    "damaged",
    PART,
    f"{PART}.wal",
}  # may lie in a store whose creation was cut off


class Storage:
    """The directory of a store, opened: what the rooms above work on."""

    def __init__(self, path: Path, encoder: Encoder | None, provider: str) -> None:
        self.path = path
        self.given_encoder = encoder
        self.catalog = Catalog(path / "catalog.duckdb")
        self.views = Views(self.catalog, path)
        self.encoders = KeptEncoders(path / "encoders", provider, encoder)

    @classmethod
    def open(cls, path: str | Path, encoder: str | Path | None = None, provider: str = "cpu") -> Self:
        """Open a store; with an encoder it may be absent, is created by the first `index`, and its calls use that encoder.

        provider: what encoders run on: cpu, cuda, coreml or openvino. A store of an older schema is brought up to date.
        Raises StoreNotFound, StoreError (a folder that is something else, or a newer store), StoreCorrupt, EncoderError.
        """
        path = Path(path)
        if not (path / "catalog.duckdb").exists():
            if any((path / "vectors").glob("*.f16")):
                raise StoreCorrupt(
                    f"{path / 'catalog.duckdb'} is missing, though the store holds vectors; put it back from a backup, or see: featurestore verify {path}"
                )
            if encoder is None:
                raise StoreNotFound(
                    f"no store at {str(path)!r}; create one: featurestore index {path} SOURCE --encoder encoder.onnx"
                )
            if path.exists() and (not path.is_dir() or any(p.name not in STORE_PARTS for p in path.iterdir())):
                raise StoreError(
                    f"{str(path)!r} exists and is no store; expected a store or a path where nothing is yet; the store comes before the sources"
                )
        store = cls(path, Encoder(encoder, provider=provider) if encoder is not None else None, provider)
        if store.exists() and store.catalog.check() < SCHEMA_VERSION:
            store.migrate()
        return store

    def exists(self) -> bool:
        """Whether the store has been created."""
        return (self.path / "catalog.duckdb").exists()

    def create(self) -> None:
        """Create the store, when it is not there. Raises DiskError."""
        try:
            for part in (self.path, self.path / "vectors", self.path / "encoders"):
                part.mkdir(parents=True, exist_ok=True)
            sync_folder(self.path.parent)
        except OSError as error:
            raise DiskError(
                f"store {str(self.path)!r} cannot be created: {error.strerror}; choose another place"
            ) from error
        with self.writing():
            self.catalog.create()

    def migrate(self) -> None:
        """Bring the catalog to the present schema, with checksums of the vectors as they are."""
        with self.writing():
            if self.catalog.check() < SCHEMA_VERSION:  # no other process was quicker
                self.catalog.rewrite(lambda record: self.vector_file(record).seal(record.rows))

    def writing(self) -> AbstractContextManager[None]:
        """Be the store's only writer for the length of the block. Raises StoreBusy, DiskError."""
        return only_writer(self.path)

    def encoder_record(self, wanted: str | Path | None, moment: Moment) -> EncoderRecord:
        """Find the one encoder a call means: named by name, fingerprint or file, given at opening, or the only one."""
        held = moment.encoders
        if wanted is None and self.given_encoder is not None:
            wanted = self.given_encoder.fingerprint
        if wanted is None:
            matching = held
        elif Path(wanted).is_file():
            own = fingerprint(wanted)
            matching = [r for r in held if r.fingerprint == own]
        else:
            text = str(wanted)
            matching = [r for r in held if r.name == text or (len(text) >= 6 and r.fingerprint.startswith(text))]
        if len(matching) != 1:
            raise no_such_encoder(None if wanted is None else str(wanted), held)
        return matching[0]

    def view(self, encoder: str | Path | None = None) -> View:
        """Give the items that an encoder has vectors of and these vectors, mapped, as they are now; raises EncoderNotInStore."""
        moment = self.views.now()
        return moment.view(self.encoder_record(encoder, moment).fingerprint)

    def labelled_items(self, encoder: str | Path | None = None) -> Labelled:
        """Give the labelled items of an encoder, split as figures are taken. Raises EncoderNotInStore, EvaluationError."""
        return Labelled.of(self.view(encoder))

    def vector_file(self, record: EncoderRecord) -> VectorFile:
        """The vector file of an encoder."""
        return VectorFile(self.path / "vectors" / record.file, record.dim)

    def keep_encoder(self, encoder: Encoder) -> None:
        """Copy an encoder's file into the store and make it known to the catalog."""
        self.encoders.keep(encoder)
        if encoder.fingerprint not in {r.fingerprint for r in self.catalog.encoders()}:
            self.catalog.add_encoder(encoder.fingerprint, encoder.name, encoder.dim, encoder.card.to_json())
