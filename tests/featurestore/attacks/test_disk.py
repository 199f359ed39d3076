"""A disk that is full or broken at the nth write, of every work: a DiskError of one line, a store as before or complete, and no half-written file."""

import errno
import resource
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from featurestore import FeatureStore
from featurestore.errors import DiskError
from tests.featurestore.attacks.failing import FailingDisk
from tests.featurestore.children import Child, outcome
from tests.featurestore.life import STEPS, Life, look


def fail_each(
    folder: Path, work: Callable[[], object], root: Path, code: int, check: Callable[[], None], step: int = 1
) -> int:
    """Do some work again and again on a copy of `folder`, each time with another failing write below `root`; returns how many there are."""
    saved = folder.with_name("saved")
    shutil.copytree(folder, saved)
    nth = 1
    while True:
        with pytest.MonkeyPatch.context() as patch:
            disk = FailingDisk(root, patch, nth, code)
            with suppress(DiskError):
                work()
        if disk.calls < nth:
            shutil.rmtree(saved)
            return nth - 1
        assert list(root.rglob("*.part*")) == []
        check()
        shutil.rmtree(folder)
        shutil.copytree(saved, folder)
        nth += step


@pytest.mark.slow
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_write_that_fails_costs_nothing(
    tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    life = Life(tmp_path / "life", encoder)
    life.root.mkdir()
    life.small(monkeypatch.setattr)
    for step in STEPS:
        life.prepare(step)
        whole = shutil.copytree(life.root, tmp_path / "whole")
        life.take(step)
        expected = look(life.store)
        shutil.rmtree(life.root)
        whole.rename(life.root)

        def completed(step: str = step, expected: dict[str, object] = expected) -> None:
            if (life.store / "catalog.duckdb").exists():
                assert not FeatureStore.verify(life.store).damaged
            life.take(step)
            assert look(life.store) == expected

        fail_each(life.root, partial(life.take, step), life.store, code, completed, 2)
        assert look(life.store) == expected


@pytest.mark.parametrize(
    "what", ["vectors", *(pytest.param(name, marks=pytest.mark.slow) for name in ("sheet", "report"))]
)
def test_a_file_that_is_exported_is_whole_or_not_there(tmp_path: Path, store_path: Path, what: str) -> None:
    store = FeatureStore.open(store_path)
    out = tmp_path / "out"
    out.mkdir()
    works: dict[str, Callable[[], object]] = {
        "vectors": lambda: store.export_vectors(out / "v.parquet"),
        "sheet": lambda: store.search(6).sheet(out / "hits.png"),
        "report": lambda: store.report().save(out / "report.html"),
    }
    work = works[what]

    work()
    [(name, size)] = [(path.name, path.stat().st_size) for path in out.iterdir()]
    (out / name).unlink()

    def check() -> None:  # it is there where the folder could not be flushed after it had its name
        assert [(path.name, path.stat().st_size) for path in out.iterdir()] in ([], [(name, size)])

    assert fail_each(out, work, out, errno.ENOSPC, check) >= 2
    assert len(list(out.iterdir())) == 1


def take_on_a_full_disk(pipe: Connection, life: Life, step: str, limit: int) -> None:
    """Take a step where no file may grow beyond `limit` bytes, those of DuckDB included."""
    life.small(pytest.MonkeyPatch().setattr)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    pipe.send(outcome(lambda: life.take(step)))


@pytest.mark.slow
@pytest.mark.parametrize("limit", [100, 5_000, 300_000, 900_000])
def test_a_catalog_that_cannot_grow_stays_as_it_was(
    tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    life = Life(tmp_path / "life", encoder)
    life.small(monkeypatch.setattr)
    failed = 0
    for step in STEPS[:-1]:
        life.prepare(step)
        with Child(take_on_a_full_disk, life, step, limit) as child:
            said = child.hear(60)
        assert said == "done" or said.startswith("DiskError"), (step, said)
        failed += said != "done"
        if (life.store / "catalog.duckdb").exists():
            assert not FeatureStore.verify(life.store).damaged, (step, said)
        life.take(step)
    assert failed >= 1
