"""The command `train`: what it prints, and what it refuses."""

import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from torch import nn

from featurestore.errors import ConfigError
from featurestore.imaging.preprocess import Preprocess
from trainers import cli as commands
from trainers.config.resolve import resolve
from trainers.training.contender import Contender
from trainers.training.proof import Proof, Row, best
from trainers.training.setup import build


@pytest.mark.usefixtures("no_export")
def test_the_command_trains_and_prints_json(few_shapes: Path, tmp_path: Path) -> None:
    words = f"{few_shapes} --out {tmp_path / 'run'} --method simclr --backbone conv4 --image-size 16 --batch-size 8 --epochs 1"
    words += " --set simclr.hidden=16 --set augment.flip=0 --json"
    result = CliRunner().invoke(commands.train, words.split())
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert (printed["epoch"], printed["baselines"]) == (1, {})
    assert [row["encoder"] for row in printed["proof"]] == ["own encoder", "untrained network", "raw pixels"]
    assert Path(printed["encoder"]).exists()
    config = resolve(tomllib.loads((tmp_path / "run" / "config.toml").read_text()))
    build(config)  # what was saved can be built
    assert config.augment.flip == 0


@pytest.mark.usefixtures("no_export")
def test_the_command_ends_with_the_table_the_verdict_and_what_to_do_next(
    few_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "a run"

    def last_lines(own: int, rival: int) -> list[str]:
        """The end of what is said where so many of 400 images were named rightly."""
        rows = [
            Row(Contender(kind, nn.Identity(), Preprocess(1, 1), (), "m", "b", "x"), np.arange(400) < right, 0.5)
            for kind, right in (("own encoder", own), ("raw pixels", rival))
        ]
        proof = Proof(tuple(rows), best(rows).contender, images=24)
        monkeypatch.setattr("trainers.run.finish", lambda *_: proof)
        shutil.rmtree(run, ignore_errors=True)
        words = f"{few_shapes} --out X --method simclr --backbone conv4 --image-size 16 --epochs 3".split()
        result = CliRunner().invoke(commands.train, [str(run) if word == "X" else word for word in words])
        assert result.stdout.startswith(f"{run}/encoder.onnx  (3 epochs in "), result.output
        assert len(result.stdout.splitlines()) == 1
        return result.stderr.splitlines()

    *_, head, first, second, good, next_step = last_lines(300, 200)
    assert head.split() == ["k-NN", "5", "labels", "a", "class", "mean"]
    assert (first.split(), second.split()) == (
        ["own", "encoder", "0.7500", "0.5000", "0.6250"],
        ["raw", "pixels", "0.5000", "0.5000", "0.5000"],
    )
    assert (
        good
        == "accuracy 0.750 by k-NN, 0.500 with 5 labels a class, mean 0.625, on 400 images: higher than raw pixels (mean 0.500)"
    )
    assert next_step == f"next: featurestore index few.store {few_shapes} --encoder '{run}/encoder.onnx'"
    *_, bad, helps, written, _ = last_lines(200, 300)
    assert bad == (
        "accuracy 0.500 by k-NN, 0.500 with 5 labels a class, mean 0.500, on 400 images: "
        "the trained encoder is not better than raw pixels (mean 0.625)"
    )
    assert helps.startswith("what would help: a longer training, more images, other views")
    assert (
        written
        == f"{run}/encoder.onnx is raw pixels, because the table ranks it higher; the trained encoder is {run}/own.onnx"
    )
    assert last_lines(203, 200)[-2].endswith(
        "that it is higher than raw pixels (mean 0.500) is not certain; train longer, or measure more images"
    )


def test_an_option_given_twice_is_refused(few_shapes: Path, tmp_path: Path) -> None:
    arguments = [str(few_shapes), "--out", str(tmp_path / "run"), "--epochs", "1", "--set", "epochs=2"]
    result = CliRunner().invoke(commands.train, arguments)
    assert isinstance(result.exception, ConfigError)
    assert "epochs" in str(result.exception)
