"""Signatures of pictures, and the pairs that they and the k-NN graph propose."""

import numpy as np
import pytest

from featurestore.ann.knn_graph import KnnGraph
from featurestore.curation import proposals as module
from featurestore.curation.pixels import Floats
from featurestore.curation.proposals import BY_PIXELS, mirror_signs, proposals, signatures, similar
from featurestore.progress import Listener
from featurestore.storage.thumbnails import SIDE, Thumbnails
from tests.featurestore.curation.pictures import draw, thumbnail


def test_signatures() -> None:
    grey = np.stack([thumbnail(draw(seed)) for seed in range(20)])
    found = signatures(grey)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(signatures(grey[:, :, ::-1]), found * mirror_signs(), atol=1e-4)
    np.testing.assert_allclose(signatures((grey // 2 + 30).astype(np.uint8)), found, atol=0.02)
    assert not signatures(np.full((1, SIDE, SIDE), 9, np.uint8)).any()


def drawn_signatures(count: int) -> Floats:
    return signatures(np.stack([thumbnail(draw(seed)) for seed in range(count)]))


def test_similar_pictures_are_the_nearest_signatures() -> None:
    own = drawn_signatures(60)
    found, recall = similar(own, Listener())
    assert recall == 1
    for near, asked in zip(found, (own, own * mirror_signs()), strict=True):
        wanted = np.sort(asked @ own.T, axis=1)[:, : -BY_PIXELS - 2 : -1]
        np.testing.assert_allclose(np.take_along_axis(asked @ own.T, near, axis=1), wanted, atol=2e-3)


@pytest.mark.parametrize(("probes", "least"), [(100, 1.0), (2, 0.2)])
def test_many_pictures_are_found_by_lists(monkeypatch: pytest.MonkeyPatch, probes: int, least: float) -> None:
    own = drawn_signatures(400)
    exact, _ = similar(own, Listener())
    monkeypatch.setattr(module, "BY_LISTS_FROM", 400)
    monkeypatch.setattr(module, "PROBES", probes)
    found, recall = similar(own, Listener())
    shares = [(a[:, :, None] == b[:, None]).any(axis=2).mean() for a, b in zip(found, exact, strict=True)]
    assert recall == pytest.approx(shares[0], abs=0.02)
    assert min(shares) >= least - 0.01
    assert probes == 100 or recall < 0.95
    assert all((near[:, :1] == np.arange(400)[:, None]).all() for near in found[:1])


def test_lists_with_too_few_pictures_propose_no_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    own = drawn_signatures(30)
    monkeypatch.setattr(module, "BY_LISTS_FROM", 30)
    monkeypatch.setattr(module, "PROBES", 1)
    for near in similar(own, Listener())[0]:
        assert near.min() >= 0
    monkeypatch.setattr(module, "BY_PIXELS", 29)
    as_they_are, _ = similar(own, Listener())[0]
    assert (as_they_are == np.arange(30)[:, None]).sum() > 30


def test_each_pair_is_proposed_once_by_vectors_or_pixels() -> None:
    grey = np.stack([thumbnail(draw(seed)) for seed in range(12)] + [np.full((SIDE, SIDE), 9, np.uint8)])
    indices = np.array([[(node + 1) % 13] for node in range(13)])
    graph = KnnGraph(np.arange(13), indices, np.ones((13, 1), np.float32))
    left, right, recall = proposals(graph, Thumbnails(grey, np.ones(13, bool)), Listener())
    own = signatures(grey)
    wanted = {(node, (node + 1) % 13) for node in range(13)}
    for asked in (own, own * mirror_signs()):
        for node in range(12):
            order = np.argsort(-(asked[node] @ own[:12].T), kind="stable")[: BY_PIXELS + 1]
            wanted |= {(node, int(other)) for other in order}
    assert sorted(zip(left.tolist(), right.tolist(), strict=True)) == sorted(
        {(min(p), max(p)) for p in wanted if p[0] != p[1]}
    )
    assert recall == 1
