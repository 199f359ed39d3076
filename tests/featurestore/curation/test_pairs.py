"""Pairs of the same picture: what is proposed, and what becomes of a proposal."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from featurestore.ann.knn_graph import build_graph
from featurestore.ann.normalize import unit_rows
from featurestore.ann.row_filter import RowFilter
from featurestore.curation import pairs
from featurestore.curation.pairs import Pairs, same_pictures
from featurestore.curation.proposals import proposals
from featurestore.errors import StoreCorrupt
from featurestore.progress import Listener
from featurestore.storage.thumbnails import SIDE, Thumbnails
from tests.featurestore.curation.pictures import crop, draw, mirror, thumbnail

COUNT = 40


def collection(*copies: np.ndarray) -> np.ndarray:
    """COUNT pictures and some others."""
    return np.stack([*(thumbnail(draw(seed)) for seed in range(COUNT)), *copies])


def vectors(count: int, same: dict[int, int], closer: float = 0.2) -> np.ndarray:
    """Random vectors, those of some places near those of others."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(count, 16))
    for place, other in same.items():
        x[place] = x[other] + closer * x[place]
    return unit_rows(x).astype(np.float16)


def find(grey: np.ndarray, x: np.ndarray, known: np.ndarray | None = None, k: int = 10) -> Pairs:
    graph = build_graph(x, RowFilter(len(x)), k, None, Listener())
    pictures = Thumbnails(grey, np.ones(len(grey), bool) if known is None else known)
    return same_pictures(graph, x, pictures, Listener())[0]


def as_set(found: Pairs) -> set[tuple[int, int, bool]]:
    return set(zip(found.left.tolist(), found.right.tolist(), found.mirrored.tolist(), strict=True))


def test_copies_are_found_by_vectors_and_by_pixels() -> None:
    """A crop that only vectors propose, and copies that only pixels propose; mirrored ones are told apart."""
    grey = collection(
        thumbnail(crop(draw(3))),
        thumbnail(mirror(draw(5))),
        thumbnail(draw(7, 30, 22)),
        thumbnail(mirror(crop(draw(9)))),
    )
    x = vectors(len(grey), {COUNT: 3, COUNT + 3: 9})
    found = find(grey, x)
    assert as_set(found) == {(3, 40, False), (5, 41, True), (7, 42, False), (9, 43, True)}
    assert (np.diff(found.score) <= 0).all()
    assert (found.score <= 1).all()


def test_near_vectors_alone_are_not_the_same_picture() -> None:
    assert not as_set(find(collection(thumbnail(draw(90))), vectors(COUNT + 1, {COUNT: 3}, 0.01)))


def test_where_a_picture_cannot_be_looked_at_only_very_near_vectors_count() -> None:
    grey, known = (
        collection(np.zeros((SIDE, SIDE), np.uint8), np.zeros((SIDE, SIDE), np.uint8)),
        np.ones(COUNT + 2, bool),
    )
    known[COUNT:] = False
    x = vectors(len(grey), {COUNT: 3, COUNT + 1: 8}, 0.4)
    x[COUNT] = x[3]
    found = find(grey, x, known)
    assert as_set(found) == {(3, COUNT, False)}


def test_permuted_items_give_permuted_pairs() -> None:
    grey = collection(thumbnail(crop(draw(3))), thumbnail(mirror(draw(5))), thumbnail(draw(7, 30, 22)))
    x = vectors(len(grey), {COUNT: 3})
    order = np.random.default_rng(2).permutation(len(grey))
    place = np.argsort(order)
    expected = {(*sorted((int(place[a]), int(place[b]))), m) for a, b, m in as_set(find(grey, x))}
    assert len(expected) == 3
    assert as_set(find(grey[order], x[order])) == expected


def test_pairs_in_parts_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    grey = collection(thumbnail(crop(draw(3))), thumbnail(mirror(draw(5))))
    x = vectors(len(grey), {COUNT: 3})
    expected = find(grey, x)
    monkeypatch.setattr(pairs, "TOGETHER", 7)
    again = find(grey, x)
    assert as_set(again) == as_set(expected)
    np.testing.assert_allclose(again.score, expected.score, atol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_pictures(count: int) -> None:
    grey = collection()[:1].repeat(count, axis=0)
    found = find(grey, vectors(count, {}))
    assert as_set(found) == ({(0, 1, False)} if count == 2 else set())


@pytest.mark.parametrize("level", [0, 200])
def test_pictures_of_one_colour_have_no_pairs(level: int) -> None:
    assert not as_set(find(np.full((30, SIDE, SIDE), level, np.uint8), vectors(30, {})))


def test_a_symmetrical_picture_is_not_mirrored() -> None:
    half = thumbnail(draw(3))[:, : SIDE // 2]
    both = np.concatenate([half, half[:, ::-1]], axis=1)
    assert as_set(find(collection(both, both), vectors(COUNT + 2, {}))) == {(COUNT, COUNT + 1, False)}


def test_vectors_that_differ_by_rounding_alone_say_nothing_more_and_nothing_less() -> None:
    """Scores of float16 vectors exceed 1 by rounding; the pictures of such a crowd are still compared."""
    rng = np.random.default_rng(0)
    grey = np.stack(
        [thumbnail(jpeg_of(draw(1), rng)) for _ in range(30)] + [thumbnail(draw(seed)) for seed in range(2, 12)]
    )
    x = vectors(40, {})
    x[:30] = x[0]
    x[:30, 0] += rng.choice([0, 0.0005], 30).astype(np.float16)
    found = find(grey, x)
    assert {place for pair in as_set(found) for place in pair[:2]} == set(range(30))
    assert not found.mirrored.any()


def jpeg_of(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    noise = rng.normal(0, 2, (picture.height, picture.width, 3))
    return Image.fromarray((np.asarray(picture) + noise).clip(0, 255).astype(np.uint8))


def test_copies_of_symmetrical_pictures_are_near_and_not_mirrored() -> None:
    copies, rng = [], np.random.default_rng(0)
    for seed in range(8):
        half = np.asarray(draw(seed + 50, 60, 90))
        whole = Image.fromarray(np.concatenate([half, half[:, ::-1]], axis=1))
        copies += [thumbnail(whole), thumbnail(jpeg_of(whole, rng))]
    found = find(collection(*copies), vectors(COUNT + 16, {}))
    assert as_set(found) == {(COUNT + n, COUNT + n + 1, False) for n in range(0, 16, 2)}


def test_damaged_vectors_are_named() -> None:
    grey = collection(thumbnail(draw(3)))
    x = vectors(len(grey), {})
    graph = build_graph(x, RowFilter(len(x)), 10, None, Listener())
    x[3] = np.nan
    with pytest.raises(StoreCorrupt, match="not finite"):
        same_pictures(graph, x, Thumbnails(grey, np.ones(len(grey), bool)), Listener())


def test_the_recall_is_that_of_what_finds_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    x = vectors(COUNT, {})
    graph = replace(build_graph(x, RowFilter(COUNT), 10, None, Listener()), recall=0.9)
    pictures = Thumbnails(collection(), np.ones(COUNT, bool))
    assert same_pictures(graph, x, pictures, Listener())[2] == 0.9
    monkeypatch.setattr(pairs, "proposals", lambda *given: proposals(*given)._replace(recall=0.8))
    assert same_pictures(graph, x, pictures, Listener())[2] == 0.8
