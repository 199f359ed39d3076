"""What runs of ingest report."""

from dataclasses import asdict, dataclass, field
from typing import Any

from featurestore.imaging.readings import Readings
from featurestore.sources.reasons import ReasonCount


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What a run did; counts are images."""

    added: int
    updated: int  # known by path, with new content
    unchanged: int
    removed: int  # no longer in the source
    failed: int
    deleted: int  # files that were passed over, since their items were deleted; see `delete`
    moved: int  # known by content, under a new path; they keep their id, labels, columns and vectors
    images_per_second: float  # encoded, over the whole run
    exchanged: int = 0  # of the updated, those with a content that another of them had: labels stayed with the paths
    labels_set: int = 0  # of items without a label
    labels_changed: int = 0
    labels_kept: int = 0  # that differ, but must not be replaced; see `label_source`
    readings: Readings = field(default_factory=Readings)  # how the encoded images were read
    labels_found: int = 0  # images with a label, in the sources
    classes: int = 0  # different labels there
    splits: dict[str, int] = field(default_factory=dict)  # images there
    passed_over: dict[str, int] = field(default_factory=dict)  # files and folders that are not images, by kind
    reasons: tuple[ReasonCount, ...] = ()  # why files failed, the most frequent first
    encoder: str = ""  # its name
    others: tuple["IndexReport", ...] = ()  # of the other encoders, when all of a store were run
    not_run: tuple[
        str, ...
    ] = ()  # for each encoder of the store that could not be opened: what is wrong and what to do

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The result of `import-vectors`; counts are items."""

    added: int
    unchanged: int  # the store had a vector of that path already
    conflicting: int  # the store knows another content under that path
    deleted: int  # left out, because path or content was deleted from the store
    failed: int  # left out, because the file is missing or no image; only files of another program's table are read
    normalized: int  # of all vectors of the table, those that were scaled to length 1
