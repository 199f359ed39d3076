"""New files that are known items: moved or renamed."""

from collections import defaultdict, deque
from collections.abc import Sequence

from featurestore.catalog import Catalog, LostItem, LostItems
from featurestore.sources import is_missing


class Moves:
    """Finds the items that new files were before they were moved or renamed. Each item is found once."""

    def __init__(self, catalog: Catalog, encoder: str, lost: LostItems) -> None:
        self._catalog, self._encoder, self._lost = catalog, encoder, lost

    def may_be_moved(self, sha256: str) -> bool:
        """Whether a new file with this content may be a known item. Called in threads."""
        return sha256 in self._lost

    def origins(self, files: Sequence[tuple[str, str]]) -> list[LostItem | None]:
        """Find the items that files, each given by path and hash, were before; None for a file that is new.

        Of several items with the same content, one of the same file name comes first, then the oldest.
        """
        if not files:
            return []
        by_content, by_name = (
            defaultdict[str, deque[LostItem]](deque),
            defaultdict[tuple[str, str], deque[LostItem]](deque),
        )
        contents = {sha256 for _, sha256 in files}
        for item in self._catalog.changes.lost(self._encoder, self._lost, contents):
            by_content[item.sha256].append(item)
            by_name[item.sha256, _name(item.path)].append(item)
        same_name = [self._next(by_name[sha256, _name(path)]) for path, sha256 in files]
        return [item or self._next(by_content[sha256]) for item, (_, sha256) in zip(same_name, files, strict=True)]

    def _next(self, items: deque[LostItem]) -> LostItem | None:
        """Take the first item whose file is gone."""
        while items:
            item = items.popleft()
            if not self._lost.settled[item.place]:
                self._lost.settled[item.place] = True
                if self._lost.vanished[item.place] or is_missing(item.path):
                    return item
        return None


def _name(path: str) -> str:
    """Give the name of a file, or of a member of a container, without folders."""
    return path.rpartition("::")[2].rpartition("/")[2]
