"""The collections of `tests.featurestore.cases` through every road into training: what is taken and what is said."""

from pathlib import Path

import pytest

from featurestore.errors import SourceError
from featurestore.imaging.preprocess import Preprocess
from tests.featurestore.cases.collections import SIDE
from tests.featurestore.cases.said import ALL, SAID, Case
from trainers.data import images as data

RECORD = Preprocess(SIDE, SIDE)


@pytest.fixture(params=ALL)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    name, road = request.param
    return Case(name, road, tmp_path)


def test_training_takes_and_says_the_same(case: Case) -> None:
    files = data.list_training_files(case.source)
    if case.error and not SAID[case.name].counts[1] and "labels" in case.error:
        with pytest.raises(SourceError) as refused:
            files.check_labels(case.source)
        assert str(refused.value) == case.error
        return
    if case.error:
        with pytest.raises(SourceError) as raised:
            data.load(files.training, RECORD)
        reasons = case.error.removeprefix("none of ").partition("; ")[2].removesuffix("; nothing was created")
        assert str(raised.value) == f"none of {len(files.training)} files could be read as an image; {reasons}"
        return
    files.check_labels(case.source)
    splits = ["trained on: 3 of split train; left out: 1 of split test, 1 of split val"] * (case.name == "splits")
    images = data.load(files.training, RECORD)
    assert splits + case.notes == files.notes(True, ()) + images.readings.lines()
    added, failed = SAID[case.name].counts
    assert len(images.failures) == failed
    assert len(images.files) == (3 if case.name == "splits" else added)
