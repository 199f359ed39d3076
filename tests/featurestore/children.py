"""What other processes do to a store while a test watches. Started from a server that has loaded featurestore already."""

import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import onnxruntime  # noqa: F401  # as are those of pyarrow: what is imported late may lie where another user cannot read
import pyarrow.compute
import pyarrow.parquet  # noqa: F401

from featurestore import FeatureStore
from featurestore.catalog import Catalog
from featurestore.catalog.changes import Changes
from featurestore.catalog.encoders import Encoders
from featurestore.encoders import encoder as running
from featurestore.encoders.encoder import Encoder
from featurestore.errors import FeatureStoreError, StoreBusy
from featurestore.ingest import ingest as indexing
from featurestore.storage.vectors import VectorFile
from featurestore.system.lock import writer_lock

SERVER = multiprocessing.get_context("forkserver")
# pytest: every child imports the main module. pandas: where it is installed, DuckDB imports it with the first table that it is given.
SERVER.set_forkserver_preload(["tests.featurestore.children", "pytest", "pandas"])


class Child:
    """A process that runs `function(pipe, *args)`; it is killed at the end of the block."""

    def __init__(self, function: Callable[..., None], *args: Any) -> None:
        self.pipe, theirs = SERVER.Pipe()
        self.process: ForkServerProcess = SERVER.Process(target=function, args=(theirs, *args))
        self.process.start()
        theirs.close()

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.join()
        self.process.close()
        self.pipe.close()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def hear(self, seconds: float = 20.0) -> Any:
        assert self.pipe.poll(seconds), "the child process said nothing"
        return self.pipe.recv()

    def wait(self, seconds: float | None = 20.0) -> int | None:
        self.process.join(seconds)
        return self.process.exitcode


def outcome(work: Callable[[], object]) -> str:
    """Do some work; say "done", an error of ours, or TRACEBACK and any other."""
    try:
        work()
    except FeatureStoreError as error:
        return f"{type(error).__name__}: {error}"
    except Exception as error:
        return f"TRACEBACK {type(error).__name__}: {error}"
    return "done"


def small_batches(images: int = 8) -> None:
    running.BATCH, indexing.COMMIT_IMAGES = 4, images


def index(pipe: Connection, store: Path, encoder: Path, source: Path) -> None:
    """Index in small batches, and say so at the end."""
    small_batches()
    pipe.send("begin")
    FeatureStore.open(store, encoder).index(source, labels="folders", workers=1)
    pipe.send("end")


def index_in_step(pipe: Connection, store: Path, encoder: Path, source: Path) -> None:
    """The same, but each batch waits until it is told to go on."""
    encode = Encoder.encode

    def waiting(self: Encoder, pixels: Any) -> Any:
        pipe.recv()
        vectors = encode(self, pixels)
        pipe.send("encoded")
        return vectors

    Encoder.encode = waiting  # type: ignore[method-assign]
    index(pipe, store, encoder, source)


