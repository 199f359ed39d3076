"""Indexes of stores: built by `optimize`, taken only when they are whole, and never missed but for speed.

Some dozens of pictures are treated as if they were tens of thousands.
"""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from featurestore import FeatureStore
from featurestore.ann.faiss_index import RabitqIndex
from featurestore.catalog.indexes import Indexes
from featurestore.errors import ConfigError, StoreError
from featurestore.progress import Listener
from tests.featurestore.fakes import DIM, paint

COUNT = 80
SIZES: dict[str, Any] = {
    "ann.tuning.WORTH_ROWS": 40,
    "ann.tuning.WORTH_NUMBERS": 0,
    "ann.row_filter.GATHERED": 10 * DIM,
    "ann.build.GATHERED": 30 * DIM,
    "ann.build.KS": (3, 8),
    "ann.build.MOST_CANDIDATES": (20, 30),
    "ann.search.EXACT_FROM": 1,
}


def colour(number: int, seed: int = 0) -> tuple[tuple[int, int, int], ...]:
    r = np.random.default_rng([number, seed]).integers(1, 256, (4, 3))
    return tuple((int(a), int(b), int(c)) for a, b, c in r)


pytestmark = pytest.mark.usefixtures("one_faiss_thread")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small sizes."""
    for name, value in SIZES.items():
        monkeypatch.setattr(f"featurestore.{name}", value)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(COUNT):
        paint(folder / f"{number:03}.png", *colour(number))
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, photos: Path, encoder: Path) -> Path:
    """A store without an index; not to be changed."""
    path = tmp_path_factory.mktemp("plain") / "my.store"
    FeatureStore.open(path, encoder).index(photos, workers=1)
    return path


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory, plain: Path) -> Path:
    """A store with an index; not to be changed."""
    path = tmp_path_factory.mktemp("ready") / "my.store"
    shutil.copytree(plain, path)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SIZES.items():
            patch.setattr(f"featurestore.{name}", value)
        FeatureStore.open(path).optimize(recall=0.9)
    return path


@pytest.fixture
def without(plain: Path, tmp_path: Path) -> FeatureStore:
    """A store that is worth an index, and has none."""
    return FeatureStore.open(shutil.copytree(plain, tmp_path / "without.store"))


@pytest.fixture
def store(ready: Path, tmp_path: Path) -> FeatureStore:
    """A store with an index."""
    return FeatureStore.open(shutil.copytree(ready, tmp_path / "my.store"))


def index_files(store: FeatureStore) -> list[str]:
    return sorted(path.name[16:] for path in (store.path / "indexes").glob("*"))


def index_file(store: FeatureStore) -> Path:
    [path] = (store.path / "indexes").iterdir()
    return path


def dies(*arguments: Any) -> None:
    raise KeyboardInterrupt


def query(seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).random(DIM)


@pytest.fixture
def proposed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of queries that indexes were asked for."""
    asked: list[int] = []
    propose = RabitqIndex.propose

    def noted(self: RabitqIndex, queries: Any, *settings: Any) -> Any:
        asked.append(len(queries))
        return propose(self, queries, *settings)

    monkeypatch.setattr(RabitqIndex, "propose", noted)
    return asked


# -- building


