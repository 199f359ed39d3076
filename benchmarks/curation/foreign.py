"""Foreign images: some are put among a collection, and `featurestore outliers` ranks all."""

import random
import shutil
import tempfile
from pathlib import Path

import click
import numpy as np

from benchmarks.tables import table
from featurestore import FeatureStore
from featurestore.ann.faiss_index import floats
from featurestore.curation import outliers
from featurestore.curation.oddness import harmonic_mean, shares_by_vectors
from featurestore.progress import Listener
from featurestore.storage.item_graph import K, item_graph

SUFFIXES = {".png", ".jpg", ".jpeg"}


def drawn(folder: Path, count: int, seed: int) -> list[Path]:
    """Draw images of a folder."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return random.Random(seed).sample(files, count)


def areas(collection: Path, foreign: Path, encoder: Path, share: float, seed: int) -> list[float]:
    """Put foreign images among a collection: the area under the ROC curve by ours, ours by vectors alone, and two of scikit-learn."""
    from sklearn.ensemble import IsolationForest
    from sklearn.metrics import roc_auc_score
    from sklearn.neighbors import LocalOutlierFactor

    with tempfile.TemporaryDirectory() as work:
        among = Path(work) / "foreign"
        among.mkdir()
        own = [path for path in collection.rglob("*") if path.suffix.lower() in SUFFIXES]
        for number, path in enumerate(drawn(foreign, max(1, round(share * len(own))), seed)):
            shutil.copy(path, among / f"{number}{path.suffix}")
        store = FeatureStore.open(Path(work) / "mixed.store", encoder)
        store.index(collection, among)
        found = {item.id: item.score for item in outliers(store).items}
        graph = item_graph(store)
    items = graph.view.items
    strange = np.array([path.startswith(str(among)) for path in items.paths.to_pylist()])
    x = floats(graph.view.vectors[items.rows])
    scores = [
        np.array([found[item] for item in items.ids.tolist()]),
        -harmonic_mean(shares_by_vectors(graph.graph, graph.view.vectors, 0, Listener()))[graph.nodes],
        -LocalOutlierFactor(n_neighbors=K).fit(x).negative_outlier_factor_,
        -IsolationForest(random_state=seed).fit(x).score_samples(x),
    ]
    return [float(roc_auc_score(strange, score)) for score in scores]


@click.command()
@click.argument("mixtures", nargs=-1, required=True, metavar="COLLECTION+FOREIGN=ENCODER...")
@click.option("--share", default=0.01, show_default=True, help="Of foreign images.")
@click.option("--seeds", default=3, show_default=True)
def foreign(mixtures: tuple[str, ...], share: float, seeds: int) -> None:
    """Foreign images among a collection: the area under the ROC curve, beside scikit-learn's on the same vectors."""
    rows = []
    for mixture in mixtures:
        folders, _, encoder = mixture.rpartition("=")
        collection, _, other = folders.partition("+")
        found = [areas(Path(collection), Path(other), Path(encoder), share, seed) for seed in range(seeds)]
        rows.append(
            [f"{Path(other).name} among {Path(collection).name}", *(f"{value:.3f}" for value in np.mean(found, axis=0))]
        )
    table(["images", "outliers", "by vectors alone", "LocalOutlierFactor", "IsolationForest"], rows)
