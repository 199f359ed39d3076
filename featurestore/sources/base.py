"""What a source yields: an image that was found, or a place that could not be looked into."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from featurestore.system.text import UNPRINTABLE, printable

SPLITS = ("train", "val", "test")
SPLIT_NAMES = {"validation": "val", "valid": "val"}  # what others call ours


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One image of a source: where it lies and what its place says of it."""

    path: str  # absolute, a URL, or either with "::" and the place within a container; `read` takes it
    label: str | None
    split: str | None
    size: int  # bytes
    mtime_ns: int  # of the file, or of the container that holds it


@dataclass(frozen=True, slots=True)
class Failure:
    """An image that could not be used, and why. A value, not an exception: one bad file never stops a run."""

    path: str
    reason: str


class Source(ABC):
    """A place where images come from; iterating lists it anew."""

    prefix: str | None = None  # begins every path of the source: what does and is not found again has vanished
    within_containers: bool = False  # its paths are places within containers, which a folder around those does not list
    hint: str = ""  # after an iteration: what to name instead, when the source holds images in another form

    @abstractmethod
    def __iter__(self) -> Iterator[ImageFile | Failure]: ...


def folder_labels(folders: list[str]) -> tuple[str | None, str | None]:
    """Label and split that the folders above an image say, from the source downwards."""
    split = folders[0] if folders and folders[0] in SPLITS else None
    return (folders[-1] if len(folders) > (split is not None) else None), split


def as_label(value: object) -> str | None:
    """A label as text, or None when there is nothing to write down."""
    text = "" if value is None else UNPRINTABLE.sub("", str(value)).strip()
    return text or None


def as_split(value: object) -> str | None:
    text = as_label(value)
    return SPLIT_NAMES.get(text, text) if text else None


def unfit_name(path: str) -> Failure | None:
    """The failure of a path that a catalog, a list or a terminal cannot hold."""
    found = UNPRINTABLE.search(path)
    if found is None:
        return None
    try:
        path.encode("utf-8")
        reason = "file name holds control characters; rename the file"
    except UnicodeEncodeError:
        reason = "file name is not valid UTF-8; rename the file"
    return Failure(printable(path), reason)
