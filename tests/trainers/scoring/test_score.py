"""`score`: a run and a store in, the column ssl_loss out; what becomes of files that are gone, changed or broken."""

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import trainers
from featurestore import FeatureStore
from featurestore.errors import ConfigError, EvaluationError, Interrupted, QueryError, TrainingError
from featurestore.progress import Listener
from tests.trainers.runs import Notes
from trainers import score
from trainers.scoring import score as scoring
from trainers.scoring.scorer import Scorer

COUNT = 9
SOME: dict[str, Any] = {"views": 2, "device": "cpu", "listener": Listener()}


def losses(store: FeatureStore) -> dict[str, float | None]:
    """The column by the names of the files."""
    rows = store.sql("SELECT path, ssl_loss FROM items ORDER BY path").to_pylist()
    return {Path(row["path"]).stem: row["ssl_loss"] for row in rows}


# -- the column


def test_every_item_gets_the_loss_of_its_image(store: FeatureStore, simclr: Path) -> None:
    report = score(simclr, store, **SOME)
    found = losses(store)
    assert (report.images, report.failed, report.column, report.method) == (COUNT, 0, "ssl_loss", "simclr")
    values = [value for value in found.values() if value is not None]
    assert len(values) == COUNT
    assert np.isfinite(values).all()
    assert found["h"] == pytest.approx(found["i"], rel=1e-5)
    assert len({round(value, 4) for value in values}) == COUNT - 1
    assert store.info()["columns"] == {"ssl_loss": "float"}
    assert store.info()["written_columns"] == {"ssl_loss": "score"}
    highest = max(found, key=lambda name: found[name] or 0)
    [hit] = store.search(
        store.sql("SELECT min(id) AS i FROM items")["i"][0].as_py(), k=1, where=f"ssl_loss >= {found[highest]}"
    )
    assert hit.path is not None
    assert Path(hit.path).stem == highest


