"""What happens to a store when processes die, disks fill up, and several work at once."""

import random
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import duckdb
import numpy as np
import pytest

from featurestore import FeatureStore
from featurestore.errors import DiskError, StoreBusy
from featurestore.system import lock
from tests.featurestore import children
from tests.featurestore.children import Child
from tests.featurestore.fakes import paint

COUNT = 40
State = dict[str, tuple[int, list[float]]]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty pictures, all of other colours."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(COUNT):
        paint(folder / "warm" / f"{number:02}.png", (255, 6 * number, 0))
    return folder


def state(path: Path) -> State:
    """Id and vector of each item by its file name, read past the store, after a look at what must hold in any store."""
    with duckdb.connect(str(path / "catalog.duckdb"), read_only=True) as connection:
        items = connection.execute("SELECT id, path, sha256 FROM items").fetchall()
        vectors = {v[0]: v for v in connection.execute("SELECT item, row, sha256, encoder FROM vectors").fetchall()}
        encoders = connection.execute("SELECT fingerprint, rows FROM encoders").fetchall()
        counted = connection.execute("SELECT count(*) FROM vectors").fetchall()[0][0]
    if not encoders:
        assert not items
        return {}
    [(fingerprint, rows)] = encoders
    assert len({item[0] for item in items}) == len({item[1] for item in items}) == len(items)
    assert set(vectors) == {item[0] for item in items}
    assert counted == len(vectors) == len({v[1] for v in vectors.values()})
    assert all(vectors[number][2] == sha256 for number, _, sha256 in items)
    assert all(v[1] < rows and v[3] == fingerprint for v in vectors.values())
    if not items:
        return {}
    x = np.fromfile(path / "vectors" / f"{fingerprint[:16]}.f16", "<f2", rows * 12).reshape(rows, 12)
    return {Path(name).name: (number, x[vectors[number][1]].tolist()) for number, name, _ in items}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, encoder: Path, many: Path) -> State:
    """The state after a run that nothing disturbed."""
    path = tmp_path_factory.mktemp("undisturbed") / "my.store"
    FeatureStore.open(path, encoder).index(many, labels="folders")
    found = state(path)
    assert len(found) == COUNT
    return found


def finish(path: Path, encoder: Path, many: Path, undisturbed: State) -> None:
    """Whatever a dead process left: it is consistent, and the next run completes it."""
    before = state(path) if (path / "catalog.duckdb").exists() else {}
    assert before == {name: undisturbed[name] for name in before}
    report = FeatureStore.open(path, encoder).index(many, labels="folders")
    assert (report.added, report.unchanged) == (COUNT - len(before), len(before))
    assert state(path) == undisturbed
    [vectors] = (path / "vectors").iterdir()
    assert vectors.stat().st_size == COUNT * 24
    assert sorted(p.name for p in path.iterdir()) == ["catalog.duckdb", "encoders", "lock", "vectors"]


# -- SIGKILL


@pytest.mark.parametrize(
    ("moment", "nth", "kept"),
    [
        ("before there is a catalog", 1, 0),
        ("before the catalog has its name", 1, 0),
        pytest.param("before the encoder is known", 1, 0, marks=pytest.mark.slow),
        ("before the vectors", 1, 0),
        ("between vectors and catalog", 3, 16),
        ("within the vectors", 4, 24),
        ("within the catalog", 3, 16),
        ("after the catalog", 2, 16),
        pytest.param("after the catalog", 5, 40, marks=pytest.mark.slow),
    ],
)
def test_killed_at_a_moment(
    tmp_path: Path, encoder: Path, many: Path, undisturbed: State, moment: str, nth: int, kept: int
) -> None:
    path = tmp_path / "my.store"
    with Child(children.index_until, path, encoder, many, moment, nth) as child:
        assert child.wait() == -signal.SIGKILL
    if kept:
        assert len(state(path)) == kept
    finish(path, encoder, many, undisturbed)


@pytest.mark.slow
def test_killed_at_random_and_again_and_again(tmp_path: Path, encoder: Path, many: Path, undisturbed: State) -> None:
    with Child(children.index, tmp_path / "whole.store", encoder, many) as child:
        assert child.hear() == "begin"
        began = time.monotonic()
        assert child.hear() == "end"
        whole = time.monotonic() - began
    moments = random.Random(7)
    for attempt in range(12):
        path = tmp_path / f"{attempt // 2}.store"  # each store is killed twice
        with Child(children.index, path, encoder, many) as child:
            assert child.hear() == "begin"
            time.sleep(moments.random() * whole)
            child.process.kill()
            child.wait()
        if attempt % 2:
            finish(path, encoder, many, undisturbed)


# -- a full disk


@pytest.mark.parametrize(
    ("limit", "named"),
    [
        (0, ".f16: 39 vectors could not be written"),
        pytest.param(  # one image is a copy of a known one, and comes last
            24 * COUNT, ".f16: 39 vectors could not be written", marks=pytest.mark.slow
        ),
        (5000, "catalog.duckdb could not be written"),  # room for the vectors, none for the catalog's log
    ],
)
def test_a_full_disk_is_named_and_costs_nothing(
    store_path: Path, encoder: Path, many: Path, limit: int, named: str
) -> None:
    before = state(store_path)
    with Child(children.index_on_a_full_disk, store_path, encoder, many, limit) as child:
        kind, text = child.hear()
    assert kind == "DiskError"
    assert named in text
    assert "File too large" in text
    assert "free some space and run the same command again" in text
    store = FeatureStore.open(store_path)
    assert state(store_path) == before
    assert len(store.search(6, k=5)) == 5
    assert store.index(many).added == COUNT
    assert len(state(store_path)) == COUNT + 6


