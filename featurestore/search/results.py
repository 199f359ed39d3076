"""What a store answers: reports and matches, as plain values that print, convert and draw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.system.disk import atomic_write, require_suffix
from featurestore.system.packages import require
from featurestore.system.text import printable

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

    from featurestore.rendering.query_image import QueryImage

DRAWN = 1000  # hits on a sheet or a page at most; a thousand pictures of a page are some twenty megabytes
IN_NOTEBOOK = 24  # hits, and examples, that a notebook shows


@dataclass(frozen=True, slots=True)
class Hit:
    """One hit of a search."""

    id: int
    score: float  # cosine similarity, higher is nearer
    path: str
    label: str | None
    labels: list[str] | None  # of an item with several


@dataclass(frozen=True, repr=False)
class Matches:
    """The hits of one search, best first: a sequence of `Hit`, and arrays and lists of the length K. A notebook shows them as pictures."""

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]  # cosine similarity, higher is nearer
    paths: list[str]
    labels: list[str | None]
    query: tuple[QueryImage, ...] = ()  # what was searched by, negative examples last
    warnings: tuple[str, ...] = ()  # what the user should know of this answer
    label_lists: Mapping[int, list[str]] = field(default_factory=dict)  # by id, of items with several labels
    left_out: tuple[int, ...] = ()  # ids of the items that the query itself is
    facts: tuple[tuple[str, str], ...] = ()  # names and values of what was asked: store, encoder, filter, k
    query_labels: tuple[str, ...] = ()  # labels that all examples have, where these are items of the store
    bands: tuple[int, ...] | None = None  # that the encoder reads, and pictures show

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Hit]:
        return map(self.__getitem__, range(len(self)))

    @overload
    def __getitem__(self, place: int) -> Hit: ...

    @overload
    def __getitem__(self, place: slice) -> Matches: ...

    def __getitem__(self, place: int | slice) -> Hit | Matches:
        """Give the hit at a place, from 0, or the matches of a slice. Raises IndexError."""
        if isinstance(place, slice):
            return replace(
                self, ids=self.ids[place], scores=self.scores[place], paths=self.paths[place], labels=self.labels[place]
            )
        item = int(self.ids[place])
        return Hit(item, float(self.scores[place]), self.paths[place], self.labels[place], self.label_lists.get(item))

    def __repr__(self) -> str:
        if not len(self):
            return "<Matches: no hits>"
        best = self[0]
        label = "" if best.label is None else f" ({printable(best.label)})"
        return f"<Matches: {self._title()}, scores {best.score:.4f} to {self.scores[-1]:.4f}, the best {printable(best.path)}{label}>"

    def _repr_html_(self) -> str:
        """Show the query and the best hits as pictures in a notebook: one part of a page, with all pictures inside."""
        from featurestore.rendering import notebook

        more = f"; the best {IN_NOTEBOOK} are shown" if len(self) > IN_NOTEBOOK else ""
        title = "; ".join([f"{self._title()} by cosine similarity{more}", *self.warnings])
        return notebook.render(title, self.query[:IN_NOTEBOOK], self.to_json()[:IN_NOTEBOOK], self.bands)

    def to_json(self) -> list[dict[str, Any]]:
        return [
            {
                "rank": rank,
                "score": round(float(score), 6),
                "id": int(item),
                "path": path,
                "label": label,
                "labels": self.label_lists.get(int(item)),
            }
            for rank, (score, item, path, label) in enumerate(
                zip(self.scores, self.ids, self.paths, self.labels, strict=True), start=1
            )
        ]

    def to_arrow(self) -> pa.Table:
        return pa.table({
            "rank": pa.array(range(1, len(self) + 1), pa.int64()), "score": self.scores, "id": self.ids,
            "path": pa.array(self.paths, pa.string()), "label": pa.array(self.labels, pa.string()),
            "labels": pa.array(map(self.label_lists.get, self.ids.tolist()), pa.list_(pa.string())),
        })  # fmt: skip

    def to_pandas(self) -> pd.DataFrame:
        """The same as a data frame. Raises ConfigError when pandas is not installed; `to_arrow` does without it."""
        require("pandas", extra="pandas")
        frame: pd.DataFrame = self.to_arrow().to_pandas()
        return frame

    def sheet(self, path: str | Path) -> Path:
        """Draw what was searched by and the hits, with scores and labels, into a picture file. Raises ConfigError, DiskError."""
        from featurestore.rendering import contact_sheet as sheet  # here, since most searches draw nothing

        require_suffix(Path(path), sheet.SUFFIXES, "a contact sheet")

        tiles: list[tuple[Image.Image | str, str, str]] = []
        drawn = [(shown, shown.picture) for shown in self.query if shown.picture is not None]
        for shown, picture in drawn:
            tiles.append((picture, "not" if shown.negative else "query", shown.name))
        for hit in self.to_json()[:DRAWN]:
            tiles.append((hit["path"], f"{hit['score']:.3f}  {label_text(hit)}".rstrip(), hit["path"]))
        negatives = sum(shown.negative for shown, _ in drawn)
        heading = f"{self._title()}, {self._note()}"
        sheet.save(sheet.contact_sheet(tiles, heading, len(drawn) - negatives, negatives, self.bands), Path(path))
        return Path(path)

    def html(self, path: str | Path) -> Path:
        """Write what was searched by and the hits as one HTML page with all pictures inside. Raises ConfigError, DiskError."""
        from featurestore.rendering import hits_page as page

        require_suffix(Path(path), (".html", ".htm"), "a page")
        page.write(
            Path(path),
            self._title(),
            self._note(),
            self.query,
            self.to_json()[:DRAWN],
            self.facts,
            self.query_labels,
            self.bands,
        )
        return Path(path)

    def _title(self) -> str:
        return f"{len(self)} nearest image{'' if len(self) == 1 else 's'}"

    def _note(self) -> str:
        return "by cosine similarity" + (f"; the best {DRAWN} are shown" if len(self) > DRAWN else "")


def label_text(hit: Mapping[str, Any]) -> str:
    """Write the label of a hit of `to_json`, or its several labels, on one line."""
    return hit["label"] or ", ".join(hit["labels"] or ())


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
        """Write `to_arrow` as Parquet, whole or not at all. Raises ConfigError, DiskError."""
        import pyarrow.parquet as pq  # takes long, and most commands do without

        require_suffix(Path(path), (".parquet",), "a graph of neighbours")
        with atomic_write(Path(path), "free some space or choose another place") as file:
            pq.write_table(self.to_arrow(), file)
        return Path(path)
