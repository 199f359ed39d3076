"""Clusters of a store."""

from pathlib import Path

import pytest

from featurestore import FeatureStore, curation
from featurestore.errors import EvaluationError
from tests.featurestore.commands import Run, answer
from tests.featurestore.curation.groups import group_store


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> FeatureStore:
    return group_store(tmp_path_factory.mktemp("groups"), encoder, 15)


def test_the_kinds_are_the_clusters(groups: FeatureStore) -> None:
    report = curation.clusters(groups, 3)
    assert [(cluster.number, cluster.size, len(cluster.labels)) for cluster in report.clusters] == [(n, 15, 1) for n in range(3)]  # fmt: skip
    for cluster in report.clusters:
        [label] = cluster.labels
        assert {item.label for item in cluster.items} == {label}
        scores = [item.score for item in cluster.items]
        assert scores == sorted(scores, reverse=True)
        assert scores[-1] <= cluster.coherence + 0.05 <= scores[0] + 0.05
    members = report.to_arrow().to_pylist()
    assert len({(row["cluster"], row["id"]) for row in members}) == 45


def test_the_number_depends_on_the_items_and_never_exceeds_them(groups: FeatureStore, shared: FeatureStore) -> None:
    assert len(curation.clusters(groups).clusters) <= 5  # the root of 45 / 2
    assert len(curation.clusters(groups, where="label = 'sky'").clusters) <= 3
    with pytest.raises(EvaluationError, match="7 clusters: expected from 1 to 6"):
        curation.clusters(shared, 7)


def test_the_command_and_its_column(run: Run, groups: FeatureStore) -> None:
    found = answer(run, "clusters", groups.path, "-k", "3")
    assert [cluster["size"] for cluster in found["clusters"]] == [15, 15, 15]
    assert run("clusters", groups.path, "-k", "3", "--column")[0] == 0
    counts = groups.sql("SELECT cluster, count(*) AS n, count(DISTINCT label) AS labels FROM items GROUP BY cluster")
    assert {(row["n"], row["labels"]) for row in counts.to_pylist()} == {(15, 1)}