def test_a_disk_too_full_for_a_new_store_is_named(
    tmp_path: Path, encoder: Path, many: Path, undisturbed: State
) -> None:
    path = tmp_path / "my.store"
    for limit in (0, 300, 20_000):
        with Child(children.index_on_a_full_disk, path, encoder, many, limit) as child:
            kind, text = child.hear()
        assert kind == "DiskError", text
        assert str(path) in text
    finish(path, encoder, many, undisturbed)


# -- several processes


def test_a_second_writer_is_refused_in_words(store_path: Path, colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "WAIT_SECONDS", 0.2)
    store = FeatureStore.open(store_path)
    with Child(children.hold_writer_lock, store_path, 60.0) as child:
        assert child.hear() == "held"
        with pytest.raises(StoreBusy, match=rf"is being written by process {child.pid}; wait for it, then try again"):
            store.index(colours)
        assert len(store.search(6, k=5)) == 5  # readers are not held up
    assert store.index(colours).unchanged == 6  # the lock died with its holder


def test_a_second_writer_waits_for_the_first(store_path: Path, colours: Path) -> None:
    with Child(children.hold_writer_lock, store_path, 0.3) as child:
        assert child.hear() == "held"
        assert FeatureStore.open(store_path).index(colours).unchanged == 6


def test_a_store_that_cannot_be_locked_is_named(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="cannot be written: No such file"), lock.writer_lock(tmp_path / "absent"):
        pass


def test_readers_work_while_a_writer_indexes(store_path: Path, encoder: Path, many: Path) -> None:
    store = FeatureStore.open(store_path, encoder)
    sizes: list[int] = []
    with Child(children.index_in_step, store_path, encoder, many) as child:
        assert child.hear() == "begin"
        for _ in range(COUNT // 4 + 1):  # a copy of red comes last: it might have moved
            child.pipe.send("go on")
            found = store.search(6, k=100)
            assert found.ids[0] != 6
            assert len(store.features()[0]) >= len(found) + 1
            assert store.info()["items"] >= len(found) + 1
            sizes.append(len(found))
            assert child.hear() == "encoded"
        assert child.hear() == "end"
    assert sizes == sorted(sizes)
    assert len(set(sizes)) >= 3  # it grew while it was searched
    assert len(store.search(6, k=100)) == COUNT + 5


def test_two_writers_and_four_readers_at_once(tmp_path: Path, encoder: Path, many: Path) -> None:
    path = tmp_path / "my.store"
    FeatureStore.open(path, encoder).index(many)
    with ExitStack() as stack:
        readers = [stack.enter_context(Child(children.search_on_and_on, path)) for _ in range(4)]
        writer = stack.enter_context(Child(children.write_on_and_on, path, encoder, many))
        time.sleep(3.0)  # in which a slow machine, too, searches five times in each reader
        began = time.monotonic()
        second = stack.enter_context(Child(children.index_once, path, encoder, many))
        answer = second.hear(60)
        assert answer == 0 or (f"is being written by process {writer.pid}" in answer and time.monotonic() - began < 15)
        for child in (writer, *readers):
            child.pipe.send("stop")
        assert writer.hear(60) >= 1
        for reader in readers:
            searches, wrong = reader.hear(60)
            assert wrong == []
            assert searches >= 5
    assert not FeatureStore.verify(path).findings


# -- Ctrl-C at the command line

STOPPED_AFTER_A_COMMIT = """
import sys
from tests.featurestore.children import small_batches
from featurestore.catalog.changes import Changes
from featurestore.cli import main
from featurestore.progress import ProgressBar
small_batches()
commit = Changes.commit
def told(self, *args):
    labels = commit(self, *args)
    print("committed", flush=True)
    ProgressBar.advance = lambda *args: sys.stdin.read()  # until Ctrl-C was sent
    return labels
Changes.commit = told
main()
"""


def test_ctrl_c_says_what_is_kept_and_the_next_run_goes_on(
    tmp_path: Path, encoder: Path, many: Path, undisturbed: State
) -> None:
    path = tmp_path / "my.store"
    arguments = ["index", str(path), str(many), "--encoder", str(encoder), "--labels", "folders"]
    root = Path(__file__).parents[2]
    command, pipe = [sys.executable, "-c", STOPPED_AFTER_A_COMMIT, *arguments], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=root) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "committed\n"
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=120)  # a disk that is busy with others may take long to flush
    assert run.returncode == 130
    found, *_, line = errors.strip().splitlines()  # between them, how far it is, where it takes long
    assert found == f"{COUNT} images; 1 class (warm); {COUNT} labels found"
    kept = len(state(path))
    assert kept in (8, 12)  # what was committed, and perhaps the batch of four behind it
    done = f"interrupted; {kept} images were encoded and are kept: run the same command again to go on"
    assert line == f"featurestore: {done}"
    finish(path, encoder, many, undisturbed)
