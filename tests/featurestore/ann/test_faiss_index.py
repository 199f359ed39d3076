"""What is asked of FAISS: that it copies nothing, keeps what it needs, respects masks, and changes nothing for the host program."""

import gc
import weakref

import faiss
import numpy as np
import pytest

from featurestore.ann.exact import search_exact
from featurestore.ann.faiss_index import BLAS_FROM, FlatIndex, RabitqIndex, floats, top_k
from featurestore.ann.row_filter import RowFilter
from tests.featurestore.ann.naive import Halves, clustered


@pytest.fixture(scope="module")
def vectors() -> Halves:
    return clustered(600, 16)[0]


@pytest.fixture(scope="module")
def lists(vectors: Halves) -> RabitqIndex:
    made = RabitqIndex.train(floats(vectors), 9, 5, seed=0)
    made.add(floats(vectors))
    return made


def bits(mask: np.ndarray) -> np.ndarray:
    return np.packbits(mask, bitorder="little")


# -- flat


def test_flat_copies_nothing(vectors: Halves) -> None:
    own = vectors.copy()
    flat = FlatIndex(own)
    query = floats(own[:1])
    assert flat.search(query, 1)[1].tolist() == [[0]]
    own[[0, 99]] = own[[99, 0]]
    assert flat.search(query, 1)[1].tolist() == [[99]]


def test_flat_keeps_its_array_alive_and_lets_it_go_in_the_end(vectors: Halves) -> None:
    own = vectors.copy()
    alive = weakref.ref(own)
    flat = FlatIndex(own)
    del own
    gc.collect()
    rubbish = [np.full_like(vectors, 9) for _ in range(20)]
    assert alive() is not None
    assert flat.search(floats(vectors[5:6]), 1)[1].tolist() == [[5]]
    del flat, rubbish
    gc.collect()
    assert alive() is None


# -- floats


def test_floats_widens_every_number_there_is() -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16).reshape(-1, 8)
    expected = every.astype(np.float32)
    number = ~np.isnan(expected)
    found = floats(every)
    np.testing.assert_array_equal(found[number].view(np.uint32), expected[number].view(np.uint32))
    assert np.isnan(found[~number]).all()


def test_floats_takes_arrays_of_any_kind(vectors: Halves) -> None:
    for given in (vectors[:0], vectors[:1], vectors[::3], vectors[:, ::2], vectors.T):
        found = floats(given)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, given.astype(np.float32))


# -- lists


def test_all_lists_with_many_candidates_propose_everything_once(lists: RabitqIndex) -> None:
    proposed = lists.propose(floats(clustered(2, 16, seed=1)[0]), 650, lists.lists)
    assert [sorted(line) for line in proposed.tolist()] == [[-1] * 50 + list(range(600))] * 2
    assert (lists.count, lists.lists, lists.dim) == (600, 9, 16)


def test_only_what_the_mask_leaves_is_proposed(lists: RabitqIndex) -> None:
    mask = np.arange(600) % 50 == 0
    proposed = lists.propose(floats(clustered(3, 16, seed=1)[0]), 15, lists.lists, bits(mask))
    assert [sorted(line) for line in proposed.tolist()] == [[-1] * 3 + list(range(0, 600, 50))] * 3


# -- the host program


def test_nothing_global_of_faiss_is_changed(lists: RabitqIndex, vectors: Halves) -> None:
    faiss.omp_set_num_threads(3)
    threshold = faiss.cvar.distance_compute_blas_threshold
    for count in (1, 4, BLAS_FROM // 16):
        queries = floats(np.resize(vectors, (count, 16)))
        flat = FlatIndex(vectors)
        flat.search(queries, 3)
        flat.range_search(queries[:1], 0.5)
        top_k(queries, floats(vectors), 3)
        lists.propose(queries, 9, 2)
        search_exact(queries, vectors, RowFilter(600), 3)
        assert faiss.omp_get_max_threads() == 3
    for call in (lambda: FlatIndex(vectors).search(queries[:1, :5], 3), lambda: lists.propose(queries[:1, :5], 9, 2)):
        with pytest.raises(AssertionError):
            call()
        assert faiss.omp_get_max_threads() == 3
    assert faiss.cvar.distance_compute_blas_threshold == threshold
