"""Before a store is made: whether any of its images can be read."""

from collections.abc import Iterator
from contextlib import closing
from itertools import islice

from featurestore.errors import SourceError
from featurestore.imaging import load_all
from featurestore.imaging.preprocess import Preprocess
from featurestore.ingest.find_files import Found
from featurestore.sources import Failure, ImageFile
from featurestore.sources.reasons import ReasonCount, Reasons, describe
from featurestore.system.text import counted


def check_readable(found: Found, record: Preprocess, workers: int | None, seconds: float) -> None:
    """Raise SourceError with the reasons when not a single file can be decoded. As a rule, only the first one is."""
    reasons, files = Reasons(), ((file, None) for file in _files(found))
    for failure in found.unlisted:
        reasons.add(failure)
    for part in (islice(files, 1), files):
        with closing(load_all(part, record, workers, seconds)) as loaded:
            for result in loaded:
                if not isinstance(result, Failure):
                    return
                reasons.add(result)
    raise SourceError(f"{nothing_usable(len(reasons), reasons.counts())}; nothing was created")


def _files(found: Found) -> Iterator[ImageFile]:
    for batch in found.files.reader():
        columns = (batch[name].to_pylist() for name in ("path", "size", "mtime_ns"))
        for path, size, mtime_ns in zip(*columns, strict=True):
            yield ImageFile(path, None, None, size, mtime_ns)


def nothing_usable(count: int, reasons: tuple[ReasonCount, ...]) -> str:
    """Say why none of so many files could be used."""
    return f"none of {counted(count, 'file')} could be used; {describe(reasons)}"
