"""What a `where` that matches nothing is answered with."""

import pytest

from featurestore import FeatureStore
from featurestore.storage.no_match import describe_no_match


@pytest.mark.parametrize(
    ("where", "there"),
    [
        ("label = 'rose'", "; label: primary 3, mixed 2, plain 1"),
        ("Label = 'rose' AND items.split = 'x'", "; label: primary 3, mixed 2, plain 1; split: no item has a value"),
        ("id IN (SELECT width FROM items WHERE height > 9)", "; width: 8 6; height: 8 6; id: from 1 to 6"),
        ("FALSE", ""),
    ],
)
def test_it_says_which_values_there_are(
    shared: FeatureStore, monkeypatch: pytest.MonkeyPatch, where: str, there: str
) -> None:
    monkeypatch.setattr("featurestore.storage.no_match.SHOWN", 5)
    said = describe_no_match(shared.catalog, where, shared.encoder_record(None))
    assert said == f"where {where!r}: 0 of 6 items match{there}"


def test_many_values_are_cut_short(shared: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featurestore.storage.no_match.SHOWN", 2)
    said = describe_no_match(shared.catalog, "label = path", shared.encoder_record(None))
    assert "; label: primary 3, mixed 2 and 1 more; path: 6 values, such as /" in said


def test_items_without_a_vector_are_told_from_none(store: FeatureStore, other_encoder: object) -> None:
    store.catalog.deletions.delete(store.catalog.items.select("id > 1"))
    opened = FeatureStore.open(store.path, str(other_encoder))
    with opened.writing():
        record = opened.add_encoder(opened.given_encoder)  # type: ignore[arg-type]
    said = describe_no_match(opened.catalog, "id = 1", record)
    assert said.startswith(f"where 'id = 1': 1 matching item, none with a vector of {record.name}; ")
