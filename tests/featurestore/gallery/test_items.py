"""Pages of items, views that keep their places, ids, one item, the values of a column, and the store as a whole."""

from typing import Any

import duckdb
import pytest

from featurestore import FeatureStore
from featurestore.catalog.schema import ITEMS
from featurestore.version import __version__
from tests.featurestore.gallery.client import Client, load_items, message


def ids(answer: dict[str, object]) -> list[int]:
    items = answer["items"]
    assert isinstance(items, list)
    return [item["id"] for item in items]


def test_an_item_says_what_a_page_shows(client: Client) -> None:
    [item] = client.get("/api/v1/items", ids="1")["items"]
    path, sha256 = item.pop("path"), item.pop("sha256")
    assert path.endswith("mixed/cyan.png")
    quality = {"brightness", "contrast", "sharpness", "colourfulness"}
    assert set(item.pop("columns")) == quality
    assert item.pop("labelled_at")[:2] == "20"
    assert item == {
        "id": 1, "labelled_by": None, "label": "mixed", "labels": None, "split": None, "width": 8, "height": 8, "label_source": "folder", "name": "cyan.png",
        "thumb": f"/api/v1/thumbs/1/256?h={sha256[:16]}",
    }  # fmt: skip


def test_pages_follow_each_other_and_end(client: Client) -> None:
    first = client.get("/api/v1/items", limit=4)
    assert (ids(first), first["total"]) == ([1, 2, 3, 4], 6)
    last = client.get("/api/v1/items", limit=4, after=first["next"])
    assert (ids(last), last["next"], last["view"]) == ([5, 6], None, first["view"])
    assert ids(client.get("/api/v1/items", offset=5)) == [6]
    assert ids(client.get("/api/v1/items", offset=99)) == []


@pytest.mark.parametrize(
    ("where", "sort", "order", "expected"),
    [
        (None, "id", "desc", [6, 5, 4, 3, 2, 1]), (None, "label", "asc", [1, 2, 3, 4, 5, 6]), (None, "label", "desc", [4, 5, 6, 3, 1, 2]),
        ("label = 'primary'", "path", "desc", [6, 5, 4]), ("length(path) > 0 AND id < 3 -- a remark", "id", "asc", [1, 2]),
        ("label = 'none'", "id", "asc", []), (None, "split", "desc", [1, 2, 3, 4, 5, 6]),
    ],
)  # fmt: skip
def test_items_come_in_the_order_that_was_asked_for(
    client: Client, where: str | None, sort: str, order: str, expected: list[int]
) -> None:
    asked: dict[str, Any] = {"sort": sort, "order": order} | ({} if where is None else {"where": where})
    assert ids(client.get("/api/v1/items", **asked)) == expected


def test_a_view_keeps_its_places_while_the_store_changes(own_client: Client, store: FeatureStore) -> None:
    first = own_client.get("/api/v1/items", where="label = 'mixed'")
    before = own_client.get("/api/v1/store")["state"]
    store.delete("id = 1")
    assert own_client.get("/api/v1/store")["state"] != before
    kept = own_client.get("/api/v1/items", view=first["view"])
    assert kept["items"][0] == {"id": 1, "gone": True}
    assert (ids(kept), kept["total"]) == ([1, 2], 2)
    again = own_client.get("/api/v1/items", where="label = 'mixed'")
    assert ids(again) == [2]
    assert again["view"] != first["view"]


def test_a_view_that_is_not_kept_is_named(client: Client) -> None:
    said = message(client.get("/api/v1/items", 404, view="v123"))
    assert said == "the view 'v123' is not kept any more; ask for the items again, without a view"
    assert "expected what an answer gave as next" in message(client.get("/api/v1/items", 400, after="nonsense"))


def test_ids_of_a_view(client: Client) -> None:
    view = client.get("/api/v1/items", order="desc", limit=1)["view"]
    assert client.get("/api/v1/ids", view=view) == {"ids": [6, 5, 4, 3, 2, 1], "total": 6}
    assert client.get("/api/v1/ids", view=view, start=2, stop=4)["ids"] == [4, 3]


def test_items_by_id_come_in_that_order_and_those_that_are_missing_say_so(client: Client) -> None:
    found = client.get("/api/v1/items", ids="5,99,2,5")["items"]
    assert [item["id"] for item in found] == [5, 99, 2, 5]
    assert found[1] == {"id": 99, "gone": True}


