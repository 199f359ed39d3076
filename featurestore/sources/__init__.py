"""Sources: whatever images come from, listed and read by one road."""

from featurestore.sources.base import Failure, ImageFile, Source
from featurestore.sources.open import find, open_source
from featurestore.sources.reading import read

__all__ = ["Failure", "ImageFile", "Source", "find", "open_source", "read"]
