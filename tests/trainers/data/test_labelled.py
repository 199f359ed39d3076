"""Labelled images of a source: labels and splits from folders or a table, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from featurestore.errors import EvaluationError, SourceError
from tests.trainers.finetuning.finetuned import write_colours
from trainers.data.labelled import LabelledFiles, list_labelled


def named(files: LabelledFiles) -> tuple[list[str], list[str]]:
    return [Path(f.path).name for f in files.train], [Path(f.path).name for f in files.test]


def test_folders_give_labels_and_the_split_test_is_what_is_tested_on(tmp_path: Path) -> None:
    listed = list_labelled(write_colours(tmp_path / "colours", train=3, test=2), "folders")
    assert (listed.names, listed.split, len(listed.train), len(listed.test)) == (("cold", "warm"), "train->test", 6, 4)
    assert listed.codes(listed.train).tolist() == [0, 0, 0, 1, 1, 1]


def test_without_a_split_a_fifth_of_each_class_is_held_out_always_the_same(tmp_path: Path) -> None:
    source = write_colours(tmp_path / "colours", train=10, test=0)
    listed, again = list_labelled(source, "folders"), list_labelled(source, "folders")
    assert (listed.split, np.bincount(listed.codes(listed.test)).tolist()) == ("held-out fifth", [2, 2])
    assert named(listed) == named(again)
    assert {f.path for f in listed.train}.isdisjoint(f.path for f in listed.test)


def test_images_of_the_split_val_are_left_alone(tmp_path: Path) -> None:
    source = write_colours(tmp_path / "colours", train=3, test=2)
    (source / "train" / "warm" / "00.png").rename(source / "val.png")
    (source / "val").mkdir()
    (source / "val" / "warm").mkdir()
    (source / "val.png").rename(source / "val" / "warm" / "00.png")
    listed = list_labelled(source, "folders")
    assert (len(listed.train), len(listed.test)) == (5, 4)


def test_a_file_gives_labels_that_may_be_numbers_and_splits(tmp_path: Path) -> None:
    source = write_colours(tmp_path / "colours", train=3, test=0)
    rows = [
        ("cold/00.png", "1", "train"),
        ("cold/01.png", "1", "test"),
        ("warm/00.png", "0", ""),
        ("warm/09.png", "0", ""),
    ]
    table = source / "labels.csv"
    table.write_text("path,label,split\n" + "".join(",".join(row) + "\n" for row in rows))
    listed = list_labelled(source, str(table))
    assert (listed.names, named(listed)) == (("0", "1"), (["00.png", "00.png"], ["01.png"]))
    assert "1 row of" in listed.notes[0]
    assert "warm/09.png" in listed.notes[0]


def test_a_file_of_windows_relative_to_the_source_is_read_by_the_column_that_was_named(tmp_path: Path) -> None:
    source = write_colours(tmp_path / "colours", train=2, test=0)
    rows = "".join(f"{name}\\0{n}.png;{name}\n" for name in ("cold", "warm") for n in range(2))
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "table.csv").write_text(f"file_name;temperature\n{rows}")
    listed = list_labelled(source, str(tmp_path / "else" / "table.csv"), "temperature")
    assert (listed.names, len(listed.train) + len(listed.test)) == (("cold", "warm"), 4)
    assert listed.notes == ("paths: column file_name", "labels: column temperature")


def test_rows_that_differ_about_an_image_are_told(tmp_path: Path) -> None:
    source = write_colours(tmp_path / "colours", train=2, test=0)
    rows = "".join(f"{name}/0{n}.png,{name}\n" for name in ("cold", "warm") for n in range(2))
    (source / "table.csv").write_text(f"path,label\n{rows},x\ncold/00.png,warm\n")
    notes = list_labelled(source, str(source / "table.csv")).notes
    assert "1 row of" in notes[0]
    assert notes[1].endswith("in place of a different earlier one about the same image, the first: cold/00.png")


def test_a_file_about_other_images_is_refused(tmp_path: Path) -> None:
    source = write_colours(tmp_path / "colours", train=3, test=0)
    table = tmp_path / "labels.csv"
    table.write_text("path,label\nelsewhere.png,a\n")
    with pytest.raises(SourceError, match=r"none of its paths .*elsewhere\.png"):
        list_labelled(source, str(table))


def test_images_without_labels_are_refused(tmp_path: Path) -> None:
    write_colours(tmp_path / "colours", train=3, test=0)
    with pytest.raises(EvaluationError, match="needs labels, found none for 3 images"):
        list_labelled(tmp_path / "colours" / "warm", "folders")


def test_one_class_is_refused_by_its_name(tmp_path: Path) -> None:
    source = write_colours(tmp_path / "colours", train=3, test=2, names=("warm",))
    with pytest.raises(EvaluationError, match=r"at least two classes.*found 'warm'"):
        list_labelled(source, "folders")


def test_a_class_that_is_only_tested_counts_as_wrong_and_is_named(tmp_path: Path) -> None:
    source = write_colours(tmp_path / "colours", train=3, test=2)
    (source / "test" / "warm").rename(source / "test" / "leaf")
    listed = list_labelled(source, "folders")
    assert (listed.names, listed.unseen, listed.codes(listed.test).tolist()) == (
        ("cold", "warm"),
        ("leaf",),
        [0, 0, 2, 2],
    )
    assert "leaf" in listed.notes[0]


def test_a_test_set_of_other_classes_alone_is_refused(tmp_path: Path) -> None:
    source = write_colours(tmp_path / "colours", train=3, test=2)
    (source / "test" / "warm").rename(source / "test" / "leaf")
    (source / "test" / "cold").rename(source / "test" / "sand")
    with pytest.raises(EvaluationError, match=r"found only others \(leaf, sand\)"):
        list_labelled(source, "folders")
