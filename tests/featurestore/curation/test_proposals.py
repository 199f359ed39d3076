"""Signatures of pictures."""

import numpy as np

from featurestore.curation.proposals import mirror_signs, signatures
from featurestore.storage.thumbnails import SIDE
from tests.featurestore.curation.pictures import draw, thumbnail


def test_signatures() -> None:
    grey = np.stack([thumbnail(draw(seed)) for seed in range(20)])
    found = signatures(grey)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(signatures(grey[:, :, ::-1]), found * mirror_signs(), atol=1e-4)
    np.testing.assert_allclose(signatures((grey // 2 + 30).astype(np.uint8)), found, atol=0.02)
    assert not signatures(np.full((1, SIDE, SIDE), 9, np.uint8)).any()
