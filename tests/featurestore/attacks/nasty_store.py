"""A store in which every text that may come from a stranger is a nasty name, and the same store with tame names."""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from featurestore import FeatureStore
from featurestore.catalog.schema import ITEMS
from tests.featurestore.attacks.nasty_names import NASTY
from tests.featurestore.fakes import paint

NASTY_NAMES = sorted(NASTY.values())
TAME_NAMES = [
    f"name{number:03}" for number in range(len(NASTY_NAMES))
]  # in the same order: pages and tables sort names
COLUMN = "".join(NASTY[name] for name in ("window title", "override", "new line", "SQL identifier"))


def make_store(folder: Path, encoder: Path, names: Sequence[str], column: str) -> Path:
    """Make a store of two images of each name. Every second path is of no file; the last encoder's name, and a user's column, are `column`."""
    count = 2 * len(names)
    for number in range(count):
        paint(folder / "photos" / f"{number:03}.png", (number, 255 - number, number * 7 % 256))
    path = folder / "strange.store"
    store = FeatureStore.open(path, encoder)
    store.index(folder / "photos")
    rows = [
        (number + 1, name, name if number % 9 == 0 else None, f"/{name}/{number}.png" if number % 2 else None)
        for number, name in enumerate([*names, *names])
    ]
    quoted = '"' + column.replace('"', '""') + '"'
    with duckdb.connect(str(path / "catalog.duckdb")) as catalog:
        catalog.execute(f"ALTER TABLE all_items ADD COLUMN {quoted} TEXT")
        catalog.executemany(
            f"UPDATE all_items SET label = $2, {quoted} = $2, split = $3, path = coalesce($4, path) WHERE id = $1", rows
        )
        for number, name in enumerate(names):
            catalog.execute("INSERT INTO failures VALUES ($1, $2, now()::TIMESTAMP)", [f"/{name}.png", name])
            catalog.execute("INSERT INTO deleted VALUES ($1, 'none', now()::TIMESTAMP)", [f"/gone/{name}.png"])
            catalog.execute("INSERT INTO sources VALUES ($1, now()::TIMESTAMP, [$2])", [f"/{name}", name])
            catalog.execute(
                "INSERT INTO label_history BY NAME SELECT $1 AS change, $2 AS command, now()::TIMESTAMP AS made_at, 1 AS item, $2 AS label",
                [number + 1, name],
            )
        catalog.execute("UPDATE encoders SET name = ?", [column])
        catalog.execute(ITEMS)
    return path
