"""Label files as other programs write them: separators, encodings, line ends, headings, names of columns, values that mean nothing."""

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurestore.errors import ConfigError, SourceError
from featurestore.sources.column_names import ColumnNames
from featurestore.sources.label_file import read_labels

ROSES = [("a/1.jpg", "rose"), ("b 2.jpg", "Größe")]


def read(path: Path, /, key: str | None = None, **columns: str) -> tuple[list[tuple[Any, ...]], tuple[str, ...]]:
    """The rows of a file, and what is told about it."""
    table = read_labels(path, key, ColumnNames(**columns))
    rows = table.rows.reader().read_all().columns[1:]
    return list(zip(*(column.to_pylist() for column in rows), strict=True)), table.notes


def write(folder: Path, content: str | bytes, name: str = "labels.csv") -> Path:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder / name


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_separators_line_ends_and_encodings_are_found(tmp_path: Path, separator: str, end: str, encoding: str) -> None:
    lines = [f"path{separator}label", *(f"{path}{separator}{label}" for path, label in ROSES)]
    rows, notes = read(write(tmp_path, end.join(lines).encode(encoding)))
    assert rows == ROSES
    assert notes == (("its text is not UTF-8; read as cp1252, for example 'Größe'",) if encoding == "cp1252" else ())


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ('path,label\n"a;b, c.jpg","say ""hi"""\n', [("a;b, c.jpg", 'say "hi"')]),
        ("path,label\na;1.jpg,x\nb;2.jpg,y\n", [("a;1.jpg", "x"), ("b;2.jpg", "y")]),
        ("path;label\na,1.jpg;x\nb,2.jpg;y\n", [("a,1.jpg", "x"), ("b,2.jpg", "y")]),
        ("path, label\na.jpg,  rose \n", [("a.jpg", "rose")]),
        ("\n\npath,label\na.jpg,rose\n", [("a.jpg", "rose")]),
        ('"path","la\nbel",label\na.jpg,,rose', [("a.jpg", "rose")]),
        ("path,label\na.jpg,\x1b[31mred\x07\n", [("a.jpg", "[31mred")]),
        ("path,label\na.jpg,\n", [("a.jpg", None)]),
        ("path,label\na.jpg,2024-05-01\nb.jpg,007\nc.jpg,true\n", [("a.jpg", "2024-05-01"), ("b.jpg", "007"), ("c.jpg", "true")]),
        ("path,label\na.jpg,1.0\nb.jpg,1.5\n", [("a.jpg", "1.0"), ("b.jpg", "1.5")]),  # a version, not whole numbers
    ],
)  # fmt: skip
def test_values_are_read_as_they_are_written(tmp_path: Path, content: str, rows: list[tuple[str, str | None]]) -> None:
    assert read(write(tmp_path, content)) == (rows, ())


def test_a_file_without_a_heading_is_told(tmp_path: Path) -> None:
    rows, notes = read(write(tmp_path, "a/1.jpg,rose\nb.jpg,tulip\n"))
    assert rows == [("a/1.jpg", "rose"), ("b.jpg", "tulip")]
    assert notes == ("no heading; its columns are read as path, label",)
    three = write(tmp_path, "1,a.jpg,rose\n2,b.jpg,tulip\n")
    with pytest.raises(
        SourceError, match="found '1', 'path', '3'; choose others with --path-column and --label-column"
    ):
        read(three)
    assert read(three, label="3")[0] == [("a.jpg", "rose"), ("b.jpg", "tulip")]


