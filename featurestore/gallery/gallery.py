"""The gallery of one store: what a server holds between two requests."""

import hashlib
from contextlib import suppress
from typing import Any

from featurestore.classification import Guesses
from featurestore.errors import FeatureStoreError
from featurestore.gallery.contents import Contents
from featurestore.gallery.failures import Failures
from featurestore.gallery.item_table import FreshItems
from featurestore.gallery.items import MORE
from featurestore.gallery.jobs import Jobs
from featurestore.gallery.label_writer import LabelWriter
from featurestore.gallery.thumb_cache import ThumbCache
from featurestore.gallery.uploads import Uploads
from featurestore.gallery.views import Views
from featurestore.storage import Storage


class Gallery:
    """A store, and what is kept of it in memory."""

    def __init__(self, store: Storage, cache: ThumbCache, read_only: bool = False) -> None:
        self.store, self.read_only = store, read_only
        encoders = store.snapshots.now().encoders
        self.bands = encoders[0].bands if encoders else None  # that pictures show, as the default encoder reads them
        self.views = Views(store.catalog, self.state)
        self.contents = Contents(store.catalog)
        self.items = FreshItems(self.state, lambda most: store.catalog.pages.all(MORE, most))
        self.items.after_reading = self._load_vectors
        self.summary: dict[str, Any] | None = None  # of the store, as it was last asked for
        self.guesses: tuple[str, Guesses] | None = None  # the last ones, and the state of the catalog that they are of
        self.cache = cache
        self.failures = Failures()
        self.uploads = Uploads()
        self.jobs = Jobs()
        self.label_writer = LabelWriter(store)

    def state(self) -> str:
        """Give a short text that changes with every change of the catalog."""
        return hashlib.blake2b(repr(self.store.catalog.state()).encode(), digest_size=8).hexdigest()

    def warm_up(self) -> None:
        """Begin to load what pages and searches need, in the background, so that the first ones do not wait."""
        with suppress(FeatureStoreError):
            self.items.now()

    def _load_vectors(self) -> None:
        with suppress(FeatureStoreError):  # whoever searches gets the error
            snapshot = self.store.snapshots.now()
            snapshot.reader(self.store.encoder_record(None, snapshot), load=True)
