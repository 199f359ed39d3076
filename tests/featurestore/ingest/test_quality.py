"""What the pixels of an image say, on its way into the columns of items."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from featurestore import FeatureStore
from featurestore.catalog.schema import QUALITY
from featurestore.imaging.quality import Quality, measure
from featurestore.system import child_pool
from tests.featurestore.cases.collections import Entry, drawn, png
from tests.featurestore.cases.roads import ROADS
from tests.featurestore.fakes import CARD, paint, write_encoder
from tests.featurestore.imaging.image_bytes import multiband, saved

ENTRIES = [Entry(f"a/{n}.png", png(n), "a", "train") for n in range(3)]


def values(store: FeatureStore) -> dict[str, Quality | None]:
    """What each item has, by the name of its file."""
    rows = store.sql(f"SELECT path, {', '.join(QUALITY)} FROM items ORDER BY path").to_pylist()
    found = {}
    for row in rows:
        measures = [row[name] for name in QUALITY]
        found[Path(row["path"]).name] = None if None in measures else Quality(*measures)
    return found


def unknown(store: FeatureStore) -> FeatureStore:
    """A store as it was before the columns were there."""
    with store.catalog.columns._database.transaction() as connection:
        connection.execute(f"UPDATE all_items SET {', '.join(f'{name} = NULL' for name in QUALITY)}")
    return store


@pytest.mark.parametrize("road", ROADS)
def test_images_of_every_source_are_measured(road: str, tmp_path: Path, empty: FeatureStore) -> None:
    empty.index(ROADS[road].make(tmp_path, ENTRIES))
    assert list(values(empty).values()) == measure([drawn(n) for n in range(3)])


def test_an_image_that_a_child_process_decodes_is_measured(
    tmp_path: Path, empty: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    lent: list[int] = []
    lend = child_pool.ChildPool.lend

    def counted(pool: child_pool.ChildPool) -> object:
        lent.append(1)
        return lend(pool)

    monkeypatch.setattr(child_pool.ChildPool, "lend", counted)
    (tmp_path / "a.jp2").write_bytes(saved(Image.fromarray(drawn(7)), "jpeg2000"))
    empty.index(tmp_path / "a.jp2")
    assert lent
    assert values(empty) == {"a.jp2": measure([drawn(7)])[0]}


def test_they_select_items(source: Path, empty: FeatureStore) -> None:
    paint(source / "grey.png", (40, 40, 40))
    empty.index(source)
    [dark] = empty.sql("SELECT path FROM items WHERE brightness < 0.3 AND colourfulness = 0").to_pylist()
    assert dark["path"].endswith("grey.png")
    assert empty.search(source / "red.png", k=3, where="contrast > 0").to_json() == []


def test_another_content_gets_other_values_and_the_same_one_keeps_its_own(source: Path, empty: FeatureStore) -> None:
    empty.index(source)
    before = values(empty)
    paint(source / "red.png", (255, 255, 255))
    empty.index(source)
    assert values(empty) == before | {"red.png": before["white.png"]}
    (source / "red.png").rename(source / "moved.png")
    empty.index(source)
    assert values(empty)["moved.png"] == before["white.png"]


def test_items_of_before_get_values_when_another_encoder_sees_them(
    source: Path, empty: FeatureStore, other_encoder: Path
) -> None:
    empty.index(source)
    before = values(empty)
    unknown(empty).index(source)
    assert set(values(empty).values()) == {None}  # nothing was decoded
    FeatureStore.open(empty.path, other_encoder).index(source)
    assert values(empty) == before


def test_an_encoder_that_reads_other_bands_changes_nothing(tmp_path: Path) -> None:
    bands = np.full((8, 8, 5), (10, 20, 30, 40, 250), np.uint8)
    (tmp_path / "a.tif").write_bytes(multiband(bands))
    seen = []
    for name, chosen in (("first", (1, 2, 3)), ("second", (5, 5, 5))):
        record = replace(CARD.preprocess, bands=chosen)
        encoder = write_encoder(tmp_path / f"{name}.onnx", replace(CARD, preprocess=record))
        store = FeatureStore.open(tmp_path / "my.store", encoder)
        assert store.index(tmp_path / "a.tif").added == 1
        seen.append(values(store))
    assert seen[0] == seen[1] == {"a.tif": measure([bands[..., :3]])[0]}


# -- vectors out and in


def test_they_go_out_and_come_in_with_vectors(store: FeatureStore, exported: Path, other: FeatureStore) -> None:
    assert set(QUALITY) < set(pq.read_schema(exported).names)
    other.import_vectors(exported)
    assert values(other) == values(store)
    assert None not in values(other).values()
    assert other.info()["columns"] == {}


def test_a_file_from_before_they_were_there_leaves_them_empty(exported: Path, other: FeatureStore) -> None:
    table = pq.read_table(exported)
    pq.write_table(table.drop_columns(list(QUALITY)), exported)
    assert other.import_vectors(exported).added == 6
    assert set(values(other).values()) == {None}


def test_what_another_program_calls_brightness_is_something_else(
    store: FeatureStore, exported: Path, tmp_path: Path, encoder: Path
) -> None:
    columns = pq.read_table(exported).select(["path", "vector"])
    table = columns.append_column("brightness", pa.array([255.0] * 6)).replace_schema_metadata(None)
    pq.write_table(table, tmp_path / "foreign.parquet")
    other = FeatureStore.open(tmp_path / "other.store", encoder)
    assert other.import_vectors(tmp_path / "foreign.parquet").added == 6
    assert values(other) == values(store)  # the files were read
