"""Labels by POST: what is set and answered, what is refused, undone, and that nothing is lost beside other writers."""

import getpass
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from featurestore import FeatureStore, metadata
from featurestore.errors import QueryError
from featurestore.gallery import label_writer
from featurestore.gallery.gallery import Gallery
from featurestore.gallery.thumb_cache import ThumbCache
from featurestore.maintenance import optimize
from tests.featurestore import children
from tests.featurestore.children import Child
from tests.featurestore.gallery.client import Client, load_items, message

LABELS, UNDO, CHANGES = "/api/v1/labels", "/api/v1/labels/undo", "/api/v1/labels/changes"


def sql(client: Client, text: str) -> pa.Table:
    """Read the catalog as another process does."""
    return FeatureStore.open(client.gallery.store.path).sql(text)


def labelled(client: Client) -> dict[int, Any]:
    """The labels of all items that a person has labelled."""
    found = sql(client, "SELECT id, label, labels FROM items WHERE label_source = 'person' ORDER BY id")
    return {row["id"]: row["labels"] or row["label"] for row in found.to_pylist()}


def test_one_label_is_there_when_it_is_answered(own_client: Client) -> None:
    load_items(own_client)
    assert own_client.post(LABELS, {"labels": [{"id": 2, "label": "rose"}]}) == {"change": 1, "items": 1, "gone": []}
    item = own_client.get("/api/v1/items/2")
    assert (item["label"], item["label_source"], item["labelled_by"]) == ("rose", "person", getpass.getuser())
    assert own_client.get("/api/v1/items", ids="2")["items"][0]["label"] == "rose"
    assert own_client.get("/api/v1/items", where="label = 'rose'")["total"] == 1
    assert own_client.get("/api/v1/store")["labels"]["rose"] == 1
    assert FeatureStore.open(own_client.gallery.store.path).view(where="label = 'rose'").items.ids.tolist() == [2]


def test_several_items_several_labels_and_none(own_client: Client) -> None:
    labels = [
        {"id": 1, "label": "x"},
        {"id": 2, "labels": ["b", "a"]},
        {"id": 3, "label": None},
        {"id": 4, "labels": []},
    ]
    labels += [{"id": 1, "label": " last\u0007 "}, {"id": 999, "label": "x"}]
    assert own_client.post(LABELS, {"labels": labels, "by": "ada"}) == {"change": 1, "items": 4, "gone": [999]}
    assert labelled(own_client) == {1: "last", 2: ["a", "b"], 3: None, 4: None}
    found = sql(own_client, "SELECT DISTINCT labelled_by FROM items WHERE label_source = 'person'")
    assert found["labelled_by"].to_pylist() == ["ada"]


