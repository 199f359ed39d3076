"""Why files could not be used, grouped."""

import re
from dataclasses import dataclass

from featurestore.sources.base import Failure

SHOWN = 3  # groups that a message names


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """Files that could not be used for one reason."""

    count: int
    reason: str  # of the first of them
    first: str  # its path

    def __str__(self) -> str:
        if self.count == 1:
            return f"1 file: {self.reason}, {self.first}"
        return f"{self.count} files: {self.reason}, the first {self.first}"


class Reasons:
    """Failures counted by their reason. What follows a colon, and numbers, are details of one file."""

    def __init__(self) -> None:
        self._groups: dict[str, tuple[int, Failure]] = {}

    def add(self, failure: Failure) -> None:
        key = re.sub(r"\d+", "0", failure.reason.partition(":")[0])
        count, first = self._groups.get(key, (0, failure))
        self._groups[key] = count + 1, first

    def __len__(self) -> int:
        return sum(count for count, _ in self._groups.values())

    def counts(self) -> tuple[ReasonCount, ...]:
        """Return all groups, the largest first."""
        groups = (ReasonCount(count, first.reason, first.path) for count, first in self._groups.values())
        return tuple(sorted(groups, key=lambda group: -group.count))


def describe(counts: tuple[ReasonCount, ...]) -> str:
    """Say on one line what the largest groups are."""
    more = f"; and {len(counts) - SHOWN} more reasons" if len(counts) > SHOWN else ""
    return "; ".join(map(str, counts[:SHOWN])) + more
