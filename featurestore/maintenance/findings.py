"""What a reading of a store finds."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a store that is not right."""

    place: str  # the file
    problem: str  # what is wrong
    safe: str  # what is not affected
    repair: str  # what `verify --repair` does, or has done
    damage: bool = True  # False: harmless, and a later command removes it
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """The result of reading a whole store."""

    findings: tuple[Finding, ...]
    vectors: int  # read
    bytes: int  # of vectors and indexes
    seconds: float

    @property
    def damaged(self) -> bool:
        """Whether there is damage that was not repaired."""
        return any(finding.damage and not finding.repaired for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        return {"damaged": self.damaged, **asdict(self)}
