"""The labelled items of a store, in splits: what every evaluation and every classifier starts from."""

from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.ann.faiss_index import floats
from featurestore.catalog import EncoderRecord, ItemTable
from featurestore.errors import EvaluationError
from featurestore.storage.label_notes import notes_on
from featurestore.storage.snapshot import ItemVectors

TRAIN_TEST, LEAVE_ONE_OUT = "train->test", "leave-one-out"
CHECKED = 16_384  # vectors checked together
NOT_FINITE = np.uint16(0x7C00)  # the exponent of a float16 that is infinite or NaN
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class LabelledItems:
    """The n labelled items of one encoder, ascending by row.

    With items in both splits, those of train are learned from and those of test are predicted. Otherwise every item is both, and is
    left out when it is predicted itself (leave-one-out).
    """

    encoder: EncoderRecord
    ids: Ints  # (n,)
    rows: Ints  # (n,), of the vector file
    paths: NDArray[np.object_]  # (n,), of str
    label_codes: Ints  # (n, L): places in `names` of the labels of each; -1 where it has fewer than L
    names: list[str]  # of the classes, sorted
    train: Mask  # (n,)
    test: Mask  # (n,)
    leave_one_out: bool
    contents: Ints  # (n,): the same number for items with the same content, -1 where no other item has it
    where: str | None  # what the items were chosen by
    notes: list[str]  # what the user should know of the choice
    stored: NDArray[np.float16] = field(repr=False)  # (rows of the file, D), mapped

    @classmethod
    def of(cls, view: ItemVectors, twins: tuple[Ints, Ints], where: str | None = None) -> "LabelledItems":
        """Select the labelled items of an encoder. Raises EvaluationError when none has a label, all have the same, or a vector is damaged.

        twins: ids, ascending, of items with the content of another one, and a number for each content; see `Items.twins`. where:
        what the items of the view were chosen by.
        """
        items = view.items
        known = is_labelled(items)
        if not known.any():
            none = "the store has none" if where is None else f"none of the {len(known)} items where {where} has one"
            raise EvaluationError(
                f"this needs labels, and {none}: index with --labels folders, or add them with `featurestore label STORE FILE.csv`"
            )
        codes, names = _numbered(items.labels.filter(known), items.label_lists.filter(known))
        if len(names) < 2:
            among = "" if where is None else f" where {where}"
            raise EvaluationError(
                f"all {len(codes)} labelled images{among} are of one class, {names[0]!r}; expected two classes or more"
            )
        splits = items.splits.filter(known).to_numpy(zero_copy_only=False)
        train, test = splits == "train", splits == "test"
        leave_one_out = not (train.any() and test.any())
        notes = notes_on(len(known), names, splits, leave_one_out)
        if leave_one_out:
            train = test = np.ones(len(codes), bool)
        rows = items.rows[known]
        _check(view.vectors, rows)
        return cls(
            items.encoder, items.ids[known], rows, items.paths.filter(known).to_numpy(zero_copy_only=False), codes, names, train, test,
            leave_one_out, content_numbers(items.ids[known], *twins), where, notes, view.vectors,
        )  # fmt: skip

    @property
    def codes(self) -> Ints:
        """The label of each item as a place in `names`: (n,). Raises EvaluationError when one has several labels."""
        if self.several:
            raise EvaluationError(
                f"{self.several} of {len(self.ids)} items have several labels, and this measure needs one each; measure with `retrieval` or `knn`, "
                'or choose items with --where "labels IS NULL"'
            )
        return self.label_codes[:, 0]

    @property
    def several(self) -> int:
        """The number of items with several labels."""
        return int((self.label_codes[:, 1:2] >= 0).sum())

    @property
    def split(self) -> str:
        """The protocol: "train->test" or "leave-one-out"."""
        return LEAVE_ONE_OUT if self.leave_one_out else TRAIN_TEST

    @property
    def n_train(self) -> int:
        return int(self.train.sum())

    @property
    def n_test(self) -> int:
        return int(self.test.sum())

    @property
    def unseen(self) -> list[str]:
        """Classes that can never be predicted: no item to learn from has the label, or only the predicted one itself."""
        learned, predicted = self._counts(self.train), self._counts(self.test)
        return [self.names[code] for code in np.flatnonzero((predicted > 0) & (learned <= self.leave_one_out))]

    @property
    def twins(self) -> Mask:
        """Whether another item that a test item is predicted from has the same content: (n_test,)."""
        return self.twins_among(self.test, self.train)

    def twins_among(self, asked: Mask, bank: Mask) -> Mask:
        """Say for each of some items whether another one in a bank has the same content: (m,); asked, bank: masks (n,)."""
        counts = np.bincount(self.contents[bank] + 1, minlength=len(self.contents) + 1)
        found = self.contents[asked]
        return np.asarray((found >= 0) & (counts[found + 1] > bank[asked]))

    def only(self, chosen: Mask) -> "LabelledItems":
        """Give the items where a mask (n,) is set, with the same classes."""
        per_item = ("ids", "rows", "paths", "label_codes", "train", "test", "contents")
        return replace(self, **{name: getattr(self, name)[chosen] for name in per_item})

    def vectors(self, chosen: Mask) -> NDArray[np.float32]:
        """Give the unit-length vectors (m, D) of the items where a mask (n,) is set."""
        return floats(self.stored[self.rows[chosen]])

    def _counts(self, chosen: Mask) -> NDArray[np.intp]:
        """Count the labels of some items by class."""
        codes = self.label_codes[chosen]
        return np.bincount(codes[codes >= 0], minlength=len(self.names))


