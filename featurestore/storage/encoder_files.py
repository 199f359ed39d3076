"""The encoder files that a store keeps: the exact bytes that made its vectors."""

import shutil
from pathlib import Path

from featurestore.catalog import EncoderRecord
from featurestore.encoders.encoder import Encoder, fingerprint
from featurestore.errors import StoreCorrupt, StoreError
from featurestore.system.disk import written_whole


class KeptEncoders:
    """The folder `encoders` of a store, and those of its files that are open."""

    def __init__(self, folder: Path, provider: str, given: Encoder | None) -> None:
        self.folder = folder
        self._provider = provider
        self._opened = {given.fingerprint: given} if given is not None else {}

    def path(self, fingerprint: str) -> Path:
        return self.folder / f"{fingerprint[:16]}.onnx"

    def open(self, record: EncoderRecord, elsewhere: Path | None = None) -> Encoder:
        """Open the encoder of a record, from the store or from a file elsewhere. Raises StoreCorrupt when it is not that one."""
        if record.fingerprint not in self._opened:
            path = elsewhere or self.path(record.fingerprint)
            if not path.exists():
                raise StoreCorrupt(
                    f"{path} is missing; put the encoder {record.name} back there, or give it by --encoder"
                )
            encoder = Encoder(path, provider=self._provider)
            if encoder.fingerprint != record.fingerprint:
                raise StoreCorrupt(
                    f"{path}: expected the fingerprint {record.fingerprint[:16]}…, found {encoder.fingerprint[:16]}…; the file was changed: put the right one back"
                )
            self._opened[record.fingerprint] = encoder
        return self._opened[record.fingerprint]

    def keep(self, encoder: Encoder) -> None:
        """Copy an encoder's file into the store, when it is not there whole. Raises DiskError, StoreError."""
        path = self.path(encoder.fingerprint)
        if path.exists() and fingerprint(path) == encoder.fingerprint:
            return
        with written_whole(path, "free some space and run the same command again") as part:
            shutil.copyfile(encoder.path, part)
            if fingerprint(part) != encoder.fingerprint:
                raise StoreError(f"{encoder.path} changed while it was being read; run the command again")
