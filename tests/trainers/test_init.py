"""Trainings that start from a file of weights: what they train, what their card says, and what goes on from them."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from featurestore.encoders import Encoder
from featurestore.encoders.card import Card
from featurestore.errors import ConfigError, TrainingError
from featurestore.estimators import whitening as estimator
from tests.trainers.runs import TINY, Notes, fails
from trainers import train
from trainers.export.training_run import export_run
from trainers.finetuning.network import build_classifier, read_start
from trainers.training import checkpoint, contender, finish
from trainers.training.proof import Row

SMALL: dict[str, Any] = {**TINY, "backbone": "test_resnet", "image_size": 32}
BARELY = {"lr": 1e-12, "weight_decay": 0.0}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.save({"state_dict": timm.create_model("test_resnet").state_dict()}, tmp_path / "w.pth")
    return tmp_path / "w.pth"


def test_a_run_from_a_file_of_weights(
    few_shapes: Path, tmp_path: Path, weights: Path, no_export: list[Card], monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Notes()
    run = train(few_shapes, tmp_path / "run", init=str(weights), epochs=1, optimizer=BARELY, labels="folders", export="own", listener=notes, **SMALL)  # fmt: skip
    assert any("tensors taken" in line for line in notes.lines)
    assert run.proof is not None
    names = [row.contender.name for row in run.proof.rows]
    adapted = ["own encoder", "own encoder, with layout", "start weights", "start weights, with layout"]
    assert names == [*adapted, "raw pixels"]
    card = no_export[-1]
    assert card.trained_on["count"] == 24
    assert card.trained_on["weights"].startswith("w.pth sha256:")
    assert str(tmp_path) not in card.to_json()
    assert (card.preprocess.mean, card.preprocess.std) == ((0.5,) * 3, (0.5,) * 3)
    found = checkpoint.load(run.out / "checkpoint.pt")["method"]
    first = next(value for name, value in found.items() if name.endswith("conv1.0.weight"))
    torch.testing.assert_close(first, torch.load(weights)["state_dict"]["conv1.0.weight"], atol=1e-6, rtol=0)

    weights.unlink()  # what goes on from the run does not need it
    train(few_shapes, run.out, resume=True, epochs=2, export="own")
    monkeypatch.setattr("trainers.export.training_run.export", lambda backbone, card, *rest: no_export.append(card))
    export_run(run.out, tmp_path / "again.onnx")
    start = read_start(run.out)
    assert no_export[-1].trained_on == no_export[-2].trained_on == card.trained_on == start.trained_on
    assert build_classifier(start, "linear", 2, 0).mean == (0.5,) * 3
    assert start.from_scratch().trained_on == {"count": 0, "sha256": ""}

    own = {key: value for key, value in SMALL.items() if key not in ("backbone", "image_size")}
    second = train(few_shapes, tmp_path / "second", init=str(run.out), epochs=1, export="own", **own)
    assert (second.config.stem, second.config.mean, second.config.image_size) == ("published", (0.5,) * 3, 32)
    assert no_export[-1].trained_on["weights"].startswith("run run, checkpoint.pt sha256:")


def test_weights_of_another_network_are_refused(few_shapes: Path, tmp_path: Path, weights: Path) -> None:
    words = ["beginning with conv1.weight (64, 3, 7, 7); found", "0 fit", "choose the --backbone"]
    fails(ConfigError, words, few_shapes, tmp_path / "run", init=str(weights), **{**SMALL, "backbone": "resnet18"})
    weights.write_text("<html>")
    fails(ConfigError, ["w.pth", "a web page"], few_shapes, tmp_path / "run", init=str(weights), **SMALL)
    assert not (tmp_path / "run").exists()


def fitted_first(rows: Sequence[Row], _kind: str) -> Row:
    """Choose what stands beside known weights, fitted ones if there are any."""
    return max((row for row in rows if row.contender.beside), key=lambda row: bool(row.contender.fitted))


@pytest.mark.slow
def test_a_network_beside_known_weights(
    few_shapes: Path, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimator, "LEAST", 10)
    monkeypatch.setattr("trainers.run.draw", lambda *_: None)
    # Which form is the best is a matter of luck here.
    monkeypatch.setattr(finish, "best_of", fitted_first)
    monkeypatch.setattr(contender, "LENGTHS", (0.8, 0.9))
    base: dict[str, Any] = {"base": str(weights), "base_backbone": "test_resnet", "base_size": 40}
    own: dict[str, Any] = {**TINY, "image_size": 32, "optimizer": BARELY, "mean": [0.5] * 3, "std": [0.5] * 3}
    run = train(few_shapes, tmp_path / "run", epochs=1, export="own", labels="folders", **base, **own)
    assert run.proof is not None
    made = Encoder(run.encoder)
    assert run.proof.written.name == "own encoder beside fitted start weights"
    assert (made.preprocess.size, made.card.backbone) == (40, "test_resnet and conv4")
    assert made.card.trained_on["weights"].startswith("w.pth sha256:")
    assert export_run(run.out, tmp_path / "again.onnx").read_bytes() == run.encoder.read_bytes()
    ended = checkpoint.load(run.out / "checkpoint.pt")
    assert ended["length"] in (0.8, 0.9)
    for damaged in ("long", 0.0, math.nan, None):
        checkpoint.save(run.out / "checkpoint.pt", {**ended, "length": damaged})
        with pytest.raises(
            TrainingError, match=r"run: the checkpoint has .* as the length of the trained part; train again"
        ):
            export_run(run.out, tmp_path / "gone.onnx")
    checkpoint.save(run.out / "checkpoint.pt", ended)
    longer = train(few_shapes, run.out, resume=True, epochs=2, export="own", init=str(weights), backbone="test_resnet")
    assert (longer.config.base, longer.config.backbone) == (str(weights), "conv4")
    weights.unlink()
    with pytest.raises(
        ConfigError, match=r"run: its network stands beside known weights, which are needed again: .*no such file"
    ):
        export_run(run.out, tmp_path / "gone.onnx")
    assert not (tmp_path / "gone.onnx").exists()
