"""Published weights that are on the machine, found without the network."""

from pathlib import Path

import pytest
import torch

from trainers.models import local_weights
from trainers.models.local_weights import local_start


@pytest.fixture(autouse=True)
def _empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(local_weights, "try_to_load_from_cache", lambda repository, file: None)


def test_nothing_is_found_in_empty_caches() -> None:
    assert local_start() == {}


def test_weights_of_timm_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def answer(repository: str, file: str) -> str | None:
        asked.append((repository, file))
        return "/cache/model.safetensors" if "resnet18" in repository and file == "model.safetensors" else None

    monkeypatch.setattr(local_weights, "try_to_load_from_cache", answer)
    assert local_start() == {"init": "timm", "backbone": "resnet18"}
    assert asked[0] == ("timm/tf_efficientnet_lite0.in1k", "model.safetensors")


def test_weights_of_torchvision_are_found_by_their_file(tmp_path: Path) -> None:
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "resnet18-f37072fd.pth").write_bytes(b"")
    assert local_start() == {"init": "torchvision:resnet18", "backbone": "resnet18"}


def test_a_marker_for_a_missing_file_is_not_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_weights, "try_to_load_from_cache", lambda repository, file: object())
    assert local_start() == {}
