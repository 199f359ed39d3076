"""FeatureStore: the store as users see it. Each method is a function of the room that its import names."""

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from featurestore import classification, curation, evaluation, maintenance, metadata
from featurestore.classification.export import export
from featurestore.ingest import export_vectors, import_vectors
from featurestore.ingest.run import ingest
from featurestore.ingest.whitened import whiten
from featurestore.maintenance.verification import verify_path
from featurestore.progress import Listener, shows_progress
from featurestore.search.search import features, neighbours, search, search_many, slow
from featurestore.storage import Storage
from featurestore.storage.info import failures, info
from featurestore.system.text import printable

if TYPE_CHECKING:
    from featurestore.report.report import Report


class FeatureStore(Storage):
    """A directory of items, their vectors and labels. Make one with `FeatureStore.open`.

    Methods that take long show their progress on a terminal and in a notebook; `listener=Listener()` keeps them quiet.
    """

    index = shows_progress(ingest)
    search = search
    search_many = search_many
    neighbours = shows_progress(neighbours)
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
    knn = shows_progress(evaluation.knn)
    linear = shows_progress(evaluation.linear)
    lowshot = shows_progress(evaluation.lowshot)
    episodes = shows_progress(evaluation.episodes)
    retrieval = shows_progress(evaluation.retrieval)
    duplicates = shows_progress(curation.duplicates)
    leaks = shows_progress(curation.leaks)
    outliers = shows_progress(curation.outliers)
    label_errors = shows_progress(curation.label_errors)
    clusters = shows_progress(curation.clusters)
    suggest = shows_progress(curation.suggest)
    coverage = shows_progress(curation.coverage)
    delete_copies = curation.delete_copies
    train_classifier = shows_progress(classification.train)
    apply_classifier = shows_progress(classification.apply)
    export_classifier = export
    drop_classifier = classification.drop
    slow = slow
    optimize = shows_progress(maintenance.optimize)
    verify = staticmethod(shows_progress(verify_path))
    export_vectors = shows_progress(export_vectors)
    import_vectors = shows_progress(import_vectors)
    whiten = shows_progress(whiten)

    @shows_progress
    def report(
        self,
        encoder: str | Path | None = None,
        run: str | Path | None = None,
        map: str | None = None,
        seed: int = 0,
        listener: Listener | None = None,
        where: str | None = None,
    ) -> "Report":
        """Build a report, to be written by its `save`; see `featurestore.report.build`."""
        from featurestore.report.build import build  # slow to import, and most commands do without

        return build(self, encoder, run, map, seed, listener, where=where)

    def __repr__(self) -> str:
        return printable(f"<FeatureStore {str(self.path)!r}: {self._summary()}>")

    def _summary(self) -> str:
        if not self.layout.is_store():
            return "nothing indexed yet"
        try:
            items, records = self.catalog.items.count(), self.snapshots.now().encoders
        except Exception as error:  # a repr is for looking at what is broken, too
            return str(error)
        default, *others = [record.name for record in records] or ["none"]
        more = f", others: {', '.join(others)}" if others else ""
        return f"{items} items, default encoder {default}{more}"
