"""An even sample of a sequence: every n-th of its items."""

from typing import Any, Protocol, TypeVar


class Sliced(Protocol):
    """A list, an array or a tensor."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> Any: ...


S = TypeVar("S", bound=Sliced)


def even_sample(items: S, most: int) -> S:
    """Take every n-th item, so that at most `most` are left; of sequences of one length the same places."""
    taken: S = items[:: max(1, -(-len(items) // most))]
    return taken
