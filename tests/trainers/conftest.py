from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

import pytest
import torch
from torch.onnx._internal.exporter._registration import ONNXRegistry

import trainers.run
import trainers.training.finish
from featurestore.encoders.card import Card
from tests.trainers.methods import shapes
from trainers.models import backbones
from trainers.models.backbones import Conv4


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Networks of this size are faster on one thread than on several, and do not disturb their neighbours."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="session")
def _narrow_conv4() -> Iterator[None]:
    """Trainings in tests take a conv4 with a quarter of the channels: 64 numbers a vector, and a tenth of the work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(backbones.OWN, "conv4", partial(Conv4, 8))
        yield


@pytest.fixture(autouse=True, scope="session")
def _one_table_of_operators() -> Iterator[None]:
    """The exporter of torch makes its table of operators anew for each export, which takes longer than all the rest of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(cache(ONNXRegistry.from_torchlib)))
        yield


@pytest.fixture(autouse=True)
def _fixed_seed() -> Iterator[None]:
    """Every test starts from the same random state and leaves torch as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture(autouse=True)
def _no_local_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings of some minutes start from random weights, whatever weights this machine has."""
    monkeypatch.setattr("trainers.config.settle.local_start", dict)


@pytest.fixture(scope="session")
def shapes_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 256 training and 80 test images of four drawn shapes."""
    return shapes.write(tmp_path_factory.mktemp("shapes") / "shapes", train=64, test=20)


@pytest.fixture
def few_shapes(tmp_path: Path) -> Path:
    """A folder of 24 training and 8 test images, small enough to train on in a second."""
    return shapes.write(tmp_path / "few", train=6, test=2)


@pytest.fixture
def no_export(monkeypatch: pytest.MonkeyPatch) -> list[Card]:
    """Write empty files in place of encoder files and curves.png, which take longer than the tiny trainings here; gives the cards."""
    cards: list[Card] = []

    def export(backbone: object, card: Card, out: Path, whitening: object) -> Path:
        cards.append(card)
        out.write_bytes(b"")
        return out

    monkeypatch.setattr(trainers.training.finish, "export", export)
    monkeypatch.setattr(trainers.run, "draw", lambda metrics, title, path: path.write_bytes(b""))
    return cards