def test_the_same_label_again_changes_nothing(own_client: Client) -> None:
    own_client.post(LABELS, {"labels": [{"id": 2, "label": "rose"}]})
    again = own_client.post(LABELS, {"labels": [{"id": 2, "label": "rose"}], "by": "eve"})
    assert again == {"change": None, "items": 0, "gone": []}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "POST /labels needs labels"),
        ({"labels": []}, "labels: expected a label for one item or more, found none"),
        ({"labels": [{"id": 1, "label": "a"}, {"id": "2", "label": "a"}]}, "labels[1].id: expected a whole number, found '2'"),
        ({"labels": [{"label": "a"}]}, "labels[0]: expected an object with id and perhaps label, labels, found {'label': 'a'}"),
        ({"labels": [{"id": 1, "label": "a", "color": 1}]}, "labels[0]: expected an object with id"),
        ({"labels": [{"id": 1, "label": 5}]}, "labels[0].label: expected text or null, found 5"),
        ({"labels": [{"id": 1, "labels": [None]}]}, "labels[0].labels[0]: expected text, found None"),
        ({"labels": [{"id": 1}]}, "labels: expected either label or labels of item 1, found neither"),
        ({"labels": [{"id": 1, "label": "a", "labels": ["b"]}]}, "labels: expected either label or labels of item 1, found both"),
        ({"labels": [{"id": 1, "label": "\u0007 "}]}, "labels of item 1: expected a name of 1 to 1,000 characters, found an empty text"),
        ({"labels": [{"id": 1, "label": "x" * 1001}]}, "labels of item 1: expected a name of 1 to 1,000 characters, found 1,001 characters"),
        ({"labels": [{"id": 1, "label": "a"}], "by": "x" * 201}, "by: expected a name of 1 to 200 characters"),
        ({"labels": {"id": 1, "label": "a"}}, "labels: expected at most 100000 of: an object with id"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_label_is_refused_and_nothing_is_set(own_client: Client, body: Any, said: str) -> None:
    assert message(own_client.post(LABELS, body, 400)).startswith(said)
    assert labelled(own_client) == {}


def test_items_that_do_not_exist(own_client: Client) -> None:
    said = message(own_client.post(LABELS, {"labels": [{"id": 99, "label": "a"}]}, 404))
    assert said == "item 99: the store has no such item; nothing was labelled"
    said = message(own_client.post(LABELS, {"labels": [{"id": n, "label": "a"} for n in (98, 99)]}, 404))
    assert said.startswith("2 items: the store has no such")
    assert own_client.get(CHANGES) == {"changes": []}


def test_each_change_is_listed_and_undone_by_itself(own_client: Client, tmp_path: Path) -> None:
    store = own_client.gallery.store
    before = sql(own_client, "SELECT id, label FROM items ORDER BY id")
    (tmp_path / "labels.csv").write_text("id,label\n1,tulip\n2,tulip\n")
    metadata.label(store, tmp_path / "labels.csv")
    own_client.post(LABELS, {"labels": [{"id": 1, "label": "rose"}, {"id": 3, "label": "rose"}]})
    own_client.post(LABELS, {"labels": [{"id": 1, "label": "lily"}]})
    told = [(c["change"], c["command"], c["items"]) for c in own_client.get(CHANGES)["changes"]]
    assert told == [(3, "serve", 1), (2, "serve", 2), (1, "label labels.csv", 2)]
    assert len(own_client.get(CHANGES, limit=1)["changes"]) == 1
    undone = own_client.post(UNDO, {"change": 2})
    assert (undone["change"], undone["command"], undone["items"]) == (2, "serve", 2)
    assert labelled(own_client) == {1: "lily"}
    assert message(own_client.post(UNDO, {"change": 2}, 404)) == "change 2 is not there, or was undone"
    own_client.post(UNDO, {})
    own_client.post(UNDO, {})
    assert sql(own_client, "SELECT id, label FROM items ORDER BY id") == before
    assert message(own_client.post(UNDO, {}, 404)) == "no change of labels is left to undo"


def test_a_read_only_server_labels_nothing(store: FeatureStore, tmp_path: Path) -> None:
    client = Client(Gallery(store, ThumbCache(tmp_path / "cache"), read_only=True))
    for path, body in ((LABELS, {"labels": [{"id": 1, "label": "a"}]}), (UNDO, {})):
        assert "--read-only" in message(client.post(path, body, 409))
    assert client.get(CHANGES) == {"changes": []}


def test_labels_are_set_while_another_process_writes(own_client: Client) -> None:
    """Such as `index`, which holds the writer lock for hours."""
    with Child(children.hold_writer_lock, own_client.gallery.store.path, 60.0) as child:
        child.hear()
        own_client.post(LABELS, {"labels": [{"id": 2, "label": "rose"}]})
        own_client.post(UNDO, {})
        own_client.post(LABELS, {"labels": [{"id": 2, "label": "lily"}]})
    assert labelled(own_client) == {2: "lily"}


def test_labels_wait_while_the_catalog_is_replaced_and_none_is_lost(own_client: Client) -> None:
    store, ended = own_client.gallery.store, threading.Event()

    def label() -> dict[int, str]:
        said, n = {}, 0
        while not ended.is_set():
            n += 1
            said[n % 6 + 1] = f"label {n}"
            own_client.post(LABELS, {"labels": [{"id": n % 6 + 1, "label": f"label {n}"}]})
        return said

    with ThreadPoolExecutor() as threads:
        said = threads.submit(label)
        for _ in range(3):
            optimize(store)
        ended.set()
        assert labelled(own_client) == dict(sorted(said.result().items()))


def test_what_comes_meanwhile_is_written_together(own_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    counts, begun, go = [], threading.Event(), threading.Event()
    really = metadata.set_by_persons

    def slow(store: Any, given: Any) -> Any:
        counts.append(len(given))
        begun.set()
        assert go.wait(10)
        return really(store, given)

    monkeypatch.setattr(label_writer, "set_by_persons", slow)
    writer = own_client.gallery.label_writer
    with ThreadPoolExecutor() as threads:
        first = threads.submit(writer.write, metadata.given_labels({1: ["first"]}, None, "serve"))
        assert begun.wait(10)
        others = [threads.submit(writer.write, metadata.given_labels({n: ["x"]}, None, "serve")) for n in (2, 3, 99)]
        deadline = time.monotonic() + 10
        while len(writer._waiting) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        go.set()
        changes = [first.result().change, *(other.result().change for other in others)]
    assert counts == [1, 3]
    assert sorted(changes, key=str) == [1, 2, 3, None]
    assert others[2].result().gone == (99,)


def test_an_error_is_everybodys_and_the_next_labels_are_set(
    own_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(store: Any, given: Any) -> Any:
        raise QueryError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(label_writer, "set_by_persons", full)
        assert message(own_client.post(LABELS, {"labels": [{"id": 1, "label": "a"}]}, 400)) == "the disk is full"
    assert own_client.post(LABELS, {"labels": [{"id": 1, "label": "b"}]})["items"] == 1
    assert labelled(own_client) == {1: "b"}


def test_the_same_request_again_gets_the_same_answer(own_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    first = {"labels": [{"id": 1, "label": "a"}], "request": "first"}
    answer = own_client.post(LABELS, first)
    own_client.post(LABELS, {"labels": [{"id": 1, "label": "b"}], "request": "second"})
    assert own_client.post(LABELS, first) == answer == {"change": 1, "items": 1, "gone": []}
    assert labelled(own_client) == {1: "b"}
    own_client.post(UNDO, {"change": 1})
    assert labelled(own_client) == {1: "b"}
    third = {"labels": [{"id": 1, "label": "c"}], "request": "third"}

    def fails(store: Any, given: Any) -> Any:
        raise QueryError("busy")

    with monkeypatch.context() as patch:
        patch.setattr(label_writer, "set_by_persons", fails)
        own_client.post(LABELS, third, 400)
    assert own_client.post(LABELS, third)["items"] == 1  # what failed is tried again
    assert labelled(own_client) == {1: "c"}
    assert "request: expected 1 to 100 characters" in message(own_client.post(LABELS, {**first, "request": ""}, 400))