def index_until(pipe: Connection, store: Path, encoder: Path, source: Path, moment: str, nth: int) -> None:
    """Index, and be killed at a moment of the nth write."""
    calls = 0

    def die(*args: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def tear(file: VectorFile, x: Any, committed: int) -> None:
        with file.path.open("ab") as handle:
            handle.write(x.astype("<f2").tobytes()[:37])
            handle.flush()
        die()

    def inside_the_transaction(changes: Changes, *args: Any) -> None:
        with changes._database.transaction() as connection:
            connection.execute(
                "UPDATE all_items SET label = 'torn'; UPDATE encoders SET rows = 1000; DELETE FROM vectors"
            )
            die()

    moments: dict[str, tuple[Any, str, Callable[..., None], bool]] = {  # whose method, what is done, whether after it
        "before the vectors": (VectorFile, "append", die, False),
        "within the vectors": (VectorFile, "append", tear, False),
        "between vectors and catalog": (VectorFile, "append", die, True),
        "within the catalog": (Changes, "commit", inside_the_transaction, False),
        "after the catalog": (Changes, "commit", die, True),
        "before there is a catalog": (Catalog, "create", die, False),
        "before the catalog has its name": (os, "replace", die, False),
        "before the encoder is known": (Encoders, "add", die, False),
    }
    owner, name, strike, after = moments[moment]
    original = getattr(owner, name)

    def struck(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth and not after:
            strike(*args)
        result = original(*args, **options)
        if calls == nth and after:
            strike(*args)
        return result

    setattr(owner, name, struck)
    index(pipe, store, encoder, source)


def write_on_and_on(pipe: Connection, store: Path, encoder: Path, source: Path) -> None:
    """Index, delete and optimize in turn until told to stop; says how often."""
    small_batches()
    turns = 0
    while not pipe.poll():
        opened = FeatureStore.open(store, encoder)
        opened.index(source, workers=1)
        opened.delete("id % 5 = 0")
        opened.optimize()
        turns += 1
    pipe.send(turns)


def search_on_and_on(pipe: Connection, store: Path) -> None:
    """Search for a picture of the colour (255, 120, 0) until told to stop; says how often, and what was wrong with an answer."""
    opened = FeatureStore.open(store)
    query = np.tile([255.0, 120.0, 0.0], 4)
    wrong: list[str] = []
    searches = 0
    while not pipe.poll():
        even = searches % 4 == 3
        hits = opened.search(query, k=8, where="id % 2 = 0" if even else None)
        searches += 1
        colours = np.array([[255.0, 6.0 * int(Path(path).stem), 0.0] for path in hits.paths])
        cosines = colours @ query[:3] / np.linalg.norm(colours, axis=1) / np.linalg.norm(query[:3])
        if not np.allclose(hits.scores, cosines, atol=2e-3) or (np.diff(hits.scores) > 0).any() or len(hits) != 8:
            wrong.append(f"{hits.to_json()}, expected the scores {cosines}")
        if even and (hits.ids % 2).any():
            wrong.append(f"the filter was not kept: {hits.ids}")
    pipe.send((searches, wrong))


def index_once(pipe: Connection, store: Path, encoder: Path, source: Path) -> None:
    """Index, and say what came of it."""
    try:
        pipe.send(FeatureStore.open(store, encoder).index(source).failed)
    except StoreBusy as error:
        pipe.send(str(error))


def index_on_a_full_disk(pipe: Connection, store: Path, encoder: Path, source: Path, limit: int) -> None:
    """Index where no file may grow beyond `limit` bytes; says which error came, or None."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        FeatureStore.open(store, encoder).index(source)
    except Exception as error:
        pipe.send((type(error).__name__, str(error)))
    else:
        pipe.send(None)


def become_another_user() -> None:
    """Give up what root may do; any other user already may not."""
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)


def use_as_another_user(pipe: Connection, store: Path, encoder: Path, source: Path) -> None:
    """Try everything on a store that may only be read; says what came of each."""
    become_another_user()

    def tell(function: Callable[[], Any]) -> Any:
        try:
            return function()
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    answers = {
        "search": tell(lambda: len(FeatureStore.open(store).search(6))),
        "verify": tell(lambda: len(FeatureStore.verify(store).findings)),
        "index": tell(lambda: FeatureStore.open(store, encoder).index(source)),
        "delete": tell(lambda: FeatureStore.open(store).delete("id = 1")),
        "optimize": tell(lambda: FeatureStore.open(store).optimize()),
        "new": tell(lambda: FeatureStore.open(store.with_name("new.store"), encoder).index(source)),
    }
    pipe.send(answers)


def index_as_another_user(pipe: Connection, store: Path, encoder: Path, source: Path) -> None:
    """Index, and again whenever told to; says what was added, unchanged, removed and failed."""
    become_another_user()
    while True:
        report = FeatureStore.open(store, encoder).index(source)
        pipe.send((report.added, report.unchanged, report.removed, report.failed))
        pipe.recv()


def hold_writer_lock(pipe: Connection, store: Path, seconds: float) -> None:
    with writer_lock(store):
        pipe.send("held")
        time.sleep(seconds)


def hold_catalog(pipe: Connection, store: Path, seconds: float) -> None:
    connection = duckdb.connect(str(store / "catalog.duckdb"))
    pipe.send("held")
    time.sleep(seconds)
    connection.close()


def leave_a_log(pipe: Connection, store: Path) -> None:
    """Commit a change to the catalog and die before it is moved from the log into the file."""
    connection = duckdb.connect(str(store / "catalog.duckdb"))
    connection.execute("UPDATE all_items SET label = 'logged' WHERE id = 1")
    os.kill(os.getpid(), signal.SIGKILL)
