"""What a run takes, passes over and refuses, and what the store keeps of it."""

from pathlib import Path

import pytest

from featurestore import FeatureStore
from featurestore.errors import SourceError
from featurestore.progress import Listener
from tests.featurestore.fakes import paint
from tests.featurestore.ingest.ingested import by_name, counts, labels_of


class Notes(Listener):
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for number, name in enumerate(("train/rose/a", "train/tulip/b", "test/rose/c", "test/rose/d_mask")):
        paint(tmp_path / "d" / f"{name}.png", (50 * number, 1, 1))
    (tmp_path / "d" / "clip.mp4").touch()
    return tmp_path / "d"


def test_what_was_found_and_passed_over_is_told_and_reported(empty: FeatureStore, tree: Path) -> None:
    heard = Notes()
    report = empty.index(tree / "train", tree / "test", labels="folders", listener=heard)
    assert heard.lines[0] == "4 images: train 2, test 2; 2 classes; 4 labels found"
    assert (report.labels_found, report.classes, report.splits) == (4, 2, {"train": 2, "test": 2})
    assert labels_of(empty) == {
        "a": ("rose", "train"), "b": ("tulip", "train"), "c": ("rose", "test"), "d_mask": ("rose", "test"),
    }  # fmt: skip
    heard = Notes()
    assert empty.index(tree, exclude=["*.jpeg"], listener=heard).passed_over == {".mp4": 1}
    assert heard.lines == ["passed over: 1 video (.mp4)", "nothing matched --exclude *.jpeg"]


def test_images_of_several_sources_count_once(empty: FeatureStore, tree: Path) -> None:
    report = empty.index(tree / "train" / "rose", tree, tree, tree / "train" / "..", labels="folders")
    assert report.passed_over == {".mp4": 1}
    assert (report.added, report.labels_found, report.splits) == (4, 4, {"train": 2, "test": 2})
    assert labels_of(empty)["a"] == ("rose", "train")


def test_folders_without_labels_are_refused_where_labels_were_asked_for(empty: FeatureStore, source: Path) -> None:
    with pytest.raises(
        SourceError, match=r"--labels folders: expected images in folders of their classes.*found no label for 6 images"
    ):
        empty.index(source, labels="folders")
    assert not empty.path.exists()


def test_what_is_excluded_is_removed_and_stays_so_until_other_patterns_are_given(
    empty: FeatureStore, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tree.parent))
    empty.index("~/d")
    report = empty.index(tree, exclude=["*_mask.png", "/clip*"])
    assert (report.removed, report.passed_over) == (1, {"excluded": 2})
    assert set(by_name(empty)) == {"a", "b", "c"}
    assert counts(empty.index()) == (0, 0, 3, 0, 0)
    empty.index(tree, exclude=["rose"])
    assert set(by_name(empty)) == {"b"}
    assert empty.index(tree, exclude=[]).passed_over == {".mp4": 1}
    assert set(by_name(empty)) == {"a", "b", "c", "d_mask"}


# -- when nothing can be read


def test_a_store_is_not_made_of_files_none_of_which_can_be_read(empty: FeatureStore, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / "s" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "s" / name).touch()
    (tmp_path / "s" / "c.png").write_text("text")
    with pytest.raises(
        SourceError,
        match=r"none of 3 files could be used; 2 files: empty file \(0 bytes\), the first .*a\.png; 1 file: not an image",
    ):
        empty.index(tmp_path / "s")
    assert not empty.path.exists()
    paint(tmp_path / "s" / "z.png", (1, 2, 3))
    (tmp_path / "s" / "gone.png").symlink_to("nowhere")
    report = empty.index(tmp_path / "s")
    assert counts(report) == (1, 0, 0, 0, 4)
    assert [(group.count, Path(group.first).name) for group in report.reasons] == [
        (2, "a.png"),
        (1, "gone.png"),
        (1, "c.png"),
    ]


def test_a_list_of_wrong_paths_is_refused_with_them(empty: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text("a.png\nb.png\n")
    with pytest.raises(
        SourceError, match=r"no image found in .*2 files: no such file, or it has vanished, the first .*/a\.png"
    ):
        empty.index(tmp_path / "l.txt")
    assert not empty.path.exists()


def test_a_run_in_which_all_fail_ends_with_the_reasons_and_records_them(empty: FeatureStore, source: Path) -> None:
    empty.index(source)
    (source / "red.png").write_bytes(b"")
    with pytest.raises(
        SourceError, match=r"none of 1 file could be used; 1 file: empty file.*to list: featurestore failures"
    ):
        empty.index(source / "red.png")
    assert "red" not in by_name(empty)
    assert [failure.reason for failure in empty.failures()] == ["empty file (0 bytes)"]
