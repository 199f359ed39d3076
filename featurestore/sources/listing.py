"""What the sources of one run hold together: counts to tell, and the check that labels were found where they were asked for."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from featurestore.errors import SourceError
from featurestore.sources.base import Failure, ImageFile, Source
from featurestore.sources.passed_over import EXCLUDED, PassedOver
from featurestore.sources.reasons import Reasons, describe
from featurestore.system.text import printable


@dataclass
class Listing:
    """Counts of the images that sources list, each path once, and of what they pass over."""

    images: int = 0
    labelled: int = 0
    classes: set[str] = field(default_factory=set)
    splits: Counter[str] = field(default_factory=Counter)  # without the images that have none
    unlisted: Reasons = field(default_factory=Reasons)  # places that could not be listed
    passed_over: PassedOver = field(default_factory=PassedOver)

    def count(self, entry: ImageFile | Failure) -> None:
        if isinstance(entry, Failure):
            self.unlisted.add(entry)
            return
        self.images += 1
        labels = entry.labels or ((entry.label,) if entry.label else ())
        self.labelled += bool(labels)
        self.classes.update(labels)
        if entry.split:
            self.splits[entry.split] += 1

    def describe(self) -> str:
        """Say how many images, splits and labels there are, for example: 390 images: train 273, test 117; 13 classes; 390 labels found."""
        without = self.images - sum(self.splits.values())
        splits = [f"{printable(split)} {count}" for split, count in self.splits.most_common()]
        splits += [f"without a split {without}"] * bool(splits and without)
        only = f" ({printable(*self.classes)})" if len(self.classes) == 1 else ""
        classes = f"{len(self.classes)} class{'es' * (len(self.classes) != 1)}{only}"
        return f"{self.images} images{': ' * bool(splits)}{', '.join(splits)}; {classes}; {self.labelled} labels found"

    def check_images(self, sources: Sequence[object]) -> None:
        """Raise SourceError with all reasons when no image was listed."""
        if self.images:
            return
        passed_over = self.passed_over.describe()
        reasons = (
            f"; {len(self.unlisted)} could not be listed: {describe(self.unlisted.counts())}" if self.unlisted else ""
        )
        raise SourceError(
            f"no image found in {', '.join(map(str, sources))}; expected files such as .jpg, .png, .webp or .tif"
            + reasons
            + f"; {passed_over}" * bool(passed_over)
        )

    def check_labels(self, sources: Sequence[object]) -> None:
        """Raise SourceError when labels were asked for and no image has one."""
        if not self.labelled:
            raise SourceError(
                f"--labels folders: expected images in folders of their classes, such as SOURCE/<class>/<file> or SOURCE/train/<class>/<file>, "
                f"or a table with a column label; found no label for {self.images} images of {', '.join(map(str, sources))}; "
                "name the folder above the classes, or all class folders, or leave --labels out"
            )

    def check_excludes(self, exclude: Sequence[str]) -> str:
        """Say that patterns which were given excluded nothing; empty when they did."""
        if any(exclude) and not self.passed_over.counts[EXCLUDED]:
            return f"nothing matched --exclude {' '.join(exclude)}"
        return ""


def may_overlap(sources: Sequence[Source]) -> bool:
    """Return whether two sources may list the same file: one lies within the other, or lists files that may lie anywhere."""
    if len(sources) > 1 and any(source.lists_files for source in sources):
        return True
    paths = sorted(source.path.rstrip("/") + "/" for source in sources)
    return any(second.startswith(first) for first, second in pairwise(paths))
