"""Whatever is done to a store, in whatever order, it answers like lists that are sorted anew for each question.

The sizes from which collections are indexed, and from which the catalog is asked for hits alone, are so small that some dozens of
pictures are treated like millions.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from featurestore import FeatureStore
from featurestore.errors import EvaluationError
from featurestore.search.results import Matches
from tests.featurestore.fakes import COLOURS, DIM, Colour, paint, unit

pytestmark = pytest.mark.usefixtures("one_faiss_thread")

NAMES = 130  # pictures there may be
WORTH = 40  # vectors that are indexed
RECALL = 0.9  # asked for
FLOOR = 0.8  # of what is asked for over a whole life
SIZES: dict[str, Any] = {
    "ann.tuning.WORTH_ROWS": WORTH,
    "ann.tuning.WORTH_NUMBERS": 0,
    "search.searcher.SPARE": 2,
    "storage.snapshot.SMALL": 25,
    "storage.snapshot.FIRST_SEARCHES": 1,
    "storage.snapshot.CACHED_FILTERS": 3,
    "ann.row_filter.GATHERED": 12 * DIM,
    "ann.build.GATHERED": 30 * DIM,
    "ann.build.KS": (3, 8),
    "ann.build.MOST_CANDIDATES": (16, 30),
    "ann.build.BLOCK": 16,
    "ann.exact.BLOCK": 16,
    "ann.search.EXACT_FROM": 1,
    "ann.knn_graph.QUERIES": 16,
    "ann.knn_graph.BY_INDEX": 16,
}

seeds = st.integers(0, 2**32 - 1)
ks = st.sampled_from([1, 2, 3, 5, 10, 30, 500])


@dataclass(frozen=True)
class Item:
    """What the catalog and the vector file say of an item that is there, read past featurestore."""

    id: int
    path: str
    label: str | None
    row: int
    vector: NDArray[np.float16]


def read(store: Path) -> tuple[list[Item], set[int]]:
    """The items that are there, by row, and the ids of those that vanished."""
    with duckdb.connect(str(store / "catalog.duckdb"), read_only=True) as connection:
        found = connection.execute(
            """SELECT i.id, i.path, i.label, v.row FROM all_items i JOIN vectors v ON v.item = i.id AND v.sha256 = i.sha256
               WHERE i.removed_at IS NULL ORDER BY v.row"""
        ).fetchall()
        vanished = connection.execute("SELECT id FROM all_items WHERE removed_at IS NOT NULL").fetchall()
        [(file, rows)] = connection.execute("SELECT file, rows FROM encoders").fetchall()
    vectors = np.fromfile(store / "vectors" / file, "<f2", rows * DIM).reshape(rows, DIM)
    items = [Item(number, path, label, row, vectors[row]) for number, path, label, row in found]
    return items, {number for (number,) in vanished}


def some_colours(rng: np.random.Generator) -> tuple[Colour, ...]:
    """One of a few pictures that there are copies of, or one of its own."""
    if rng.random() < 0.35:
        return (list(COLOURS.values())[rng.integers(len(COLOURS))],)
    return tuple((int(r), int(g), int(b)) for r, g, b in rng.integers(1, 256, (4, 3)))


class Life:
    """A store, and what it should hold."""

    def __init__(self, folder: Path, encoder: Path) -> None:
        self.folder, self.encoder = folder, encoder
        self.pictures: dict[str, tuple[Colour, ...]] = {}  # that lie in the folder, by name
        self.known: dict[str, int] = {}  # ids, also of items that vanished
        self.labels: dict[int, str | None] = {}
        self.last_id = 0
        self.items: list[Item] = []
        self.indexed = False
        self.wanted = self.found = 0  # neighbours, by an index

    def begin(self, data: st.DataObject) -> None:
        self.open()
        self.change(data, least=WORTH)
        if data.draw(st.booleans(), "optimized"):
            self.optimize(data)

    def open(self) -> None:
        """Two: one that writes and searches, one that is opened before and sees what the other has written."""
        self.stores = [FeatureStore.open(self.folder / "my.store", self.encoder) for _ in range(2)]

    # -- changes

    def change(self, data: st.DataObject, least: int = 0) -> None:
        """Add, change and delete pictures, and index them."""
        if data.draw(st.booleans(), "reopened"):
            self.open()
        rng, added = np.random.default_rng(data.draw(seeds, "seed")), least + data.draw(st.integers(0, 30), "added")
        changed, gone = data.draw(st.integers(0, 8), "changed"), data.draw(st.integers(0, 8), "gone")
        there = sorted(self.pictures)
        for name in rng.permutation(there)[: min(gone, len(there) - 5)] if len(there) > 5 else ():
            (self.folder / "photos" / name).unlink()
            del self.pictures[str(name)]
        there = sorted(self.pictures)
        free = sorted({f"{number:03}.png" for number in range(NAMES)} - set(there))
        for name in [*rng.permutation(there)[:changed], *rng.permutation(free)[:added]]:
            self.pictures[str(name)] = some_colours(rng)
            paint(self.folder / "photos" / name, *self.pictures[str(name)])
        self.stores[0].index(self.folder / "photos", workers=1, include_deleted=True)
        self.look()
        assert {Path(item.path).name for item in self.items} == set(self.pictures)

    def label(self, data: st.DataObject) -> None:
        rng = np.random.default_rng(data.draw(seeds, "seed"))
        lines = ["path,label", "nowhere.png,a"]
        for place in np.append(rng.permutation(len(self.items))[:20], 0):
            item, label = self.items[place], str(rng.choice(["a", "b", ""]))
            lines.append(f"{item.path},{label}")
            self.labels[item.id] = label or None
        (self.folder / "labels.csv").write_text("\n".join(lines))
        report = self.stores[0].label(self.folder / "labels.csv", clear=True)
        assert report.unknown == ("nowhere.png",)
        self.look()

    def delete(self, data: st.DataObject) -> None:
        of = data.draw(st.integers(4, 12), "of")
        gone = {name: number for name, number in self.known.items() if number % of == 0}
        assert self.stores[0].delete(f"id % {of} = 0") == len(gone)
        self.known = {name: number for name, number in self.known.items() if name not in gone}
        self.labels = {number: label for number, label in self.labels.items() if number not in gone.values()}
        self.look()

    def optimize(self, data: st.DataObject) -> None:
        report = self.stores[0].optimize(recall=data.draw(st.sampled_from([RECALL, 0.99]), "recall"))
        assert report.kept == len(self.items)
        self.indexed = len(self.items) >= WORTH
        assert [build.vectors for build in report.indexes] == [len(self.items)] * self.indexed
        self.look()
        assert [item.row for item in self.items] == list(range(len(self.items)))

    def look(self) -> None:
        """Read what the store holds, and see that it is what it should hold."""
        before = dict(self.known)
        self.items, vanished = read(self.folder / "my.store")
        self.known |= {Path(item.path).name: item.id for item in self.items}
        assert len({item.id for item in self.items}) == len(self.items)
        assert {item.id for item in self.items} | vanished == set(self.known.values())
        for item in self.items:
            name = Path(item.path).name
            assert item.id == before.get(name, item.id)  # an id stays
            assert name in before or item.id > self.last_id  # and is not used again
            assert item.label == self.labels.get(item.id)
            np.testing.assert_allclose(item.vector, unit(*self.pictures[name]), atol=1e-3)
        self.last_id = max(self.last_id, *self.known.values())
        query = unit_of(np.arange(1.0, DIM + 1))
        for store, exact in zip(self.stores, (True, False), strict=True):
            self.check(store.search(query, 4, exact=exact), query, self.items, 4, exact)

    # -- questions

    def allowed(self, data: st.DataObject, left_out: set[int]) -> tuple[str | None, list[Item]]:
        """An expression in SQL, and the items for which it holds, but for some."""
        number = data.draw(st.integers(2, 9), "number")
        of_all: list[tuple[str | None, Callable[[Item], bool]]] = [
            (None, lambda item: True),
            (None, lambda item: True),
            (f"id % {number} = 0", lambda item: item.id % number == 0),
            (f"id % {number} <> 0", lambda item: item.id % number != 0),
            ("label = 'a'", lambda item: item.label == "a"),
            ("label IS NULL OR label = 'b'", lambda item: item.label in (None, "b")),
            (f"path LIKE '%{number}.png'", lambda item: item.path.endswith(f"{number}.png")),
            ("FALSE", lambda item: False),
        ]
        where, holds = of_all[data.draw(st.integers(0, len(of_all) - 1), "where")]
        return where, [item for item in self.items if holds(item) and item.id not in left_out]

    def answer(self, query: NDArray[np.float32], allowed: list[Item]) -> tuple[list[Item], NDArray[np.float32]]:
        """All that may be found, best first, equal ones by row, and their scores."""
        if not allowed:
            return [], np.empty(0, np.float32)
        vectors = np.stack([item.vector for item in allowed]).astype(np.float64)
        scores = (vectors @ query.astype(np.float64)).astype(np.float32)
        order = np.lexsort((np.array([item.row for item in allowed]), -scores))
        return [allowed[place] for place in order], scores[order]

    def check(self, found: Matches, query: NDArray[np.float32], allowed: list[Item], k: int, exact: bool) -> None:
        """Compare a store's answer with the naive one."""
        items, scores = self.answer(query, allowed)
        score_of = dict(zip([item.id for item in items], scores.tolist(), strict=True))
        by_id = {item.id: item for item in items}
        ids = found.ids.tolist()
        assert len(ids) == len(set(ids)) == min(k, len(items))
        assert set(ids) <= set(by_id)
        assert found.paths == [by_id[number].path for number in ids]
        assert found.labels == [by_id[number].label for number in ids]
        np.testing.assert_allclose(found.scores, [min(score_of[number], 1) for number in ids], atol=1e-6)
        assert ids == sorted(ids, key=lambda number: (-score_of[number], by_id[number].row))
        if exact or not self.indexed:
            assert ids == [item.id for item in items[:k]]
        elif ids:
            least = scores[len(ids) - 1]
            self.wanted += len(ids)
            self.found += sum(score_of[number] >= least for number in ids)

    def ask_for(
        self, data: st.DataObject
    ) -> tuple[FeatureStore, int | NDArray[np.float32], NDArray[np.float32], set[int]]:
        """A store to ask, a query, the unit vector that it stands for, and the ids that are no hits."""
        store = self.stores[data.draw(st.integers(0, 1), "store")]
        place = data.draw(st.integers(-len(self.items), len(self.items) - 1), "item, or none")
        if place >= 0:
            item = self.items[place]
            return store, item.id, unit_of(item.vector), {item.id}
        vector = unit(*some_colours(np.random.default_rng(data.draw(seeds, "seed"))))
        return store, 3 * vector, unit_of(3 * vector), set()

    def search(self, data: st.DataObject) -> None:
        for _ in range(5):
            k, exact = data.draw(ks, "k"), data.draw(st.booleans(), "exact")
            store, query, vector, left_out = self.ask_for(data)
            where, allowed = self.allowed(data, left_out)
            self.check(store.search(query, k, where, exact=exact), vector, allowed, k, exact)

    def search_many(self, data: st.DataObject) -> None:
        k, exact = data.draw(ks, "k"), data.draw(st.booleans(), "exact")
        count = data.draw(st.sampled_from([1, 2, 20]), "count")
        asked = [self.ask_for(data) for _ in range(min(count, 5))]
        asked = [asked[place % len(asked)] for place in range(count)]
        where, allowed = self.allowed(data, set())
        found = asked[0][0].search_many([query for _, query, _, _ in asked], k, where, exact)
        for matches, (_, _, vector, left_out) in zip(found, asked, strict=True):
            self.check(matches, vector, [item for item in allowed if item.id not in left_out], k, exact)

    def all_above_a_score(self, data: st.DataObject) -> None:
        """The score of one of the hits, which belongs to them."""
        k = data.draw(st.none() | ks, "k")
        store, query, vector, left_out = self.ask_for(data)
        where, allowed = self.allowed(data, left_out)
        items, scores = self.answer(vector, allowed)
        above = float(scores[data.draw(st.integers(0, len(items) - 1), "place")]) if items else 0.5
        good = [item for item, score in zip(items, scores, strict=True) if score >= above]
        found = store.search(query, k, where, above=above)
        assert found.ids.tolist() == [item.id for item in good][: len(good) if k is None else k]

    def search_without_near_duplicates(self, data: st.DataObject) -> None:
        k, exact = data.draw(ks, "k"), data.draw(st.booleans(), "exact")
        unique = data.draw(st.sampled_from([0.7, 0.9, 0.97]), "unique")
        store, query, vector, left_out = self.ask_for(data)
        where, allowed = self.allowed(data, left_out)
        items, _ = self.answer(vector, allowed)
        kept: list[Item] = []
        for item in items:
            likeness = [float(unit_of(item.vector) @ unit_of(better.vector)) for better in kept]
            if any(abs(score - unique) < 1e-5 for score in likeness):
                return  # rounding decides
            if all(score < unique for score in likeness):
                kept.append(item)
        found = store.search(query, k, where, unique=unique, exact=exact)
        if exact or not self.indexed:
            assert found.ids.tolist() == [item.id for item in kept[:k]]
        else:
            by_id = {item.id: item for item in items}
            vectors = [unit_of(by_id[number].vector) for number in found.ids.tolist()]
            alike = np.stack(vectors) @ np.stack(vectors).T if vectors else np.empty((0, 0))
            assert (alike[~np.eye(len(vectors), dtype=bool)] < unique).all()
            assert min(k, 1 if items else 0) <= len(vectors) <= k

    def neighbours(self, data: st.DataObject) -> None:
        k, exact = data.draw(st.sampled_from([1, 4]), "k"), data.draw(st.booleans(), "exact")
        if len(self.items) <= k:
            with pytest.raises(EvaluationError):
                self.stores[1].neighbours(k, exact)
            return
        graph = self.stores[1].neighbours(k, exact)
        assert graph.ids.tolist() == [item.id for item in self.items]
        vectors = np.stack([item.vector for item in self.items]).astype(np.float64)
        scores = vectors @ vectors.T
        np.fill_diagonal(scores, -9)
        place_of = {item.id: place for place, item in enumerate(self.items)}
        places = np.vectorize(place_of.__getitem__)(graph.neighbours)
        np.testing.assert_allclose(graph.scores, np.take_along_axis(scores, places, axis=1), atol=1e-6)
        least = -np.sort(-scores, axis=1)[:, k - 1 : k]
        good = graph.scores >= least - 1e-6
        if exact or not self.indexed:
            assert good.all()
        self.wanted += good.size
        self.found += int(good.sum())

    def end(self) -> None:
        if self.items:
            assert self.stores[0].info()["encoders"][0]["vectors"] == len(self.items)
        assert not [finding for finding in FeatureStore.verify(self.folder / "my.store").findings if finding.damage]
        assert self.found >= FLOOR * self.wanted or self.wanted < 50
        shutil.rmtree(self.folder)


