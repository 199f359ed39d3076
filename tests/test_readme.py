"""What the README shows is run as it stands, on a small folder of drawn shapes; only the training is shortened, or in fast runs left out."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from featurestore.cli import cli
from tests.trainers.methods import shapes

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TRAINED = ROOT / "tests" / "featurestore" / "golden" / "encoder.onnx"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shapes.write(tmp_path / "photos", train=8, test=3)
    (tmp_path / "photos" / "train" / "cross").rename(tmp_path / "photos" / "train" / "rose")
    (tmp_path / "photos" / "test" / "cross").rename(tmp_path / "photos" / "test" / "rose")
    query = tmp_path / "photos" / "test" / "rose" / "000.png"
    (tmp_path / "query.jpg").write_bytes(query.read_bytes())
    (tmp_path / "labels.csv").write_text(f"path,label\n{query.relative_to(tmp_path)},rose\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("trains", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_every_command_and_the_python_lines_run(
    workplace: Path, capsys: pytest.CaptureFixture[str], trains: bool
) -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("featurestore ")]
    assert len(lines) >= 9
    assert [line.split()[1] for line in lines].count("train") == 1
    if not trains:
        (workplace / "run").mkdir()
        shutil.copy(TRAINED, workplace / "run" / "encoder.onnx")
        lines = [line.replace(" --run run", "") for line in lines if line.split()[1] != "train"]
    for line in lines:
        arguments = shlex.split(line.replace("--minutes 30", "--epochs 1"))[1:]
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 0, (line, result.output, result.exception)
    assert (workplace / "hits.png").exists()
    assert (workplace / "run" / "encoder.onnx").exists()
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})  # the page's own lines
    assert "KnnResult(k=5" in capsys.readouterr().out


def test_every_make_target_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)", README))
    assert named
    assert named <= targets


def test_the_readme_is_short_and_has_one_picture() -> None:
    assert len(README.splitlines()) <= 90
    [picture] = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert (ROOT / picture).exists()
