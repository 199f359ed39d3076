"""Which labels the sources of a run give, and what gives them."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from featurestore.errors import SourceError
from featurestore.sources.base import MISSING, ImageFile, Source


@dataclass
class _Counted:
    source: Source
    name: str
    classes: set[str] = field(default_factory=set)


class LabelTally:
    """Counts the classes of each source while it is listed."""

    def __init__(self) -> None:
        self._counted: list[_Counted] = []

    def start(self, source: Source) -> None:
        """Count the images of another source from now on."""
        self._counted.append(_Counted(source, os.path.basename(source.path.rstrip("/")) or source.path))

    def add(self, file: ImageFile) -> None:
        """Count one image of the source that was started last."""
        self._counted[-1].classes.update(file.labels or ([file.label] if file.label else []))

    def notes(self) -> list[str]:
        """Say which tables have no labels, which classes are doubtful, and what other than folders gave labels."""
        doubtful = sorted(MISSING & _classes(self._counted))
        warning = f"{', '.join(doubtful)}: taken as a class; if it means no label, leave the value empty"
        return [*self._hints(), *[warning] * bool(doubtful), *self._origins()]

    def check(self) -> None:
        """Raise SourceError when several columns of a table may be its labels, or when no source gave labels and a table has no column of them."""
        for counted in self._counted:
            if counted.source.labels_unclear:
                raise SourceError(counted.source.label_hint)
        if self._hints() and not any(counted.classes for counted in self._counted):
            raise SourceError(f"labels were asked for, found none: {'; '.join(self._hints())}")

    def _hints(self) -> list[str]:
        """Say what to do about sources that gave no labels."""
        return list(dict.fromkeys(c.source.label_hint for c in self._counted if c.source.label_hint and not c.classes))

    def _origins(self) -> list[str]:
        """Say what gave labels, once for all sources of which it is the same."""
        origins: dict[str, list[_Counted]] = {}
        for counted in self._counted:
            if counted.classes and counted.source.labelled_by:
                origins.setdefault(counted.source.labelled_by, []).append(counted)
        return [
            f"labels: {origin} of {found[0].name}{f' and {len(found) - 1} more' if found[1:] else ''} "
            f"({len(_classes(found))} classes)"
            for origin, found in origins.items()
        ]


def _classes(counted: Iterable[_Counted]) -> set[str]:
    return {name for one in counted for name in one.classes}
