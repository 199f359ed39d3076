"""Test images whose picture is also among the images that they are predicted from, by the pairs that a store has kept."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featurestore.storage.kept_pairs import kept_pairs
from featurestore.storage.labelled_items import LEAVE_ONE_OUT, LabelledItems
from featurestore.storage.storage import Storage


class Leaking(NamedTuple):
    """Which test items leak."""

    items: NDArray[np.bool_]  # (n_test,)
    unseen: int  # contents of the store whose picture could not be looked at


def known_leaks(store: Storage, labelled: LabelledItems) -> Leaking | None:
    """Say for each test item whether another one that it is predicted from shows the same picture: an exact, near or mirrored copy.

    Nothing is compared here: None where the store has not kept the pairs of the contents that it has now. Raises StoreCorrupt.
    """
    kept = kept_pairs(store, labelled.encoder.fingerprint)
    if kept is None:
        return None
    rows = kept.contents.view.items.rows
    nodes = kept.contents.nodes[np.searchsorted(rows, labelled.rows).clip(max=len(rows) - 1)]
    bank = np.bincount(nodes[labelled.train], minlength=len(kept.contents.hashes))
    paired = np.zeros(len(bank), bool)
    for one, other in ((kept.left, kept.right), (kept.right, kept.left)):
        paired[one[bank[other] > 0]] = True
    own = nodes[labelled.test]
    return Leaking(paired[own] | (bank[own] > labelled.train[labelled.test]), kept.unseen.size)


def finding_command(split: str) -> str:
    """Name the command that finds what leaks into the figures of a protocol."""
    return "duplicates" if split == LEAVE_ONE_OUT else "leaks"
