"""Pairs that a store keeps: read as they were found, for just the contents that they were found among, and nothing else from a stranger."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featurestore import FeatureStore
from featurestore.errors import StoreUntrusted
from featurestore.progress import Listener
from featurestore.storage import kept_pairs as module
from featurestore.storage.kept_pairs import HEADER, KeptPairs, contents_of, keep_pairs, kept_pairs
from featurestore.system import lock
from featurestore.system.checked_file import CHECKSUM, write_checked
from tests.featurestore.fakes import paint


def found_in(store: FeatureStore, **other: Any) -> KeptPairs:
    """Two pairs among the six contents of the shared store, and one that could not be looked at."""
    columns: dict[str, Any] = {
        "left": np.array([1, 0]),
        "right": np.array([4, 2]),
        "score": np.array([0.999, 0.99], np.float32),
        "mirrored": np.array([False, True]),
        "unseen": np.array([5]),
        "recall": 0.75,
        "limit": 0.97,
        "precision": None,
    }
    return KeptPairs(contents_of(store), **columns | other)


@pytest.fixture
def path(store: FeatureStore) -> Path:
    """The file of the pairs."""
    keep_pairs(store, found_in(store), Listener())
    [path] = (store.path / "derived").iterdir()
    return path


def test_what_was_written_is_read(store: FeatureStore, path: Path) -> None:
    found, expected = kept_pairs(store), found_in(store)
    assert found is not None
    for name in ("left", "right", "score", "mirrored", "unseen"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert (found.recall, found.limit, found.precision) == (0.75, 0.97, None)
    assert path.suffix == ".pairs"


def test_no_pairs_are_an_answer_too(store: FeatureStore) -> None:
    assert kept_pairs(store) is None
    none: dict[str, Any] = {name: np.empty(0, np.int64) for name in ("left", "right", "unseen")}
    keep_pairs(store, found_in(store, **none, score=np.empty(0), mirrored=np.empty(0, bool)), Listener())
    found = kept_pairs(store)
    assert found is not None
    assert (len(found.left), len(found.unseen)) == (0, 0)


def test_the_contents_are_those_of_the_items(store: FeatureStore) -> None:
    contents = contents_of(store)
    rows = store.sql("SELECT id, sha256 FROM items").to_pylist()
    by_id = {row["id"]: row["sha256"] for row in rows}
    ids = contents.view.items.ids.tolist()
    assert [contents.hashes[node].tobytes().hex() for node in contents.nodes] == [by_id[item] for item in ids]


def test_other_contents_make_them_useless_and_the_same_ones_useful_again(
    store: FeatureStore, path: Path, colours: Path, tmp_path: Path
) -> None:
    shutil.copy(colours / "primary" / "red.png", tmp_path / "again.png")
    store.index(tmp_path / "again.png")  # a copy is no other content
    assert kept_pairs(store) is not None
    store.index(paint(tmp_path / "new.png", (9, 99, 199)))
    assert kept_pairs(store) is None
    store.delete(f"path = '{tmp_path / 'new.png'}'")
    assert kept_pairs(store) is not None
    store.optimize()  # another file of vectors
    found = kept_pairs(store)
    assert found is not None
    assert path.exists()
    names = [Path(p).stem for p in found.contents.view.items.paths.to_pylist()]
    pairs = {tuple(names[int(np.flatnonzero(found.contents.nodes == node)[0])] for node in pair) for pair in zip(found.left, found.right, strict=True)}  # fmt: skip
    assert pairs == {("yellow", "green"), ("cyan", "white")}


def test_optimize_forgets_pairs_of_contents_that_are_gone(store: FeatureStore, path: Path) -> None:
    store.delete("label = 'mixed'")
    assert path.exists()
    store.optimize()
    assert not path.exists()


def test_pairs_belong_to_an_encoder(store: FeatureStore, path: Path, other_encoder: Path, colours: Path) -> None:
    FeatureStore.open(store.path, other_encoder).index(colours)
    assert kept_pairs(store, other_encoder) is None
    keep_pairs(store, replace(found_in(store), contents=contents_of(store, other_encoder), recall=0.5), Listener())
    [own, other] = [kept_pairs(store, encoder) for encoder in (None, other_encoder)]
    assert (own and own.recall, other and other.recall) == (0.75, 0.5)
    [second] = set((store.path / "derived").iterdir()) - {path}
    second.write_bytes(path.read_bytes())  # put there by hand
    assert kept_pairs(store, other_encoder) is None
    store.drop_encoder(str(other_encoder))
    assert list((store.path / "derived").iterdir()) == [path]


def test_a_store_that_changed_meanwhile_keeps_nothing(store: FeatureStore, tmp_path: Path) -> None:
    found = found_in(store)
    FeatureStore.open(store.path).index(paint(tmp_path / "new.png", (9, 99, 199)))
    keep_pairs(store, found, Listener())
    assert list((store.path / "derived").iterdir()) == []


def test_where_nothing_may_be_written_it_is_said(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    class Notes(Listener):
        def note(self, text: str) -> None:
            said.append(text)

    said: list[str] = []
    monkeypatch.setattr(lock, "WAIT_SECONDS", 0.0)
    with lock.writer_lock(store.path):
        keep_pairs(store, found_in(store), Notes())
    assert said[0].startswith("the pairs are not kept for next time: store")
    assert kept_pairs(store) is None


def test_what_another_version_found_is_not_used(
    store: FeatureStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kept_pairs(store) is not None
    monkeypatch.setattr(module, "MAGIC", b"pairs99\n")
    assert kept_pairs(store) is None


def test_every_damaged_byte_is_found(store: FeatureStore, path: Path) -> None:
    data = path.read_bytes()
    for place in range(0, len(data), 5):
        path.write_bytes(data[:place] + bytes([data[place] ^ 64]) + data[place + 1 :])
        assert kept_pairs(store) is None, place
    for end in (0, 1, HEADER.size, HEADER.size + 9, len(data) - 1):
        path.write_bytes(data[:end])
        assert kept_pairs(store) is None
    path.write_bytes(data + b"x")
    assert kept_pairs(store) is None


@pytest.mark.parametrize(
    "change",
    [
        {"score": np.array([0.9, np.nan])},
        {"score": np.array([0.9, 1.5])},
        {"score": np.array([0.9, -0.1])},
        {"right": np.array([1, 2])},
        {"mirrored": np.array([0, 7])},
        {"recall": 2.0},
        {"recall": float("nan")},
        {"limit": 1.5},
        {"precision": -0.1},
    ],
)
def test_what_makes_no_sense_is_not_used_though_its_checksum_fits(
    store: FeatureStore, path: Path, change: dict[str, Any]
) -> None:
    keep_pairs(store, found_in(store, **change), Listener())
    assert kept_pairs(store) is None


def test_contents_that_are_not_in_the_store_are_not_given(store: FeatureStore, path: Path) -> None:
    """A stranger may write the key of a store into a file about other contents."""
    content = bytearray(path.read_bytes()[:-CHECKSUM])
    for place in range(5):  # four contents of pairs, and one that was not seen
        changed = content.copy()
        changed[HEADER.size + 32 * place] ^= 1
        write_checked(path, [bytes(changed)])
        assert kept_pairs(store) is None


def test_the_surest_come_first_and_the_lower_node_is_left_whatever_the_file_says(
    store: FeatureStore, path: Path
) -> None:
    swapped = {"left": np.array([2, 4]), "right": np.array([0, 1]), "score": np.array([0.99, 0.999], np.float32)}
    keep_pairs(store, found_in(store, **swapped, mirrored=np.array([True, False])), Listener())
    found = kept_pairs(store)
    assert found is not None
    assert (found.left.tolist(), found.right.tolist(), found.mirrored.tolist()) == ([1, 0], [4, 2], [False, True])


def test_a_header_that_promises_much_allocates_nothing(store: FeatureStore, path: Path) -> None:
    content = path.read_bytes()[:-CHECKSUM]
    for field in (2, 3):
        fields = list(HEADER.unpack_from(content))
        fields[field] = 2**60
        write_checked(path, [HEADER.pack(*fields), content[HEADER.size :]])
        assert kept_pairs(store) is None
    write_checked(path, [content[: HEADER.size - 1]])
    assert kept_pairs(store) is None
    with path.open("r+b") as file:
        file.truncate(2**40)
    assert kept_pairs(store) is None


def test_a_link_is_refused(store: FeatureStore, path: Path, tmp_path: Path) -> None:
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreUntrusted):
        kept_pairs(store)


def test_a_catalog_with_odd_hashes_keeps_nothing(store: FeatureStore) -> None:
    contents = contents_of(store)
    assert contents.key is not None
    odd = contents.hashes.copy()
    odd[2] = np.zeros((), odd.dtype)
    assert replace(contents, hashes=odd).key is None
    keep_pairs(store, replace(found_in(store), contents=replace(contents, hashes=odd)), Listener())
    assert not (store.path / "derived").exists()
