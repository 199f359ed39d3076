"""Labels and splits that a run takes from folders or from a file."""

from pathlib import Path

import pytest

from featurestore import FeatureStore
from featurestore.errors import SourceError
from tests.featurestore.fakes import COLOURS, paint
from tests.featurestore.ingest.ingested import as_stored, counts, labels_of, look


def test_labels_from_folders_and_their_change(empty: FeatureStore, tmp_path: Path, encoded: list[int]) -> None:
    paint(tmp_path / "s" / "train" / "rose" / "a.png", (1, 2, 3))
    paint(tmp_path / "s" / "test" / "rose" / "b.png", (1, 2, 4))
    paint(tmp_path / "s" / "c.png", (1, 2, 5))
    empty.index(tmp_path / "s")
    assert labels_of(empty) == {"a": (None, None), "b": (None, None), "c": (None, None)}
    assert counts(empty.index(tmp_path / "s", labels="folders")) == (0, 0, 3, 0, 0)
    assert labels_of(empty) == {"a": ("rose", "train"), "b": ("rose", "test"), "c": (None, None)}
    empty.index(tmp_path / "s")  # "none" leaves labels as they are
    assert labels_of(empty) == {"a": ("rose", "train"), "b": ("rose", "test"), "c": (None, None)}
    assert sum(encoded) == 3


def test_a_change_of_label_takes_no_row(empty: FeatureStore, tmp_path: Path) -> None:
    paint(tmp_path / "s" / "rose" / "a.png", (1, 2, 3))
    empty.index(tmp_path / "s")
    paint(tmp_path / "s" / "rose" / "b.png", (9, 2, 4))
    assert counts(empty.index(tmp_path / "s", labels="folders")) == (1, 0, 1, 0, 0)
    _, rows, vectors = look(empty)
    assert rows == {1: 0, 2: 1}
    assert vectors["b"] == as_stored((9, 2, 4))


def test_labels_from_a_csv_file(empty: FeatureStore, source: Path) -> None:
    table = source / "labels.csv"
    table.write_text(f"path,label,split\nred.png,warm,train\n{source / 'blue.png'},cold,test\n", encoding="utf-8-sig")
    empty.index(source, labels=table)
    expected: dict[str, tuple[str | None, str | None]] = dict.fromkeys(COLOURS, (None, None))
    assert labels_of(empty) == {**expected, "red": ("warm", "train"), "blue": ("cold", "test")}


def test_labels_survive_a_change_of_content(empty: FeatureStore, source: Path) -> None:
    (source / "labels.csv").write_text("path,label\nred.png,warm\n")
    empty.index(source, labels=source / "labels.csv")
    paint(source / "red.png", (254, 0, 0), size=16)
    assert counts(empty.index(source)) == (0, 1, 5, 0, 0)
    assert labels_of(empty)["red"] == ("warm", None)


def test_label_reports_what_it_does_not_know(store: FeatureStore, colours: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(f"path,label\n{colours}/primary/red.png,warm\n{colours}/mixed/cyan.png,\nnowhere.png,x\n")
    report = store.label(table)
    assert (report.labelled, report.unknown) == (2, ("nowhere.png",))
    found = labels_of(store)
    assert (found["red"][0], found["cyan"][0], found["blue"][0]) == ("warm", None, "primary")


def test_a_path_that_stands_twice_in_a_csv_takes_the_last(store: FeatureStore, colours: Path, tmp_path: Path) -> None:
    path = colours / "mixed" / "cyan.png"
    (tmp_path / "labels.csv").write_text(f"path,label\n{path},first\n{path},last\n")
    assert store.label(tmp_path / "labels.csv").labelled == 1
    assert store.sql("SELECT label FROM items WHERE id = 1").to_pylist() == [{"label": "last"}]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"name,label\nx,y\n", r"columns path,label and perhaps split; found \['name', 'label'\]"),
        (b"", "found None"),
        (
            b"path,label\nnowhere.png,x\nnever.png,y\n",
            "none of its 2 paths belongs to an item of the store, the first: 'nowhere.png'",
        ),
        (b"path,label\n\xff\xfe,x\n", "expected a CSV file"),
    ],
)
def test_a_csv_that_says_nothing_is_refused(store: FeatureStore, tmp_path: Path, content: bytes, reason: str) -> None:
    before = labels_of(store)
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(SourceError, match=reason):
        store.label(tmp_path / "labels.csv")
    assert labels_of(store) == before


def test_a_csv_that_is_not_there_is_refused(
    store: FeatureStore, empty: FeatureStore, source: Path, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match="expected a CSV file"):
        store.label(tmp_path / "absent.csv")
    with pytest.raises(SourceError, match="expected a CSV file"):
        empty.index(source, labels=tmp_path / "absent.csv")
    assert not empty.path.exists()


def test_labels_by_paths_through_a_linked_folder_are_found(
    encoder: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "linked").symlink_to(source)
    store = FeatureStore.open(tmp_path / "linked.store", encoder)
    store.index(tmp_path / "linked")
    (tmp_path / "labels.csv").write_text("path,label\nlinked/red.png,warm\n")
    monkeypatch.chdir(tmp_path)
    assert store.label("labels.csv").labelled == 1
    assert labels_of(store)["red"][0] == "warm"


def test_a_malformed_csv_is_noticed_before_anything_is_encoded(
    empty: FeatureStore, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "labels.csv").write_text("file,class\nred.png,warm\n")
    with pytest.raises(SourceError, match="columns path,label"):
        empty.index(source, labels=tmp_path / "labels.csv")
    assert not empty.path.exists()
