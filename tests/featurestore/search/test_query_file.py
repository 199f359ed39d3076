"""Queries as users write them: one as text, many in a file."""

from pathlib import Path

import numpy as np
import pytest

from featurestore.errors import QueryError
from featurestore.search.query_file import parse_query, read_queries


def test_what_users_write() -> None:
    assert parse_query("id:17") == 17
    for text in ("a.png", "s3://b/a.png", "./id:17", "x.tar::id:3", "17", "ID:17"):
        assert parse_query(text) == text
    for text in ("id:", "id:x", "id:-1", "id: 1", "id:1.5", "id:" + "9" * 30, "id:\uff11"):
        with pytest.raises(
            QueryError, match=r"expected the id of an item, such as id:17; a file of that name is \./id:"
        ):
            parse_query(text)


def test_a_text_file_names_queries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for path in ("lists/beside.png", "here/current.png", "lists/shard.tar", "here/other.tar", "here/odd::name.png"):
        (tmp_path / path).touch()
    file = tmp_path / "lists" / "q.txt"
    file.write_bytes(
        "\ufeffbeside.png\r\n\n# note\n  current.png \nid:17\nmemory://x/ü.png\nshard.tar::a/1.png\nother.tar::2.png\nodd::name.png\ngone.png\n".encode()
    )
    found = read_queries(file)
    assert isinstance(found, list)
    lists, here = tmp_path / "lists", tmp_path / "here"
    assert [example.query for example in found] == [
        f"{lists}/beside.png", f"{here}/current.png", 17, "memory://x/ü.png", f"{lists}/shard.tar::a/1.png",
        f"{here}/other.tar::2.png", f"{here}/odd::name.png", f"{lists}/gone.png",
    ]  # fmt: skip
    assert [example.place for example in found] == [f"{file}, line {n}" for n in (1, 4, 5, 6, 7, 8, 9, 10)]
    assert [example.written for example in found[:4]] == ["beside.png", "current.png", "id:17", "memory://x/ü.png"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "expected queries, one per line; found none"),
        (b"\n# a.png\n  \n", "found none"),
        (b"a.png\nid:x\n", "line 2: query 'id:x': expected the id"),
        (b"a.png\nb.png\n\xff.png\n", "line 3 is not UTF-8"),
        (b"\x93NUMPY\x01\x00", "line 1 is not UTF-8; vectors need the suffix .npy"),
    ],
)
def test_a_text_file_that_names_none_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "q.txt").write_bytes(data)
    with pytest.raises(QueryError, match=reason):
        read_queries(tmp_path / "q.txt")


def test_a_file_of_queries_that_is_not_there_is_named(tmp_path: Path) -> None:
    for name in ("q.txt", "q.npy"):
        with pytest.raises(QueryError, match=rf"{name}: expected a .*no such file"):
            read_queries(tmp_path / name)
    with pytest.raises(QueryError, match="not a file but a folder"):
        read_queries(tmp_path)


def test_an_array_file_holds_queries(tmp_path: Path) -> None:
    numbers = np.arange(12).reshape(3, 4)
    for array in (*map(numbers.astype, ("f2", "f4", "f8", "i1")), np.asfortranarray(numbers)):
        np.save(tmp_path / "q.npy", array)
        np.testing.assert_array_equal(read_queries(tmp_path / "q.npy"), numbers)


def test_an_array_file_of_something_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "q.npy"
    for array in (np.ones(4), np.ones((1, 2, 3)), np.ones((0, 4)), np.array([["a"]]), np.ones((2, 2), bool)):
        np.save(file, array)
        with pytest.raises(QueryError, match=r"expected vectors \(Q, D\) of numbers; found an array of the shape"):
            read_queries(file)
    np.save(file, np.array([[{}]]), allow_pickle=True)
    with pytest.raises(QueryError, match=r"expected a \.npy of query vectors that numpy\.save wrote"):
        read_queries(file)
    np.save(file, np.ones((100, 4)))
    whole = file.read_bytes()
    for data in (b"", b"text", whole[:40], whole[:-8], b"PK\x03\x04", whole.replace(b"(100, 4)", b"(10**9,)")):
        file.write_bytes(data)
        with pytest.raises(QueryError, match=r"q\.npy: expected a \.npy of query vectors that numpy\.save wrote"):
            read_queries(file)