def unit_of(vector: NDArray[np.floating]) -> NDArray[np.float32]:
    """Scale to length 1, as a query is."""
    x = vector.astype(np.float64)
    return np.asarray(x / np.linalg.norm(x), np.float32)


CHANGES = [Life.change, Life.optimize, Life.label, Life.delete]
QUESTIONS = [
    Life.search, Life.search_many, Life.all_above_a_score, Life.search_without_near_duplicates, Life.neighbours,
]  # fmt: skip


def run(
    tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch, lives: int, changes: int, phases: list[Phase]
) -> None:
    for name, value in SIZES.items():
        monkeypatch.setattr(f"featurestore.{name}", value)

    @settings(
        max_examples=lives, phases=phases, derandomize=True, database=None, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.data())
    def live(data: st.DataObject) -> None:
        life = Life(Path(mkdtemp(dir=tmp_path)), encoder)
        life.begin(data)
        for _ in range(changes):
            data.draw(st.sampled_from(CHANGES), "change")(life, data)
            for _ in range(2):
                data.draw(st.sampled_from(QUESTIONS), "question")(life, data)
        life.end()

    live()


def test_a_store_answers_like_a_naive_model(tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, encoder, monkeypatch, lives=2, changes=7, phases=[Phase.generate])  # to make it shorter takes minutes


@pytest.mark.slow
def test_a_store_answers_like_a_naive_model_in_many_long_lives(
    tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, encoder, monkeypatch, lives=20, changes=12, phases=[Phase.generate, Phase.shrink])
