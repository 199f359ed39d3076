"""Fine-tuning as a user meets it: the command, the classifier file, and what is refused."""

import copy
import json
import os
import signal
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from featurestore.encoders.encoder import Encoder
from featurestore.errors import ConfigError, ExportError, Interrupted
from featurestore.progress import Listener
from tests.trainers.finetuning.finetuned import write_colours, write_run
from trainers import cli as commands
from trainers.export.torch_onnx import to_onnx
from trainers.finetuning import export as shipping
from trainers.finetuning import finetune as finetuning
from trainers.finetuning import select as training
from trainers.finetuning.finetune import finetune
from trainers.finetuning.select import Trainer


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run")


@pytest.fixture
def no_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the export, which takes longer than the trainings here."""

    def write(network: Any, card: Any, temperature: float, out: Path) -> Path:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(b"")
        return out

    monkeypatch.setattr(finetuning, "export_classifier", write)


@pytest.mark.slow
def test_the_command_learns_colours_and_writes_a_classifier_that_says_what_torch_says(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that onnxruntime runs differently is refused, and leaves nothing."""
    networks: list[Any] = []
    traced: list[Any] = []

    def remember(network: Any, card: Any, temperature: float, out: Path) -> Path:
        networks.append((network, temperature))
        return shipping.export_classifier(network, card, temperature, out)

    def trace(*arguments: Any) -> Any:
        traced.append(to_onnx(*arguments))
        return copy.deepcopy(traced[0])

    monkeypatch.setattr(shipping, "to_onnx", trace)
    monkeypatch.setattr(finetuning, "export_classifier", remember)
    source, out = write_colours(tmp_path / "colours"), tmp_path / "out"
    words = [str(run), str(source), "--out", str(out), "--epochs", "6", "--device", "cpu", "--json"]
    done = CliRunner().invoke(commands.finetune, words, catch_exceptions=False)
    found = json.loads(done.stdout)

    assert found["top1"] > 0.8  # chance is a half
    assert found["top1_ci95"][0] <= found["top1"] <= found["top1_ci95"][1]
    expected = {
        "n_train": 16, "n_test": 8, "fraction": 1.0, "seed": 0, "head": "mlp", "protocol": "finetune", "split": "train->test",
        "epochs": 6, "calibrated_on": 3,
    }  # fmt: skip
    assert {key: found[key] for key in expected} == expected
    assert [c["label"] for c in found["classes"]] == ["cold", "warm"]
    assert json.loads((out / "report.json").read_text()) == found
    files = ["classifier.onnx", "config.toml", "metrics.jsonl", "report.json"]
    assert sorted(path.name for path in out.iterdir()) == files
    kept = tomllib.loads((out / "config.toml").read_text())
    assert (kept["head"], kept["recipe"]["epochs"], kept["run"]["backbone"]) == ("mlp", 6, "conv4")
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert {line["training"] for line in lines} == {"trial 1", "trial 2", "final"}
    assert all(0 <= line["test_top1"] <= 1 for line in lines)

    classifier = Encoder(out / "classifier.onnx")
    assert classifier.fingerprint == found["encoder"]
    assert (classifier.card.classes, classifier.card.method) == (("cold", "warm"), "simclr-finetuned")
    assert classifier.card.classifier["temperature"] == found["temperature"]
    pixels = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
    [(network, temperature)] = networks
    assert temperature == found["temperature"]
    record = classifier.preprocess
    x = (torch.from_numpy(pixels) / 255 - torch.tensor(record.mean)) / torch.tensor(record.std)
    with torch.no_grad():
        vectors = network.backbone(x.permute(0, 3, 1, 2))
        expected = (network.classify(vectors) / temperature).softmax(dim=1)
    np.testing.assert_allclose(classifier.probabilities(pixels), expected.numpy(), atol=1e-4)
    np.testing.assert_allclose(classifier.encode(pixels), vectors.numpy(), rtol=1e-3, atol=1e-4)
    assert os.path.getsize(out / "classifier.onnx") < 1.3 * 4 * sum(p.numel() for p in network.parameters()) + 50_000

    genuine = Encoder.probabilities
    monkeypatch.setattr(shipping, "to_onnx", lambda *_: traced[0])
    monkeypatch.setattr(Encoder, "probabilities", lambda self, pixels: genuine(self, pixels) + 0.01)
    with pytest.raises(ExportError, match="a probability differs"):
        shipping.export_classifier(network, classifier.card, temperature, tmp_path / "refused" / "classifier.onnx")
    assert list((tmp_path / "refused").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("head", ["linear", "projection"])
def test_the_other_heads_become_files_too(run: Path, tmp_path: Path, head: Any) -> None:
    source = write_colours(tmp_path / "colours")
    found = finetune(run, source, tmp_path / "out", head=head, epochs=2, device="cpu")
    assert Encoder(found.classifier).card.classifier["head"] == head


@pytest.mark.usefixtures("no_export")
def test_pretrained_and_from_scratch_learn_from_the_same_draw(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    genuine = Trainer.train

    def remember(self: Trainer, epochs: int | None = None, minutes: float | None = None) -> Any:
        seen.append(self)
        return genuine(self, epochs, minutes)

    monkeypatch.setattr(Trainer, "train", remember)
    source = write_colours(tmp_path / "colours")
    reports = [
        finetune(run, source, tmp_path / name, fraction=0.5, epochs=1, from_scratch=scratch, seed=3, device="cpu")
        for name, scratch in (("pretrained", False), ("scratch", True))
    ]
    first, second = seen
    assert torch.equal(first.task.train.pixels, second.task.train.pixels)
    assert len(first.task.train) == 8
    assert (first.start.pretrained, second.start.pretrained) == (True, False)
    assert [report.card.method for report in reports] == ["simclr-finetuned", "supervised"]
    assert reports[0].card.trained_on["count"] == 10  # what the run was trained on
    assert reports[1].card.trained_on["count"] == 8
    assert [report.card.classifier["pretrained"] for report in reports] == [True, False]


@pytest.mark.usefixtures("no_export")
def test_the_printed_result_says_what_it_was_made_of(run: Path, tmp_path: Path) -> None:
    source = write_colours(tmp_path / "colours", train=10, test=0)
    options = ["--minutes", "0.002", "--fraction", "0.5", "--seed", "7", "--head", "linear"]
    words = [str(run), str(source), "--out", str(tmp_path / "out"), *options]
    done = CliRunner().invoke(commands.finetune, words, catch_exceptions=False)
    pieces = (
        "top-1|95 %|8 labels (50 %) of 2 classes|4 test images (held-out fifth)|seed 7|head linear|calibration error"
    )
    for piece in pieces.split("|"):
        assert piece in done.stdout


@pytest.mark.usefixtures("no_export")
def test_an_image_that_cannot_be_read_is_left_out_and_named(run: Path, tmp_path: Path) -> None:
    class Notes(Listener):
        lines: list[str] = []  # noqa: RUF012

        def note(self, text: str) -> None:
            self.lines.append(text)

    source = write_colours(tmp_path / "colours")
    (source / "train" / "warm" / "00.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    found = finetune(run, source, tmp_path / "out", epochs=1, device="cpu", listener=Notes())
    assert found.card.classifier["n_train"] == 15
    assert any("1 image that could not be read" in line and "00.png" in line for line in Notes.lines)


# -- what is refused


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fraction": 0.0}, "fraction 0.0: expected more than 0"),
        ({"fraction": 50.0}, "fraction 50.0: .*; 50 percent is 0.5"),
        ({"fraction": float("nan")}, "fraction nan"),
        ({"head": "deep"}, "head 'deep': expected one of linear, mlp, projection"),
        ({"epochs": 0}, "epochs 0"),
        ({"epochs": 10**9}, "at most 100000"),
        ({"minutes": 1e6}, "at most 43200, which are 30 days"),
        ({"seed": -1}, "seed -1: expected at least 0"),
        ({"minutes": -1.0}, "minutes -1"),
        ({"epochs": 1, "minutes": 1.0}, "expected one of the two"),
        ({"device": "tpu"}, "'device': expected one of .*'tpu'"),
    ],
)
def test_options_out_of_range_are_named(run: Path, tmp_path: Path, options: dict[str, Any], words: str) -> None:
    source = write_colours(tmp_path / "colours", train=2, test=1)
    with pytest.raises(ConfigError, match=words):
        finetune(run, source, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_a_classifier_is_left_as_it_is(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "classifier.onnx").write_text("mine")
    with pytest.raises(ConfigError, match="holds a classifier already"):
        finetune(run, write_colours(tmp_path / "colours"), out)
    assert (out / "classifier.onnx").read_text() == "mine"


def test_ctrl_c_leaves_nothing_behind(run: Path, tmp_path: Path) -> None:
    class Impatient(Listener):
        def advance(self, amount: int = 1, detail: str = "") -> None:
            if detail:  # of the training
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="nothing was written"):
        finetune(run, write_colours(tmp_path / "colours"), tmp_path / "out", device="cpu", listener=Impatient())
    assert not (tmp_path / "out").exists()


def test_the_test_images_choose_nothing(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With other test labels the same network comes out."""
    monkeypatch.setattr(training, "ENOUGH", 8)
    networks: list[Any] = []

    def remember(network: Any, card: Any, temperature: float, out: Path) -> Path:
        networks.append((network, temperature))
        out.parent.mkdir(parents=True)
        out.write_bytes(b"")
        return out

    monkeypatch.setattr(finetuning, "export_classifier", remember)
    source = write_colours(tmp_path / "colours")
    finetune(run, source, tmp_path / "a", epochs=3, device="cpu")
    for old, new in (("warm", "old"), ("cold", "warm"), ("old", "cold")):
        (source / "test" / old).rename(source / "test" / new)
    finetune(run, source, tmp_path / "b", epochs=3, device="cpu")
    (first, t1), (second, t2) = networks
    assert t1 == t2
    x = torch.rand(4, 3, 16, 16)
    assert torch.equal(first(x), second(x))
