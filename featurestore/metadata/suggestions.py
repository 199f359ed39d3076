"""What a path in a file may have been meant to be."""

import unicodedata
from collections import Counter
from collections.abc import Sequence

from featurestore.sources.relative_paths import cleaned


def did_you_mean(pairs: Sequence[tuple[str, str]]) -> str:
    """Say how a path in a file differs from that of an item; empty when no pair is alike enough.

    pairs: a path in the file, and that of an item whose file has the same name but for case, accents or suffix.
    """
    of_path = Counter(written for written, _ in pairs)
    alike = [pair for pair in pairs if _same_parts(*pair) > 1 or of_path[pair[0]] == 1]
    return _difference(*max(alike, key=lambda pair: _same_parts(*pair))) if alike else ""


def _difference(written: str, path: str) -> str:
    theirs, ours = _parts(written), _parts(path)
    hint = f"for '{written}', did you mean '{path}'?"
    if theirs[-1] == ours[-1] and _parts(written.lower()) != _parts(path.lower()):
        return _other_folder(theirs, ours)
    if theirs[-1].lower() == ours[-1].lower():
        return f"{hint} upper and lower case differ"
    if _composed(theirs[-1]) == _composed(ours[-1]):
        return f"{hint} the accents have another form in Unicode"
    return f"{hint} the suffix differs"


def _other_folder(theirs: list[str], ours: list[str]) -> str:
    same = next(
        (n for n, (a, b) in enumerate(zip(reversed(theirs), reversed(ours), strict=False)) if a != b), len(theirs)
    )
    there, here = "/".join(ours[:-same]), "/".join(theirs[:-same])
    instead = f" instead of '{here}'" if here else ""
    return f"the same names are under '{there}'{instead}; write that folder in the file, or paths relative to a source"


def _same_parts(written: str, path: str) -> int:
    """Count the folders at the end that are the same, with the file, whatever its case and suffix."""
    theirs, ours = _parts(written.lower())[:-1], _parts(path.lower())[:-1]
    pairs = list(zip(reversed(theirs), reversed(ours), strict=False))
    return 1 + next((n for n, (a, b) in enumerate(pairs) if a != b), len(pairs))


def _parts(path: str) -> list[str]:
    return cleaned(path).split("/")


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)
