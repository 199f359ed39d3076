"""The encoder files of a store: the exact bytes that made its vectors."""

import hashlib
from pathlib import Path

from featurestore.catalog import EncoderRecord
from featurestore.encoders.encoder import Encoder, fingerprint
from featurestore.encoders.session import read_encoder_file
from featurestore.errors import EncoderError, StoreCorrupt, StoreError
from featurestore.storage.layout import Layout
from featurestore.system.disk import atomic_write
from featurestore.system.no_follow import require_kind
from featurestore.system.user_file import require_own


def encoder_file(wanted: str | Path) -> Path | None:
    """Give the file that a user means: itself, or the encoder of a training run; None when it is neither. Raises EncoderError for one that is not the run's own."""
    path = Path(wanted)
    if path.is_dir():
        path = path / "encoder.onnx"
        try:
            require_own(path)
        except OSError as error:
            raise EncoderError(f"{path}: expected the encoder of a run, found {error.strerror}") from error
    return path if path.is_file() else None


def check_dim(encoder: Encoder, record: EncoderRecord) -> None:
    """Raise StoreCorrupt when the catalog says that an encoder gives vectors of another length."""
    if encoder.dim != record.dim:
        raise StoreCorrupt(
            f"the catalog counts {record.dim} numbers in a vector of {record.name}, the encoder gives {encoder.dim}: the catalog was changed "
            "by hand; restore it from a backup"
        )


class EncoderFiles:
    """The folder `encoders` of a store; each encoder is opened once."""

    def __init__(self, layout: Layout, provider: str, given: Encoder | None) -> None:
        self._layout, self._provider = layout, provider
        self._opened = {given.fingerprint: given} if given is not None else {}

    def open(self, record: EncoderRecord, elsewhere: Path | None = None) -> Encoder:
        """Open an encoder, from the store or from a file elsewhere. Raises StoreCorrupt when the file is missing or another one."""
        if record.fingerprint not in self._opened:
            path = elsewhere or self._layout.encoder_file(record.fingerprint)
            if elsewhere is None:
                require_kind(path)
            if not path.exists():
                raise StoreCorrupt(
                    f"{path} is missing; put the encoder {record.name} back there, or give it with --encoder"
                )
            encoder = Encoder(path, provider=self._provider)
            if encoder.fingerprint != record.fingerprint:
                raise StoreCorrupt(
                    f"{path}: expected the fingerprint {record.fingerprint[:16]}…, found {encoder.fingerprint[:16]}…; the file was changed: put the right one back"
                )
            self._opened[record.fingerprint] = encoder
        check_dim(self._opened[record.fingerprint], record)
        return self._opened[record.fingerprint]

    def add(self, encoder: Encoder) -> None:
        """Copy an encoder's file into the store, unless it is there already. Raises DiskError, StoreError, StoreUntrusted."""
        path = self._layout.encoder_file(encoder.fingerprint)
        require_kind(path)
        if path.exists() and fingerprint(path) == encoder.fingerprint:
            return
        with atomic_write(path, "free some space and run the same command again", in_store=True) as file:
            data = read_encoder_file(encoder.path)
            if hashlib.sha256(data).hexdigest() != encoder.fingerprint:
                raise StoreError(f"{encoder.path} changed while it was being read; run the command again")
            file.write(data)
