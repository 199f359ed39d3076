"""What is wrong with a collection: duplicates, leaks. A store in, a report out."""

from featurestore.curation.duplicates import DuplicateGroup, DuplicateItem, DuplicatesReport, duplicates
from featurestore.curation.leaks import Leak, LeaksReport, leaks

__all__ = ["DuplicateGroup", "DuplicateItem", "DuplicatesReport", "Leak", "LeaksReport", "duplicates", "leaks"]
