"""Sources that change while they are read, disks that cannot be written, and folders of strange files."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from featurestore import FeatureStore
from featurestore.progress import Listener
from tests.featurestore import children
from tests.featurestore.children import Child
from tests.featurestore.fakes import paint
from tests.featurestore.imaging.corpus import write_corpus
from tests.featurestore.life import look

COUNT = 120


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for number in range(COUNT):
        paint(tmp_path / "source" / f"{number // 10:02}" / f"{number:03}.png", (255, 2 * number, 0))
    return tmp_path / "source"


class Disturber(Listener):
    """Does something when the first image is done; those at the end are not read yet."""

    def __init__(self, source: Path) -> None:
        self.source, self.done = source, False

    def start(self, what: str, total: int | None) -> None:
        self.indexing = what == "indexing"

    def advance(self, amount: int = 1, detail: str = "") -> None:
        if self.indexing and not self.done:
            self.done = True
            self.disturb()

    def disturb(self) -> None:
        (self.source / "11" / "110.png").unlink()
        paint(self.source / "11" / "111.png", (0, 0, 255))
        (self.source / "11" / "112.png").write_bytes(b"")
        (self.source / "11" / "113.png").unlink()
        (self.source / "11" / "113.png").mkdir()
        (self.source / "10").rename(self.source.parent / "elsewhere")


def test_files_that_vanish_or_change_while_they_are_read(
    tmp_path: Path, encoder: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featurestore.encoders.encoder.BATCH", 4)
    monkeypatch.setattr("featurestore.ingest.ingest.COMMIT_IMAGES", 16)
    store = FeatureStore.open(tmp_path / "my.store", encoder)
    report = store.index(source, workers=1, listener=Disturber(source))
    assert (report.added, report.failed) == (107, 13)
    reasons = {Path(failure.path).name: failure.reason for failure in store.failures()}
    assert reasons["110.png"] == reasons["105.png"] == "no such file, or it has vanished"
    assert reasons["112.png"] == "empty file (0 bytes)"
    assert "folder" in reasons["113.png"]
    assert look(store.path)["111.png"][5] == pytest.approx(
        [0, 0, 0.5] * 4, abs=1e-3
    )  # what was read, not what was listed
    assert not FeatureStore.verify(store.path).findings

    (tmp_path / "elsewhere").rename(source / "10")
    again = store.index(source)
    assert (again.added, again.updated, again.unchanged, again.failed) == (10, 0, 107, 1)
    assert [Path(failure.path).name for failure in store.failures()] == ["112.png"]
    assert not FeatureStore.verify(store.path).findings


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that another user can look into."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in folder.rglob("*"):
        path.chmod(0o755)
    shutil.rmtree(folder)


def test_a_store_that_may_not_be_written_can_be_searched(
    open_to_all: Path, store_path: Path, encoder: Path, colours: Path
) -> None:
    path = Path(shutil.copytree(store_path, open_to_all / "my.store"))
    shutil.copytree(colours, open_to_all / "colours")
    shutil.copy(encoder, open_to_all / "encoder.onnx")
    for part in open_to_all.rglob("*"):
        part.chmod(0o555 if part.is_dir() else 0o444)
    with Child(children.use_as_another_user, path, open_to_all / "encoder.onnx", open_to_all / "colours") as child:
        answers = child.hear()
    assert answers["search"] == 5
    assert answers["verify"] == 0
    for command in ("index", "delete", "optimize", "new"):
        assert answers[command].startswith("DiskError: "), answers
        assert "Permission denied" in answers[command]


def test_a_folder_that_becomes_unreadable_keeps_its_items(open_to_all: Path, encoder: Path, source: Path) -> None:
    photos = Path(shutil.copytree(source, open_to_all / "photos"))
    shutil.copy(encoder, open_to_all / "encoder.onnx")
    (open_to_all / "stores").mkdir(mode=0o777)
    (open_to_all / "stores").chmod(0o777)
    with Child(
        children.index_as_another_user, open_to_all / "stores" / "my.store", open_to_all / "encoder.onnx", photos
    ) as child:
        assert child.hear() == (COUNT, 0, 0, 0)
        (photos / "05").chmod(0)
        child.pipe.send("again")
        assert child.hear() == (0, COUNT - 10, 0, 1)  # added, unchanged, removed, failed
        (photos / "05").chmod(0o755)
        child.pipe.send("again")
        assert child.hear() == (0, COUNT, 0, 0)


pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::PIL.Image.DecompressionBombWarning")


def test_every_strange_file_is_an_item_or_a_failure(tmp_path: Path, encoder: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus")
    store = FeatureStore.open(tmp_path / "my.store", encoder)
    report = store.index(tmp_path / "corpus")
    items = {Path(row["path"]).name for row in store.sql("SELECT path FROM items").to_pylist()}
    failures = {Path(failure.path).name: failure.reason for failure in store.failures()}
    black = {
        name for name, reason in failures.items() if "zero or not finite" in reason
    }  # what this encoder cannot tell
    assert len(corpus) >= 200
    assert items & set(failures) == set()
    assert (report.added, report.failed) == (len(items), len(failures))
    passed_over = set(corpus) - items - set(failures)
    assert passed_over <= {"phone.heic"}  # whose package may not be installed
    assert report.passed_over.get(".heic", 0) == len(passed_over)
    for name in set(corpus) - passed_over:
        expected = corpus[name]
        if expected.reason is None:
            assert name in items | black
        elif expected.size is None:
            assert re.search(expected.reason, failures[name])
    assert not FeatureStore.verify(store.path).findings