@pytest.mark.parametrize(
    ("heading", "chosen", "told"),
    [
        ("Unnamed: 0,filename,Class", {}, ("paths: column filename", "labels: column Class")),
        (",file_name,category", {}, ("paths: column file_name", "labels: column category")),
        ("id,Path,Label", {}, ()),
        ("label,image,fine_label", {}, ("paths: column image", "labels: column fine_label")),
        ("x,photo,kind", {"path": "photo", "label": "KIND"}, ("paths: column photo", "labels: column kind")),
    ],
)
def test_columns_are_found_by_usual_names_or_are_named(
    tmp_path: Path, heading: str, chosen: dict[str, str], told: tuple[str, ...]
) -> None:
    path = write(tmp_path, f"{heading.replace('label,image', 'other,image')}\n0,a.jpg,rose\n")
    assert read(path, **chosen) == ([("a.jpg", "rose")], told)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("path,fine_label,coarse_label\na,b,c\n", "one column of labels, found 'fine_label' and 'coarse_label'; choose one with --label-column"),
        ("image,file,label\na,b,c\n", "one column of paths, found 'image' and 'file'; choose one with --path-column"),
        ("path,label,label\na,b,c\n", "column 'label' occurs twice"),
        ("path,label\n", "expected rows below the names of its columns, found none"),
        ("path,label", "expected rows below"),
        ("path,label\na,b,c\n", "Expected 2 columns, got 3"),
        ("path,label\na," + "x" * 1001, "names of classes, found a text of 1,001 characters"),
        ("path,label\na,b\n".encode("utf-16-le"), "found NUL characters; save the file as UTF-8"),
        (b"path,label\na,\x81\n", "neither UTF-8 nor cp1252; save it as UTF-8"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_for_sure_is_refused(tmp_path: Path, content: str | bytes, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        read(write(tmp_path, content))


def test_a_column_or_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "path,label\na,b\n")
    with pytest.raises(SourceError, match="expected a column 'kind', found 'path', 'label'"):
        read(path, label="kind")
    with pytest.raises(ConfigError, match="--key id and --path-column"):
        read(path, key="id", path="path")
    sheet = write(tmp_path, b"PK\3\4", "labels.xlsx")
    for missing, reason in (
        (tmp_path / "none.csv", "no such file"),
        (tmp_path, "not a file but a folder"),
        (sheet, "found a spreadsheet; save it as CSV"),
    ):
        with pytest.raises(SourceError, match=reason):
            read(missing)


@pytest.mark.parametrize(
    "columns", [ColumnNames(label="path"), ColumnNames(label="a", split="a"), ColumnNames(split="path")]
)
def test_one_column_is_not_taken_for_two(tmp_path: Path, columns: ColumnNames) -> None:
    (tmp_path / "l.csv").write_text("path,label,a\n/x.png,b,c\n")
    with pytest.raises(
        SourceError, match="expected a column each of paths, labels and splits, found one column for two"
    ):
        read_labels(tmp_path / "l.csv", columns=columns)


def test_what_programs_write_for_no_value_is_no_label(tmp_path: Path) -> None:
    rows, notes = read(write(tmp_path, "path,label\na,nan\nb,None\nc,none\nd,nan\n"))
    assert rows == [("a", None), ("b", None), ("c", "none"), ("d", None)]
    assert notes == ("read as no label: nan (2), None (1); if one is a class, give it another name",)


def test_whole_numbers_that_pandas_wrote_as_floats_are_whole_again(tmp_path: Path) -> None:
    rows, notes = read(write(tmp_path, "path,label\na,1.0\nb,\nc,10.0\n"))
    assert (rows, notes) == ([("a", "1"), ("b", None), ("c", "10")], ("labels such as 1.0 are read as 1",))
    pq.write_table(pa.table({"path": ["a", "b", "c"], "label": [1.0, None, 10.0]}), tmp_path / "labels.parquet")
    assert read(tmp_path / "labels.parquet")[0] == rows


def test_json_lines_are_read_with_their_types(tmp_path: Path) -> None:
    lines = ['{"file_name": "a.jpg", "label": 1, "box": {"x": [1]}}', '{"file_name": "b.jpg", "label": null}', ""]
    assert read(write(tmp_path, "\r\n".join(lines), "metadata.jsonl")) == ([("a.jpg", "1"), ("b.jpg", None)], ("paths: column file_name",))  # fmt: skip
    lines = ['{"path": "a.jpg", "label": "2024-05-01", "split": "TRAIN"}', '{"path": "b.jpg"}']
    rows, _ = read(write(tmp_path, ("\ufeff" + "\n".join(lines)), "metadata.jsonl"))
    assert rows == [("a.jpg", "2024-05-01", "train"), ("b.jpg", None, None)]
    for content, reason in (
        ('[{"path": "a", "label": 1}]', "found one JSON array; write one object a line"),
        ('{"path": "a", "label": 1}\n{"path": "b", "label": "x"}', "changed from number to string"),
        ("", "found none; choose"),
    ):
        with pytest.raises(SourceError, match=reason):
            read(write(tmp_path, content, "metadata.jsonl"))


def test_truth_values_are_written_as_python_does(tmp_path: Path) -> None:
    pq.write_table(pa.table({"path": ["a", "b"], "label": [True, None]}), tmp_path / "labels.parquet")
    assert [label for _, label in read(tmp_path / "labels.parquet")[0]] == ["True", None]


def test_lists_of_labels_stay_lists(tmp_path: Path) -> None:
    path = tmp_path / "labels.parquet"
    pq.write_table(pa.table({"path": list("abcd"), "tags_label": [["x", " y"], None, [], ["nan", "z"]]}), path)
    assert read_labels(path).names == ("labels",)
    assert read(path) == (
        [("a", ["x", "y"]), ("b", []), ("c", []), ("d", [None, "z"])],
        ("labels: column tags_label", "read as no label: nan (1); if one is a class, give it another name"),
    )


def test_texts_that_look_like_dates_stay_as_they_are_written(tmp_path: Path) -> None:
    lines = '{"path": "a", "label": ["2020-01-01"], "split": "2020-01-02"}\n'
    assert read(write(tmp_path, lines, "labels.jsonl"))[0] == [("a", ["2020-01-01"], "2020-01-02")]


def test_compressed_files_are_unpacked(tmp_path: Path) -> None:
    packed = gzip.compress(b"path,label\na.jpg,rose\n")
    assert read(write(tmp_path, packed, "labels.csv.gz"))[0] == [("a.jpg", "rose")]


def test_values_far_down_are_checked_for_their_encoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featurestore.sources.text_file.BLOCK_BYTES", 1 << 8)
    content = "path,label\n" + "".join(f"{n}.jpg,rosé\n" for n in range(100))
    assert read(write(tmp_path, content))[1] == ()
    rows, notes = read(write(tmp_path, content.encode() + "é.jpg,rose\n".encode("cp1252")))
    assert (len(rows), notes[0][:32]) == (101, "its text is not UTF-8; read as c")
