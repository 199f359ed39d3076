"""Tars, tables and lists of strangers: those that unpack to too much, and those whose members lead elsewhere."""

import gzip
import io
import json
import os
import tarfile
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from featurestore.errors import ImageError, SourceError
from featurestore.ingest.vector_table import open_table
from featurestore.sources import Failure, ImageFile, find, read, unpacking
from featurestore.sources.label_file import read_labels
from tests.featurestore.attacks.canary import Canary
from tests.featurestore.commands import Run

BUFFER = io.BytesIO()
Image.new("RGB", (8, 8), (255, 0, 0)).save(BUFFER, "PNG")
PNG = BUFFER.getvalue()
END = bytes(1024)


def header(name: bytes, size: bytes | int, kind: bytes = b"0", link: bytes = b"") -> bytes:
    """A tar header with any values."""
    block = bytearray(tarfile.TarInfo("x").tobuf(tarfile.USTAR_FORMAT))
    block[0:100] = name[:100].ljust(100, b"\0")
    block[124:136] = b"%011o\0" % size if isinstance(size, int) else size
    block[156:157], block[157:257] = kind, link.ljust(100, b"\0")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def member(name: bytes, data: bytes = PNG, kind: bytes = b"0") -> bytes:
    return header(name, len(data), kind) + data + bytes(-len(data) % 512)


def listed(file: Path, *parts: bytes) -> tuple[list[str], list[str]]:
    """Write a file and list it: the paths of its images, all of which can be read or say why not, and the reasons of failures."""
    file.write_bytes(b"".join(parts))
    images, reasons = [], []
    for entry in find(file):
        if isinstance(entry, Failure):
            reasons.append(entry.reason)
        else:
            images.append(entry.path.removeprefix(f"{file}::"))
            try:
                read(entry.path)
            except ImageError as error:
                reasons.append(str(error))
    return images, reasons


# -- tars


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"], ids=["pax", "global", "name", "link"])
def test_headers_of_gigabytes_are_damage(tmp_path: Path, kind: bytes) -> None:
    """A file with a hole takes no space on the disk of the one who sends it."""
    file = tmp_path / "vast.tar"
    file.write_bytes(member(b"a.png") + header(b"p", (8 << 30) - 1, kind))
    os.truncate(file, 8 << 30)
    found = list(find(file))
    assert [entry.path for entry in found if isinstance(entry, ImageFile)] == [f"{file}::a.png"]
    [reason] = [entry.reason for entry in found if isinstance(entry, Failure)]
    assert "a header of 8,589,934,592 bytes; what comes before was used" in reason


@pytest.mark.parametrize(
    "harm",
    [
        *(header(b"n.png", size) for size in (b"\xff" * 12, b"\xff" * 10 + b"\xfa\0", b"\x80" + b"\x7f" * 11, b"zzzzzzzzzzz\0")),
        *(member(b"p", record, b"x") for record in (b"25 size=-922337203685477\n", b"30 size=99999999999999999999\n", b"0 path=aaaaaa", b"9999999 a=b\n")),
        member(b"././@LongLink", b"abcd\0", b"L") * 5000,
        member(b"p", b"10 a=bcde\n", b"x") * 5000,
    ],
    ids=["minus", "backwards", "2^88", "no-number", "pax-minus", "pax-huge", "pax-0", "pax-long", "names", "pax"],
)  # fmt: skip
def test_headers_that_lie_or_never_end_are_damage(tmp_path: Path, harm: bytes) -> None:
    images, reasons = listed(tmp_path / "t.tar", member(b"a.png"), harm, END)
    assert images == ["a.png"]
    assert len(reasons) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        b"../../../canary.png",
        b"/etc/passwd.png",
        b"a.tar::b.png",
        b"~/a.png",
        b"C:\\a.png",
        b"a/../../b.png",
        b"file:///etc/a.png",
    ],
)
def test_names_of_members_are_only_names(tmp_path: Path, canary: Canary, encoder: Path, run: Run, name: bytes) -> None:
    images, reasons = listed(tmp_path / "t.tar", member(name), END)
    assert (images, reasons) == ([name.decode()], [])
    assert read(f"{tmp_path / 't.tar'}::{name.decode()}") == PNG
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run("index", tmp_path / "new.store", tmp_path / "t.tar", "--encoder", encoder)
    assert code == 0
    assert [path for path in sorted(tmp_path.rglob("*")) if "new.store" not in str(path)] == before
    canary.check(out, err)


@pytest.mark.parametrize("name", [b"a\nb.png", b"\x1b[2J.png", b"\xff\xfe.png", b"a\tb.png"])
def test_names_that_a_terminal_would_obey_are_failures(tmp_path: Path, name: bytes) -> None:
    images, reasons = listed(tmp_path / "t.tar", member(name), END)
    assert images == []
    assert reasons[0].startswith("the file name")


def test_long_names_are_names(tmp_path: Path) -> None:
    name = b"d/" * 5000 + b"a.png"
    assert listed(tmp_path / "t.tar", member(b"././@LongLink", name + b"\0", b"L"), member(b"x"), END) == (
        [name.decode()],
        [],
    )


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"S", b"V", b"M", b"Z"])
def test_links_devices_and_unknown_members_are_not_followed(tmp_path: Path, canary: Canary, kind: bytes) -> None:
    link = str(canary.path("canary.png")).encode()[:100]
    images, reasons = listed(tmp_path / "t.tar", header(b"l.png", 0, kind, link), member(b"a.png"), END)
    assert images[-1] == "a.png"
    canary.check(*reasons)


def test_descriptions_of_megabytes_are_ignored(tmp_path: Path) -> None:
    parts = (member(b"a.cls", b"x" * 100_000), member(b"a.json", b"[" * 500_000), member(b"a.png"))
    listed(tmp_path / "t.tar", *parts, END)
    [image] = [entry for entry in find(tmp_path / "t.tar") if isinstance(entry, ImageFile)]
    assert (image.label, image.labels) == (None, ())


@pytest.mark.slow
def test_many_empty_members_take_no_memory(tmp_path: Path) -> None:
    one = header(b"e", 0)
    (tmp_path / "t.tar").write_bytes(one * 30_000 + member(b"a.png") + END)
    tracemalloc.start()
    [image] = find(tmp_path / "t.tar")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert image.path.endswith("a.png")
    assert peak < 5 << 20


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


# -- saved datasets


@pytest.mark.parametrize(
    "name", ["../canary/canary.png", "/etc/passwd", "..", "", "a/b.arrow", "a\nb.arrow", 7, None, ["x"]]
)
@pytest.mark.parametrize("where", ["state.json", "dataset_dict.json"])
def test_a_saved_dataset_names_no_files_elsewhere(tmp_path: Path, canary: Canary, name: object, where: str) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    content = {"splits": [name]} if where == "dataset_dict.json" else {"_data_files": [{"filename": name}]}
    (folder / where).write_text(json.dumps(content))
    (folder / "dataset_info.json").write_text("{}")
    with pytest.raises(SourceError, match="expected what save_to_disk of Hugging Face datasets writes") as told:
        list(find(folder))
    canary.check(str(told.value))
