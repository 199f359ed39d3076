"""Writes labels into the catalog: those that came while a transaction ran go together into the next."""

import threading
from collections import deque
from concurrent.futures import Future
from typing import NamedTuple

from featurestore.catalog import GivenLabels, LabelledByPerson
from featurestore.metadata import set_by_persons
from featurestore.storage import Storage


class _Waiting(NamedTuple):
    labels: GivenLabels
    result: Future[LabelledByPerson]


class LabelWriter:
    """The one that writes labels of a server. A transaction takes about as long for many as for one, so nobody waits for more than two."""

    def __init__(self, store: Storage) -> None:
        self._store = store
        self._waiting = deque[_Waiting]()
        self._writing = threading.Lock()

    def write(self, labels: GivenLabels) -> LabelledByPerson:
        """Write labels, and return when they are on the disk. Raises as `set_by_persons`; then these labels are not set."""
        mine = _Waiting(labels, Future())
        self._waiting.append(mine)
        with self._writing:
            if not mine.result.done():
                self._write_all()
        return mine.result.result()

    def _write_all(self) -> None:
        waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            for one, result in zip(waiting, set_by_persons(self._store, [one.labels for one in waiting]), strict=True):
                one.result.set_result(result)
        except BaseException as error:
            for one in waiting:
                one.result.set_exception(error)
