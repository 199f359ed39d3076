"""The table at the end of a training: is its encoder better than what there was before?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.metrics.statistics import compare_items
from featurestore.system.text_table import format_table
from trainers.augmentations import ViewSpec
from trainers.training.compared import Compared
from trainers.training.contender import OWN, RAW, START, UNTRAINED, Contender, Encoding
from trainers.training.features import Vectors, finished, finished_parts, joined
from trainers.training.labelled_sample import SHOTS, LabelledSample, encode, few_labels_top1, knn_right
from trainers.training.view_retrieval import encode_two_views, view_top1

FEW, SHORT = 2000, 200  # images, and epochs, of which more would help


@dataclass(frozen=True)
class Row:
    """The figures of one contender, shares in [0, 1]: with labels the first two, without them the last."""

    contender: Contender
    right: NDArray[np.bool_] | None = None  # (M,): which images its k-NN named rightly
    few_labels: float | None = None  # accuracy with SHOTS labels a class; None where a class has too few
    views: float | None = None  # share of images whose other view is the nearest

    @property
    def name(self) -> str:
        """Without labels the form without layout is measured."""
        return self.contender.name_without_layout if self.right is None else self.contender.name

    @property
    def knn(self) -> float | None:
        """Accuracy of k-NN."""
        return None if self.right is None else float(self.right.mean())

    @property
    def figure(self) -> float:
        """What contenders are ranked by: the mean of k-NN and of few labels, without labels the views."""
        figures = [each for each in (self.knn, self.few_labels) if each is not None]
        return float(np.mean(figures or [self.views or 0.0]))

    def __str__(self) -> str:
        return f"{self.name} ({'' if self.few_labels is None else 'mean '}{self.figure:.3f})"

    def to_json(self) -> dict[str, Any]:
        return {
            "encoder": self.name,
            "knn_top1": self.knn,
            "few_labels_top1": self.few_labels,
            "view_top1": self.views,
        }


@dataclass(frozen=True)
class Proof:
    """How the encoder of a training compares with what there was before, and which of them is its encoder file."""

    rows: tuple[Row, ...]
    written: Contender
    images: int  # that were trained on

    @property
    def own(self) -> Row:
        """The trained encoder, in its better form."""
        return best_of(self.rows, OWN)

    @property
    def others(self) -> dict[str, Row]:
        """What there was before by its kind, each in its better form."""
        kinds = [kind for kind in (START, UNTRAINED, RAW) if any(row.contender.kind == kind for row in self.rows)]
        return {kind: best_of(self.rows, kind) for kind in kinds}

    def table(self) -> list[str]:
        """Show the figures as lines of text."""
        if self.own.right is None:
            return format_table([(row.name, row.views) for row in self.rows], ("", "views found"))
        cells = [(row.name, row.knn, row.few_labels, row.figure) for row in self.rows]
        return format_table(cells, ("", "k-NN", f"{SHOTS} labels a class", "mean"))

    def verdict(self, epochs: int) -> list[str]:
        """Say whether the training was worth it, and if not, what would help."""
        own, others = self.own, self.others
        if own.right is None:
            said = f"views found {own.figure:.3f} (the share of images whose second random view is the nearest to their first)"
        else:
            few = own.few_labels
            both = "" if few is None else f", {few:.3f} with {SHOTS} labels a class, mean {own.figure:.3f}"
            said = f"accuracy {own.knn:.3f} by k-NN{both}, on {len(own.right)} images"
        if better := [row for row in others.values() if row.figure >= own.figure]:
            helps = ["a longer training"] * (epochs < SHORT) + ["more images"] * (self.images < FEW)
            return [
                f"{said}: the trained encoder is not better than {_named(better)}",
                f"what would help: {', '.join([*helps, 'other views (settings of augment, see the guide on training)'])}",
            ]
        if own.right is not None and (unsure := [row for row in others.values() if not _is_certain(row, own)]):
            return [
                f"{said}: that it is higher than {_named(unsure)} is not certain; train longer, or measure more images"
            ]
        return [f"{said}: higher than {_named(list(others.values()))}"]

    def to_json(self) -> dict[str, Any]:
        figures = {kind: row.knn for kind, row in self.others.items() if row.right is not None}
        before = figures.get(START, figures.get(UNTRAINED))
        baselines = {} if before is None else {"before training": before, RAW: figures[RAW]}
        return {"baselines": baselines, "proof": [row.to_json() for row in self.rows], "written": self.written.name}


def measure(contenders: Sequence[Encoding], compared: Compared, view: ViewSpec, whiten: bool) -> list[Row]:
    """Measure contenders by images with labels, or without labels by views of training images.

    Without labels each contender is taken in its last form, and measured in its first: views change where things are, so that they cannot
    tell what the layout is worth.
    """
    rows = []
    for encoding in contenders:
        record = encoding.record
        if (sample := compared.samples.get(record.size)) is None:
            pixels, spec = compared.pixels(record.size), replace(view, size=record.size)
            for plain, last in encoding.pairs:
                both, _ = finished(encode_two_views(plain.network, pixels, spec), None, plain.parts, whiten)
                rows.append(Row(last, views=view_top1(both)))
        else:
            bank, queries = encode(sample, encoding.network, record.mean, record.std)
            for contender, make in encoding.made:
                made = make(bank), None if queries is None else make(queries)
                parts = finished_parts(*made, contender.parts, whiten)
                rows.append(_measure_best_length(contender, parts, sample))
    return rows


def _measure_best_length(
    contender: Contender, parts: Sequence[tuple[Vectors, Vectors | None]], sample: LabelledSample
) -> Row:
    """Measure a contender, beside known weights with the length of its trained part that the training images alone choose.

    Where no images are held back, the same images choose and measure.
    """
    if contender.beside:
        each_length = contender.in_all_lengths
        banks = [joined(parts, each.parts)[0] for each in each_length]
        seen = [_row(each, sample.training, bank, None) for each, bank in zip(each_length, banks, strict=True)]
        contender = best(seen).contender
    return _row(contender, sample, *joined(parts, contender.parts))


def _row(contender: Contender, sample: LabelledSample, bank: Vectors, queries: Vectors | None) -> Row:
    return Row(contender, knn_right(sample, bank, queries), few_labels_top1(sample, bank, queries))


def best(rows: Sequence[Row]) -> Row:
    """Give the row with the highest figure; of equals the first."""
    return max(rows, key=lambda row: row.figure)


def best_of(rows: Sequence[Row], kind: str) -> Row:
    """Give the better form of the contenders of a kind."""
    return best([row for row in rows if row.contender.kind == kind])


def _is_certain(other: Row, own: Row) -> bool:
    """Whether the k-NN of the own encoder names more images rightly than that of another, by the paired 95 % interval."""
    assert other.right is not None
    assert own.right is not None
    return own.right.sum() > other.right.sum() and compare_items(other.right, own.right).significant


def _named(rows: Sequence[Row]) -> str:
    return " and ".join(map(str, rows))
