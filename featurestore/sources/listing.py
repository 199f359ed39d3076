"""What the sources of one run hold together: counts to tell, and the check that labels were found where they were asked for."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from featurestore.errors import SourceError
from featurestore.sources.base import Failure, ImageFile, Source
from featurestore.sources.label_tally import LabelTally
from featurestore.sources.passed_over import EXCLUDED, PassedOver
from featurestore.sources.reasons import Reasons, describe
from featurestore.system.text import counted, printable


@dataclass
class Listing:
    """Counts of the images that sources list, each path once, and of what they pass over."""

    kinds: dict[tuple[str | None, tuple[str, ...], str | None], int] = field(
        default_factory=dict
    )  # images by label, labels, split
    unlisted: Reasons = field(default_factory=Reasons)  # places that could not be listed
    passed_over: PassedOver = field(default_factory=PassedOver)
    labels: LabelTally = field(default_factory=LabelTally)

    def start(self, source: Source) -> None:
        """Count the entries of another source from now on."""
        self.labels.start(source)

    def count(self, entry: ImageFile | Failure) -> None:
        """Count one entry; this is called for every file."""
        if isinstance(entry, Failure):
            self.unlisted.add(entry)
        else:
            kind = entry.label, entry.labels, entry.split
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
            self.labels.add(entry)

    @property
    def images(self) -> int:
        return sum(self.kinds.values())

    @property
    def labelled(self) -> int:
        return sum(count for (label, labels, _), count in self.kinds.items() if label or labels)

    @property
    def classes(self) -> set[str]:
        return {name for label, labels, _ in self.kinds for name in (label, *labels) if name}

    @property
    def splits(self) -> Counter[str]:
        """Images by split, without those that have none."""
        found = Counter[str]()
        for (_, _, split), count in self.kinds.items():
            if split:
                found[split] += count
        return found

    def describe(self) -> str:
        """Say how many images, splits and labels there are, for example: 390 images: train 273, test 117; 13 classes; 390 labels found."""
        without = self.images - sum(self.splits.values())
        splits = [f"{printable(split)} {count}" for split, count in self.splits.most_common()]
        splits += [f"without a split {without}"] * bool(splits and without)
        only = f" ({printable(*self.classes)})" if len(self.classes) == 1 else ""
        classes = counted(len(self.classes), "class", "classes") + only
        images, labels = counted(self.images, "image"), counted(self.labelled, "label")
        return f"{images}{': ' * bool(splits)}{', '.join(splits)}; {classes}; {labels} found"

    def notes(self, with_labels: bool, exclude: Sequence[str]) -> list[str]:
        """Say what was found and what was passed over; with labels also what gives them."""
        found = [self.describe(), *self.labels.notes()] if with_labels else []
        return [*found, *filter(None, (self.passed_over.describe(), self.check_excludes(exclude)))]

    def check_images(self, sources: Sequence[object]) -> None:
        """Raise SourceError with all reasons when no image was listed."""
        if self.images:
            return
        passed_over = self.passed_over.describe()
        reasons = f"; {describe(self.unlisted.counts())}" if self.unlisted else ""
        raise SourceError(
            f"no image found in {', '.join(map(str, sources))}; expected files such as .jpg, .png, .webp or .tif"
            + reasons
            + f"; {passed_over}" * bool(passed_over)
        )

    def check_labels(self, sources: Sequence[object]) -> None:
        """Raise SourceError when labels were asked for and no image has one, or when several columns could be them."""
        self.labels.check()
        if not self.labelled:
            raise SourceError(
                f"--labels folders: expected images in folders of their classes, such as SOURCE/<class>/<file> or SOURCE/train/<class>/<file>, "
                f"or a table with a column label; found no label for {counted(self.images, 'image')} of {', '.join(map(str, sources))}; "
                "name the folder above the classes, or all class folders, or leave --labels out"
            )

    def check_excludes(self, exclude: Sequence[str]) -> str:
        """Say that patterns which were given excluded nothing; empty when they did."""
        if any(exclude) and not self.passed_over.counts[EXCLUDED]:
            return f"nothing matched --exclude {' '.join(exclude)}"
        return ""


def is_within(source: Source, others: Iterable[Source]) -> bool:
    """Return whether a folder or file is one of the folders of other sources, or lies in one."""
    place = source.path.rstrip("/") + "/"
    folders = (other.prefix for other in others if other.prefix is not None and not other.within_containers)
    return not source.within_containers and any(place.startswith(folder) for folder in folders)


def may_overlap(sources: Sequence[Source]) -> bool:
    """Return whether two sources may list the same file: one lies within the other, or lists files that may lie anywhere."""
    if len(sources) > 1 and any(source.lists_files for source in sources):
        return True
    paths = sorted(source.path.rstrip("/") + "/" for source in sources)
    return any(second.startswith(first) for first, second in pairwise(paths))
