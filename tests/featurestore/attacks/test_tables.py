"""Tables, texts and lists of strangers: those that unpack to too much, and those that never end."""

import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurestore import FeatureStore
from featurestore.errors import SourceError
from featurestore.ingest.vector_table import open_table
from featurestore.sources import Failure, ImageFile, find, read, unpacking
from featurestore.sources.label_file import read_labels
from tests.featurestore.attacks.archives import PNG, listed
from tests.featurestore.attacks.canary import Canary
from tests.featurestore.commands import Run

# -- tables


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "LEAST_BYTES", 4 << 20)


def repeated(text: str, times: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(times, np.int32)), pa.array([text]))


def write(table: pa.Table, file: Path) -> Path:
    if file.suffix == ".parquet":
        pq.write_table(table, file, compression="zstd")
    else:
        with pa.ipc.new_stream(file, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
            stream.write_table(table)
    return file


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize("kind", ["parquet", "arrow"])
@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"image": pa.array([bytes(8 << 20)])}, "that unpack to"),
        ({"image": pa.array([PNG]), "label": repeated("x" * (8 << 20), 1)}, "that unpack to"),
    ],
    ids=["image", "label"],
)
def test_a_small_table_that_unpacks_to_much_is_a_failure(
    tmp_path: Path, kind: str, table: dict[str, pa.Array], told: str
) -> None:
    file = write(pa.table(table), tmp_path / f"t.{kind}")
    assert file.stat().st_size < 1 << 20
    [found] = find(file)
    assert isinstance(found, Failure)
    assert told in found.reason


@pytest.mark.parametrize("columns", [["image"], ["path", "label"]])
def test_more_rows_than_bytes_are_damage(tmp_path: Path, columns: list[str]) -> None:
    rows = (
        {"image": pa.nulls(1_000_000, pa.binary())}
        if columns == ["image"]
        else dict.fromkeys(columns, repeated("a", 1_000_000))
    )
    [found] = find(write(pa.table(rows), tmp_path / "t.parquet"))
    assert isinstance(found, Failure)
    assert "1,000,000 rows cannot be in" in found.reason


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_a_label_or_path_of_megabytes_is_none(tmp_path: Path, kind: str) -> None:
    long = repeated("x" * 1_000_000, 2_000)
    noise = pa.array([os.urandom(16) for _ in range(2_000)])
    found = list(find(write(pa.table({"image": noise, "label": long, "split": long}), tmp_path / f"t.{kind}")))
    assert {(entry.label, entry.split) for entry in found if isinstance(entry, ImageFile)} == {(None, None)}
    [entry] = find(write(pa.table({"path": repeated("x" * 1_000_000, 1), "label": ["a"]}), tmp_path / f"p.{kind}"))
    assert isinstance(entry, Failure)
    assert entry.reason == "the row has no path"


@pytest.mark.parametrize("cut", [b"\xff\xff\xff\x7fPAR1", b"\0\0\0\0PAR1", b"\x01\0\0\0PAR1", b"PAR1PAR1"])
def test_a_footer_that_lies_is_damage(tmp_path: Path, cut: bytes) -> None:
    file = write(pa.table({"image": [PNG]}), tmp_path / "t.parquet")
    images, reasons = listed(file, file.read_bytes()[:-8], cut)
    assert (images, len(reasons)) == ([], 1)


@pytest.mark.usefixtures("little")
def test_labels_and_vectors_that_unpack_to_much_are_refused(tmp_path: Path) -> None:
    big = repeated("x" * (8 << 20), 1)
    with pytest.raises(SourceError, match="that unpack to"):
        read_labels(write(pa.table({"path": ["a"], "label": big}), tmp_path / "l.parquet"))
    zeros = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(2 << 20, np.float32)), 1 << 20)
    vectors = pa.table({"path": ["a", "b"], "vector": zeros})
    pq.write_table(vectors, tmp_path / "v.parquet", use_dictionary=False, compression="zstd")
    with pytest.raises(SourceError, match="that unpack to"):
        open_table(tmp_path / "v.parquet")


