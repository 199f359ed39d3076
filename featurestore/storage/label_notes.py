"""What users should know of the labelled items that a measure takes: what is left out, and labels that look like slips."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SHOWN = 3  # groups of labels


def notes_on(items: int, names: Sequence[str], splits: NDArray[np.object_], leave_one_out: bool) -> list[str]:
    """Say in sentences what is left out of `items`, and which class names are probably one.

    names: of the classes; splits: (n,), of the labelled items, None where there is none.
    """
    counts = Counter(split for split in splits.tolist() if split is not None)
    notes = []
    if len(splits) < items:
        notes.append(f"items without a label, which are left out: {items - len(splits)} of {items}")
    if leave_one_out and counts:
        listed = ", ".join(f"{split} {count}" for split, count in sorted(counts.items()))
        notes.append(
            f"train and test do not both have labelled items ({listed}), so all items are used whatever their split"
        )
    others = len(splits) - counts["train"] - counts["test"]
    if not leave_one_out and others:
        notes.append(f"labelled items of neither train nor test, which are left out: {others}")
    if similar := _similar(names):
        groups = "; ".join(", ".join(map(repr, group)) for group in similar[:SHOWN])
        more = f" and {len(similar) - SHOWN} more groups" if len(similar) > SHOWN else ""
        notes.append(f"labels that differ only in case or blanks count as different classes: {groups}{more}")
    return notes


def _similar(names: Sequence[str]) -> list[list[str]]:
    """Group names that are the same without regard to case and blanks; names like no other are left out."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(" ".join(name.casefold().split()), []).append(name)
    return [group for group in groups.values() if len(group) > 1]
