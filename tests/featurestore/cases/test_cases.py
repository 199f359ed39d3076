"""Every collection through every road, by the command line and from Python: what is said, word by word, and what is stored."""

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from featurestore import FeatureStore
from featurestore.errors import FeatureStoreError
from featurestore.progress import Listener
from featurestore.system.text import counted
from tests.featurestore.cases.collections import COLLECTIONS, SIDE, Entry, drawn
from tests.featurestore.cases.roads import ROADS
from tests.featurestore.cases.said import ALL, SAID, Case
from tests.featurestore.commands import Run
from tests.featurestore.imaging.image_bytes import saved


class Notes(Listener):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(params=ALL)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    name, road = request.param
    return Case(name, road, tmp_path)


def test_what_is_said_and_stored(case: Case, run: Run, encoder: Path) -> None:
    store, said, listener = case.place / "cli.store", SAID[case.name], Notes()
    status, out, err = run("index", store, case.source, "--encoder", encoder, "--labels", "folders")
    opened = FeatureStore.open(case.place / "python.store", encoder)
    if case.error:
        assert (status, out, err) == (1, "", f"featurestore: {case.error}\n")
        with pytest.raises(FeatureStoreError) as raised:
            opened.index(case.source, labels="folders")
        assert str(raised.value) == case.error
        assert not store.exists()
        assert not opened.path.exists()
        return
    added, failed = said.counts
    assert status == 0
    assert re.sub(r"\([\d.e+]+ images/s\)", "(N images/s)", out).splitlines() == [
        f"{added} added, 0 updated, 0 unchanged, 0 removed, {failed} failed  (N images/s)",
        f"{added} labels set, 0 changed, 0 kept",
    ]
    failures = (
        [f"{counted(failed, 'file')} could not be used; to list: featurestore failures {store}"] if failed else []
    )
    failures += [f"  {case.with_paths(line)}" for line in said.failures]
    assert err.splitlines() == case.notes + failures
    opened.index(case.source, labels="folders", listener=listener)
    assert listener.lines == case.notes
    expected = {case.path(entry.name): meant(case, entry) for entry in case.entries if entry.is_image}
    for made in (FeatureStore.open(store), opened):
        rows = made.sql("SELECT path, label, labels, split FROM items").to_pylist()
        broken = {failure.path for failure in made.failures()}
        assert {row.pop("path"): tuple(row.values()) for row in rows} == {
            path: value for path, value in expected.items() if path not in broken
        }


def meant(case: Case, entry: Entry) -> tuple[str | None, list[str] | None, str | None]:
    """Label, labels and split that the author of a collection meant."""
    split = {"TEST": "test", "Training": "train", "valid": "val"}.get(entry.split or "")
    if isinstance(entry.labels, list):
        names = sorted({name.strip() for name in entry.labels})
        return (names[0], None, split) if len(names) == 1 else (None, names, split)
    return ((entry.labels or "").replace("\x1b", "").strip() or None), None, split


@pytest.mark.parametrize(("name", "tolerance"), [("twelve bits", 1 / 255), ("infrared", 0), ("infinite", 1 / 255)])
def test_channels_and_ranges_give_the_vectors_of_ordinary_images(
    name: str, tolerance: float, tmp_path: Path, encoder: Path
) -> None:
    plain = {"infrared": drawn, "twelve bits": grey, "infinite": grey}[name]
    ordinary = [Entry(f"{n}.png", saved(Image.fromarray(plain(n)), "PNG")) for n in range(len(COLLECTIONS[name]))]
    found = []
    for folder, entries in (("odd", COLLECTIONS[name]), ("plain", ordinary)):
        (tmp_path / folder).mkdir()
        store = FeatureStore.open(tmp_path / folder / "my.store", encoder)
        store.index(ROADS["folder"].make(tmp_path / folder, entries))
        found.append(store.features()[1])
    odd, plain_vectors = found
    np.testing.assert_allclose(odd, plain_vectors, atol=tolerance + 1e-3)


def grey(seed: int) -> NDArray[np.uint8]:
    """The red of a picture as grey, with the brightest value in a corner, as the odd ones have it."""
    values = drawn(seed)[:, :, 0].copy()
    values[0, 0] = 255
    assert values.shape == (SIDE, SIDE)
    return values
