"""A catalog of four items, and a file with one table."""

import shutil
from pathlib import Path

import pytest

from featurestore.catalog import Batch, Catalog
from featurestore.catalog.connection import Database
from featurestore.system.checksums import BlockChecksum
from tests.featurestore.catalog.items import CARD, ENCODER, item


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Items 1 to 4 of one encoder, with the rows 3, 2, 1, 0."""
    path = tmp_path_factory.mktemp("catalog") / "catalog.duckdb"
    made = Catalog(path)
    made.create()
    made.encoders.add(ENCODER, "name-e", 12, CARD)
    items = [item(1, 3, "rose"), item(2, 2, "rose", "test"), item(3, 1, "tulip"), item(4, 0)]
    made.changes.commit(ENCODER, Batch(items, [], [BlockChecksum(0, 4, "checksum")], next_item=5, rows=4))
    return path


@pytest.fixture
def filled(template: Path, tmp_path: Path) -> Catalog:
    return Catalog(Path(shutil.copy(template, tmp_path)))


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(tmp_path / "it's.duckdb")
    with made.transaction() as connection:
        connection.execute("CREATE TABLE numbers AS SELECT 1 AS number")
    return made