class Ear(Listener):
    """Notes the phases that it is told of."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def start(self, what: str, total: int | None) -> None:
        self.heard.append(what)


def test_optimize_builds_an_index_and_says_what_it_does(without: FeatureStore) -> None:
    [encoder] = without.info()["encoders"]
    assert encoder["index"] is None
    ear = Ear()
    [build] = without.optimize(recall=0.9, listener=ear).indexes
    assert ear.heard == ["training the index", "building the index", "measuring the index"]
    path = index_file(without)
    assert path.name == f"{encoder['fingerprint'][:16]}-1.faiss"
    assert (build.encoder, build.vectors, build.bytes) == (encoder["name"], COUNT, path.stat().st_size)
    assert build.built
    assert 0.9 <= build.recall <= 1
    told = without.info()["encoders"][0]["index"]
    assert (told["vectors"], told["bytes"], told["target"]) == (COUNT, build.bytes, 0.9)
    assert (told["kind"], told["lists"]) == ("IVF,RaBitQ", 2)
    assert told["settings"][0]["recall"] == build.recall
    assert build.recall in [recall for _, _, recall in told["curve"]]
    assert not FeatureStore.verify(without.path).findings


def test_an_index_is_built_anew_only_when_another_is_wished_for(store: FeatureStore) -> None:
    before = index_file(store).stat()
    [build] = store.optimize(recall=0.9).indexes
    after = index_file(store).stat()
    assert (after.st_ino, after.st_mtime_ns, build.built) == (before.st_ino, before.st_mtime_ns, False)
    assert build.recall == store.info()["encoders"][0]["index"]["settings"][0]["recall"]
    [build] = store.optimize(recall=0.5).indexes
    assert build.built
    assert index_files(store) == ["-2.faiss"]
    assert store.info()["encoders"][0]["index"]["target"] == 0.5
    assert not FeatureStore.verify(store.path).findings


def test_a_store_that_became_small_loses_its_index_and_needs_none(store: FeatureStore) -> None:
    store.delete("id > 39")
    assert store.optimize().indexes == ()
    assert index_files(store) == []
    assert store.info()["encoders"][0]["index"] is None
    assert store.slow() == []
    assert store.search(1, k=100).warnings == ()


def test_each_encoder_has_an_index_of_its_own(
    store: FeatureStore, photos: Path, other_encoder: Path, proposed: list[int]
) -> None:
    other = FeatureStore.open(store.path, other_encoder)
    other.index(photos, workers=1)
    assert [(build.encoder, build.built) for build in other.optimize(recall=0.9).indexes] == [
        (record["name"], number > 0) for number, record in enumerate(other.info()["encoders"])
    ]
    assert index_files(store) == ["-1.faiss", "-1.faiss"]
    proposed.clear()
    for record in store.info()["encoders"]:
        assert store.search(query(), encoder=record["name"]).warnings == ()
    assert proposed == [1, 1]


@pytest.mark.parametrize("recall", [0, -0.5, 1.01, float("nan")])
def test_a_recall_that_cannot_be_is_refused(without: FeatureStore, recall: float) -> None:
    with pytest.raises(ConfigError, match="expected a number above 0 and up to 1"):
        without.optimize(recall=recall)


def test_too_little_memory_is_named_and_all_is_as_before(store: FeatureStore) -> None:
    with pytest.raises(StoreError, match=r"an index over 80 vectors of 12 takes at least .* allow more by --memory"):
        store.optimize(recall=0.5, memory=2_000)
    assert index_files(store) == ["-1.faiss"]
    assert not FeatureStore.verify(store.path).findings


# -- searching


def test_searches_go_by_the_index_unless_all_are_to_be_looked_at(store: FeatureStore, proposed: list[int]) -> None:
    store.search(query(), k=3)
    store.search_many(np.stack([query(1), query(2)]), k=3)
    assert proposed[:2] == [1, 2]
    store.neighbours(2)
    assert sum(proposed[2:]) >= COUNT
    proposed.clear()
    store.search(query(), k=3, exact=True)
    store.search_many(np.stack([query(1), query(2)]), k=3, exact=True)
    store.neighbours(2, exact=True)
    store.search(query(), above=0.9)
    assert proposed == []


def test_a_store_without_an_index_says_that_it_would_be_quicker_with_one(
    without: FeatureStore, store: FeatureStore
) -> None:
    name = without.info()["encoders"][0]["name"]
    assert without.slow() == [f"the 80 vectors of {name} have no index"]
    assert without.search(query()).warnings == ()  # not each time
    assert store.slow() == []


def test_what_is_newer_than_the_index_is_found_and_told_when_it_is_much(
    store: FeatureStore, tmp_path: Path, proposed: list[int]
) -> None:
    newer = tmp_path / "newer"
    for number in range(30):
        paint(newer / f"{number:03}.png", *colour(number, seed=1))
        if number in (9, 19, 29):
            store.index(newer, workers=1)
            ids = store.sql(f"SELECT id FROM items WHERE path LIKE '{newer}%' ORDER BY id")["id"].to_pylist()
            assert len(ids) == number + 1
            asked = len(proposed)
            for item in ids:
                vector = store.features()[1][item - 1]
                assert store.search(vector, k=1).ids.tolist() == [item]
            assert len(proposed) > asked
            name = store.info()["encoders"][0]["name"]
            share = (number + 1) / (COUNT + number + 1)
            told = f"{share:.0%} of the vectors of {name} are newer than its index, and searches look at all of these"
            assert store.slow() == ([told] if share > 0.2 else [])
    [build] = store.optimize(recall=0.9).indexes
    assert (build.vectors, build.built) == (COUNT + 30, True)
    assert store.slow() == []


def test_an_index_of_the_rows_before_is_not_used_for_those_after(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that dies when it has given the vectors other rows, and not yet built the index anew."""
    store.delete("id % 4 = 1")
    monkeypatch.setattr("featurestore.maintenance.optimization.index_vectors", dies)
    with pytest.raises(KeyboardInterrupt):
        store.optimize(recall=0.9)
    found = FeatureStore.open(store.path).search(query(), k=20)
    assert found.to_json() == store.search(query(), k=20, exact=True).to_json()
    assert "have no index" in store.slow()[0]


