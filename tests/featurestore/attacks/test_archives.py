"""Tars and saved datasets of strangers: headers that lie, and members that lead elsewhere."""

import json
import os
import tracemalloc
from pathlib import Path

import pytest

from featurestore.errors import SourceError
from featurestore.sources import Failure, ImageFile, find, read
from tests.featurestore.attacks.archives import END, PNG, header, listed, member
from tests.featurestore.attacks.canary import Canary
from tests.featurestore.commands import Run

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