def test_the_table_in_memory_gives_the_same_items(client: Client) -> None:
    from_catalog = client.get("/api/v1/items", sort="path", order="desc")
    load_items(client)
    assert client.get("/api/v1/items", sort="path", order="desc") == from_catalog


def test_one_item_says_everything(client: Client) -> None:
    item = client.get("/api/v1/items/3")
    assert item["bytes"] > 0
    assert item["added_at"].startswith("20")
    assert message(client.get("/api/v1/items/99", 404)) == "item 99: the store has no such item"


def test_a_wrong_where_says_what_the_command_line_says(client: Client) -> None:
    said = client.get("/api/v1/items", 400, where="lable = 'rose'")["error"]
    assert said["type"] == "QueryError"
    assert said["message"].startswith("where \"lable = 'rose'\": there is no column lable; did you mean label?")
    assert "there is no column 'nosuch'" in message(client.get("/api/v1/items", 400, sort="nosuch"))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("limit", "0", "limit: expected a whole number from 1 to 1000, found '0'"), ("limit", "1001", "limit: expected"), ("limit", "x", "limit: expected"),
        ("limit", "", "limit: expected"), ("limit", "\u0661", "limit: expected"), ("offset", "-1", "offset: expected"), ("order", "up", "order: expected asc or desc, found 'up'"),
        ("limt", "1", "unknown parameter 'limt'"), ("ids", "1,x", "ids: expected at most 1000 of: a whole number"), ("ids", ",".join(["1"] * 1001), "ids: expected"),
        ("ids", "9" * 19, "ids: expected"),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_named(client: Client, name: str, value: str, said: str) -> None:
    assert message(client.get("/api/v1/items", 400, **{name: value})).startswith(said)


def test_values_of_a_column(client: Client) -> None:
    found = client.get("/api/v1/columns/label/values")
    assert found == {
        "type": "VARCHAR", "distinct": 3, "least": "mixed", "greatest": "primary", "empty": 0,
        "frequent": [{"value": "primary", "count": 3}, {"value": "mixed", "count": 2}, {"value": "plain", "count": 1}],
    }  # fmt: skip
    some = client.get("/api/v1/columns/width/values", where="id < 3")
    assert (some["least"], some["frequent"]) == (8, [{"value": 8, "count": 2}])
    nothing = client.get("/api/v1/columns/split/values")
    assert (nothing["empty"], nothing["frequent"], nothing["least"]) == (6, [], None)
    assert "there is no column 'x'" in message(client.get("/api/v1/columns/x/values", 400))


def test_the_store_as_a_whole(client: Client) -> None:
    found = client.get("/api/v1/store")
    assert (found["name"], found["items"], found["labelled"], found["version"]) == ("colours.store", 6, 6, __version__)
    assert found["labels"] == {"mixed": 2, "plain": 1, "primary": 3}
    assert found["encoder"]["dim"] == 12
    assert {"name": "label", "type": "VARCHAR", "own": True} in found["columns"]
    assert found == client.get("/api/v1/store")


def test_values_of_every_type_can_be_sent(own_client: Client, store: FeatureStore) -> None:
    columns = {
        "a": ("DOUBLE", "'NaN'", "NaN"), "b": ("DOUBLE", "'-Infinity'", "-Infinity"), "c": ("TIMESTAMP", "'290000-01-01'", "290000-01-01 00:00:00"),
        "e": ("DECIMAL(9, 2)", "1.25", 1.25), "f": ("HUGEINT", str(2**100), str(2**100)),
        "h": ("BOOLEAN", "true", True),
        "j": ("VARCHAR", f"repeat('é', {200_000})", "é" * 100_000),
    }  # fmt: skip
    with duckdb.connect(str(store.path / "catalog.duckdb")) as maker:
        for name, (kind, value, _) in columns.items():
            maker.execute(f"ALTER TABLE all_items ADD COLUMN {name} {kind}; UPDATE all_items SET {name} = {value}")
        maker.execute(ITEMS)
    for _ in ("from the catalog", "from memory"):
        [item] = own_client.get("/api/v1/items", ids="2")["items"]
        assert {name: item["columns"][name] for name in columns} == {
            name: sent for name, (_, _, sent) in columns.items()
        }
        load_items(own_client)
    for name, (_, _, sent) in columns.items():
        assert own_client.get(f"/api/v1/columns/{name}/values")["frequent"] == [{"value": sent, "count": 6}]
