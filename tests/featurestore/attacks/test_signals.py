"""Signals in the middle of work: SIGTERM and SIGHUP end a command as Ctrl-C does, and a stopped writer holds up no reader."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from featurestore import FeatureStore
from featurestore.catalog import connection
from featurestore.errors import StoreBusy
from featurestore.system import lock
from featurestore.system.interrupts import endings_as_ctrl_c, uninterrupted
from tests.featurestore import children
from tests.featurestore.children import Child
from tests.featurestore.commands import ended_within
from tests.featurestore.fakes import paint
from tests.featurestore.life import look
from tests.featurestore.test_faults import STOPPED_AFTER_A_COMMIT

COUNT = 40


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_raised_as_ctrl_c_and_held_back_where_ctrl_c_is(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    done: list[int] = []

    def work() -> None:
        with uninterrupted():
            os.kill(os.getpid(), number)
            done.append(number)

    with endings_as_ctrl_c() as came, pytest.raises(KeyboardInterrupt):
        work()
    assert came == done == [number]
    assert signal.getsignal(number) == before


def test_a_signal_counts_where_ctrl_c_is_ignored_and_none_that_is_ignored_itself() -> None:
    numbers = (signal.SIGINT, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        with endings_as_ctrl_c() as came:
            os.kill(os.getpid(), signal.SIGHUP)
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGTERM)
        assert came == [signal.SIGTERM]
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_ended_says_what_is_kept(tmp_path: Path, encoder: Path, number: signal.Signals) -> None:
    for image in range(COUNT):
        paint(tmp_path / "photos" / f"{image:02}.png", (255, 6 * image, 0))
    store = tmp_path / "my.store"
    arguments = ["index", str(store), str(tmp_path / "photos"), "--encoder", str(encoder)]
    command, pipe, root = (
        [sys.executable, "-c", STOPPED_AFTER_A_COMMIT, *arguments],
        subprocess.PIPE,
        Path(__file__).parents[3],
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    (tmp_path / "temporary").mkdir()
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=root, env=environment) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "committed\n"
        run.send_signal(number)
        _, errors = run.communicate(timeout=120)
    assert run.returncode == 128 + number
    assert "images were encoded and are kept: run the same command again to go on" in errors.splitlines()[-1]
    left = [path.name for path in (tmp_path / "temporary").iterdir()]
    assert set(left) <= {".ses"}  # by onnxruntime
    assert not FeatureStore.verify(store).findings
    report = FeatureStore.open(store, encoder).index(tmp_path / "photos")
    assert report.unchanged >= 8
    assert report.unchanged + report.added == COUNT


@pytest.mark.slow
def test_readers_and_writers_while_a_writer_is_stopped(
    store_path: Path, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "WAIT_SECONDS", 0.2)
    store = FeatureStore.open(store_path)
    with Child(children.hold_writer_lock, store_path, 0.3) as child:
        assert child.hear() == "held"
        os.kill(child.pid, signal.SIGSTOP)
        assert len(store.search(6, k=5)) == 5
        with pytest.raises(StoreBusy, match=str(child.pid)):
            store.index(colours)
        os.kill(child.pid, signal.SIGCONT)
        assert child.wait() == 0
    assert store.index(colours).unchanged == 6


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_labels_that_are_interrupted_are_all_as_before(
    tmp_path: Path, store_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "labels.csv").write_text("id,label\n5,new\n6,new\n")
    before, table = look(store_path), tmp_path / "labels.csv"
    ended = ended_within("featurestore.catalog", "labels", "replace_labels", number, "label", store_path, table)
    assert ended == (128 + number, "featurestore: interrupted")
    assert look(store_path) == before
    assert FeatureStore.open(store_path).label(tmp_path / "labels.csv").changed == 2
    assert not FeatureStore.verify(store_path).findings


def index_and_stop(pipe: Connection, store: Path, encoder: Path, source: Path, within: str) -> None:
    """Index, and stop at a function as SIGSTOP does from outside, once."""
    module, _, name = within.rpartition(".")
    original = getattr(sys.modules[module], name)

    def stopped(*args: Any) -> Any:
        setattr(sys.modules[module], name, original)
        os.kill(os.getpid(), signal.SIGSTOP)
        return original(*args)

    setattr(sys.modules[module], name, stopped)
    children.index(pipe, store, encoder, source)


def wait_until_stopped(pid: int) -> None:
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux")
@pytest.mark.parametrize(
    ("within", "readers_wait"),
    [("featurestore.encoders.encoder.unit_rows", False), ("featurestore.catalog.changes.add_blocks", True)],
)
def test_an_index_that_is_stopped_goes_on_as_if_it_had_not_been(
    tmp_path: Path, store_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch, within: str, readers_wait: bool
) -> None:
    monkeypatch.setattr(lock, "WAIT_SECONDS", 0.2)
    monkeypatch.setattr(connection, "READER_SECONDS", 0.2)
    for image in range(COUNT):
        paint(tmp_path / "photos" / "warm" / f"{image:02}.png", (255, 6 * image, 0))
    (tmp_path / "labels.csv").write_text("id,label\n6,new\n")
    store = FeatureStore.open(store_path)
    with Child(index_and_stop, store_path, encoder, tmp_path / "photos", within) as child:
        assert child.hear() == "begin"
        wait_until_stopped(child.pid)
        if readers_wait:  # a commit is short, but within it nobody can look
            with pytest.raises(StoreBusy, match=str(child.pid)):
                FeatureStore.open(store_path).search(6)
        else:
            assert len(FeatureStore.open(store_path).search(6, k=5)) == 5
        with pytest.raises(StoreBusy, match=str(child.pid)):
            store.label(tmp_path / "labels.csv")
        os.kill(child.pid, signal.SIGCONT)
        assert child.hear(60) == "end"
    assert len(look(store_path)) == COUNT + 6
    assert store.label(tmp_path / "labels.csv").changed == 1
    assert not FeatureStore.verify(store_path).findings


@pytest.mark.slow
def test_a_reader_of_the_output_that_goes_away_is_no_error(store_path: Path) -> None:
    command = f"{sys.executable} -c 'from featurestore.cli import main; main()'"
    line = f'{command} sql {store_path} "SELECT * FROM range(50000)" --json | head -1; echo ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "0"
