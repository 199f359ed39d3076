"""Which column of a table holds paths, labels or splits, by the names that others give them."""

from collections.abc import Sequence
from dataclasses import dataclass

from featurestore.errors import SourceError


@dataclass(frozen=True, slots=True)
class Role:
    """What a column may be for; upper and lower case are the same."""

    own: str  # our name, which needs no guess
    others: tuple[str, ...] = ()
    ending: str | None = None

    def fits(self, name: str) -> bool:
        """Return whether a column of this name usually has the role."""
        folded = _folded(name)
        return folded in self.others or (self.ending is not None and folded.endswith(self.ending))

    @property
    def option(self) -> str:
        return f"--{self.own}-column"


PATH = Role(
    "path",
    (
        "file_name",
        "filename",
        "file_path",
        "filepath",
        "file",
        "image_path",
        "image_name",
        "image_file",
        "image",
        "img",
    ),
)
LABEL = Role(
    "label", ("labels", "class", "classes", "cls", "class_name", "category", "categories", "target"), ending="_label"
)
SPLIT = Role("split")


@dataclass(frozen=True, slots=True)
class ColumnNames:
    """The columns that a user named; None: found by their usual names."""

    path: str | None = None
    label: str | None = None
    split: str | None = None


USUAL = ColumnNames()


def candidates(file: str, names: Sequence[str], role: Role, wanted: str | None = None) -> list[str]:
    """Return the columns that may have a role, one when it is sure. Raises SourceError when there is no column `wanted`, or when it occurs twice."""
    named = _of_name(names, wanted or role.own)
    if wanted is not None and not named:
        raise SourceError(f"{file}: expected a column {wanted!r}, found {', '.join(map(repr, names)) or 'none'}")
    found = named or [name for name in names if role.fits(name)]
    if len(found) > len(set(found)):
        raise SourceError(f"{file}: column {found[0]!r} occurs twice; leave one out, or rename it")
    return found


def choose(file: str, names: Sequence[str], role: Role, wanted: str | None = None) -> str | None:
    """Return the column of a role, None when there is none. Raises SourceError as `candidates` does, and when there are several."""
    found = candidates(file, names, role, wanted)
    if len(found) > 1:
        raise SourceError(
            f"{file}: expected one column of {role.own}s, found {' and '.join(map(repr, found))}; choose one with {role.option}"
        )
    return found[0] if found else None


def _of_name(names: Sequence[str], wanted: str) -> list[str]:
    """Return the columns of exactly this name, or else of this name in another case."""
    return [name for name in names if name == wanted] or [name for name in names if _folded(name) == _folded(wanted)]


def _folded(name: str) -> str:
    return name.strip().casefold()
