"""`index`, and the search index of a collection that counts as large: what the commands print."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from featurestore import Encoder
from tests.featurestore.ann.small import SIZES
from tests.featurestore.commands import Run, answer
from tests.featurestore.fakes import paint

COUNT = 240
NAME = "quadrants-819ba5ed"  # of the encoder


@pytest.fixture
def large(tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> Callable[..., str]:
    """Index a folder of so many images that an index is worth it: the messages of the command."""
    sizes = {**SIZES, "featurestore.ann.tuning.WORTH_ROWS": 200, "featurestore.ann.tuning.WORTH_NUMBERS": 0}
    for name, value in sizes.items():
        monkeypatch.setattr(name, value)
    rng = np.random.default_rng(0)
    for n, (red, green, blue) in enumerate(rng.integers(1, 256, (COUNT, 3)).tolist()):
        paint(tmp_path / "images" / f"{n:03}.png", (red, green, blue))

    def index(*options: str) -> str:
        status, _, err = run("index", tmp_path / "large.store", tmp_path / "images", "--encoder", encoder, *options)
        assert status == 0
        return err

    return index


def test_index(run: Run, tmp_path: Path, encoder: Path, colours: Path) -> None:
    status, out, err = run(
        "index", tmp_path / "my.store", colours, "--encoder", encoder, "--labels", "folders", "--workers", "1"
    )
    assert (status, err.count("\n")) == (0, 2)
    assert err.startswith(
        "6 images; 3 classes; 6 labels found\none colour, or nearly, at the encoder's size: 6 of 6 images; "
    )
    assert out.startswith("6 added, 0 updated, 0 unchanged, 0 removed, 0 failed  (")
    assert out.endswith(" images/s)\n6 labels set, 0 changed, 0 kept\n")


def test_index_json(run: Run, store_path: Path, colours: Path, encoder: Path) -> None:
    assert answer(run, "index", store_path, colours) == {
        "added": 0, "updated": 0, "unchanged": 6, "removed": 0, "failed": 0, "deleted": 0, "moved": 0, "exchanged": 0, "images_per_second": 0.0,
        "labels_set": 0, "labels_changed": 0, "labels_kept": 0, "labels_found": 6, "classes": 3, "splits": {}, "passed_over": {},
        "readings": {"images": 0, "ways": {}, "flat": 0, "flat_paths": []},
        "reasons": [], "encoder": Encoder(encoder).name, "others": [], "not_run": [],
    }  # fmt: skip


def test_index_points_to_its_failures(run: Run, tmp_path: Path, encoder: Path) -> None:
    paint(tmp_path / "s" / "a.png", (1, 2, 3))
    (tmp_path / "s" / "b.png").touch()
    path = tmp_path / "my.store"
    status, out, err = run("index", path, tmp_path / "s", "--encoder", encoder)
    assert status == 0
    assert "1 added, 0 updated, 0 unchanged, 0 removed, 1 failed" in out
    failed = tmp_path.resolve() / "s" / "b.png"
    assert err.endswith(
        f"\n1 file could not be used; to list: featurestore failures {path}\n  1 file: empty file (0 bytes), {failed}\n"
    )
    assert answer(run, "failures", path) == [
        {"path": str(tmp_path.resolve() / "s" / "b.png"), "reason": "empty file (0 bytes)"}
    ]
    assert run("failures", path)[1].splitlines()[1].endswith("b.png  empty file (0 bytes)")


def test_a_provider_that_is_not_available_is_refused(run: Run, tmp_path: Path, encoder: Path, colours: Path) -> None:
    status, _, err = run("index", tmp_path / "my.store", colours, "--encoder", encoder, "--provider", "coreml")
    assert (status, "coreml" in err) == (1, True)
    assert not (tmp_path / "my.store").exists()
    assert run("index", tmp_path / "my.store", colours, "--encoder", encoder, "--provider", "abacus")[0] == 2


# -- the search index of a large collection


def test_index_says_when_an_index_is_worth_it(run: Run, large: Callable[..., str], tmp_path: Path) -> None:
    store = tmp_path / "large.store"
    assert f"{COUNT} vectors of {NAME} have no index; for faster searches: featurestore optimize" in large()
    status, _, err = run("optimize", store, "--recall", "99")
    assert (status, err.count("\n"), "recall 99: expected a number above 0 and up to 1" in err) == (1, 1, True)
    status, _, err = run("optimize", store, "--memory", "0")
    assert (status, "allow more by --memory" in err) == (1, True)
    status, out, _ = run("optimize", store)
    assert status == 0
    assert f"built: {COUNT} vectors, " in out
    assert large() == ""
    assert "unchanged: " in run("optimize", store)[1]


def test_auto_optimize_builds_it_and_info_prints_what_was_measured(
    run: Run, large: Callable[..., str], tmp_path: Path
) -> None:
    assert "featurestore optimize" not in large("--auto-optimize")
    out = run("info", tmp_path / "large.store")[1]
    assert f"index     {COUNT} vectors in " in out
    assert "recall@10 at " in out
    assert answer(run, "info", tmp_path / "large.store")["encoders"][0]["index"]["target"] == 0.99
