"""The contract of a source: it yields an `ImageFile` per image, and a `Failure` for what cannot be used."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from featurestore.errors import ImageUnread
from featurestore.sources.ignore import Excludes
from featurestore.sources.passed_over import PassedOver
from featurestore.system.read_errors import image_error
from featurestore.system.text import CONTROL, is_utf8, printable

# What others call the splits, in any case, and our name for it.
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "eval"), "test"),
}
MISSING = frozenset(["nan", "NaN", "NaT", "<NA>", "None", "NULL", "#N/A"])  # how programs write that there is no value


Labels = tuple[str | None, tuple[str, ...]]  # `label` and `labels` of an image; see `ImageFile`
UNLABELLED: Labels = (None, ())


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One image of a source."""

    path: str  # absolute, or a URL; with "::" and the member for an image in a container. `read` takes it
    label: str | None
    split: str | None
    size: int  # bytes
    mtime_ns: int  # of the file, or of the container that holds it
    labels: tuple[str, ...] = ()  # of an image with several, sorted and distinct; then `label` is None


@dataclass(frozen=True, slots=True)
class Failure:
    """An image or folder that could not be used, and why. A value, not an exception: one bad file never stops a run."""

    path: str
    reason: str
    unread: bool = False  # the disk or network failed, which says nothing about the image: what is known of it stays

    @classmethod
    def of(cls, path: str, error: BaseException) -> "Failure":
        """Make the failure of what reading or decoding raised. Raises TooManyOpenFiles."""
        found = image_error(error)
        return cls(path, str(found), isinstance(found, ImageUnread))


class Source(ABC):
    """A place where images come from; each iteration lists it again."""

    path: str
    prefix: str | None = None  # start of all its paths: an item whose path starts so but is not listed has vanished
    within_containers: bool = False  # its images are inside containers; a folder that holds these does not list them
    lists_files: bool = False  # its images may lie anywhere
    place: str = (
        ""  # the folder that it is or lies in, as the user named it; of a list, the folder that holds all its files
    )
    place_folders: Sequence[str] = ()  # names at the end of `place` that tell labels and splits
    file_split: str | None = None  # split that its file is named after
    excludes: Excludes = Excludes()
    labelled_by: str = ""  # what other than folders gives its labels, such as "column label"; known after an iteration
    label_hint: str = ""  # why it may have no labels, and what to do
    labels_unclear: bool = False  # several columns may be its labels, and the user chose none

    def __init__(self) -> None:
        self.passed_over = PassedOver()  # by the last iteration

    @abstractmethod
    def __iter__(self) -> Iterator[ImageFile | Failure]: ...

    @property
    def own_split(self) -> str | None:
        """The split of its images that say no other."""
        return self.file_split or folder_labels(self.place_folders)[1]


def folder_labels(folders: Sequence[str]) -> tuple[str | None, str | None]:
    """Return label and split from the folders above an image, given from the source downwards."""
    split = SPLIT_NAMES.get(folders[0].lower()) if folders else None
    return (folders[-1] if len(folders) > (split is not None) else None), split


def as_label(value: object) -> str | None:
    """Return a label as text, or None when it is empty."""
    text = "" if value is None else CONTROL.sub("", str(value)).strip()
    return text or None


def as_labels(values: Iterable[object]) -> Labels:
    """Return the labels of one image as `label` and `labels` of an `ImageFile`; empty ones are left out."""
    found = sorted({label for value in values if (label := as_label(value)) is not None})
    return (found[0] if len(found) == 1 else None), (tuple(found) if len(found) > 1 else ())


def as_split(value: object) -> str | None:
    """Return a split by our name for it, or as it is when it has none, or None when it is empty."""
    text = as_label(value)
    return SPLIT_NAMES.get(text.lower(), text) if text else None


def unfit_name(path: str) -> Failure | None:
    """Return the failure of a path that cannot be stored or printed, or None."""
    found = CONTROL.search(path)
    if found is None:
        return None
    problem = "contains control characters" if is_utf8(path) else "is not valid UTF-8"
    return Failure(printable(path), f"the file name {problem}; rename the file")