def test_threads_share_a_store(store: FeatureStore) -> None:
    queries = [query(seed) for seed in range(40)]

    def ask(n: int, asked: FeatureStore) -> list[dict[str, Any]]:
        return asked.search(queries[n], 5, None if n % 3 else "id % 2 = 0").to_json()

    expected = [ask(n, store) for n in range(40)] * 3
    fresh = FeatureStore.open(store.path)  # which has read nothing yet
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, [*range(40)] * 3, [fresh] * 120)) == expected
    assert faiss.omp_get_max_threads() == 1


# -- files that are not what they should be


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "problem"), [(Path.unlink, "is missing"), (damage, "is not the file that was written")]
)
def test_a_damaged_index_is_told_and_done_without(
    store: FeatureStore, harm: Callable[[Path], None], problem: str, proposed: list[int]
) -> None:
    harm(index_file(store))
    found = store.search(query(), k=20)
    told = f"the index of {store.info()['encoders'][0]['name']} {problem}; searches look at all its vectors"
    assert store.slow() == [told]
    assert found.warnings == (f"{told}; to make searches fast: featurestore optimize STORE",)
    exact = store.search(query(), k=20, exact=True)
    assert (found.to_json(), exact.warnings) == (exact.to_json(), ())
    assert proposed == []


def test_a_damaged_index_is_found_by_verify_and_built_anew(store: FeatureStore) -> None:
    reader = FeatureStore.open(store.path)
    damage(index_file(store))
    assert reader.search(query()).warnings != ()
    [finding] = FeatureStore.verify(store.path).findings
    assert finding.damage
    assert finding.place.startswith("indexes/")
    assert [build.built for build in store.optimize(recall=0.9).indexes] == [True]
    assert reader.search(query()).warnings == ()
    assert not FeatureStore.verify(store.path).findings


def test_a_damaged_index_is_taken_away_by_repair(store: FeatureStore) -> None:
    damage(index_file(store))
    assert [finding.repaired for finding in FeatureStore.verify(store.path, repair=True).findings] == [True]
    assert index_files(store) == []
    assert not FeatureStore.verify(store.path).findings
    assert "have no index" in store.slow()[0]


@pytest.mark.parametrize("change", ["rows = 79", "rows = 81", "vectors = encoder[:16] || '-7.f16'"])
def test_an_index_of_other_vectors_than_there_are_is_not_used(
    store: FeatureStore, proposed: list[int], change: str
) -> None:
    with duckdb.connect(str(store.path / "catalog.duckdb")) as connection:
        connection.execute(f"UPDATE indexes SET {change}")
    assert store.search(query(), k=20).to_json() == store.search(query(), k=20, exact=True).to_json()
    assert proposed == []
    assert len(store.slow()) == 1


def test_an_index_that_was_never_taken_is_removed_by_the_next_run(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Indexes, "publish", dies)
        with pytest.raises(KeyboardInterrupt):
            store.optimize(recall=0.5)
    assert index_files(store) == ["-1.faiss", "-2.faiss"]
    assert [(f.place[-8:], f.damage) for f in FeatureStore.verify(store.path).findings] == [("-2.faiss", False)]
    assert store.search(query()).warnings == ()
    assert [build.built for build in store.optimize(recall=0.9).indexes] == [False]
    assert index_files(store) == ["-1.faiss"]
