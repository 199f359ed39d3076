"""Labels and splits that a run takes from folders or from a file."""

from pathlib import Path

import pytest

from featurestore import FeatureStore
from featurestore.errors import ConfigError, SourceError
from featurestore.progress import Listener
from tests.featurestore.fakes import COLOURS, paint
from tests.featurestore.ingest.ingested import as_stored, counts, labels_of, look
from tests.featurestore.sources.tables import hugging_face, write_parquet


class Notes(Listener):
    """Keeps what is told."""

    def __init__(self, notes: list[str]) -> None:
        self._notes = notes

    def note(self, text: str) -> None:
        self._notes.append(text)


@pytest.fixture
def notes() -> list[str]:
    return []


def test_labels_from_folders_and_their_change(empty: FeatureStore, tmp_path: Path, encoded: list[int]) -> None:
    paint(tmp_path / "s" / "train" / "rose" / "a.png", (1, 2, 3))
    paint(tmp_path / "s" / "test" / "rose" / "b.png", (1, 2, 4))
    paint(tmp_path / "s" / "c.png", (1, 2, 5))
    empty.index(tmp_path / "s")
    assert labels_of(empty) == dict.fromkeys("abc", (None, None))
    for labels in ("folders", "none"):  # "none" leaves labels as they are
        assert counts(empty.index(tmp_path / "s", labels=labels)) == (0, 0, 3, 0, 0)
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


def test_labels_from_a_csv_file_survive_a_change_of_content(empty: FeatureStore, source: Path) -> None:
    table = source / "labels.csv"
    table.write_text(f"path,label,split\nred.png,warm,train\n{source / 'blue.png'},cold,test\n", encoding="utf-8-sig")
    expected: dict[str, tuple[str | None, str | None]] = dict.fromkeys(COLOURS, (None, None))
    expected |= {"red": ("warm", "train"), "blue": ("cold", "test")}
    empty.index(source, labels=table)
    assert labels_of(empty) == expected
    paint(source / "red.png", (254, 0, 0), size=16)
    assert counts(empty.index(source)) == (0, 1, 5, 0, 0)
    assert labels_of(empty) == expected


def test_the_last_label_of_a_path_counts_and_unknown_paths_are_named(
    store: FeatureStore, colours: Path, tmp_path: Path
) -> None:
    red = colours / "primary" / "red.png"
    rows = f"{red},first\n{red},last\n{colours}/mixed/cyan.png,\nnowhere.png,x\n"
    (tmp_path / "labels.csv").write_text(f"path,label\n{rows}")
    report = store.label(tmp_path / "labels.csv", clear=True)
    assert (report.labelled, report.unknown) == (2, ("nowhere.png",))
    found = labels_of(store)
    assert (found["red"][0], found["cyan"][0], found["blue"][0]) == ("last", None, "primary")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"name,label\nx,y\n", "columns path,label and perhaps split; found 'name', 'label'; choose"),
        (b"", "found none"),
        (
            b"path,label\nnowhere.png,x\nnever.png,y\n",
            r"none of its paths \(2 rows\) belongs to an item .*: 'nowhere.png', 'never.png'; in the store: ",
        ),
        (b"path,label\n\xff\x81,x\n", "expected a CSV file .* neither UTF-8 nor cp1252"),
        (None, "expected a CSV file"),
    ],
)
def test_a_csv_that_says_nothing_is_refused(
    store: FeatureStore, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    before = labels_of(store)
    if content is not None:
        (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(SourceError, match=reason):
        store.label(tmp_path / "labels.csv")
    assert labels_of(store) == before


def test_labels_by_paths_through_a_linked_folder_are_found(
    empty: FeatureStore, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "linked").symlink_to(source)
    empty.index(tmp_path / "linked")
    (tmp_path / "labels.csv").write_text("path,label\nlinked/red.png,warm\n")
    monkeypatch.chdir(tmp_path)
    assert empty.label("labels.csv").labelled == 1
    assert labels_of(empty)["red"][0] == "warm"


def test_a_malformed_or_missing_csv_is_noticed_before_anything_is_encoded(
    empty: FeatureStore, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "labels.csv").write_text("files,kind\nred.png,warm\n")
    for name in ("labels.csv", "absent.csv"):
        with pytest.raises(SourceError, match=r"columns path,label|expected none, folders or a file"):
            empty.index(source, labels=tmp_path / name)
    assert not empty.path.exists()


def test_splits_of_a_label_file_have_our_names(store: FeatureStore, tmp_path: Path) -> None:
    rows = {1: "TEST", 2: "valid", 3: "Training", 4: "fold7", 5: ""}
    (tmp_path / "labels.csv").write_text(
        "id,label,split\n" + "".join(f"{number},x,{split}\n" for number, split in rows.items())
    )
    store.label(tmp_path / "labels.csv")
    found = {row["id"]: row["split"] for row in store.sql("SELECT id, split FROM items").to_pylist()}
    assert found == {1: "test", 2: "val", 3: "train", 4: "fold7", 5: None, 6: None}


def test_the_column_of_labels_is_told_or_must_be_chosen(
    empty: FeatureStore, tmp_path: Path, source: Path, notes: list[str]
) -> None:
    data = [path.read_bytes() for path in sorted(source.glob("*.png"))[:2]]
    path = write_parquet(tmp_path, hugging_face(data, fine_label=["rose", "tulip"], coarse_label=["flower"] * 2))
    with pytest.raises(SourceError, match="'fine_label' and 'coarse_label'; choose one with --label-column"):
        empty.index(path, labels="folders")
    with pytest.raises(ConfigError, match="no labels are wanted; add --labels folders"):
        empty.index(path, label_column="fine_label")
    assert not empty.path.exists()
    empty.index(path, labels="folders", label_column="fine_label", listener=Notes(notes))
    assert notes[:2] == [
        "2 images; 2 classes; 2 labels found",
        "labels: column fine_label of part.parquet (2 classes)",
    ]
    assert empty.sql("SELECT label FROM items ORDER BY id")["label"].to_pylist() == ["rose", "tulip"]


def test_a_label_file_that_matches_nothing_is_refused_after_the_images_are_kept(
    empty: FeatureStore, source: Path, tmp_path: Path, notes: list[str]
) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("photo,kind\nnowhere.png,warm\n")
    with pytest.raises(SourceError, match=r"the images are indexed, but have no labels yet: .* none of its paths"):
        empty.index(source, labels=table, path_column="photo", label_column="kind")
    table.write_text("photo,kind\nred.png,warm\nnowhere.png,x\n")
    report = empty.index(source, labels=table, path_column="photo", label_column="kind", listener=Notes(notes))
    assert report.labels_set == 1
    assert notes[0] == "1 path without an item in the store: 'nowhere.png'"
