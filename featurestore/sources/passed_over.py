"""What a source holds besides the images that it lists, counted by kind."""

from collections import Counter

from featurestore.sources.formats import CONTAINERS, NEEDS, PACKED, suffix

HIDDEN, SYSTEM, EXCLUDED, STORE, OTHER = "hidden", "system", "excluded", "store", "other"
WORDS = {HIDDEN: "hidden", SYSTEM: "of the system", EXCLUDED: "excluded", STORE: "stores"}
# Folders and files that operating systems and network drives make for themselves, in lower case.
SYSTEM_NAMES = frozenset([
    "@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "$recycle.bin", "system volume information", "lost+found", "__macosx",
    "thumbs.db", "ehthumbs.db", "desktop.ini",
])  # fmt: skip
VIDEOS = (".mp4", ".mov", ".avi", ".mkv", ".m4v", ".webm", ".mts", ".m2ts", ".3gp", ".wmv", ".mpg", ".mpeg")
LONGEST_SUFFIX = 10  # characters; a longer one, or one of other characters than letters and digits, is part of a name
NAMED_SUFFIXES = 5  # most that a message lists of a group


class PassedOver:
    """Counts by kind: a suffix such as ".mp4", or one of HIDDEN, SYSTEM, EXCLUDED, STORE, OTHER. A folder counts once."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}  # folder of the first container of each kind

    def add(self, kind: str, count: int = 1) -> None:
        self.counts[kind] += count

    def add_file(self, name: str, folder: str | None) -> None:
        """Count a file that is not an image by its suffix; `folder` is where it can be named, None when it is in a container."""
        kind = unwanted(name) or suffix(name)
        if folder is not None and kind in CONTAINERS:
            self._first.setdefault(kind, folder)
        self.counts[kind if kind == SYSTEM or (kind[1:].isalnum() and len(kind) <= LONGEST_SUFFIX) else OTHER] += 1

    def __iadd__(self, others: "PassedOver") -> "PassedOver":
        self.counts += others.counts
        self._first = {**others._first, **self._first}
        return self

    def describe(self) -> str:
        """Say in one line what was passed over, and how to have it read; empty when nothing was."""
        groups: dict[tuple[int, str, str], dict[str, int]] = {}
        for kind, count in self.counts.items():
            groups.setdefault(self._group(kind), {})[kind] = count
        parts = [_part(words, note, counts) for (_, words, note), counts in sorted(groups.items())]
        return f"passed over: {', '.join(parts)}" if parts else ""

    def _group(self, kind: str) -> tuple[int, str, str]:
        """Return the place of a kind in the message, the words for it, if any, and how to have it read."""
        if kind in NEEDS:
            return 0, "", f"to read them: pip install 'featurestore[{NEEDS[kind][1]}]'"
        if kind in VIDEOS:
            return 1, "videos", ""
        if kind in PACKED:
            return 2, "archives", ""
        if kind in CONTAINERS:
            return (
                3,
                kind,
                f"to take the images inside, name {self._first[kind]}/*{kind}" if kind in self._first else "",
            )
        return (4, WORDS[kind], "") if kind in WORDS else (5, "others", "")


def _part(words: str, note: str, counts: dict[str, int]) -> str:
    """Describe one group, its suffixes with the most frequent first."""
    kinds = sorted((kind for kind in counts if kind.startswith(".")), key=lambda kind: (-counts[kind], kind))
    names = " ".join(kinds[:NAMED_SUFFIXES]) + " …" * (len(kinds) > NAMED_SUFFIXES)
    details = note or (names if names != words else "")
    total = sum(counts.values())
    what = words.removesuffix("s") if total == 1 else words
    return f"{total} {what or names}" + f" ({details})" * bool(details)


def unwanted(name: str) -> str | None:
    """Return HIDDEN or SYSTEM for the name of a file or folder that is not part of a collection, else None.

    With a dot begin .Trash, .git, and ._a.jpg, which macOS leaves beside a.jpg.
    """
    if name.startswith(".") and name not in (".", ".."):
        return HIDDEN
    return SYSTEM if name.lower() in SYSTEM_NAMES else None
