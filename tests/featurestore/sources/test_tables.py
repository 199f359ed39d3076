"""Parquet and Arrow files of images as sources."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurestore.errors import ImageError, SourceError
from featurestore.sources import Failure, ImageFile, find, open_source, parquet, read
from featurestore.sources.lru_cache import LruCache
from tests.featurestore.fakes import paint
from tests.featurestore.sources.tables import FORMS, GROUP, Write, hugging_face, images, with_features, write_parquet

every_form = pytest.mark.parametrize("write", FORMS.values(), ids=FORMS)


def values(count: int) -> list[bytes]:
    rng = np.random.default_rng(count)
    return [rng.bytes(int(rng.integers(1, 2000))) for _ in range(count)]


@every_form
def test_threads_read_the_right_rows_in_any_order(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_decoded", LruCache(10_000, least=5))
    data = values(100)
    path = write(tmp_path, hugging_face(data))
    order = np.random.default_rng(1).permutation(300) % 100
    with ThreadPoolExecutor(8) as pool:
        read_back = list(pool.map(lambda row: read(f"{path}::{row}"), order))
    assert read_back == [data[row] for row in order]


def test_reading_in_order_decodes_each_row_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = values(100)
    path = write_parquet(tmp_path, hugging_face(data))
    groups = []
    seek = parquet.ParquetTable._seek

    def count(self: parquet.ParquetTable, row: int) -> None:
        groups.append(row // GROUP)
        seek(self, row)

    monkeypatch.setattr(parquet.ParquetTable, "_seek", count)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda row: read(f"{path}::{row}"), range(100))) == data
    assert groups == [0, 1, 2, 3]


@every_form
@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_the_only_binary_column_holds_images(tmp_path: Path, write: Write, kind: pa.DataType) -> None:
    path = write(tmp_path, pa.table({"caption": ["a", "b"], "only_one": pa.array([b"one", b"three"], kind)}))
    assert [(i.size, read(i.path)) for i in images(path)] == [(3, b"one"), (5, b"three")]


@pytest.mark.parametrize("name", ["image", "img", "bytes", "jpg", "png", "webp", "content"])
def test_the_column_of_a_known_name_is_taken_among_several(tmp_path: Path, name: str) -> None:
    path = write_parquet(tmp_path, pa.table({"mask": [b"mask"], name: [b"image"], "thumb": [b"thumb"]}))
    assert read(f"{path}::0") == b"image"


@pytest.mark.parametrize("name", ["label", "labels"])
@every_form
def test_lists_of_labels_are_sorted_distinct_and_one_is_a_label(tmp_path: Path, write: Write, name: str) -> None:
    texts = [["rose", "cat", "rose"], ["cat"], [], None, ["", "cat "]]
    several = [(None, ("cat", "rose")), ("cat", ()), (None, ()), (None, ()), ("cat", ())]
    found = images(write(tmp_path, hugging_face(values(5), **{name: texts})))
    assert [(image.label, image.labels) for image in found] == several


@pytest.mark.parametrize(
    "names", [{"feature": {"names": ["a", "b", "c"]}, "_type": "Sequence"}, [{"names": ["a", "b", "c"]}], None]
)
def test_lists_of_numbers_are_labels_only_with_names(tmp_path: Path, names: Any) -> None:
    table = hugging_face(values(2), label=[[2, 0], [1]])
    found = images(write_parquet(tmp_path, with_features(table, label=names) if names else table))
    labels = [(image.label, image.labels) for image in found]
    assert labels == ([(None, ("a", "c")), ("b", ())] if names else [(None, ())] * 2)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (["rose", "", None], ["rose", None, None]),
        ([7, -1, None], ["7", "-1", None]),
        ([True, False, None], ["True", "False", None]),
        ([0.5, 1.5, None], [None, None, None]),
        ([7.0, float("nan"), None], ["7", None, None]),  # as pandas writes [7, None, None]
    ],
)
@pytest.mark.parametrize("name", ["label", "class", "cls"])
def test_labels_are_text_of_a_column(tmp_path: Path, name: str, column: list[Any], expected: list[Any]) -> None:
    assert [i.label for i in images(write_parquet(tmp_path, hugging_face(values(3), **{name: column})))] == expected


@every_form
def test_integer_labels_have_the_names_that_hugging_face_gives_them(tmp_path: Path, write: Write) -> None:
    table = hugging_face(values(4), label=[1, 0, -1, 2])
    path = write(tmp_path, with_features(table, label={"names": ["rose", "tulip"], "_type": "ClassLabel"}))
    assert [i.label for i in images(path)] == ["tulip", "rose", None, None]


@every_form
def test_columns_of_dictionaries_say_label_and_split(tmp_path: Path, write: Write) -> None:
    data = values(70)
    label = pa.array(["rose", "tulip"] * 35).dictionary_encode()
    table = hugging_face(data, label=label, split=["train"] * 68 + ["validation", "extra"])
    found = images(write(tmp_path, table))
    assert [i.label for i in found] == ["rose", "tulip"] * 35
    assert [i.split for i in found[-3:]] == ["train", "val", "extra"]
    assert [read(i.path) for i in found] == data


@pytest.mark.parametrize("deltas", [False, True])
def test_dictionaries_may_change_between_record_batches(tmp_path: Path, deltas: bool) -> None:
    names = [["rose", "tulip"], ["rose", "tulip", "iris"] if deltas else ["iris", "aster"], ["rose", "tulip", "iris"]]
    labels = [pa.DictionaryArray.from_arrays(pa.array([len(known) - 1, 0]), pa.array(known)) for known in names]
    batches = [pa.record_batch({"image": [b"a", b"b"], "label": label}) for label in labels]
    path = tmp_path / "part.arrow"
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=deltas)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, batches[0].schema, options=options) as writer:
        for batch in batches:
            writer.write_batch(batch)
    found = images(path)
    assert [i.label for i in found] == [known[place] for known in names for place in (-1, 0)]
    assert [read(i.path) for i in found] == [b"a", b"b"] * 3


@pytest.mark.parametrize("nested", [False, True])
def test_views_of_bytes_hold_images(tmp_path: Path, nested: bool) -> None:
    """As polars writes them."""
    views = pa.array([b"a", None, b"b" * 99], pa.binary_view())
    column = pa.StructArray.from_arrays([views], ["bytes"]) if nested else views
    path = FORMS["arrow stream"](tmp_path, pa.table({"image": column}))
    assert [(i.path, i.size, read(i.path)) for i in images(path)] == [
        (f"{path}::0", 1, b"a"),
        (f"{path}::2", 99, b"b" * 99),
    ]


@every_form
def test_a_row_without_an_image_is_a_failure(tmp_path: Path, write: Write) -> None:
    path = write(tmp_path, hugging_face([b"a", None, b""]))
    entries = list(find(path))
    assert entries[1] == Failure(f"{path}::1", "the row has no image")
    assert [e.size for e in entries if isinstance(e, ImageFile)] == [1, 0]
    with pytest.raises(ImageError, match="the row has no image"):
        read(f"{path}::1")


@every_form
def test_an_empty_table_holds_nothing(tmp_path: Path, write: Write) -> None:
    assert list(find(write(tmp_path, hugging_face([])))) == []


@every_form
def test_a_row_that_is_not_there_is_refused(tmp_path: Path, write: Write) -> None:
    path = write(tmp_path, hugging_face(values(3)))
    for member in ("3", "-1", "x", "", "1.0", "²", "01x"):
        with pytest.raises(ImageError, match="no such row: the file holds 3"):
            read(f"{path}::{member}")


# -- tables of paths


@every_form
def test_paths_are_those_of_files_beside_the_table(tmp_path: Path, write: Write) -> None:
    a, b = paint(tmp_path / "sub" / "a.png", (255, 0, 0)), paint(tmp_path / "b.png", (0, 0, 255))
    paths = ["sub/a.png", str(b), "sub/../b.png", "gone.png", None]
    labels, splits = ["x", None, "z", "", "w"], ["train", "test", None, None, None]
    path = write(tmp_path, pa.table({"path": paths, "label": labels, "split": splits}))
    source = open_source(path)
    assert list(source) == [
        ImageFile(str(a), "x", "train", a.stat().st_size, a.stat().st_mtime_ns),
        ImageFile(str(b), None, "test", b.stat().st_size, b.stat().st_mtime_ns),
        Failure(str(tmp_path / "gone.png"), "no such file, or it has vanished"),
        Failure(f"{path}::4", "the row has no path"),
    ]
    assert source.prefix is None  # a file that is no longer named has not vanished


@pytest.mark.parametrize("name", ["path", "file_name", "image_path", "file", "filepath", "image"])
def test_the_folder_is_the_label_where_a_table_of_paths_has_none(tmp_path: Path, name: str) -> None:
    a = paint(tmp_path / "rose" / "a.png", (255, 0, 0))
    b = paint(tmp_path / "tulip" / "b.png", (255, 0, 0))
    listed = images(write_parquet(tmp_path, pa.table({name: [str(a), str(b)]})))
    assert [(image.path, image.label) for image in listed] == [(str(a), "rose"), (str(b), "tulip")]


@every_form
def test_a_table_without_images_names_what_was_found_and_expected(tmp_path: Path, write: Write) -> None:
    path = write(tmp_path, pa.table({"caption": ["a"], "score": [0.5], "one": [b"1"], "two": [b"2"]}))
    with pytest.raises(SourceError, match=r"named image, img, .* or content.*caption \(string\), score \(double\)"):
        open_source(path)


# -- damage and change


@every_form
def test_rubbish_within_a_table_is_a_reason_and_no_crash(tmp_path: Path, write: Write) -> None:
    path = write(tmp_path, hugging_face(values(60), label=["x"] * 60))
    whole = path.read_bytes()
    for place in [*range(0, len(whole), len(whole) // 40), *range(0, 2000, 100)]:
        path.write_bytes(whole[:place] + b"\xa5" * 64 + whole[place + 64 :])
        with suppress(ImageError, SourceError):
            list(find(path))
            for row in (0, 31, 59):
                read(f"{path}::{row}")


@every_form
def test_a_row_of_a_table_written_anew_is_refused_until_it_is_listed_again(tmp_path: Path, write: Write) -> None:
    old, new = values(40), values(50)
    path = write(tmp_path, hugging_face(old))
    listed = images(path)
    assert [read(i.path, i.mtime_ns) for i in listed] == old
    write(tmp_path, hugging_face(new))
    again = images(path)
    with pytest.raises(ImageError, match="changed since its rows were listed"):
        read(listed[5].path, listed[5].mtime_ns)
    assert [read(i.path, i.mtime_ns) for i in again] == new
    assert read(f"{path}::5") == new[5]


def test_damage_in_the_middle_of_a_parquet_file_is_a_failure_after_what_is_whole(tmp_path: Path) -> None:
    data = values(90)
    path = tmp_path / "part.parquet"
    pq.write_table(hugging_face(data), path, row_group_size=30, compression="zstd", use_dictionary=False)
    group = pq.ParquetFile(path).metadata.row_group(1).column(0)
    with path.open("r+b") as file:
        file.seek(group.data_page_offset)
        file.write(b"\xff" * 400)
    entries = list(find(path))
    assert [e.path for e in entries if isinstance(e, ImageFile)] == [f"{path}::{row}" for row in range(30)]
    assert isinstance(entries[-1], Failure)
    assert read(f"{path}::29") == data[29]
    for _ in range(2):
        with pytest.raises(ImageError):
            read(f"{path}::30")
    assert read(f"{path}::60") == data[60]
