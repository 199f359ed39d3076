"""FeatureStore: the store as users see it. Each method is a function of the room that its import names."""

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from featurestore import classification, evaluation, maintenance, metadata
from featurestore.classification.export import export
from featurestore.ingest import export_vectors, import_vectors
from featurestore.ingest.run import ingest
from featurestore.maintenance.verification import verify_path
from featurestore.progress import Listener
from featurestore.search.search import features, neighbours, search, search_many, slow
from featurestore.storage import Storage
from featurestore.storage.info import failures, info

if TYPE_CHECKING:
    from featurestore.report.report import Report


class FeatureStore(Storage):
    """A directory of items, their vectors and labels. Make one with `FeatureStore.open`."""

    index = ingest
    search = search
    search_many = search_many
    neighbours = neighbours
    features = features
    label = metadata.label
    undo_labels = metadata.undo_labels
    annotate = metadata.annotate
    drop_column = metadata.drop_column
    delete = maintenance.delete
    set_default_encoder = maintenance.set_default_encoder
    rename_encoder = maintenance.rename_encoder
    drop_encoder = maintenance.drop_encoder
    relocate = maintenance.relocate
    sources = maintenance.sources
    forget_source = maintenance.forget_source
    info = info
    failures = failures

    def sql(self, text: str, seconds: float = 30.0) -> pa.Table:
        """Run one read-only SQL statement over `items`, `vectors`, `encoders` and `failures`. Raises QueryError."""
        return self.catalog.sql(text, seconds)

    # What follows are functions of other rooms; code may also call them there, with the store as the first argument.
    knn = evaluation.knn
    linear = evaluation.linear
    lowshot = evaluation.lowshot
    episodes = evaluation.episodes
    retrieval = evaluation.retrieval
    train_classifier = classification.train
    apply_classifier = classification.apply
    export_classifier = export
    drop_classifier = classification.drop
    slow = slow
    optimize = maintenance.optimize
    verify = staticmethod(verify_path)
    export_vectors = export_vectors
    import_vectors = import_vectors

    def report(
        self,
        encoder: str | Path | None = None,
        run: str | Path | None = None,
        map: str = "pca",
        seed: int = 0,
        listener: Listener | None = None,
    ) -> "Report":
        """Build a report, to be written by its `save`; see `featurestore.report.build`."""
        from featurestore.report.build import build  # slow to import, and most commands do without

        return build(self, encoder, run, map, seed, listener)
