"""Columns of the user's own, from CSV and Parquet: their types and names, and a second file about them."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from featurestore import FeatureStore
from featurestore.errors import SourceError
from tests.featurestore.metadata.annotated import csv, parquet, said, taken, types

# the store of conftest.py: items 1 to 6 are mixed/cyan, mixed/yellow, plain/white, primary/blue, primary/green, primary/red


# -- columns come into being


def test_columns_of_a_csv_file_can_be_asked_for(store: FeatureStore, colours: Path, tmp_path: Path) -> None:
    lines = [
        f"{colours}/primary/red.png,7,bright",
        f"{colours}/primary/blue.png,3,dark",
        f"{colours}/mixed/cyan.png,5,",
    ]
    report = store.annotate(csv(tmp_path, "path,rating,tone\n" + "\n".join(lines)))
    assert (report.columns, report.items, report.unknown, report.first_unknown) == (("rating", "tone"), 3, 0, ())
    assert said(store, "rating") == {6: 7, 4: 3, 1: 5}
    assert said(store, "tone") == {6: "bright", 4: "dark"}
    assert sorted(store.search(6, where="rating > 4 AND tone IS NULL").ids.tolist()) == [1]
    assert store.delete("rating = 5 OR tone = 'dark'") == 2
    assert store.info()["items"] == 4


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (["1", "-20", ""], "int64", [1, -20, None]),
        (["1", "2.5", "1e3"], "double", [1.0, 2.5, 1000.0]),
        (["nan", "2.5", ""], "double", [None, 2.5, None]),
        (["true", "False", ""], "bool", [True, False, None]),
        (["2024-02-29", "1969-12-31", ""], "date32[day]", [date(2024, 2, 29), date(1969, 12, 31), None]),
        (["2024-02-29 12:30:00", "2024-02-29T12:30:00.5", ""], "timestamp[us]", [datetime(2024, 2, 29, 12, 30), datetime(2024, 2, 29, 12, 30, 0, 500_000), None]),
        (["2024-02-29T12:30:00Z", "2024-02-29T12:30:00+02:00", ""], "timestamp[us, tz=UTC]", [datetime(2024, 2, 29, 12, 30, tzinfo=UTC), datetime(2024, 2, 29, 10, 30, tzinfo=UTC), None]),
        (["1", "two", ""], "string", ["1", "two", None]),
        (["007", "1", "2"], "string", ["007", "1", "2"]),  # a name
        (["0x10", "1", "2"], "string", ["0x10", "1", "2"]),
        (["12345678901234567890", "1", ""], "string", ["12345678901234567890", "1", None]),  # no float holds it
        (["1234567890123456", "0.5", ""], "string", ["1234567890123456", "0.5", None]),
        (["9223372036854775807", "1", ""], "int64", [9223372036854775807, 1, None]),
        (["01/02/2024", "", ""], "string", ["01/02/2024", None, None]),  # nobody knows which is the month
        (["2024-02-30", "2024-01-01", ""], "string", ["2024-02-30", "2024-01-01", None]),
        (["true", "1", ""], "bool", [True, True, None]),
        (['"a ""b"", c\n"', "é😀", "x"], "string", ['a "b", c\n', "é😀", "x"]),
        (["", "", ""], "string", [None, None, None]),
    ],
)  # fmt: skip
def test_the_type_of_a_csv_column_is_the_narrowest_of_all_its_values(
    tmp_path: Path, values: list[str], kind: str, expected: list[Any]
) -> None:
    file = csv(tmp_path, "id,v\n" + "\n".join(f"{n},{value}" for n, value in enumerate(values, 1)))
    assert taken(file) == {"v": (kind, expected)}


def test_tables_of_pandas_and_json_lines_are_read(tmp_path: Path) -> None:
    assert taken(csv(tmp_path, ",file_name,rating\n0,a.jpg,1\n")) == {"rating": ("int64", [1])}
    lines = '{"file_name": "a.jpg", "n": 7, "day": "2024-05-01"}\n{"file_name": "b.jpg", "note": "x"}'
    assert taken(csv(tmp_path, lines, "metadata.jsonl")) == {
        "n": ("int64", [7, None]), "day": ("string", ["2024-05-01", None]), "note": ("string", [None, "x"]),
    }  # fmt: skip
    with pytest.raises(SourceError, match="expected the names of its columns in the first row"):
        taken(csv(tmp_path, "a.jpg,1\nb.jpg,2\n"))
    with pytest.raises(SourceError, match="a column file_name and a column id; choose with --key"):
        taken(csv(tmp_path, "file_name,id,v\na.jpg,1,2\n"))


def test_a_value_far_down_counts_for_the_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featurestore.sources.csv_table.BLOCK_BYTES", 1 << 10)
    lines = [f"{n},{n}" for n in range(1000)]
    kind, values = taken(csv(tmp_path, "id,v\n" + "\n".join(lines) + "\n6,0.5\n"))["v"]
    assert (kind, values) == ("double", [*map(float, range(1000)), 0.5])


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (pa.array([1, None, 3], pa.int8()), "int8", [1, None, 3]),
        (pa.array([1, None, 2**64 - 1], pa.uint64()), "uint64", [1, None, 2**64 - 1]),
        (pa.array([0.5, None, np.nan], pa.float32()), "float", [0.5, None, None]),
        (pa.array([0.5, np.inf, np.nan]), "double", [0.5, np.inf, None]),
        (pa.array(np.array([0.5, 1, 2], np.float16)), "float", [0.5, 1, 2]),
        (pa.array([Decimal("1.25"), None, None]), "decimal128(3, 2)", [Decimal("1.25"), None, None]),
        (pa.array([True, False, None]), "bool", [True, False, None]),
        (pa.array([date(2024, 1, 2), None, None]), "date32[day]", [date(2024, 1, 2), None, None]),
        (pa.array([date(2024, 1, 2), None, None], pa.date64()), "date32[day]", [date(2024, 1, 2), None, None]),
        (pa.array([datetime(2024, 1, 2, 3), None, None], pa.timestamp("ms")), "timestamp[us]", [datetime(2024, 1, 2, 3), None, None]),
        (pa.array([1_001, None, None], pa.timestamp("ns")), "timestamp[us]", [datetime(1970, 1, 1, 0, 0, 0, 1), None, None]),
        (pa.array([datetime(2024, 1, 2, 3), None, None], pa.timestamp("ms", "Europe/Berlin")), "timestamp[us, tz=UTC]", [datetime(2024, 1, 2, 3, tzinfo=UTC), None, None]),
        (pa.array(["x", None, ""]), "string", ["x", None, ""]),
        (pa.array(["x", None, "y"], pa.large_string()), "string", ["x", None, "y"]),
        (pa.array(["x", None, "y"], pa.string_view()), "string", ["x", None, "y"]),
        (pa.array(["x", None, "x"]).dictionary_encode(), "string", ["x", None, "x"]),
        (pa.nulls(3), "string", [None, None, None]),
    ],
)  # fmt: skip
def test_types_of_parquet_stay(tmp_path: Path, values: Any, kind: str, expected: list[Any]) -> None:
    assert taken(parquet(tmp_path, id=[1, 2, 3], v=values)) == {"v": (kind, expected)}


def test_every_type_is_kept_and_given_back(store: FeatureStore, tmp_path: Path) -> None:
    moment = datetime(2024, 2, 29, 12, 30, 0, 1, UTC)
    values = {
        "int8": pa.array([-1], pa.int8()), "int16": pa.array([-1], pa.int16()), "int32": pa.array([-1], pa.int32()),
        "int64": pa.array([-(2**63)]), "uint8": pa.array([255], pa.uint8()), "uint16": pa.array([1], pa.uint16()),
        "uint32": pa.array([1], pa.uint32()), "uint64": pa.array([2**64 - 1], pa.uint64()), "float": pa.array([0.5], pa.float32()),
        "double": pa.array([np.inf]), "decimal128(3, 2)": pa.array([Decimal("1.25")]), "bool": pa.array([False]),
        "date32[day]": pa.array([date(1066, 10, 14)]), "string": pa.array(["a\n\0é😀"]),
        "timestamp[us]": pa.array([moment.replace(tzinfo=None)], pa.timestamp("us")), "timestamp[us, tz=UTC]": pa.array([moment], pa.timestamp("us", "UTC")),
    }  # fmt: skip
    store.annotate(parquet(tmp_path, id=[4], **values))
    assert types(store) == {name: name for name in values}
    table = store.sql("SELECT * FROM items WHERE id = 4")
    for name, value in values.items():
        assert table[name].cast(value.type).to_pylist() == value.to_pylist(), name
    assert store.search(4, where=""""timestamp[us, tz=UTC]" IS NULL AND "double" IS NULL""").ids.tolist() != []
    assert store.sql("""SELECT id FROM items WHERE "timestamp[us, tz=UTC]" > '2024-02-29 12:00:00+00'""")[
        "id"
    ].to_pylist() == [4]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([[1], [2]]),
        pa.array([{"a": 1}, {"a": 2}]),
        pa.array([b"1", b"2"]),
        pa.array([1, 2], pa.duration("s")),
        pa.array([1, 2], pa.time32("s")),
        pa.array([[1.0], [2.0]], pa.list_(pa.float32(), 1)),
    ],
)
def test_what_is_no_plain_value_is_refused(tmp_path: Path, values: Any) -> None:
    with pytest.raises(
        SourceError, match=r"column 'v' holds .*; expected numbers, text, booleans, dates or timestamps"
    ):
        taken(parquet(tmp_path, id=[1, 2], fine=[1, 2], v=values))


def test_text_that_is_no_utf8_is_refused(store: FeatureStore, tmp_path: Path) -> None:
    broken = pa.Array.from_buffers(pa.string(), 1, [None, *pa.array([b"\xff\xfe"]).buffers()[1:]])
    with pytest.raises(SourceError, match=r"expected a Parquet file .*(?i:utf-?8)"):
        store.annotate(parquet(tmp_path, id=[1], v=broken))
    (tmp_path / "table.csv").write_bytes(b"id,v\n1,\xff\x81\n")
    with pytest.raises(SourceError, match=r"expected a CSV file .*(?i:utf-?8)"):
        store.annotate(tmp_path / "table.csv")
    assert types(store) == {}


# -- names


NAMES = ["two words", 'a "quoted" one', "sélection 字😀", "select", "order", "a.b", "it's", "a;b--", "1st", "place", "key", "value0", "row", "%s", "$1", "items", "all_items", "given", "i", "v", "t"]  # fmt: skip


def test_any_printable_name_works(store: FeatureStore, tmp_path: Path) -> None:
    named: dict[str, Any] = {name: [n, -n] for n, name in enumerate(NAMES)}

    def values(item: int) -> list[int]:
        [row] = store.sql(f"SELECT * FROM items WHERE id = {item}").to_pylist()
        return [row[name] for name in NAMES]

    store.annotate(parquet(tmp_path, id=[2, 3], **named))
    assert list(types(store)) == NAMES
    assert [values(2), values(3)] == [list(range(len(NAMES))), [-n for n in range(len(NAMES))]]
    quoted = ",".join('"' + name.replace('"', '""') + '"' for name in NAMES)
    store.annotate(csv(tmp_path, f"id,{quoted}\n2{',9' * len(NAMES)}\n"))
    assert store.search(1, where='"select" = 9').ids.tolist() == [2]
    assert store.export_vectors(tmp_path / "vectors.parquet") == 6
    store.optimize()
    assert not FeatureStore.verify(store.path).findings
    assert [values(2), values(3)] == [[9] * len(NAMES), [-n for n in range(len(NAMES))]]
    for name in NAMES[:4]:
        store.drop_column(name)
    assert list(types(store)) == NAMES[4:]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("path,width", "'width' is one of featurestore's own columns; leave it out, or rename it"),
        ("path,Removed_At", "'Removed_At' is one of featurestore's own"),
        ("path,ID", "a column path and a column ID; choose with --key"),
        ("path,v,path", "'path' occurs twice"),
        ("path,rowid", "'rowid' is one of featurestore's own"),
        ("path,vector", "'vector' is one of featurestore's own"),
        ("path,label", "labels and splits are set by another command: featurestore label STORE FILE"),
        ("path,Split", "labels and splits are set by another command"),
        ("path,a,A", "'A' occurs twice"),
        ("path,a,a", "'a' occurs twice"),
        ("path,", "expected a name without control characters"),
        ("path,a\x07b", "expected a name without control characters"),
        ("path", "expected columns beside path, found none"),
        ("name,a", "expected a column path or id, which says which items the rows are about; found 'name', 'a'"),
        ("", "expected a column path or id, .* found none"),
    ],
)
def test_names_that_cannot_be_had_are_refused(tmp_path: Path, header: str, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        taken(csv(tmp_path, f"{header}\n" if header else ""))


# -- a second file


def test_a_second_file_sets_its_items_and_leaves_the_others(store: FeatureStore, tmp_path: Path) -> None:
    store.annotate(csv(tmp_path, "id,v,w\n1,10,a\n2,20,b\n3,30,c\n"))
    store.annotate(csv(tmp_path, "id,V\n2,21\n3,\n4,41\n"))  # the same to SQL, whatever its case
    assert said(store, "v") == {1: 10, 2: 21, 4: 41}  # an empty value takes away
    assert said(store, "w") == {1: "a", 2: "b", 3: "c"}


def test_another_type_is_refused_and_nothing_is_set(store: FeatureStore, tmp_path: Path) -> None:
    store.annotate(csv(tmp_path, "id,my v\n1,5\n"))
    with pytest.raises(SourceError, match=r"found text \(string\).* featurestore annotate STORE --drop 'my v'"):
        store.annotate(csv(tmp_path, "id,other,my v\n2,1,6\n3,1,six\n"))
    assert (said(store, "my v"), list(types(store))) == ({1: 5}, ["my v"])
    store.drop_column("my v")
    store.annotate(csv(tmp_path, "id,my v\n3,six\n"))
    assert said(store, "my v") == {3: "six"}


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (pa.float64(), "2", 2.0),
        (pa.float32(), "0.1", np.float32(0.1)),
        (pa.decimal128(5, 2), "1.25", Decimal("1.25")),
        (pa.int8(), "-7", -7),
        (pa.string(), "2", "2"),
        (pa.string(), "007", "007"),
        (pa.timestamp("us"), "2024-01-02", datetime(2024, 1, 2)),
        (pa.int64(), "", None),
        (pa.date32(), "", None),
    ],
)
def test_text_that_reads_as_the_type_of_a_column_is_taken(
    tmp_path: Path, kind: pa.DataType, text: str, expected: Any
) -> None:
    assert taken(csv(tmp_path, f"id,v\n2,{text}\n"), v=kind) == {"v": (str(kind), [expected])}


@pytest.mark.parametrize(
    ("kind", "text", "found"),
    [
        (pa.int64(), "2.5", r"expected whole numbers \(int64\), as the items have there, found numbers \(double\)"),
        (pa.int8(), "300", r"expected whole numbers \(int8\), .* found whole numbers \(int64\)"),
        (pa.int64(), "007", r"found text \(string\)"),
        (pa.float64(), "12345678901234567890", r"found text \(string\)"),
        (pa.bool_(), "maybe", r"expected true and false \(bool\)"),
        (pa.date32(), "2024-01-01 10:00:00", r"expected dates .* found timestamps"),
        (pa.date32(), "5", r"expected dates .* found whole numbers"),
        (pa.timestamp("us"), "2024-01-01T10:00:00Z", r"expected timestamps .* found timestamps with a time zone"),
    ],
)
def test_text_that_does_not_is_refused(tmp_path: Path, kind: pa.DataType, text: str, found: str) -> None:
    with pytest.raises(SourceError, match=found):
        taken(csv(tmp_path, f"id,V\n2,{text}\n"), v=kind)


@pytest.mark.parametrize(
    ("kind", "values", "fits"),
    [
        (pa.int64(), pa.array([7], pa.int8()), True),
        (pa.int8(), pa.array([7], pa.int64()), True),
        (pa.int8(), pa.array([700], pa.int64()), False),
        (pa.int64(), pa.array([7.0]), True),
        (pa.int64(), pa.array([7.5]), False),
        (pa.float64(), pa.array([2**53]), True),
        (pa.float64(), pa.array([2**53 + 1]), False),
        (pa.float32(), pa.array([0.25]), True),
        (pa.float32(), pa.array([0.1]), False),  # it would be rounded
        (pa.float64(), pa.array([np.nan]), True),
        (pa.int64(), pa.array([np.nan, 1]), True),
        (pa.int64(), pa.array(["7"]), False),
        (pa.string(), pa.array([7]), False),
        (pa.int64(), pa.array([True]), False),
        (pa.int64(), pa.nulls(1), True),
        (pa.string(), pa.array(["y"]).dictionary_encode(), True),
        (pa.timestamp("us"), pa.array([date(2024, 1, 2)]), True),
        (pa.timestamp("us"), pa.array([1], pa.timestamp("ns")), True),  # to the microsecond
        (pa.timestamp("us"), pa.array([1], pa.timestamp("us", "UTC")), False),
        (pa.date32(), pa.array([datetime(2024, 1, 2, 3)]), False),
    ],
)
def test_values_of_parquet_are_taken_when_nothing_of_them_is_lost(
    tmp_path: Path, kind: pa.DataType, values: Any, fits: bool
) -> None:
    file = parquet(tmp_path, id=list(range(len(values))), v=values)
    if fits:
        found, held = taken(file, v=kind)["v"]
        assert found == str(kind)
        assert len(held) == len(values)
    else:
        with pytest.raises(SourceError, match="as the items have there"):
            taken(file, v=kind)
