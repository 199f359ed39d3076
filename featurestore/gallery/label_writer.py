"""Writes labels into the catalog: those that came while a transaction ran go together into the next."""

import threading
from collections import deque
from concurrent.futures import Future
from typing import NamedTuple

from featurestore.catalog import GivenLabels, LabelledByPerson
from featurestore.metadata import set_by_persons
from featurestore.sources.lru_cache import LruCache
from featurestore.storage import Storage

REMEMBERED = 1_000  # requests


class _Waiting(NamedTuple):
    labels: GivenLabels
    answer: Future[LabelledByPerson]


class LabelWriter:
    """The one that writes labels of a server. A transaction takes about as long for many as for one, so nobody waits for more than two."""

    def __init__(self, store: Storage) -> None:
        self._store = store
        self._waiting = deque[_Waiting]()
        self._writing, self._remembering = threading.Lock(), threading.Lock()
        self._answers = LruCache[Future[LabelledByPerson]](REMEMBERED)

    def write(self, labels: GivenLabels, request: str | None = None) -> LabelledByPerson:
        """Write labels, and return when they are on the disk. Raises as `set_by_persons`; then these labels are not set.

        request: a name of what is asked. Asked again, as after an answer that was lost, nothing is written, and the answer is the same.
        """
        mine = _Waiting(labels, Future())
        if request is not None and (answer := self._earlier(request, mine.answer)) is not None:
            return answer.result()
        self._waiting.append(mine)
        with self._writing:
            if not mine.answer.done():
                self._write_all()
        return mine.answer.result()

    def _earlier(self, request: str, answer: Future[LabelledByPerson]) -> Future[LabelledByPerson] | None:
        """Give the answer to the same request, unless that failed or was never asked; then remember this one."""
        with self._remembering:
            earlier = self._answers.get(request)
            if earlier is not None and not (earlier.done() and earlier.exception()):
                return earlier
            self._answers.put(request, answer)
            return None

    def _write_all(self) -> None:
        waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            for one, answer in zip(waiting, set_by_persons(self._store, [one.labels for one in waiting]), strict=True):
                one.answer.set_result(answer)
        except BaseException as error:
            for one in waiting:
                one.answer.set_exception(error)
