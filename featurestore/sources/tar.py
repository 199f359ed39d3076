"""A tar of images, such as a webdataset shard: key.jpg beside key.cls or key.json. Nothing is extracted."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, cast

from featurestore.errors import ImageError
from featurestore.sources import filesystem
from featurestore.sources.base import Failure, ImageFile, Labels, as_labels, folder_labels, unfit_name
from featurestore.sources.column_names import ColumnNames
from featurestore.sources.formats import HEAD, is_image_name, starts_as_image, suffix
from featurestore.sources.local_files import FileState
from featurestore.sources.passed_over import PassedOver, unwanted
from featurestore.system.text import first_line

if TYPE_CHECKING:
    import tarfile

BLOCK = 512  # bytes; headers and data begin at multiples of it
JSON_LABELS = ("label", "labels", "cls", "class")  # fields of a .json: the first that it has
LARGEST = {".cls": 4_000, ".json": 1 << 20}  # bytes of a description of an image; larger ones are ignored
LARGEST_HEADER = 1 << 20  # bytes of a long name or of pax records; tarfile reads them whole
PACKERS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zX": "xz", b"\x28\xb5\x2f\xfd": "zstd"}  # by first bytes


class _Headers:
    """A file of which tarfile reads headers: one that claims to be vast is damaged. The data of members is read by others."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if size > LARGEST_HEADER:
            raise ValueError(f"a header of {size:,} bytes")
        return self._file.read(size)


class Tar:
    """The images of an uncompressed tar, found in one pass over its headers. Raises ImageError when it is not a tar."""

    def __init__(self, path: str, state: FileState) -> None:
        self.path, self.state = path, state
        self._places: dict[str, tuple[int, int]] = {}  # of the images: first byte and number of bytes
        self._from_cls: dict[str, Labels] = {}  # by key
        self._from_json: dict[str, Labels] = {}
        self._failures: list[Failure] = []
        self.passed_over = PassedOver()
        with filesystem.as_image_errors(), filesystem.open_file(path) as file:
            self._scan(file)

    @property
    def weight(self) -> int:
        return 1 + len(self._places)

    def entries(self, named: ColumnNames) -> Iterator[ImageFile | Failure]:
        """Yield the images; a tar has no columns to name."""
        for name, (_, size) in self._places.items():
            path = f"{self.path}::{name}"
            folders = [part for part in name.split("/")[:-1] if part not in ("", ".", "..")]
            label, split = folder_labels(folders)
            label, labels = self._labels(name) or (label, ())
            yield unfit_name(path) or ImageFile(path, label, split, size, self.state.mtime_ns, labels)
        yield from self._failures

    def labelled_by(self, named: ColumnNames) -> str:
        """Return in words what gives labels; nothing when only folders may."""
        kinds = {".cls files": self._from_cls, ".json files": self._from_json}
        return " and ".join(kind for kind, labels in kinds.items() if any(map(any, labels.values())))

    def read(self, member: str) -> bytes:
        """Return the bytes of a member. Raises ImageError when there is none of that name."""
        if member not in self._places:
            raise ImageError("no such image in the tar, or it has vanished")
        start, size = self._places[member]
        filesystem.check_size(size)
        data = filesystem.read_span(self.path, start, size)
        if len(data) < size:
            raise ImageError(f"cut off or damaged: the tar ends after {len(data)} of {size} bytes of the image")
        return data

    def _scan(self, file: BinaryIO) -> None:
        import tarfile  # slow to import, and most commands do without

        is_tar = False
        try:
            with tarfile.open(
                fileobj=cast(BinaryIO, _Headers(file)), mode="r:", encoding="utf-8", errors="surrogateescape"
            ) as tar:
                for member in tar:
                    is_tar = True
                    self._take(member, file)
                    tar.members = []  # type: ignore[attr-defined]  # it would collect them all
                self._check_end(file, tar.offset)
        except (
            tarfile.TarError,
            ValueError,
            OverflowError,
            RecursionError,
        ) as error:  # tarfile does not expect all damage
            if not is_tar:
                raise ImageError(
                    _compression(_read_at(file, 0, 4))
                    or f"not a tar, or damaged from its start on: {first_line(error)}"
                ) from error
            self._fail_rest(first_line(error))

    def _take(self, member: "tarfile.TarInfo", file: BinaryIO) -> None:
        name, size, start = member.name, member.size, member.offset_data
        base = name.rpartition("/")[2]
        if size < 0:  # the next header would be an earlier one, in an endless loop
            import tarfile

            raise tarfile.ReadError(f"a member of {size} bytes")
        if not member.isreg():
            return
        if (kind := next(filter(None, map(unwanted, name.split("/"))), None)) is not None:
            self.passed_over.add(kind)
            return
        if start + size > self.state.size:
            return  # cut off: `_check_end` will report it
        if size <= LARGEST.get(suffix(base), -1):
            self._take_label(name, _read_at(file, start, size))
        elif is_image_name(base) or ("." not in base and starts_as_image(_read_at(file, start, min(size, HEAD)))):
            self._places.pop(name, None)
            if member.issparse():
                self._failures.append(Failure(f"{self.path}::{name}", "a sparse member; pack the tar without --sparse"))
            else:
                self._places[name] = start, size
        else:
            self.passed_over.add_file(base, None)

    def _take_label(self, name: str, data: bytes) -> None:
        key, _, kind = name.rpartition(".")
        if kind.lower() == "cls":
            self._from_cls[key] = as_labels([data.decode("utf-8", "replace")])
            return
        try:
            record = json.loads(data)
        except (ValueError, RecursionError):
            return  # a damaged description does not make the image unusable
        if isinstance(record, dict):
            value = next((record[field] for field in JSON_LABELS if field in record), None)
            values = value if isinstance(value, list) else [value]
            self._from_json[key] = as_labels(value for value in values if isinstance(value, (str, int)))

    def _labels(self, name: str) -> Labels | None:
        """Return the labels that a .cls or .json gives an image; its key ends at the last dot or, as in webdataset, at the first."""
        folder, slash, base = name.rpartition("/")
        keys = (name.rpartition(".")[0], folder + slash + base.partition(".")[0])
        found = (known[key] for known in (self._from_cls, self._from_json) for key in keys if key in known)
        return next((labels for labels in found if any(labels)), None)

    def _check_end(self, file: BinaryIO, end: int) -> None:
        """Record a failure unless the tar ends in a block of zeros, as it should."""
        block = _read_at(file, end, BLOCK)
        if len(block) < BLOCK:
            self._fail_rest("it has no end mark")
        elif any(block):
            self._fail_rest(f"no tar header at byte {end}")

    def _fail_rest(self, why: str) -> None:
        self._failures.append(Failure(self.path, f"cut off or damaged: {why}; what comes before was used"))


def _compression(head: bytes) -> str | None:
    """Return what to say about a compressed tar, None when the file begins otherwise."""
    found = (packer for mark, packer in PACKERS.items() if head.startswith(mark))
    return next(
        (f"expected an uncompressed tar, found one compressed by {packer}; uncompress it first" for packer in found),
        None,
    )


def _read_at(file: BinaryIO, start: int, size: int) -> bytes:
    file.seek(start)
    return file.read(size)
