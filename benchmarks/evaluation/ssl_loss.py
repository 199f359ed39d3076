"""What a high self-supervised loss of an image means: is it named wrongly, is it far from others?

    python -m benchmarks.evaluation.ssl_loss STORES SOURCE RUN...

SOURCE is a labelled collection, RUN a training on its images. STORES gets a store for each run. Every image is named by the 20 nearest others,
of the vectors of the run's own encoder. Prints Markdown, one line a run: the share of images that are named wrongly; how well the loss, the
mean distance of the 20 neighbours and the margin of the vote tell these (AUROC: 0.5 is chance, below it the low values are the wrong ones);
and rank correlations (Spearman) of the loss: with the mean distance, with the margin, and with the loss by another seed.
"""

from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from benchmarks.tables import table
from featurestore import FeatureStore
from featurestore.estimators.knn import TEMPERATURE, K, neighbours, votes
from featurestore.progress import Listener
from trainers import score
from trainers.training.finish import ENCODER, OWN_ENCODER

HEADS = (
    "run", "images", "named wrongly", "AUROC: loss", "mean distance", "margin", "loss and mean distance", "loss and margin", "two seeds", "seconds",
)  # fmt: skip


def losses(run: Path, store: FeatureStore, seed: int) -> tuple[NDArray[np.float64], float]:
    """Score a store: the losses of its items by id, and the seconds that it took."""
    report = score(run, store, seed=seed, listener=Listener())
    return store.sql("SELECT ssl_loss FROM items ORDER BY id")["ssl_loss"].to_numpy().astype(np.float64), report.seconds


def line(run: Path, source: Path, folder: Path) -> list[str]:
    """Index and score the images with a run: the cells of its line."""
    own = run / OWN_ENCODER
    store = FeatureStore.open(folder / f"{run.name}.store", own if own.exists() else run / ENCODER)
    store.index(source, labels="folders", listener=Listener())
    ids, vectors, labels = store.features()
    order = np.argsort(ids)
    vectors, labels = vectors[order].astype(np.float32), labels[order]
    found, seconds = losses(run, store, 0)
    again, _ = losses(run, store, 1)

    scores, near = neighbours(vectors, vectors, K + 1)
    itself = near == np.arange(len(near))[:, None]
    itself[~itself.any(axis=1), -1] = True  # of many equal vectors another stands in its place
    scores, near = scores[~itself].reshape(-1, K), near[~itself].reshape(-1, K)
    classes, codes = np.unique(labels.astype(str), return_inverse=True)
    vote = votes(scores, codes[near], len(classes), TEMPERATURE)
    wrong = vote.argmax(axis=1) != codes
    best = np.sort(vote / vote.sum(axis=1, keepdims=True), axis=1)
    margin, distance = best[:, -1] - best[:, -2], 1 - scores.mean(axis=1)

    told = [roc_auc_score(wrong, values) for values in (found, distance, -margin)]
    correlations = [spearmanr(found, other).statistic for other in (distance, margin, again)]
    return [
        run.name,
        f"{len(wrong):,}",
        f"{wrong.mean():.3f}",
        *(f"{value:.3f}" for value in told),
        *(f"{value:+.2f}" for value in correlations),
        f"{seconds:.0f}",
    ]


@click.command(help=__doc__)
@click.argument("stores", type=click.Path(path_type=Path))
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.argument("runs", type=click.Path(exists=True, path_type=Path), nargs=-1)
def main(stores: Path, source: Path, runs: tuple[Path, ...]) -> None:
    stores.mkdir(parents=True, exist_ok=True)
    table(HEADS, [line(run, source, stores) for run in runs])


if __name__ == "__main__":
    main()