def is_labelled(items: ItemTable) -> Mask:
    """Say which items have a label, or several: (n,)."""
    one, several = (column.is_valid().to_numpy(zero_copy_only=False) for column in (items.labels, items.label_lists))
    return np.asarray(one | several)


def class_codes(labels: pa.Array) -> tuple[NDArray[np.object_], Ints]:
    """Give the classes that occur, sorted, and of each label, none of which is missing, the place of its class: (C,) and (n,)."""
    return np.unique(np.array(labels.to_pylist(), object), return_inverse=True)


def _numbered(labels: pa.LargeStringArray, lists: pa.ListArray) -> tuple[Ints, list[str]]:
    """Number the labels by sorted name: codes (n, L), -1 where an item has fewer than L labels, and names."""
    if lists.null_count < len(lists):
        each = [several or [one] for one, several in zip(labels.to_pylist(), lists.to_pylist(), strict=True)]
        names = sorted(set().union(*each))
        place = {name: code for code, name in enumerate(names)}
        codes = np.full((len(each), max(map(len, each))), -1, np.int64)
        for row, own in zip(codes, each, strict=True):
            row[: len(own)] = [place[name] for name in own]
        return codes, names
    encoded = labels.dictionary_encode()
    found = encoded.dictionary.to_pylist()
    names = sorted(found)
    place = {name: code for code, name in enumerate(names)}
    return np.array([place[name] for name in found], np.int64)[encoded.indices.to_numpy()][:, None], names


def content_numbers(ids: Ints, twins: Ints, numbers: Ints) -> Ints:
    """Give the number of the content of each item, -1 where no other item has it: (n,)."""
    found = np.full(len(ids), -1, np.int64)
    mine, at_ids, at_twins = np.intersect1d(ids, twins, assume_unique=True, return_indices=True)
    if len(mine):
        found[at_ids] = np.unique(numbers[at_twins], return_inverse=True)[1]
    return found


def _check(vectors: NDArray[np.float16], rows: Ints) -> None:
    """Raise EvaluationError when a vector has a value that is not finite, because its scores would be meaningless."""
    for start in range(0, len(rows), CHECKED):
        part = rows[start : start + CHECKED]
        bits = vectors[part].view(np.uint16) & NOT_FINITE
        damaged = part[(bits == NOT_FINITE).any(axis=1)]
        if len(damaged):
            raise EvaluationError(
                f"the vector in row {damaged[0]} of the store's vector file has values that are not finite: it was damaged after it was written; "
                "see: featurestore verify STORE"
            )
