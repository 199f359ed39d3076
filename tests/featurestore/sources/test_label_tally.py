"""Which column of a table holds labels or paths, what is told about it, and what is refused when it is not sure."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from featurestore.errors import SourceError
from featurestore.sources import ImageFile, open_source
from featurestore.sources.column_names import USUAL, ColumnNames
from featurestore.sources.label_tally import LabelTally
from tests.featurestore.fakes import paint
from tests.featurestore.sources.tables import hugging_face, save_dataset, with_features, write_parquet
from tests.featurestore.sources.tars import write_tar

DATA = [b"a", b"b"]


def listed(*sources: Path, named: ColumnNames = USUAL) -> tuple[list[str | None], LabelTally]:
    """The labels of sources, and the tally of them."""
    labels, tally = [], LabelTally()
    for path in sources:
        source = open_source(path, named=named)
        tally.start(source)
        for entry in source:
            assert isinstance(entry, ImageFile)
            tally.add(entry)
            labels.append(entry.label)
    return labels, tally


@pytest.mark.parametrize("name", ["Label", "target", "category", "fine_label", "class", " CLS "])
def test_a_column_of_labels_is_found_by_its_name_and_told(tmp_path: Path, name: str) -> None:
    labels, tally = listed(write_parquet(tmp_path, hugging_face(DATA, id=[1, 2], **{name: ["x", "y"]})))
    tally.check()
    assert (labels, tally.notes()) == (["x", "y"], [f"labels: column {name} of part.parquet (2 classes)"])


def test_of_several_columns_the_user_chooses(tmp_path: Path) -> None:
    names: dict[str, Any] = {"names": ["rose", "tulip"], "_type": "ClassLabel"}
    table = hugging_face(DATA, fine_label=[0, 1], coarse_label=["flower", "flower"])
    path = write_parquet(tmp_path, with_features(table, fine_label=names))
    labels, tally = listed(path)
    assert labels == [None, None]
    with pytest.raises(SourceError, match="found 'fine_label' and 'coarse_label'; choose one with --label-column"):
        tally.check()
    labels, tally = listed(path, named=ColumnNames(label="Fine_Label"))
    tally.check()
    assert labels == ["rose", "tulip"]
    assert listed(write_parquet(tmp_path, table.append_column("label", pa.array(["a", "b"]))))[0] == ["a", "b"]
    with pytest.raises(SourceError, match="expected a column 'kind', found 'fine_label', 'coarse_label'"):
        listed(path, named=ColumnNames(label="kind"))


def test_a_table_without_labels_names_its_columns(tmp_path: Path) -> None:
    path = write_parquet(tmp_path, hugging_face(DATA, caption=["x", "y"]))
    reason = r"part.parquet has no column of labels among image \(struct.*, caption \(string\); choose one with --label-column"
    with pytest.raises(SourceError, match=f"labels were asked for, found none: .*{reason}"):
        listed(path)[1].check()
    tar = write_tar(tmp_path / "shard.tar", [("1.jpg", b"x"), ("1.json", b'{"class": "rose"}'), ("2.jpg", b"y")])
    labels, tally = listed(path, tar)
    tally.check()
    assert labels == [None, None, "rose", None]
    assert tally.notes()[1] == "labels: .json files of shard.tar (1 classes)"
    assert "has no column of labels" in tally.notes()[0]


def test_shards_are_told_together_and_folders_not_at_all(tmp_path: Path) -> None:
    paths = []
    for n in range(3):
        write_parquet(tmp_path, hugging_face(DATA, label=["x", str(n)])).rename(tmp_path / f"{n}.parquet")
        paths.append(tmp_path / f"{n}.parquet")
    paint(tmp_path / "s" / "rose" / "a.png", (1, 2, 3))
    assert listed(*paths, tmp_path / "s")[1].notes() == ["labels: column label of 0.parquet and 2 more (4 classes)"]


def test_saved_datasets_tell_their_columns(tmp_path: Path) -> None:
    saved = save_dataset(tmp_path / "set", hugging_face(DATA, label=[0, 1]))
    assert listed(saved)[1].notes() == ["labels: column label of set (2 classes)"]
    unclear = save_dataset(tmp_path / "other", hugging_face(DATA, labels=[0, 1], target=[0, 1]))
    with pytest.raises(SourceError, match="found 'labels' and 'target'"):
        listed(unclear)[1].check()


def test_a_class_that_is_called_as_programs_write_no_value_is_told(tmp_path: Path) -> None:
    labels, tally = listed(write_parquet(tmp_path, hugging_face(DATA, label=["None", "none"])))
    assert labels == ["None", "none"]
    assert tally.notes()[0] == "None: taken as a class; if it means no label, leave the value empty"


def test_a_column_of_paths_can_be_named(tmp_path: Path) -> None:
    paint(tmp_path / "rose" / "a.png", (1, 2, 3))
    path = write_parquet(tmp_path, pa.table({"photo": ["rose/a.png"], "flower": ["x"], "fold": ["dev"]}))
    with pytest.raises(SourceError, match="choose one with --path-column"):
        open_source(path)
    [entry] = open_source(path, named=ColumnNames("photo", "flower", "fold"))
    assert isinstance(entry, ImageFile)
    assert (entry.path, entry.label, entry.split) == (str(tmp_path / "rose" / "a.png"), "x", "val")
    two = write_parquet(tmp_path, pa.table({"file": ["rose/a.png"], "image": ["rose/a.png"]}))
    with pytest.raises(SourceError, match="found 'file' and 'image'; choose one with --path-column"):
        open_source(two)
