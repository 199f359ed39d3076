"""The report as Markdown and JSON, the files it is written to, the command, and the curves of a run."""

import json
import re
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from featurestore import FeatureStore
from featurestore.errors import ConfigError, DiskError
from featurestore.report import sections
from featurestore.report.report import Report
from tests.featurestore.commands import Run, answer
from tests.featurestore.report.conftest import report, written


def test_markdown_has_the_tables_of_the_page(made: Report, tmp_path: Path) -> None:
    found = made.save(tmp_path / "report.md").read_text(encoding="utf-8").splitlines()
    assert made.figures.knn is not None
    first = made.figures.knn.results[0]
    low, high = (f"{100 * end:.1f}" for end in first.top1_ci95)
    assert f"| 10 | 0.07 | {100 * first.top1:.1f} | {low}\u2013{high} | 100.0 |" in found
    assert "| warm | leaf | 1 of 4 | 25.0 |" in found
    assert [line for line in found if line.startswith("## ")][:2] == [
        "## Weakest and strongest classes",
        "## Which classes are confused",
    ]
    assert "<" not in "".join(found).replace("\\<", "")
    assert sum(bool(re.fullmatch(r"\|( ---:? \|)+", line)) for line in found) >= 8  # tables


def test_json_has_all_figures_under_the_documented_keys(labelled: FeatureStore, made: Report, tmp_path: Path) -> None:
    found = json.loads(made.save(tmp_path / "report.json").read_text(encoding="utf-8"))
    page = (Path(__file__).parents[3] / "docs" / "reference" / "json.md").read_text()
    documented = re.findall(r"^\| `(\w+)` \|", page.partition("\n## report\n")[2], re.MULTILINE)
    assert list(found) == documented
    assert found["knn"] == json.loads(json.dumps(labelled.knn().to_json()))
    assert len(found["map"]["points"]) == 30
    assert set(found["map"]["points"][0]) == {"id", "label", "x", "y"}
    assert set(found["neighbours"][0]) == {"query", "neighbours"}
    assert found["training"] is None


def test_a_report_is_written_completely_or_not_at_all(
    made: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "report.html"
    file.write_text("yesterday's")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("featurestore.system.disk.os.fsync", full)
    with pytest.raises(DiskError, match=r"report\.html could not be written \(No space left on device\)"):
        made.save(file)
    assert file.read_text() == "yesterday's"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_suffix_without_a_format_is_refused(made: Report, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"report '.*report\.pdf': expected a file name that ends in \.html, \.md or \.json"
    ):
        made.save(tmp_path / "report.pdf")
    assert made.save(tmp_path / "report.txt", "md").read_text().startswith("# colours of 2026")


def test_templates_are_installed_with_the_code() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert {"rendering/templates/*", "report/templates/*"} <= set(
        project["tool"]["setuptools"]["package-data"]["featurestore"]
    )


def test_the_command_writes_and_reports_what_is_missing(run: Run, labelled_path: Path, tmp_path: Path) -> None:
    status, out, err = run("report", labelled_path, "--out", tmp_path / "report.md", "--map", "pca")
    assert (status, err) == (0, "")
    assert re.fullmatch(r"report of 30 images written to .*report\.md, 0\.0 MB\n", out)
    found = answer(
        run,
        "report",
        labelled_path,
        "--out",
        tmp_path / "report.html",
        "--format",
        "json",
        "--seed",
        "2",
        "--map",
        "pca",
    )
    assert json.loads((tmp_path / "report.html").read_text())["seed"] == 2
    assert found == {
        "file": str(tmp_path / "report.html"), "bytes": (tmp_path / "report.html").stat().st_size, "missing": {},
    }  # fmt: skip


def test_the_command_names_what_is_wrong(run: Run, labelled_path: Path, tmp_path: Path) -> None:
    status, _, err = run("report", labelled_path, "--out", tmp_path / "report.html", "--run", tmp_path)
    assert status == 1
    assert "expected the folder of a training run" in err
    assert not (tmp_path / "report.html").exists()
    status, _, err = run("report", labelled_path, "--out", tmp_path / "absent" / "report.html", "--map", "pca")
    assert (status, "expected a name such as report.html in an existing folder" in err) == (1, True)


def run_folder(folder: Path, lines: list[dict[str, Any]]) -> Path:
    folder.mkdir()
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_the_curves_of_a_run_are_shown(
    labelled: FeatureStore, tmp_path: Path, encoder: Path, other_encoder: Path
) -> None:
    lines = [{"epoch": n, "loss": 5 / n, "lr": 0.1, "rankme": None if n == 1 else 3.0 * n} for n in (1, 2, 3)]
    lines[0]["knn_top1"], lines[2]["knn_top1"] = 0.3, 0.55
    folder = run_folder(tmp_path / "run<1>", lines)
    shutil.copy(encoder, folder / "encoder.onnx")
    found = written(labelled, tmp_path / "report.html", run=folder)
    assert re.findall(r'<section id="([^"]*)"', found)[-2:] == ["training", "made"]
    assert found.count('<svg class="chart"') == 2 + 4
    assert "run&lt;1&gt;" in found
    assert "not the file that made" not in found
    shutil.copy(other_encoder, folder / "encoder.onnx")
    text = written(labelled, tmp_path / "report.md", run=folder)
    assert "| 2 | 2.5 | 0.1 | \u2013 | 6 |" in text
    assert "Its k-NN monitor went from 30.0 % in epoch 1 to 55.0 % in epoch 3." in text
    assert "not the file that made these vectors" in text


def test_a_folder_that_is_not_a_run_is_named(labelled: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for content in ("", "no json", '{"loss": 1}', "[1]", "\xff"):
        (tmp_path / "run" / "metrics.jsonl").write_bytes(content.encode("latin-1"))
        with pytest.raises(ConfigError, match=r"expected .*metrics\.jsonl"):
            report(labelled, run=tmp_path / "run")


def test_the_weights_that_a_training_started_from_are_named(made: Report) -> None:
    def origin(**trained_on: Any) -> str:
        section = sections.made(replace(made.figures, encoder={**made.figures.encoder, "trained_on": trained_on}))
        [cell] = re.findall(r"'trained on', '([^']*)'", str(section))
        return str(cell)

    assert origin(count=24, weights="w.pth") == "24 images, from w.pth"
    assert [origin(count=0, weights="w.pth"), origin(count=24), origin(count=0)] == ["w.pth", "24 images", "unknown"]
