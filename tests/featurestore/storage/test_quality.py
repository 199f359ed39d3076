"""Items of older versions get what their pixels say, once, from the files that they had."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest
from PIL import Image

from featurestore import FeatureStore
from featurestore.catalog.schema import QUALITY
from featurestore.imaging.pool import load_all
from featurestore.progress import Listener
from featurestore.storage import quality as module
from featurestore.storage.quality import complete_quality
from featurestore.system import lock

Values = dict[str, tuple[float | None, ...]]


class Looks(Listener):
    def __init__(self) -> None:
        self.looked = 0
        self.notes: list[str] = []

    def advance(self, amount: int = 1, detail: str = "") -> None:
        self.looked += amount

    def note(self, text: str) -> None:
        self.notes.append(text)


def values(store: FeatureStore) -> Values:
    rows = store.sql(f"SELECT path, {', '.join(QUALITY)} FROM items").to_pylist()
    return {Path(row["path"]).name: tuple(row[name] for name in QUALITY) for row in rows}


NONE = (None,) * len(QUALITY)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Five pictures of noise; the last two are the same."""
    (tmp_path / "pictures").mkdir()
    files = [tmp_path / "pictures" / f"{n}.png" for n in range(5)]
    for n, file in enumerate(files[:4]):
        Image.fromarray(np.random.default_rng(n).integers(0, 256, (20 + n, 30, 3), np.uint8)).save(file)
    shutil.copy(files[3], files[4])
    return files


@pytest.fixture
def complete(files: list[Path], tmp_path: Path, encoder: Path) -> Values:
    store = FeatureStore.open(tmp_path / "my.store", encoder)
    store.index(files[0].parent)
    return values(store)


@pytest.fixture
def old(complete: Values, tmp_path: Path) -> FeatureStore:
    """The store of `complete` as an older version would have left it."""
    forget(tmp_path / "my.store")
    return FeatureStore.open(tmp_path / "my.store")


def forget(store: Path, where: str = "true") -> None:
    with duckdb.connect(str(store / "catalog.duckdb")) as connection:
        connection.execute(f"UPDATE all_items SET {', '.join(f'{name} = NULL' for name in QUALITY)} WHERE {where}")


def test_they_are_what_index_would_have_found_and_are_made_once(old: FeatureStore, complete: Values) -> None:
    assert set(values(old).values()) == {NONE}
    listener = Looks()
    complete_quality(old, listener)
    assert values(old) == complete
    assert NONE not in complete.values()
    assert (listener.looked, listener.notes) == (5, [])
    complete_quality(old, listener)
    assert listener.looked == 5


def test_an_item_gets_the_values_of_another_with_its_content(
    old: FeatureStore, complete: Values, files: list[Path]
) -> None:
    complete_quality(old, Listener())
    forget(old.path, "path LIKE '%4.png'")
    files[3].unlink()
    files[4].unlink()
    listener = Looks()
    complete_quality(old, listener)
    assert values(old) == complete
    assert listener.looked == 0


def test_pictures_that_are_gone_changed_or_broken_stay_without(
    old: FeatureStore, complete: Values, files: list[Path]
) -> None:
    files[0].unlink()
    files[1].write_bytes(files[2].read_bytes())
    files[3].write_bytes(b"broken")
    listener = Looks()
    complete_quality(old, listener)
    assert values(old) == complete | {"0.png": NONE, "1.png": NONE}  # 3.png has the content of 4.png
    complete_quality(old, listener)
    assert listener.looked == 5 + 2  # they are tried again


def test_what_was_measured_before_ctrl_c_is_kept(
    old: FeatureStore, complete: Values, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_all

    def stopped(*arguments: object, **options: object) -> Iterator[object]:
        for n, image in enumerate(whole(*arguments, **options)):  # type: ignore[arg-type]
            if n == 2:
                raise KeyboardInterrupt
            yield image

    with monkeypatch.context() as patched:
        patched.setattr(module, "load_all", stopped)
        with pytest.raises(KeyboardInterrupt):
            complete_quality(old, Listener())
    assert sorted(map(NONE.__ne__, values(old).values())) == [False] * 3 + [True] * 2
    listener = Looks()
    complete_quality(old, listener)
    assert values(old) == complete
    assert listener.looked == 3


def test_they_are_written_in_parts(old: FeatureStore, complete: Values, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART", 2)
    complete_quality(old, Listener())
    assert values(old) == complete


def test_a_store_that_another_process_writes_is_left_as_it_is(
    old: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "WAIT_SECONDS", 0.0)
    listener = Looks()
    with lock.writer_lock(old.path):
        complete_quality(old, listener)
    [note] = listener.notes
    assert "some items have no brightness, contrast, sharpness and colourfulness yet: store" in note
    assert listener.looked == 0
    assert set(values(old).values()) == {NONE}
