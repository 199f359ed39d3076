"""What a trained encoder is compared with."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import nn
from torch.nn import functional as F

from featurestore.estimators import whitening
from featurestore.imaging.preprocess import Preprocess
from featurestore.progress import Listener
from tests.trainers.runs import TINY, Notes
from trainers.config.resolve import resolve
from trainers.training.contenders import contenders, recompute_statistics, start_network
from trainers.training.setup import build

IDENTITY: dict[str, Any] = {"images": 4, "sha256": "ab", "weights": "w"}
PIXELS = torch.randint(256, (40, 3, 32, 32), dtype=torch.uint8)


def test_the_start_has_the_weights_it_had_before(tmp_path: Path) -> None:
    published = timm.create_model("test_resnet", num_classes=0)
    torch.save(published.state_dict(), tmp_path / "w.pth")
    init = str(tmp_path / "w.pth")
    config = resolve(
        {**TINY, "backbone": "test_resnet", "image_size": 32, "init": init, "stem": "published", "seed": 3}
    )
    torch.manual_seed(config.seed)
    method = build(config)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.add_(1)  # a training
    found = contenders(config, method, IDENTITY, {32: PIXELS}, True, Listener())
    own, start, raw = (encoding.pairs[0][0] for encoding in found)
    assert own.network is method.export_backbone
    for name, tensor in published.state_dict().items():
        torch.testing.assert_close(start.network.state_dict()[name], tensor)
    assert [own.trained_on["count"], start.trained_on["count"], raw.trained_on["count"]] == [4, 0, 0]
    assert (start.method, start.branch, start.trained_on["weights"]) == ("file", "start", "w")


def test_a_network_beside_known_weights_comes_alone_and_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = timm.create_model("test_resnet", num_classes=0).eval()
    torch.save(published.state_dict(), tmp_path / "w.pth")
    base = {"base": str(tmp_path / "w.pth"), "base_backbone": "test_resnet", "base_size": 64}
    config = resolve({**TINY, "image_size": 32, **base})
    method = build(config)
    monkeypatch.setattr(whitening, "LEAST", 10)
    pixels = {32: PIXELS, 64: F.interpolate(PIXELS, 64)}
    found = contenders(config, method, IDENTITY, pixels, True, Listener())
    assert [(one.name, one.record.size) for each in found for one, _ in each.made] == [
        ("own encoder", 32),
        ("own encoder, with layout", 32),
        ("own encoder beside start weights", 64),
        ("own encoder beside start weights, with layout", 64),
        ("start weights", 64),
        ("start weights, with layout", 64),
        ("own encoder beside fitted start weights", 64),
        ("own encoder beside fitted start weights, with layout", 64),
        ("raw pixels", 32),
    ]
    by_views = contenders(config, method, IDENTITY, pixels, False, Listener())
    assert [plain.name for each in by_views for plain, _ in each.pairs] == [
        "own encoder",
        "own encoder beside start weights",
        "start weights",
        "raw pixels",
    ]
    own, both, start, fitted, _ = (plain for each in found for plain, _ in each.pairs)
    assert fitted.branch == "online beside fitted start weights"
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(start.network.eval()(x), published(x))
    assert own.trained_on == {"count": 4, "sha256": "ab"}
    assert both.trained_on == {"count": 4, "sha256": "ab", "weights": "w"}
    assert start.trained_on == {"count": 0, "sha256": "", "weights": "w"}


def test_the_untrained_network_has_the_weights_that_its_seed_gives() -> None:
    config = resolve({**TINY, "backbone": "test_resnet", "image_size": 32, "seed": 3})
    torch.manual_seed(config.seed)
    method = build(config)
    first = {name: tensor.clone() for name, tensor in method.export_backbone.state_dict().items()}
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.add_(1)  # a training
    own, untrained, raw = (
        encoding.pairs[0][0] for encoding in contenders(config, method, IDENTITY, {32: PIXELS}, True, Listener())
    )
    assert [own.kind, untrained.kind, raw.kind] == ["own encoder", "untrained network", "raw pixels"]
    for name, parameter in untrained.network.named_parameters():
        assert torch.equal(parameter, first[name])


def test_a_start_that_is_gone_is_left_out_with_a_note(tmp_path: Path) -> None:
    config = resolve({**TINY, "image_size": 32})
    method, notes = build(config), Notes()
    gone = resolve({**TINY, "image_size": 32, "init": str(tmp_path / "gone.pth")})
    found = contenders(gone, method, IDENTITY, {32: PIXELS}, True, notes)
    assert [encoding.pairs[0][0].kind for encoding in found] == ["own encoder", "untrained network", "raw pixels"]
    assert "not compared with the weights it started from" in notes.lines[0]


def test_a_run_to_start_from_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Path] = []
    monkeypatch.setattr("trainers.training.contenders.load_run", lambda method, run: loaded.append(run))
    start_network(resolve({**TINY, "init": str(tmp_path)}))
    assert loaded == [tmp_path]


def test_statistics_are_the_mean_of_those_of_batches() -> None:
    norm = nn.BatchNorm2d(3)
    pixels = torch.randint(256, (128, 3, 4, 4), dtype=torch.uint8)
    recompute_statistics(norm, pixels, Preprocess(4, 4, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)))
    order = torch.randperm(128, generator=torch.Generator().manual_seed(0)).numpy()
    halves = np.split(pixels.numpy()[order] / 255, 2)
    expected = [
        np.mean([half.mean((0, 2, 3)) for half in halves], 0),
        np.mean([half.var((0, 2, 3), ddof=1) for half in halves], 0),
    ]
    for found, wanted in zip((norm.running_mean, norm.running_var), expected, strict=True):
        assert found is not None
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5)
    assert not norm.training


def test_a_batch_has_images_from_the_whole_collection() -> None:
    """Sorted by class, each half would be of one brightness, and the variance within it nearly zero."""
    norm = nn.BatchNorm2d(3)
    pixels = torch.full((128, 3, 4, 4), 0, dtype=torch.uint8)
    pixels[64:] = 255
    recompute_statistics(norm, pixels, Preprocess(4, 4, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)))
    assert norm.running_var is not None
    torch.testing.assert_close(norm.running_var, torch.full((3,), 0.25), atol=0.01, rtol=0)
