"""What a store answers: reports and matches, as plain values that print, convert and draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.disk import written_whole
from featurestore.evaluation.classes import ClassFigures, Confusion
from featurestore.evaluation.knn import KnnResult
from featurestore.sources.entry import printable

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

    from featurestore.queries import Shown

DRAWN = 1000  # hits on a sheet or a page at most; a thousand pictures of a page are some twenty megabytes


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What a run of `index` did; counts are images."""

    added: int
    updated: int  # known by path, with new content
    unchanged: int
    removed: int  # vanished from the source
    failed: int
    images_per_second: float  # encoded, over the whole run

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LabelReport:
    """What a run of `label` did."""

    labelled: int
    unknown: tuple[str, ...]  # keys of the file that no item has
    key: str  # what they are: "path" or "id"


@dataclass(frozen=True, slots=True)
class AnnotateReport:
    """What a run of `annotate` did."""

    columns: tuple[str, ...]
    items: int  # that have values of the file now
    unknown: int  # keys of the file that no item has
    first_unknown: tuple[str, ...]  # some of them, in the order of the file
    key: str  # what they are: "path" or "id"


@dataclass(frozen=True, slots=True)
class IndexBuild:
    """The index over the vectors of one encoder."""

    encoder: str  # its name
    vectors: int
    recall: float  # of the 10 nearest, measured on rows held out
    bytes: int
    built: bool  # False: the one that was there is as it should be


@dataclass(frozen=True, slots=True)
class OptimizeReport:
    """What a run of `optimize` did; counts are rows of vector files."""

    kept: int
    dropped: int
    bytes_before: int  # of the whole store
    bytes_after: int
    indexes: tuple[IndexBuild, ...]  # of encoders with so many vectors that an index is worth it


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What a run of `import-vectors` did; counts are items."""

    added: int
    unchanged: int  # the store had a vector of that path already
    conflicting: int  # the store knows another content under that path


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing in a store that is not as it should be."""

    place: str  # the file
    problem: str  # what is wrong
    safe: str  # what is not touched by it
    repair: str  # what `verify --repair` does about it, or has done
    damage: bool = True  # False: harmless, and a later command sees to it
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a reading of the whole store found."""

    findings: tuple[Finding, ...]
    vectors: int  # read
    bytes: int  # of them
    seconds: float

    @property
    def damaged(self) -> bool:
        """Whether there is damage that was not repaired."""
        return any(finding.damage and not finding.repaired for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        return {"damaged": self.damaged, **asdict(self)}


@dataclass(frozen=True, slots=True)
class KnnReport:
    """k-NN figures of a store, with everything needed to repeat them."""

    encoder: str  # fingerprint
    split: str  # "train->test" or "leave-one-out"
    temperature: float  # of classes and confusion; each result says its own
    k: int  # the same
    n_train: int
    n_test: int
    seed: int  # of the intervals
    results: list[KnnResult]
    classes: list[ClassFigures]
    confusion: Confusion
    unseen: list[str]  # classes that are asked for and no other item has

    def to_json(self) -> dict[str, Any]:
        return {"protocol": "knn", **asdict(self)}


@dataclass(frozen=True)
class Matches:
    """The hits of one search, best first; all sequences have the length K."""

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]  # cosine similarity, higher is nearer
    paths: list[str]
    labels: list[str | None]
    query: tuple[Shown, ...] = ()  # what was searched by, negative examples last
    warnings: tuple[str, ...] = ()  # what the user should know of this answer

    def __len__(self) -> int:
        return len(self.ids)

    def to_json(self) -> list[dict[str, Any]]:
        return [
            {"rank": rank, "score": round(float(score), 6), "id": int(item), "path": path, "label": label}
            for rank, (score, item, path, label) in enumerate(
                zip(self.scores, self.ids, self.paths, self.labels, strict=True), start=1
            )
        ]

    def to_arrow(self) -> pa.Table:
        return pa.table({
            "rank": pa.array(range(1, len(self) + 1), pa.int64()), "score": self.scores, "id": self.ids,
            "path": pa.array(self.paths, pa.string()), "label": pa.array(self.labels, pa.string()),
        })  # fmt: skip

    def to_pandas(self) -> pd.DataFrame:
        """The same as a data frame; needs pandas."""
        frame: pd.DataFrame = self.to_arrow().to_pandas()
        return frame

    def sheet(self, path: str | Path) -> Path:
        """Draw what was searched by and the hits, with scores and labels, into a picture file; raises DiskError."""
        from featurestore import sheet  # here, since most searches draw nothing

        tiles: list[tuple[Image.Image | str, str, str]] = []
        drawn = [(shown, shown.picture) for shown in self.query if shown.picture is not None]
        for shown, picture in drawn:
            tiles.append((picture, "not" if shown.negative else "query", printable(shown.name)))
        for hit in self.to_json()[:DRAWN]:
            tiles.append((hit["path"], f"{hit['score']:.3f}  {hit['label'] or ''}".rstrip(), printable(hit["path"])))
        negatives = sum(shown.negative for shown, _ in drawn)
        heading = f"{self._title()}, {self._note()}"
        sheet.save(sheet.contact_sheet(tiles, heading, len(drawn) - negatives, negatives), Path(path))
        return Path(path)

    def html(self, path: str | Path) -> Path:
        """Write what was searched by and the hits as one HTML page with all pictures inside; raises DiskError."""
        from featurestore import page

        page.write(Path(path), self._title(), self._note(), self.query, self.to_json()[:DRAWN])
        return Path(path)

    def _title(self) -> str:
        return f"{len(self)} nearest image{'' if len(self) == 1 else 's'}"

    def _note(self) -> str:
        return "by cosine similarity" + (f"; the best {DRAWN} are shown" if len(self) > DRAWN else "")


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The k-NN graph of a collection: for each of N items its K nearest others, best first."""

    ids: NDArray[np.int64]  # (N,)
    neighbours: NDArray[np.int64]  # (N, K), ids
    scores: NDArray[np.float32]  # (N, K)

    def to_arrow(self) -> pa.Table:
        """One row an item: id, and lists of the ids and scores of its neighbours."""
        k = self.neighbours.shape[1]
        lists = [pa.FixedSizeListArray.from_arrays(pa.array(a.ravel()), k) for a in (self.neighbours, self.scores)]
        return pa.table({"id": self.ids, "neighbours": lists[0], "scores": lists[1]})

    def save(self, path: str | Path) -> Path:
        """Write `to_arrow` as Parquet, whole or not at all. Raises DiskError."""
        import pyarrow.parquet as pq  # takes long, and most commands do without

        with written_whole(Path(path), "free some space or choose another place") as part:
            pq.write_table(self.to_arrow(), part)
        return Path(path)


def columns(rows: Sequence[Sequence[Any]], heads: Sequence[str]) -> str:
    """Lay rows out as text in aligned columns, numbers to the right; what a terminal would obey is spelt out."""
    cells = [
        list(heads),
        *[
            [f"{c:.4f}" if isinstance(c, float) else "" if c is None else printable(str(c)) for c in row]
            for row in rows
        ],
    ]
    right = [bool(rows) and isinstance(rows[0][i], (int, float)) for i in range(len(heads))]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    lines = [
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)).rstrip()
        for row in cells
    ]
    return "\n".join(lines)
