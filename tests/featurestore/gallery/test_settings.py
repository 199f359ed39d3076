"""The keys of classes: kept in the store, checked when they are set and when they are read."""

from typing import Any

import pytest

from featurestore import FeatureStore
from tests.featurestore.gallery.client import Client, message

SETTINGS = "/api/v1/settings"


def put(client: Client, body: Any, status: int = 200) -> Any:
    answer = client.send("PUT", SETTINGS, client.bearer, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_keys_stay_in_the_store(own_client: Client) -> None:
    assert own_client.get(SETTINGS) == {"keys": {}}
    assert put(own_client, {"keys": {"rose": "r", "<b>\u202e": "é"}}) == {"keys": {"rose": "r", "<b>\u202e": "é"}}
    assert put(own_client, {"keys": {"rose": "o"}}) == {"keys": {"rose": "o"}}
    again = FeatureStore.open(own_client.gallery.store.path)
    assert again.catalog.settings.get("keys") == {"rose": "o"}
    assert own_client.get(SETTINGS) == {"keys": {"rose": "o"}}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "PUT /settings needs keys"),
        ({"keys": {"rose": "rr"}}, "keys.rose: expected 1 to 1 characters, found 'rr'"),
        ({"keys": {"rose": ""}}, "keys.rose: expected"),
        ({"keys": {"rose": 1}}, "keys.rose: expected"),
        ({"keys": ["r"]}, "keys: expected an object of at most 1000 members"),
        ({"keys": {str(n): "r" for n in range(1001)}}, "keys: expected an object of at most 1000 members"),
        ({"colour": {}}, "unknown member 'colour'"),
    ],
)
def test_what_cannot_be_keys_is_refused(own_client: Client, body: Any, said: str) -> None:
    assert message(put(own_client, body, 400)).startswith(said)
    assert own_client.get(SETTINGS) == {"keys": {}}


@pytest.mark.parametrize("value", [5, {"rose": 5}, {"rose": "long"}, ["r"], None])
def test_a_strangers_settings_are_no_keys(own_client: Client, value: Any) -> None:
    own_client.gallery.store.catalog.settings.put("keys", value)
    assert own_client.get(SETTINGS) == {"keys": {}}


def test_settings_too_deep_to_read_count_as_none(own_client: Client) -> None:
    settings = own_client.gallery.store.catalog.settings
    with settings._database.transaction() as connection:
        connection.execute("INSERT INTO settings VALUES ('keys', ?)", ["[" * 5_000 + "]" * 5_000])
    assert settings.get("keys") is None
