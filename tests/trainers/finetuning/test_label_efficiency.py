"""The table of the field: its figures, its two forms, and going on after an interruption."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import trainers.finetuning.label_efficiency
from featurestore.errors import ConfigError, EvaluationError, Interrupted
from tests.trainers.finetuning.finetuned import write_colours, write_run
from trainers import cli as commands
from trainers.finetuning.finished_cells import FinishedCells
from trainers.finetuning.label_efficiency import RunMeasure, field
from trainers.finetuning.table import EfficiencyTable, Row, Setting


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_colours(tmp_path / "colours", train=12, test=4)


@pytest.mark.slow
def test_one_command_measures_runs_by_share_four_ways(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainers.finetuning.label_efficiency, "GRID", 2)  # values of C, for speed
    runs = [write_run(tmp_path / name, "simclr", seed) for seed, name in enumerate(("one", "other"))]
    out = tmp_path / "table.md"
    words = [str(source), "--out", str(out), *(w for run in runs for w in ("--run", str(run)))]
    words += ["--fraction", "1", "--fraction", "0.5", "--seeds", "1", "--epochs", "1", "--device", "cpu"]
    done = CliRunner().invoke(commands.field, [*words, "--json"], catch_exceptions=False)
    found = json.loads(done.stdout)
    assert [(row["run"], row["fraction"], row["n_train"]) for row in found["results"]] == [
        ("one", 0.5, 12), ("one", 1.0, 24), ("other", 0.5, 12), ("other", 1.0, 24),
    ]  # fmt: skip
    for row in found["results"]:
        for how in ("finetuned", "linear", "knn", "scratch"):
            assert row[how]["top1"] == [row[how]["top1_mean"]]
        assert row["linear"]["top1_mean"] > 0.8  # colours are plain to see, even for random weights
    assert (found["protocol"], found["n_test"], found["split"], found["k"]) == ("field", 8, "train->test", 20)
    first, second = found["results"][0], found["results"][2]
    assert first["scratch"] == second["scratch"]  # one network, one training
    cells = [json.loads(line) for line in (tmp_path / "table.md.cells.jsonl").read_text().splitlines() if line]
    assert sum(cell["key"]["how"] == "scratch" for cell in cells) == 2
    assert "| simclr, conv4 | 50 % (12) |" in out.read_text()

    again = CliRunner().invoke(commands.field, words, catch_exceptions=False)
    assert again.stdout.rstrip("\n") == out.read_text().rstrip("\n")


def test_an_interruption_loses_one_figure_only(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, presses = write_run(tmp_path / "run"), [2]  # Ctrl-C after so many figures
    measured: list[tuple[str, int]] = []

    def measure(self: RunMeasure, how: str, drawn: Any, seed: int) -> float:
        if len(measured) in presses:
            presses.clear()
            raise KeyboardInterrupt
        measured.append((how, seed))
        return 0.5

    monkeypatch.setattr(RunMeasure, "_measure", measure)
    with pytest.raises(Interrupted, match=r"saved in .*table\.json\.cells\.jsonl"):
        field(source, [run], tmp_path / "table.json", fractions=[1.0], seeds=1)
    assert not (tmp_path / "table.json").exists()
    table = field(source, [run], tmp_path / "table.json", fractions=[1.0], seeds=1)
    assert measured == [("finetuned", 0), ("linear", 0), ("knn", 0), ("scratch", 0)]
    assert json.loads((tmp_path / "table.json").read_text()) == table.to_json()


def test_other_settings_are_other_figures(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path / "run")
    measured: list[str] = []

    def measure(self: RunMeasure, how: str, drawn: Any, seed: int) -> float:
        measured.append(how)
        return 0.5

    monkeypatch.setattr(RunMeasure, "_measure", measure)
    for epochs in (1, 1, 2):
        field(source, [run], tmp_path / "t.md", fractions=[1.0], seeds=1, epochs=epochs)
    assert measured == ["finetuned", "linear", "knn", "scratch", "finetuned", "scratch"]
    (source / "train" / "warm" / "00.png").unlink()
    field(source, [run], tmp_path / "t.md", fractions=[1.0], seeds=1, epochs=1)
    assert len(measured) == 10


def test_a_line_that_was_cut_off_is_measured_again_and_harms_no_other(tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"
    FinishedCells(path).get({"a": 1}, lambda: 0.25)
    path.write_text(path.read_text() + '\n{"key": {"a": 2}, "to')
    cells = FinishedCells(path)
    assert cells.get({"a": 1}, lambda: 9.0) == 0.25
    assert cells.get({"a": 2}, lambda: 0.75) == 0.75
    assert FinishedCells(path).get({"a": 2}, lambda: 9.0) == 0.75


def test_the_table_says_means_with_half_widths() -> None:
    """Of 0.5 and 0.7: mean 0.6, t of one degree of freedom 12.706, standard error 0.1."""
    columns = {"finetuned": [0.5, 0.7], "linear": [0.5, 0.5], "knn": [0.4, 0.4], "scratch": [0.3, 0.3]}
    row = Row("run", "simclr", "conv4", 0.01, 500, columns)
    text = EfficiencyTable([row], Setting("folders", "mlp", None, 5.0), "train->test", 10_000, 10, 2).to_markdown()
    assert "| simclr, conv4 | 1 % (500) | 0.600 ± 1.271 | 0.500 ± 0.000 | 0.400 ± 0.000 | 0.300 ± 0.000 |" in text
    for piece in ("mean of 2 seeds", "10,000 test images of 10 classes", "k = 20", "T = 0.07", "5 minutes"):
        assert piece in text


def test_one_seed_has_no_interval() -> None:
    columns: dict[str, list[float]] = {how: [0.5] for how in ("finetuned", "linear", "knn", "scratch")}
    table = EfficiencyTable(
        [Row("run", "simclr", "conv4", 1.0, 9, columns)], Setting("folders", "mlp", 2, None), "train->test", 9, 3, 1
    )
    assert "±" not in table.to_markdown()
    assert table.to_json()["results"][0]["knn"]["top1_ci95"] is None


def test_bad_input_is_refused_before_anything_is_measured(source: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"\.md or \.json"):
        field(source, [run], tmp_path / "table.csv")
    with pytest.raises(ConfigError, match="fraction 2"):
        field(source, [run], tmp_path / "table.md", fractions=[2.0])
    with pytest.raises(ConfigError, match="at least one run"):
        field(source, [], tmp_path / "table.md")
    with pytest.raises(EvaluationError, match="at least two classes, found 'warm'"):
        field(source / "train" / "warm", [run], tmp_path / "table.md")
