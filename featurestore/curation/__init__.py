"""What is wrong with a collection: duplicates, leaks. A store in, a report out; and copies deleted."""

from featurestore.curation.duplicates import DuplicateGroup, DuplicateItem, DuplicatesReport, duplicates
from featurestore.curation.leaks import Leak, LeaksReport, leaks
from featurestore.curation.removal import Removal, delete_copies

__all__ = [
    "DuplicateGroup",
    "DuplicateItem",
    "DuplicatesReport",
    "Leak",
    "LeaksReport",
    "Removal",
    "delete_copies",
    "duplicates",
    "leaks",
]
