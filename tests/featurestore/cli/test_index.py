"""The index of a large collection, as the commands show it: a store of random colours whose sizes count as large."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from featurestore import FeatureStore
from tests.featurestore.ann.small import SIZES
from tests.featurestore.commands import Run, answer
from tests.featurestore.fakes import paint

COUNT = 240
NAME = "quadrants-819ba5ed"  # of the encoder


@pytest.fixture
def large(tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of so many images that an index is worth it; no store yet."""
    sizes = {**SIZES, "featurestore.ann.tuning.WORTH_ROWS": 200, "featurestore.ann.tuning.WORTH_NUMBERS": 0}
    for name, value in sizes.items():
        monkeypatch.setattr(name, value)
    rng = np.random.default_rng(0)
    for n in range(COUNT):
        paint(
            tmp_path / "images" / f"{n:03}.png",
            (int(rng.integers(1, 256)), int(rng.integers(256)), int(rng.integers(256))),
        )
    return tmp_path / "large.store"


def indexed(run: Run, store: Path, encoder: Path, *options: str) -> str:
    status, _, err = run("index", store, store.parent / "images", "--encoder", encoder, *options)
    assert status == 0
    return err


def test_index_says_when_an_index_is_worth_it(run: Run, large: Path, encoder: Path) -> None:
    assert f"{COUNT} vectors of {NAME} have no index; for faster searches: featurestore optimize" in indexed(
        run, large, encoder
    )
    status, out, _ = run("optimize", large)
    assert status == 0
    assert f"built: {COUNT} vectors, " in out
    assert indexed(run, large, encoder) == ""
    assert "unchanged: " in run("optimize", large)[1]


def test_auto_optimize_builds_it(run: Run, large: Path, encoder: Path) -> None:
    assert indexed(run, large, encoder, "--auto-optimize") == ""
    assert len(list((large / "indexes").glob("*.faiss"))) == 1


def test_info_prints_what_was_measured(run: Run, large: Path, encoder: Path) -> None:
    indexed(run, large, encoder, "--auto-optimize")
    out = run("info", large)[1]
    assert f"index     {COUNT} vectors in " in out
    assert "recall@10 at " in out
    assert answer(run, "info", large)["encoders"][0]["index"]["target"] == 0.99


def test_optimize_refuses_a_recall_that_is_none(run: Run, large: Path, encoder: Path) -> None:
    indexed(run, large, encoder)
    status, _, err = run("optimize", large, "--recall", "99")
    assert (status, err.count("\n")) == (1, 1)
    assert "recall 99: expected a number above 0 and up to 1" in err
    status, _, err = run("optimize", large, "--memory", "0")
    assert (status, "allow more by --memory" in err) == (1, True)


def test_search_says_when_the_index_is_old_or_gone(run: Run, large: Path, encoder: Path) -> None:
    indexed(run, large, encoder, "--auto-optimize")
    assert run("search", large, "--id", "1")[2] == ""
    for n in range(COUNT):
        paint(large.parent / "images" / f"new-{n}.png", (1 + n, 0, 0))
    assert f"50% of the vectors of {NAME} are newer than its index" in indexed(run, large, encoder)
    assert "50% of the vectors" in run("search", large, "--id", "1")[2]
    assert run("search", large, "--id", "1", "--exact")[2] == ""
    [path] = (large / "indexes").glob("*.faiss")
    path.unlink()
    status, out, err = run("search", large, "--id", "1")
    assert (status, len(out.splitlines())) == (0, 11)
    assert (
        f"the index of {NAME} is missing; all its vectors are looked at; to mend that: featurestore optimize STORE"
        in err
    )


def test_verify_finds_one_flipped_bit_in_an_index(run: Run, large: Path, encoder: Path) -> None:
    indexed(run, large, encoder, "--auto-optimize")
    [path] = (large / "indexes").glob("*.faiss")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    before = FeatureStore.open(large).search(1, exact=True).ids.tolist()
    assert FeatureStore.open(large).search(1).ids.tolist() == before  # left aside
    status, out, _ = run("verify", large)
    assert status == 1
    assert f"indexes/{path.name}: damaged: not what its checksum says" in out
    assert run("verify", large, "--repair")[0] == 0
    assert run("verify", large)[0] == 0
    assert not path.exists()
    assert "built" in run("optimize", large)[1]


def test_neighbours_are_written_whole(run: Run, large: Path, encoder: Path, tmp_path: Path) -> None:
    indexed(run, large, encoder)
    status, out, _ = run("neighbours", large, "--out", tmp_path / "graph.parquet", "-k", 3)
    assert (status, out) == (0, f"3 neighbours of each of {COUNT} items written to {tmp_path / 'graph.parquet'}\n")
    graph = pq.read_table(tmp_path / "graph.parquet").to_pylist()
    store = FeatureStore.open(large)
    for row in graph[::60]:
        hits = store.search(row["id"], k=3)
        assert row["neighbours"] == hits.ids.tolist()
        np.testing.assert_allclose(row["scores"], hits.scores, atol=2e-4)
    status, _, err = run("neighbours", large, "--out", tmp_path / "g.parquet", "-k", COUNT)
    assert (status, "expected from 1 to" in err) == (1, True)
    assert not (tmp_path / "g.parquet").exists()
