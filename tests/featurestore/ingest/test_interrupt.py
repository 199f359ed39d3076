"""Ctrl-C: what was encoded is committed."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from featurestore import Encoder, FeatureStore
from featurestore.catalog.changes import Changes
from featurestore.encoders import encoder as running
from featurestore.errors import Interrupted
from featurestore.ingest import ingest as indexing
from featurestore.progress import Listener
from tests.featurestore.fakes import COLOURS
from tests.featurestore.ingest.ingested import as_stored, by_name, counts, look


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(running, "BATCH", 2)
    monkeypatch.setattr(indexing, "COMMIT_IMAGES", 2)
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("owner", [Changes, Encoder])
@pytest.mark.parametrize("early", [True, False])
def test_an_interrupt_in_the_midst_of_a_step_waits_for_its_end(
    empty: FeatureStore, source: Path, monkeypatch: pytest.MonkeyPatch, owner: type, early: bool
) -> None:
    name = "commit" if owner is Changes else "encode"
    original = getattr(owner, name)

    def press(*args: Any) -> Any:
        monkeypatch.setattr(owner, name, original)
        if early:
            signal.raise_signal(signal.SIGINT)
        result = original(*args)
        if not early:
            signal.raise_signal(signal.SIGINT)
        return result

    monkeypatch.setattr(owner, name, press)
    with pytest.raises(
        Interrupted, match="interrupted; 2 images were encoded and are kept: run the same command again"
    ):
        empty.index(source, workers=1)
    ids, rows, _ = look(empty)
    assert (sorted(ids.values()), rows) == ([1, 2], {1: 0, 2: 1})
    assert counts(empty.index(source)) == (4, 0, 2, 0, 0)
    ids, _, vectors = look(empty)
    assert sorted(ids.values()) == [1, 2, 3, 4, 5, 6]
    assert vectors == {name: as_stored(colour) for name, colour in COLOURS.items()}


@pytest.mark.usefixtures("small_batches")
def test_an_interrupt_keeps_what_is_done(empty: FeatureStore, source: Path) -> None:
    class Impatient(Listener):
        seen = 0

        def advance(self, amount: int = 1, detail: str = "") -> None:
            self.seen += amount
            if self.seen == 4:
                raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="4 images were encoded and are kept"):
        empty.index(source, listener=Impatient())
    assert len(by_name(empty)) == 4
    assert counts(empty.index(source)) == (2, 0, 4, 0, 0)
