"""The encoder files of a store: the exact bytes that made its vectors."""

import hashlib
from pathlib import Path

from featurestore.catalog import EncoderRecord
from featurestore.encoders.encoder import Encoder, fingerprint
from featurestore.encoders.session import read_encoder_file
from featurestore.errors import StoreCorrupt, StoreError
from featurestore.storage.layout import Layout
from featurestore.system.disk import atomic_write
from featurestore.system.no_follow import require_kind


def encoder_file(wanted: str | Path) -> Path | None:
    """Give the file that a user means: itself, or the encoder of a training run; None when it is neither."""
    path = Path(wanted)
    path = path / "encoder.onnx" if path.is_dir() else path
    return path if path.is_file() else None


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
