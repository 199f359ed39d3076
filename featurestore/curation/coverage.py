"""Coverage: how far the images of a collection are from the nearest labelled one."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.ann.exact import scan
from featurestore.ann.faiss_index import floats
from featurestore.ann.knn_graph import without_self
from featurestore.curation.findings import Findings
from featurestore.errors import EvaluationError
from featurestore.metrics.label_free import sample
from featurestore.progress import Listener
from featurestore.rendering.galleries import Gallery, Picture
from featurestore.storage.labelled_items import is_labelled
from featurestore.storage.snapshot import ItemVectors
from featurestore.storage.storage import Storage

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
SHOWN = 50  # images that are farthest
QUERIES = 16_384  # images compared together
SAMPLED, SEED = 1_000, 0  # images that say how near another is typically
TYPICAL = 10  # it is the so-manieth nearest


@dataclass(frozen=True, slots=True)
class ClassCoverage:
    """The part of the collection that is nearest to the labels of one class."""

    label: str
    labelled: int  # items with the label
    nearest: int  # unlabelled items whose nearest labelled one has the label
    mean_score: float | None  # of these with that one; None when there are none
    covered: float | None  # share of these that are covered


@dataclass(frozen=True, slots=True)
class FarItem:
    """An unlabelled item, and the labelled one nearest to it."""

    id: int
    path: str
    score: float  # cosine similarity of the two
    nearest: str  # path of the labelled one
    label: str  # its label, or its labels joined by commas


@dataclass(frozen=True, slots=True)
class CoverageReport(Findings):
    """How well the labels of a store cover it."""

    listed: ClassVar = "items"
    n_labelled: int
    n_unlabelled: int
    mean_score: float | None  # of the unlabelled items with their nearest labelled one; None when all are labelled
    quantiles: dict[str, float]  # of these scores
    typical: (
        float | None
    )  # the score that an image typically has with its tenth nearest: the median; None of a single one
    covered: float | None  # share of the unlabelled items whose nearest labelled one has at least this score
    classes: list[ClassCoverage]
    items: list[FarItem]  # the farthest first
    scores: pa.Table  # id and score of every unlabelled item

    @property
    def title(self) -> str:
        return "Coverage by labels"

    @property
    def summary(self) -> list[str]:
        found = [f"{self.n_labelled:,} labelled, {self.n_unlabelled:,} not"]
        if self.covered is not None:
            found.append(
                f"{self.covered:.1%} of these are covered: as near to a labelled image as images typically are to their tenth nearest (score {self.typical:.3f})"
            )
        if self.mean_score is not None:
            spread = ", ".join(f"{score:.3f} ({float(q):.0%})" for q, score in self.quantiles.items())
            found.append(
                f"cosine similarity with the nearest labelled image: mean {self.mean_score:.3f}; quantiles {spread}"
            )
        return found

    def to_json(self) -> dict[str, Any]:
        names = ("encoder", "n_labelled", "n_unlabelled", "mean_score", "quantiles", "typical", "covered")
        facts = {name: getattr(self, name) for name in names}
        lists = {name: [asdict(entry) for entry in getattr(self, name)] for name in ("classes", "items")}
        return {"protocol": "coverage", **facts, **lists}

    def to_arrow(self) -> pa.Table:
        return self.scores

    @property
    def columns(self) -> pa.Table:
        return self.scores.rename_columns(["id", "coverage"])

    def galleries(self) -> list[Gallery]:
        far = [Picture(item.path, f"score {item.score:.3f}", f"nearest: {item.label}") for item in self.items]
        return [Gallery("the farthest from any labelled image", far)] if far else []


def coverage(
    store: Storage, encoder: str | Path | None = None, where: str | None = None, listener: Listener | None = None
) -> CoverageReport:
    """Find the labelled item nearest to each unlabelled one. where: only items for which this SQL expression is true.

    Raises EvaluationError when no item has a label; QueryError, EncoderNotInStore.
    """
    listener = listener or Listener()
    view = store.view(encoder, where)
    items = view.items
    known = is_labelled(items)
    bank, asked = np.flatnonzero(known), np.flatnonzero(~known)
    if not len(bank):
        raise EvaluationError(
            f"expected items with labels, found none{'' if where is None else f' where {where}'}; see which to label first: featurestore suggest STORE"
        )
    texts = [
        one if one is not None else ", ".join(several)
        for one, several in zip(items.labels.take(pa.array(bank)).to_pylist(), items.label_lists.take(pa.array(bank)).to_pylist(), strict=True)
    ]  # fmt: skip
    names, codes = np.unique(np.array(texts, object), return_inverse=True)
    scores, nearest = np.empty(len(asked), np.float32), np.empty(len(asked), np.int64)
    listener.start("looking for the nearest labelled images", len(asked))
    for start in range(0, len(asked), QUERIES):
        part = slice(start, start + QUERIES)
        found, rows = scan(floats(view.vectors[items.rows[asked[part]]]), view.vectors, items.rows[bank], 1)
        scores[part], nearest[part] = found[:, 0], np.searchsorted(items.rows[bank], rows[:, 0])
        listener.advance(len(rows))
    typical = _typical_score(view) if len(asked) else None
    far = np.lexsort((items.ids[asked], scores))[:SHOWN]
    paths = items.paths.take(pa.array(asked[far])).to_pylist()
    beside = items.paths.take(pa.array(bank[nearest[far]])).to_pylist()
    return CoverageReport(
        items.encoder.fingerprint,
        len(bank),
        len(asked),
        round(float(scores.mean()), 6) if len(asked) else None,
        {f"{q:g}": round(float(np.quantile(scores, q)), 6) for q in QUANTILES} if len(asked) else {},
        typical,
        _covered(scores, typical),
        _by_class(names.tolist(), codes, codes[nearest], scores, typical),
        [
            FarItem(int(items.ids[asked[at]]), path, round(float(scores[at]), 6), other, texts[nearest[at]])
            for at, path, other in zip(far.tolist(), paths, beside, strict=True)
        ],
        pa.table({"id": items.ids[asked], "score": scores}),
        bands=items.encoder.bands,
    )


def _typical_score(view: ItemVectors) -> float:
    """Give the median score of some items, drawn at random, with their tenth nearest other one; with the last where there are fewer."""
    rows = view.items.rows
    drawn = rows[sample(len(rows), SAMPLED, SEED)]
    k = min(TYPICAL, len(rows) - 1)
    scores, found = scan(floats(view.vectors[drawn]), view.vectors, rows, k + 1)
    return round(float(np.median(without_self(scores, found, drawn)[0][:, -1])), 6)


def _covered(scores: NDArray[np.float32], typical: float | None) -> float | None:
    return round(float((scores >= typical).mean()), 6) if typical is not None and len(scores) else None


def _by_class(
    names: list[str],
    codes: NDArray[np.int64],
    nearest: NDArray[np.int64],
    scores: NDArray[np.float32],
    typical: float | None,
) -> list[ClassCoverage]:
    """Summarise by the class of the nearest labelled item; codes: of the labelled items, nearest: of the unlabelled ones."""
    found = []
    for code, name in enumerate(names):
        own = scores[nearest == code]
        mean = round(float(own.mean()), 6) if len(own) else None
        found.append(ClassCoverage(name, int((codes == code).sum()), len(own), mean, _covered(own, typical)))
    return found
