"""The encoder, the six pictures and the store that most tests share.

The store's items, in the order of their ids: 1 mixed/cyan, 2 mixed/yellow, 3 plain/white, 4 primary/blue, 5 primary/green,
6 primary/red. The score of two of them is the cosine of their colours.
"""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import faiss
import pytest

from featurestore import FeatureStore, cli
from featurestore.catalog import engine
from tests.featurestore.commands import Run
from tests.featurestore.fakes import COLOURS, paint, write_encoder, write_other_encoder

FOLDERS = {
    "red": "primary",
    "green": "primary",
    "blue": "primary",
    "yellow": "mixed",
    "cyan": "mixed",
    "white": "plain",
}


@pytest.fixture(autouse=True, scope="session")
def _one_duckdb_thread() -> Iterator[None]:
    """Catalogs of a few items need no second thread, which each connection would start and end. Child processes of tests have all threads."""
    engine.SETTINGS["threads"] = 1
    yield
    del engine.SETTINGS["threads"]


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder") / "encoder.onnx")


@pytest.fixture(scope="session")
def other_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_other_encoder(tmp_path_factory.mktemp("other") / "other.onnx")


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of the shared store; not to be changed."""
    folder = tmp_path_factory.mktemp("colours")
    for name, colour in COLOURS.items():
        paint(folder / FOLDERS[name] / f"{name}.png", colour)
    return folder


@pytest.fixture(scope="session")
def indexed(tmp_path_factory: pytest.TempPathFactory, encoder: Path, colours: Path) -> Path:
    path = tmp_path_factory.mktemp("indexed") / "colours.store"
    FeatureStore.open(path, encoder).index(colours, labels="folders")
    return path


@pytest.fixture
def store_path(tmp_path: Path, indexed: Path) -> Path:
    """A copy of the shared store, for one test."""
    return Path(shutil.copytree(indexed, tmp_path / "colours.store"))


@pytest.fixture
def store(store_path: Path) -> FeatureStore:
    return FeatureStore.open(store_path)


@pytest.fixture(scope="session")
def shared(indexed: Path) -> FeatureStore:
    """The shared store itself, for tests that only read."""
    return FeatureStore.open(indexed)


@pytest.fixture
def one_faiss_thread() -> Iterator[None]:
    """Where others work beside the tests, teams of threads wait for one another."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(before)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process: its exit status, what it printed, and its messages."""

    def called(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["featurestore", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return code or 0, out, err

    return called
