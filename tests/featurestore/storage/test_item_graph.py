"""The k-NN graph of a store: the same whether it is computed, read or extended, and never that of other vectors."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from featurestore import FeatureStore
from featurestore.ann import knn_graph
from featurestore.errors import EncoderNotInStore, StoreCorrupt, StoreNotFound
from featurestore.progress import Listener
from featurestore.storage import item_graph as graphs
from featurestore.storage.item_graph import ItemGraph, fold_contents, item_graph
from featurestore.system import lock
from tests.featurestore.fakes import paint


class Computed(Listener):
    """Notes how many items were asked for their neighbours."""

    def __init__(self) -> None:
        self.asked: list[int | None] = []
        self.notes: list[str] = []

    def start(self, what: str, total: int | None) -> None:
        if what == "finding neighbours":
            self.asked.append(total)

    def note(self, text: str) -> None:
        self.notes.append(text)


def computed(path: Path) -> tuple[ItemGraph, list[int | None]]:
    listener = Computed()
    return item_graph(FeatureStore.open(path), listener=listener), listener.asked


def naive(store: FeatureStore, k: int = 20) -> dict[str, list[str]]:
    """The neighbours of each image by their paths: all other contents, best first."""
    names, vectors = [], []
    ids, x, _ = store.features()
    contents = store.catalog.items.contents()
    paths = dict(
        zip(*(store.sql("SELECT id, path FROM items")[name].to_pylist() for name in ("id", "path")), strict=True)
    )
    for content in dict.fromkeys(contents[int(item)] for item in ids):
        first = next(place for place, item in enumerate(ids) if contents[int(item)] == content)
        names.append(Path(paths[int(ids[first])]).name)
        vectors.append(x[first].astype(np.float64))
    scores = np.stack(vectors) @ np.stack(vectors).T
    return {
        name: [names[j] for j in sorted(range(len(names)), key=lambda j: (-scores[i, j], j)) if j != i][:k]
        for i, name in enumerate(names)
    }


def neighbours_by_name(found: ItemGraph) -> dict[str, list[str]]:
    names: dict[int, str] = {}
    for path, node in zip(found.view.items.paths.to_pylist(), found.nodes.tolist(), strict=True):
        names.setdefault(node, Path(path).name)
    return {names[node]: [names[other] for other in line] for node, line in enumerate(found.graph.indices.tolist())}


def test_it_is_computed_once(store_path: Path) -> None:
    first, asked = computed(store_path)
    assert asked == [6]
    again, asked = computed(store_path)
    assert asked == []
    assert neighbours_by_name(first) == neighbours_by_name(again) == naive(FeatureStore.open(store_path))
    assert [path.suffix for path in (store_path / "derived").iterdir()] == [".knn"]


def test_new_removed_and_changed_items(store_path: Path, encoder: Path, colours: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(colours, tmp_path / "own"))
    rng = np.random.default_rng(0)
    for n in range(40):
        paint(source / "more" / f"{n}.png", tuple(rng.integers(0, 256, 3).tolist()))
    store = FeatureStore.open(tmp_path / "own.store", encoder)
    store.index(source)
    assert computed(store.path)[1] == [46]
    paint(source / "more" / "new.png", (9, 99, 199))
    store.index(source)
    found, asked = computed(store.path)
    assert asked == [1]
    assert neighbours_by_name(found) == naive(store)
    (source / "more" / "3.png").unlink()
    paint(source / "more" / "4.png", (1, 2, 3))
    store.index(source)
    found, asked = computed(store.path)
    assert len(asked) == 1
    assert neighbours_by_name(found) == naive(store)
    store.optimize()
    assert not list((store.path / "derived").iterdir())
    found, asked = computed(store.path)
    assert asked == [46]
    assert neighbours_by_name(found) == naive(store)


def test_copies_are_one_node(store_path: Path, encoder: Path, colours: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(colours, tmp_path / "own"))
    for n in range(25):
        shutil.copy(source / "primary" / "red.png", source / f"red{n}.png")
    store = FeatureStore.open(tmp_path / "own.store", encoder)
    store.index(source)
    found, _ = computed(store.path)
    assert len(found.nodes) == 31
    assert found.graph.indices.shape == (6, 5)
    assert neighbours_by_name(found) == naive(store)
    store.delete("path LIKE '%/primary/red.png'")  # another copy stands for the content now
    assert computed(store.path)[0].graph.indices.shape == (6, 5)


def test_folding_numbers_nodes_by_their_first_items() -> None:
    first, nodes = fold_contents(np.array([4, -1, 0, 4, -1, 0, 0]))
    np.testing.assert_array_equal(first, [0, 1, 2, 4])
    np.testing.assert_array_equal(nodes, [0, 1, 2, 0, 3, 2, 2])


def test_a_damaged_or_foreign_graph_is_replaced(store_path: Path, tmp_path: Path) -> None:
    expected = neighbours_by_name(computed(store_path)[0])
    [file] = (store_path / "derived").iterdir()
    data = file.read_bytes()
    file.write_bytes(data[:-1])
    assert computed(store_path)[1] == [6]
    assert file.read_bytes() == data
    # The store is put back from a backup, the graph is not, and another image gets the row.
    store = FeatureStore.open(store_path)
    backup = shutil.copytree(store_path, tmp_path / "backup.store", ignore=shutil.ignore_patterns("derived"))
    paint(tmp_path / "a.png", (200, 100, 0))
    store.index(tmp_path / "a.png")
    computed(store_path)
    shutil.copytree(store_path / "derived", backup / "derived")
    paint(tmp_path / "b.png", (0, 100, 200))
    FeatureStore.open(backup).index(tmp_path / "b.png")
    found, asked = computed(backup)
    assert asked == [7]
    assert neighbours_by_name(found) == naive(FeatureStore.open(backup)) != expected


def test_where_nothing_may_be_written_it_is_computed_each_time(
    store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "WAIT_SECONDS", 0.0)
    store, listener = FeatureStore.open(store_path), Computed()
    with lock.writer_lock(store_path):
        found = item_graph(store, listener=listener)
    assert neighbours_by_name(found) == naive(store)
    [note] = listener.notes
    assert "the neighbours are not kept for next time: store" in note
    assert not (store_path / "derived").exists()


def test_large_collections_are_told_of_the_index(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "BY_INDEX_FROM", 6)
    listener = Computed()
    item_graph(FeatureStore.open(store_path), listener=listener)
    assert listener.notes == [
        f"all 6 images are compared with all; an index is faster: featurestore optimize {store_path}"
    ]


def test_stores_without_images_and_with_one(tmp_path: Path, encoder: Path, store_path: Path) -> None:
    with pytest.raises(StoreNotFound):
        item_graph(FeatureStore.open(tmp_path / "none.store", encoder))
    paint(tmp_path / "a.png", (200, 100, 0))
    store = FeatureStore.open(tmp_path / "one.store", encoder)
    store.index(tmp_path / "a.png")
    assert item_graph(store).graph.indices.shape == (1, 0)
    store.delete("true")
    assert item_graph(store).graph.indices.shape == (0, 0)
    with pytest.raises(EncoderNotInStore):
        item_graph(store, encoder="nobody")


def test_damaged_vectors_are_named(store_path: Path) -> None:
    [file] = (store_path / "vectors").iterdir()
    file.write_bytes(b"\xff\xff" * (file.stat().st_size // 2))
    with pytest.raises(StoreCorrupt, match="not finite"):
        computed(store_path)


def test_a_dropped_encoder_takes_its_graph_along(store_path: Path, other_encoder: Path, colours: Path) -> None:
    computed(store_path)
    FeatureStore.open(store_path, other_encoder).index(colours)
    store = FeatureStore.open(store_path)
    item_graph(store, encoder=other_encoder)
    assert len(list((store_path / "derived").iterdir())) == 2
    store.drop_encoder(str(other_encoder))
    assert len(list((store_path / "derived").iterdir())) == 1


def test_the_graph_has_twenty_neighbours() -> None:
    assert graphs.K == 20
    assert knn_graph.SAMPLED == 500