def test_the_same_seed_gives_the_same_numbers_for_any_batch_and_any_order(
    store: FeatureStore, simclr: Path, scored_from: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score(simclr, store.path, **SOME)
    first = losses(store)
    score(simclr, store, **SOME)
    assert losses(store) == first
    monkeypatch.setattr(Scorer, "batch_for", lambda self, side: 2)
    score(simclr, store, **SOME)
    assert losses(store) == pytest.approx(first, rel=1e-4)

    other = FeatureStore.open(tmp_path / "other.store", scored_from / "encoder.onnx")
    for name in "ihgfedcba":  # the other way round
        other.index(photos / f"{name}.png")
    score(simclr, other, **SOME)
    assert losses(other) == pytest.approx(first, rel=1e-4)
    score(simclr, store, **SOME, seed=1)
    assert losses(store) != pytest.approx(first, rel=1e-3)


def test_without_negatives_a_loss_does_not_depend_on_the_other_items(
    store: FeatureStore, byol: Path, scored_from: Path, photos: Path, tmp_path: Path
) -> None:
    score(byol, store, **SOME)
    single = FeatureStore.open(tmp_path / "single.store", scored_from / "encoder.onnx")
    single.index(photos / "c.png")
    assert score(byol, single, **SOME).images == 1
    assert losses(single)["c"] == pytest.approx(losses(store)["c"], rel=1e-4)


def test_the_bank_is_drawn_by_the_seed_from_all_contents(
    store: FeatureStore, simclr: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new item changes it little, and its images are no negatives of themselves."""
    monkeypatch.setattr(scoring, "BANK", 4)
    seen: list[list[str]] = []

    class Watched(Scorer):
        def __init__(self, method: Any, bank: Any, *rest: Any) -> None:
            seen.append([image.numpy().tobytes() for image in bank])
            super().__init__(method, bank, *rest)

    monkeypatch.setattr(scoring, "Scorer", Watched)
    score(simclr, store, **SOME)
    score(simclr, store, **SOME, seed=1)
    Image.fromarray(np.random.default_rng(5).integers(0, 256, (16, 16, 3), np.uint8)).save(photos / "new.png")
    store.index(photos)
    score(simclr, store, **SOME)
    first, by_another_seed, with_another_item = seen
    assert [len(set(bank)) for bank in seen] == [4, 4, 4]
    assert set(first) != set(by_another_seed)
    assert len(set(first) & set(with_another_item)) >= 3


# -- files


def test_items_whose_files_are_gone_changed_or_broken_have_no_loss(
    store: FeatureStore, byol: Path, photos: Path
) -> None:
    score(byol, store, **SOME)
    (photos / "a.png").unlink()
    shutil.copy(photos / "c.png", photos / "b.png")
    (photos / "d.png").write_bytes((photos / "d.png").read_bytes()[:60])
    before, notes = losses(store), Notes()
    report = score(byol, store, **{**SOME, "listener": notes})
    assert (report.images, report.failed) == (COUNT - 3, 3)
    assert losses(store) == {**before, "a": None, "b": None, "d": None}
    [said] = [line for line in notes.lines if line.startswith("without a loss: 3 items; ")]
    assert "is not what was indexed" in said


@pytest.mark.parametrize("name", ["simclr", "byol"])
def test_when_no_file_is_there_the_store_stays_as_it_was(
    name: str, store: FeatureStore, scored_from: Path, photos: Path
) -> None:
    score(scored_from / name, store, **SOME)
    before = losses(store)
    photos.rename(photos.with_name("elsewhere"))
    with pytest.raises(EvaluationError, match=r"that can be read|can be read and is what was indexed.*relocate"):
        score(scored_from / name, store, **SOME)
    assert losses(store) == before


def test_a_method_with_negatives_needs_another_image(
    simclr: Path, scored_from: Path, photos: Path, tmp_path: Path
) -> None:
    single = FeatureStore.open(tmp_path / "single.store", scored_from / "encoder.onnx")
    single.index(photos / "h.png", photos / "i.png")
    with pytest.raises(
        EvaluationError, match=r"at least 2 different images .* found 1 of 1: .* compares an image with others"
    ):
        score(simclr, single, **SOME)


def test_a_loss_that_is_no_number_is_none(
    store: FeatureStore, byol: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights may be finite and so large that their products are not."""
    monkeypatch.setattr(
        Scorer, "losses", lambda self, pixels, places: torch.tensor([math.nan, math.inf] + [1.0] * (len(pixels) - 2))
    )
    report = score(byol, store, **SOME)
    assert (report.images, report.failed) == (COUNT - 2, 2)
    assert list(losses(store).values()) == [None, None] + [1.0] * (COUNT - 2)


# -- again


def test_only_missing_ones(store: FeatureStore, byol: Path, photos: Path) -> None:
    assert score(byol, store, **SOME, missing=True).images == COUNT  # there is no column yet
    before = losses(store)
    rng = np.random.default_rng(5)
    Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(photos / "new.png")
    store.index(photos)
    report = score(byol, store, **SOME, missing=True, seed=3)  # another seed, to see who gets a loss
    assert (report.images, report.failed) == (1, 0)
    after = losses(store)
    assert after.pop("new") is not None
    assert after == before
    assert score(byol, store, **SOME, missing=True).images == 0
    assert losses(store)["a"] == before["a"]


def test_a_second_run_replaces_what_the_first_one_said(store: FeatureStore, simclr: Path, byol: Path) -> None:
    score(simclr, store, **SOME)
    first = losses(store)
    assert score(byol, store, **SOME).method == "byol"
    assert not set(losses(store).values()) & set(first.values())


# -- interrupted, refused


class Pressed(Listener):
    """Presses Ctrl-C when some images are scored."""

    def start(self, what: str, total: int | None) -> None:
        self.scoring = what == "scoring"

    def advance(self, amount: int = 1, detail: str = "") -> None:
        if self.scoring:
            raise KeyboardInterrupt


def test_an_interrupted_call_leaves_the_store_as_it_was(store: FeatureStore, byol: Path) -> None:
    with pytest.raises(Interrupted, match="the store is as it was: run the command again"):
        score(byol, store, **{**SOME, "listener": Pressed()})
    assert store.info()["columns"] == {}
    score(byol, store, **SOME)
    before = losses(store)
    with pytest.raises(Interrupted):
        score(byol, store, **{**SOME, "listener": Pressed()}, seed=1)
    assert losses(store) == before


def test_a_column_of_that_name_of_the_user_is_refused_before_the_work(
    store: FeatureStore, byol: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.csv").write_text("id,SSL_loss\n1,0.5\n")
    store.annotate(tmp_path / "own.csv")
    monkeypatch.setattr(scoring, "open_run", lambda run: pytest.fail("works before it looks"))
    with pytest.raises(
        QueryError, match=r"'SSL_loss': expected one that 'score' wrote, found your own;.*--drop SSL_loss"
    ):
        score(byol, store, **SOME)


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"views": 0}, ConfigError, "views 0: expected at least 1"),
        ({"seed": -1}, ConfigError, "seed -1"),
        ({"device": "abacus"}, ConfigError, "abacus"),
        ({"run": "photos"}, TrainingError, "expected a checkpoint, found none; give the folder of a training run"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(
    store: FeatureStore, byol: Path, tmp_path: Path, change: dict[str, Any], kind: type[Exception], words: str
) -> None:
    run = tmp_path / change["run"] if "run" in change else byol
    with pytest.raises(kind, match=words):
        score(run, store, **{**SOME, **{key: value for key, value in change.items() if key != "run"}})


def test_the_package_offers_it() -> None:
    assert trainers.score is scoring.score
    assert trainers.ScoreReport is scoring.ScoreReport
