"""Several encoders in one store, and the files of them that it keeps."""

from dataclasses import replace
from pathlib import Path

import pytest

from featurestore import Encoder, FeatureStore
from featurestore.errors import EncoderNotInStore, SourceError
from tests.featurestore.fakes import CARD, paint, write_encoder
from tests.featurestore.ingest.ingested import as_stored, counts


def test_a_second_encoder_adds_its_own_vectors(
    store_path: Path, colours: Path, other_encoder: Path, encoder: Path
) -> None:
    second = FeatureStore.open(store_path, other_encoder)
    assert counts(second.index(colours)) == (6, 0, 0, 0, 0)
    assert counts(second.index(colours)) == (0, 0, 6, 0, 0)
    plain = FeatureStore.open(store_path)
    assert plain.sql("SELECT count(*) AS n FROM items").to_pylist() == [{"n": 6}]
    assert [e["vectors"] for e in plain.info()["encoders"]] == [6, 6]
    names = [Encoder(encoder).name, Encoder(other_encoder).name]
    wanted: list[str | Path] = [*names, encoder, str(other_encoder), Encoder(encoder).fingerprint[:16]]
    for name in wanted:
        assert plain.search(6, k=2, encoder=name).ids.tolist() == [2, 3]


def test_two_encoders_never_mix(
    store_path: Path, colours: Path, other_encoder: Path, encoder: Path, tmp_path: Path
) -> None:
    extra = paint(tmp_path / "extra" / "dark.png", (100, 0, 0))
    FeatureStore.open(store_path, other_encoder).index(extra)
    first, second = FeatureStore.open(store_path, encoder), FeatureStore.open(store_path, other_encoder)
    assert first.search(extra, k=20).ids.tolist() == [6, 2, 3, 1, 4, 5]
    assert second.search(extra, k=20, with_self=True).ids.tolist() == [7]
    assert len(first.features()[0]) == 6
    assert second.features()[0].tolist() == [7]
    plain = FeatureStore.open(store_path)
    for name, ids in ((encoder, [6, 2, 3, 1, 4, 5]), (other_encoder, [7])):  # the same filter in one open store
        assert plain.search(extra, k=20, where="id > 0", encoder=name, with_self=True).ids.tolist() == ids


def test_content_that_changed_for_one_encoder_is_stale_for_the_other(
    empty: FeatureStore, source: Path, other_encoder: Path
) -> None:
    empty.index(source)
    paint(source / "red.png", (0, 0, 9), size=16)
    second = FeatureStore.open(empty.path, other_encoder)
    assert counts(second.index(source)) == (5, 1, 0, 0, 0)
    red = empty.sql("SELECT id FROM items WHERE path LIKE '%red%'").to_pylist()[0]["id"]
    assert red not in empty.features()[0]
    assert counts(empty.index(source))[2] == 5
    ids, x, _ = empty.features()
    assert x[ids == red].tolist() == [as_stored((0, 0, 9))]


def test_what_one_encoder_cannot_tell_stays_with_the_other(store: FeatureStore, colours: Path, tmp_path: Path) -> None:
    blind = write_encoder(tmp_path / "blind.onnx", replace(CARD, method="blind"), scale=0.0)
    with pytest.raises(
        SourceError, match=r"none of 6 files could be used; 6 files: the encoder gave a vector that is zero"
    ):
        FeatureStore.open(store.path, blind).index(colours)
    assert len(store.failures()) == 6
    assert store.info()["items"] == 6
    [first, second] = store.info()["encoders"]
    assert (first["vectors"], second["vectors"]) == (6, 0)


def test_the_store_keeps_the_very_file_and_takes_it_when_none_is_given(
    store: FeatureStore, encoder: Path, colours: Path, tmp_path: Path
) -> None:
    [kept] = (store.path / "encoders").iterdir()
    assert kept.read_bytes() == encoder.read_bytes()
    assert kept.stem == Encoder(encoder).fingerprint[:16]
    [vectors] = (store.path / "vectors").iterdir()
    assert vectors.name == f"{kept.stem}.f16"
    assert vectors.stat().st_size == 6 * 12 * 2
    extra = paint(tmp_path / "extra" / "dark.png", (100, 0, 0))
    assert counts(store.index(colours, extra)) == (1, 0, 6, 0, 0)


def test_unknown_encoders_are_named(store: FeatureStore, other_encoder: Path) -> None:
    known = r"does not name one encoder of this store, which has: quadrants-\w{8} \(6 vectors\)"
    for name in ("nothing", str(other_encoder), "abc"):
        with pytest.raises(EncoderNotInStore, match=known):
            store.search(1, encoder=name)


def test_a_damaged_copy_of_the_encoder_is_replaced_when_it_is_given_again(
    store: FeatureStore, encoder: Path, colours: Path
) -> None:
    [copy] = (store.path / "encoders").iterdir()
    copy.write_bytes(b"damaged")
    FeatureStore.open(store.path, encoder).index(colours)
    assert copy.read_bytes() == encoder.read_bytes()
