"""What can be labelled next, and what is labelled already, as arrays: what every strategy chooses from."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from featurestore.estimators.linear import fit_planes

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

WIDTH = 0.5  # of the kernel, in cosine distance: the best of 0.1 to 1 on ten collections, for 10 to 200 labels
PART = 2_048  # rows


class Space:
    """U candidates, and R references that stand for the whole collection; unit-length vectors, (U, D) and (R, D)."""

    def __init__(self, candidates: Floats, references: Floats) -> None:
        self.candidates, self.references = candidates, references

    @cached_property
    def kernel(self) -> Floats:
        """How well each candidate covers each reference, from 0 to 1: (U, R)."""
        found = np.empty((len(self.candidates), len(self.references)), np.float32)
        for start in range(0, len(found), PART):
            found[start : start + PART] = self.coverage(self.candidates[start : start + PART])
        return found

    def coverage(self, x: Floats) -> Floats:
        """Say how well unit-length vectors (n, D) cover each reference: exp(-distance / WIDTH), (n, R)."""
        found = x @ (self.references.T / np.float32(WIDTH))
        found -= np.float32(1 / WIDTH)
        return np.exp(found, out=found)


class LabelledVectors:
    """L unit-length vectors, (L, D), with their classes, (L,)."""

    def __init__(self, x: Floats, codes: Ints) -> None:
        self.x, self.codes = x, codes

    @cached_property
    def planes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """One plane for each of the C classes that occur, by ridge regression: weights (D, C) and bias (C,)."""
        return fit_planes("ridge", self.x, np.unique(self.codes, return_inverse=True)[1], None)


@dataclass(frozen=True)
class Pool:
    """Candidates of a space, some of which are taken, and what is labelled."""

    space: Space
    free: NDArray[np.bool_]  # (U,): whether a candidate may be chosen
    labelled: LabelledVectors
    covered: Floats = field(repr=False)  # (R,): how well the labelled ones cover each reference
    reference_losses: Floats | None = None  # (R,): their self-supervised loss; NaN where it is unknown

    @classmethod
    def of(
        cls,
        space: Space,
        labelled: Floats,
        codes: Ints,
        reference_losses: Floats | None = None,
        also_covering: Floats | None = None,
    ) -> "Pool":
        """Make a pool in which all candidates are free; also_covering: more vectors (n, D) that are labelled, but not with one class."""
        covered = np.zeros(len(space.references), np.float32)
        for x in (labelled, labelled[:0] if also_covering is None else also_covering):
            for start in range(0, len(x), PART):
                covered = np.maximum(covered, space.coverage(x[start : start + PART]).max(axis=0))
        free = np.ones(len(space.candidates), bool)
        return cls(space, free, LabelledVectors(labelled, codes), covered, reference_losses)

    def taking(self, chosen: Ints) -> "Pool":
        """Give the pool once some candidates are chosen, whose labels are not known yet: they cover what they will."""
        free = self.free.copy()
        free[chosen] = False
        covered = self.space.coverage(self.space.candidates[chosen]).max(axis=0, initial=0)
        return replace(self, free=free, covered=np.maximum(self.covered, covered))

    def after(self, chosen: Ints, codes: Ints) -> "Pool":
        """Give the pool once some candidates are labelled."""
        x = np.concatenate([self.labelled.x, self.space.candidates[chosen]])
        return replace(self.taking(chosen), labelled=LabelledVectors(x, np.r_[self.labelled.codes, codes]))
