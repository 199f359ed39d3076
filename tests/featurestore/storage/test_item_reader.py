"""Items in memory are found by their ids, in whatever order their rows are."""

from typing import cast

import numpy as np
import pyarrow as pa
import pytest

from featurestore.catalog import Catalog, EncoderRecord, ItemTable
from featurestore.storage.item_reader import LoadedItems


@pytest.mark.parametrize("ids", [[2, 3, 7, 9], [9, 2, 7, 3], [-(2**63), 0, 5, 2**63 - 1]])
def test_items_are_found_by_id(ids: list[int]) -> None:
    record = EncoderRecord("e" * 64, "e", 2, 4, "e.f16", {})
    texts = pa.array([f"/{item}.png" for item in ids], pa.large_string())
    lists = pa.array([None] * 4, pa.list_(pa.string()))
    rows = np.array([0, 1, 2, 5])
    table = ItemTable(record, rows, np.array(ids, np.int64), texts, texts, lists, texts)
    reader = LoadedItems(cast(Catalog, None), table, np.zeros((6, 2), np.float16))
    for wanted in ([ids[0]], [ids[3], ids[1]], [ids[1], 4, ids[1]], [4], [], ids[::-1]):
        found = reader.by_id(wanted)
        there = [place for place, item in enumerate(ids) if item in wanted]
        assert found.ids.tolist() == [ids[place] for place in there]
        assert found.rows.tolist() == rows[there].tolist()
        assert found.paths.to_pylist() == [f"/{ids[place]}.png" for place in there]
