"""The loop by REST: suggestions with guesses, predictions class by class, and the honest curve."""

from pathlib import Path
from typing import Any

import pytest

from featurestore import FeatureStore, curation
from featurestore.gallery.gallery import Gallery
from featurestore.gallery.thumb_cache import ThumbCache
from tests.featurestore import children
from tests.featurestore.children import Child
from tests.featurestore.curation.groups import group_store
from tests.featurestore.gallery.client import Client, message

SUGGEST, PREDICTIONS, LEARNING = "/api/v1/suggest", "/api/v1/predictions", "/api/v1/learning"


@pytest.fixture
def groups(tmp_path: Path, encoder: Path) -> Client:
    return Client(Gallery(group_store(tmp_path, encoder, 20, labels="none"), ThumbCache(tmp_path / "cache")))


def label_all(client: Client, items: list[dict[str, Any]]) -> None:
    labels = [{"id": item["id"], "label": Path(item["path"]).parent.name} for item in items]
    client.post("/api/v1/labels", {"labels": labels})


def test_the_loop_from_nothing_to_a_figure(groups: Client) -> None:
    first = groups.post(SUGGEST, {"count": 10})
    assert (first["by"], first["n_labelled"], first["n_unlabelled"], first["note"]) == ("auto", 0, 60, None)
    assert [item["id"] for item in first["items"]] == [
        item.id for item in curation.suggest(groups.gallery.store, 10).items
    ]
    assert [item["random"] for item in first["items"]] == [False] * 9 + [True]
    assert all(item["guess"] is None and item["thumb"] and item["reason"] for item in first["items"])
    assert groups.get(LEARNING) == {"n_labelled": 0, "n_classes": 0, "n_test": 0, "points": []}
    label_all(groups, first["items"])
    second = groups.post(SUGGEST, {"count": 40})
    assert not {item["id"] for item in first["items"]} & {item["id"] for item in second["items"]}
    right = [item["guess"] == Path(item["path"]).parent.name for item in second["items"]]
    assert sum(right) > 35
    assert all(0 < item["confidence"] <= 1 for item in second["items"])
    label_all(groups, second["items"])
    curve = groups.get(LEARNING)
    assert (curve["n_labelled"], curve["n_classes"], curve["n_test"]) == (50, 3, 5)
    assert [point["labels"] for point in curve["points"]] == [10, 20, 30, 45]
    assert curve["points"][-1]["top1"] > 0.7


def test_predictions_class_by_class(groups: Client) -> None:
    assert "two classes" in message(groups.get(PREDICTIONS, 400))
    label_all(groups, groups.post(SUGGEST, {"count": 10})["items"])
    counted = groups.get(PREDICTIONS)
    assert counted["items"] == []
    assert sum(one["n"] for one in counted["classes"]) == 50
    [name, n] = counted["classes"][0].values()
    found = groups.get(PREDICTIONS, label=name)["items"]
    assert len(found) == n
    assert {item["guess"] for item in found} == {name}
    sure = [item["confidence"] for item in groups.get(PREDICTIONS, label=name, order="sure", limit=5)["items"]]
    doubtful = [item["confidence"] for item in found]
    assert doubtful == sorted(doubtful)
    assert sure == sorted(doubtful, reverse=True)[:5]
    groups.post("/api/v1/labels", {"labels": [{"id": found[0]["id"], "label": name}]})
    assert found[0]["id"] not in [item["id"] for item in groups.get(PREDICTIONS, label=name)["items"]]
    assert groups.get(PREDICTIONS, label="nosuch")["items"] == []


def test_suggestions_that_cannot_be_noted_say_so(groups: Client, tmp_path: Path) -> None:
    store = groups.gallery.store
    read_only = Client(Gallery(store, ThumbCache(None), read_only=True))
    assert "--read-only" in read_only.post(SUGGEST, {"count": 2})["note"]
    (tmp_path / "own.csv").write_text("id,suggested\n1,mine\n")
    FeatureStore.open(store.path).annotate(tmp_path / "own.csv")
    answer = groups.post(SUGGEST, {"count": 2})
    assert len(answer["items"]) == 2
    assert answer["note"].startswith("accuracy cannot be measured on these suggestions")
    assert "suggested" in answer["note"]


def test_suggestions_come_while_another_process_writes(groups: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featurestore.system.lock.WAIT_SECONDS", 0.05)
    with Child(children.hold_writer_lock, groups.gallery.store.path, 60.0) as child:
        child.hear()
        answer = groups.post(SUGGEST, {"count": 2})
    assert len(answer["items"]) == 2
    assert "is being written by process" in answer["note"]


def test_wrong_questions_are_named(groups: Client) -> None:
    assert "strategy 'best'" in message(groups.post(SUGGEST, {"by": "best"}, 400))
    assert "count: expected" in message(groups.post(SUGGEST, {"count": 0}, 400))
    assert "nosuch" in message(groups.post(SUGGEST, {"where": "nosuch = 1"}, 400))
    assert "order: expected doubtful or sure" in message(groups.get(PREDICTIONS, 400, label="x", order="best"))
    label_all(groups, groups.get("/api/v1/items", limit=100)["items"])
    assert "no unlabelled image is left" in message(groups.post(SUGGEST, {}, 400))
