"""The labelled items of a store, in splits: what every evaluation and every classifier starts from."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.ann.faiss_index import floats
from featurestore.catalog import EncoderRecord
from featurestore.errors import EvaluationError
from featurestore.storage.snapshot import ItemVectors

TRAIN_TEST, LEAVE_ONE_OUT = "train->test", "leave-one-out"
CHECKED = 16_384  # vectors checked together
NOT_FINITE = np.uint16(0x7C00)  # the exponent of a float16 that is infinite or NaN


@dataclass(frozen=True)
class LabelledItems:
    """The n labelled items of one encoder, ascending by row.

    With items in both splits, those of train are learned from and those of test are predicted. Otherwise every item is both, and is
    left out when it is predicted itself (leave-one-out).
    """

    encoder: EncoderRecord
    ids: NDArray[np.int64]  # (n,)
    rows: NDArray[np.int64]  # (n,), of the vector file
    paths: NDArray[np.object_]  # (n,), of str
    codes: NDArray[np.int64]  # (n,), places in `names`
    names: list[str]  # of the classes, sorted
    train: NDArray[np.bool_]  # (n,)
    test: NDArray[np.bool_]  # (n,)
    leave_one_out: bool
    stored: NDArray[np.float16] = field(repr=False)  # (rows of the file, D), mapped

    @classmethod
    def of(cls, view: ItemVectors) -> "LabelledItems":
        """Select the labelled items of an encoder. Raises EvaluationError when none has a label, all have the same, or a vector is damaged."""
        items = view.items
        known = items.labels.is_valid().to_numpy(zero_copy_only=False)
        if not known.any():
            raise EvaluationError(
                "this needs labels, and the store has none: index with --labels folders, or add them with `featurestore label STORE FILE.csv`"
            )
        codes, names = _numbered(items.labels.filter(known))
        if len(names) < 2:
            raise EvaluationError(
                f"all {len(codes)} labelled images are of one class, {names[0]!r}; expected two classes or more"
            )
        splits = items.splits.filter(known).to_numpy(zero_copy_only=False)
        train, test = splits == "train", splits == "test"
        leave_one_out = not (train.any() and test.any())
        if leave_one_out:
            train = test = np.ones(len(codes), bool)
        rows = items.rows[known]
        _check(view.vectors, rows)
        paths = items.paths.filter(known).to_numpy(zero_copy_only=False)
        return cls(items.encoder, items.ids[known], rows, paths, codes, names, train, test, leave_one_out, view.vectors)

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
        learned = np.bincount(self.codes[self.train], minlength=len(self.names))
        predicted = np.bincount(self.codes[self.test], minlength=len(self.names))
        return [self.names[code] for code in np.flatnonzero((predicted > 0) & (learned <= self.leave_one_out))]

    def vectors(self, chosen: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Give the unit-length vectors (m, D) of the items where a mask (n,) is set."""
        return floats(self.stored[self.rows[chosen]])


def _numbered(labels: pa.LargeStringArray) -> tuple[NDArray[np.int64], list[str]]:
    """Number the labels by sorted name: codes (n,) and names."""
    encoded = labels.dictionary_encode()
    found = encoded.dictionary.to_pylist()
    names = sorted(found)
    place = {name: code for code, name in enumerate(names)}
    return np.array([place[name] for name in found], np.int64)[encoded.indices.to_numpy()], names


def _check(vectors: NDArray[np.float16], rows: NDArray[np.int64]) -> None:
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
