"""The projections of the map."""

import numpy as np
import pytest

from featurestore import FeatureStore
from featurestore.errors import ConfigError
from featurestore.report import build, projection
from tests.featurestore.report.conftest import report


def test_pca_projects_on_the_directions_of_most_variance() -> None:
    x = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32) * (1, 5, 1, 3, 1, 1)
    layout = projection.pca(x.astype(np.float32))
    values, directions = np.linalg.eigh(np.cov(x.astype(np.float32).astype(np.float64).T))
    for axis in (0, 1):
        naive = directions[:, -1 - axis]
        naive = naive * np.sign(naive[np.abs(naive).argmax()])
        expected = (x.astype(np.float32) - x.astype(np.float32).mean(axis=0, dtype=np.float64)) @ naive
        np.testing.assert_allclose(layout.points[:, axis], expected, atol=1e-6)
    assert layout.axes is not None
    assert layout.axes[0] == f"component 1, {100 * values[-1] / values.sum():.1f} % of the variance"


def test_equal_vectors_have_one_place() -> None:
    layout = projection.pca(np.ones((3, 4), np.float32))
    assert np.abs(layout.points).max() < 1e-9


def test_the_map_is_laid_out_by_tsne_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    assert projection.default_method() == "tsne"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert projection.default_method() == "pca"


@pytest.mark.slow
def test_tsne_lays_out_a_map(labelled: FeatureStore) -> None:
    pytest.importorskip("sklearn")
    found = report(labelled, map="tsne").figures.map
    assert found is not None
    assert found.layout.method == "tsne"
    assert "perplexity" in found.layout.settings
    assert np.isfinite(found.layout.points).all()


def test_a_map_that_cannot_be_made_is_refused_before_anything_is_computed(
    labelled: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(build, "measure_knn", None)
    with pytest.raises(ConfigError, match="umap-learn, which is not installed: pip install umap-learn"):
        report(labelled, map="umap")
    with pytest.raises(ConfigError, match=r"needs sklearn, .*pip install 'featurestore\[eval\]'"):
        report(labelled, map="tsne")
    with pytest.raises(ConfigError, match="map 'spiral': expected one of pca, tsne, umap"):
        report(labelled, map="spiral")
