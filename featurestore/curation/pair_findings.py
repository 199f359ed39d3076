"""What reports of pairs that show the same picture have in common: how the pairs were looked for, and how far they can be trusted."""

from dataclasses import dataclass
from typing import Any

from featurestore.curation.find import FoundPairs, pair_notes
from featurestore.curation.findings import Findings


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFindings(Findings):
    """Findings that follow from pairs of contents of a store."""

    unseen: int  # contents that could not be looked at: their files are gone, changed or broken
    recall: float  # of the neighbours that were looked at; less than 1 where an index found them
    limit: float  # from which the details of near and mirrored pairs have to agree, from 0 to 1; 1: none can be told from chance
    # Estimated share of copies among all such pairs of the store; None: there is none, or there are too few to estimate it from.
    precision: float | None

    @property
    def notes(self) -> list[str]:
        """What was left out of the search, and how many of the pairs are copies, in sentences."""
        return pair_notes(self.unseen, self.limit, self.precision, self.recall)

    def facts(self, *names: str) -> dict[str, Any]:
        """Give some fields, then those of all reports of pairs, for JSON."""
        return {name: getattr(self, name) for name in (*names, "unseen", "recall", "limit", "precision")}


def search_facts(found: FoundPairs) -> dict[str, Any]:
    """Give what a report of pairs says of the search, as its arguments."""
    encoder, limit = found.contents.view.items.encoder, found.limit
    return {
        "encoder": encoder.fingerprint, "bands": encoder.bands, "unseen": found.unseen, "recall": found.recall,
        "limit": limit.detail, "precision": limit.precision,
    }  # fmt: skip