# -- text


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("deep.jsonl", b'{"path":"a","label":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "values within values without end"),
        ("deep.jsonl", b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "values within values without end"),
        ("keys.jsonl", b"{" + b",".join(b'"k%d":1' % n for n in range(20_000)) + b"}", "more than 10,000 keys"),
        ("nul.csv", b"path,label\n\0\0\0,\0", "NUL"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("packed", [False, True])
def test_text_that_would_end_or_stall_the_program_is_refused(
    tmp_path: Path, store_path: Path, run: Run, name: str, text: bytes, told: str, packed: bool
) -> None:
    file = tmp_path / (f"{name}.gz" if packed else name)
    file.write_bytes(gzip.compress(text) if packed else text)
    with pytest.raises(SourceError, match=told):
        read_labels(file)
    code, _, err = run("label", store_path, file)
    assert (code, told in err, len(err.splitlines())) == (1, True, 1)


@pytest.mark.usefixtures("little")
def test_packed_text_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    for name, line in (("l.csv.gz", b"a.png,b\n"), ("l.jsonl.gz", b'{"path":"a.png","label":"b"}\n')):
        with gzip.open(tmp_path / name, "wb") as file:
            file.write(b"path,label\n" * name.startswith("l.csv"))
            for _ in range(8):
                file.write(line * ((1 << 20) // len(line)))
        with pytest.raises(SourceError, match="that unpack to"):
            read_labels(tmp_path / name)


def test_a_list_with_a_line_of_megabytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_bytes(b"a.png\n" + b"b" * 10_000_000)
    with pytest.raises(SourceError, match="a line of 10,000,000 characters"):
        list(find(tmp_path / "l.txt"))


@pytest.mark.parametrize(
    "line",
    ["/dev/zero", "/dev/tty", "{0}/pipe", "file://{0}/pipe", "~", "..", "/", "\\\\host\\x", "a\x1bb"],
)
def test_a_list_that_names_devices_pipes_and_folders_gives_failures(tmp_path: Path, canary: Canary, line: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    _, reasons = listed(tmp_path / "l.txt", line.format(tmp_path).encode())
    assert len(reasons) == 1
    canary.check(*reasons)


def test_the_memory_of_the_program_is_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text("/proc/self/mem")
    [entry] = find(tmp_path / "l.txt")
    assert read(entry.path) == b""


# -- damage that pyarrow passes over


@pytest.fixture
def shortened_tables(tmp_path: Path) -> list[Path]:
    """Tables with a flipped bit in the header of a page, of which pyarrow gives no rows, and no error."""
    columns = {
        "path": [f"{n}.png" for n in range(6)], "label": list("abcdef"), "image": [PNG] * 6,
        "vector": pa.array(np.eye(6, dtype=np.float32).tolist(), pa.list_(pa.float32(), 6)),
    }  # fmt: skip
    pq.write_table(pa.table(columns), tmp_path / "whole.parquet", use_dictionary=False, compression="none")
    data, found = (tmp_path / "whole.parquet").read_bytes(), list[Path]()
    for place in range(4, 40):  # the header of the first page, of the paths
        for bit in range(8):
            file = tmp_path / f"{place}-{bit}.parquet"
            file.write_bytes(data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :])
            try:
                rows = pq.ParquetFile(file, page_checksum_verification=True).read(["path"]).num_rows
            except (OSError, pa.ArrowException):
                continue
            found += [file] * (rows < 6)
    assert found
    return found


def test_rows_that_damage_hides_are_missed(shortened_tables: list[Path]) -> None:
    """Otherwise an import would add nothing, and say that all is well, and an index would remove the items of these rows."""
    for file in shortened_tables:
        with pytest.raises(
            SourceError, match=r"6 rows were promised and \d are there|columns do not have the same size"
        ):
            read_labels(file)
        table = open_table(file, None)
        with pytest.raises(pa.ArrowInvalid, match=r"6 rows were promised and \d are there"):
            list(table.read(["path"], 100))


def test_an_image_that_damage_hides_is_not_gone(tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "images.parquet"
    pq.write_table(pa.table({"image": [PNG] * 3, "label": ["a", "b", "c"]}), file, row_group_size=2)
    store = FeatureStore.open(tmp_path / "my.store", encoder)
    assert store.index(file).added == 3
    os.utime(file, (2_000_000_000, 2_000_000_000))
    genuine = pq.ParquetFile.iter_batches

    def hiding(self: Any, *given: Any, row_groups: list[int], **named: Any) -> Any:
        return iter(()) if row_groups == [1] else genuine(self, *given, row_groups=row_groups, **named)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", hiding)
    report = store.index(file)
    assert (report.removed, report.failed) == (0, 1)
    assert store.info()["items"] == 3
