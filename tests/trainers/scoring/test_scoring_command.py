"""What the command `score` prints."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from featurestore import FeatureStore
from trainers import cli as commands


@pytest.fixture
def command(store: FeatureStore, byol: Path) -> Callable[..., Any]:
    return lambda *words: CliRunner().invoke(
        commands.score, [str(byol), str(store.path), "--views", "2", "--device", "cpu", *words]
    )


def test_the_command_prints_what_it_wrote(command: Callable[..., Any], store: FeatureStore, photos: Path) -> None:
    (photos / "a.png").unlink()
    result = command()
    assert result.exit_code == 0, result.output
    assert result.stdout == "column ssl_loss: the loss of byol on 8 images, 2 views, seed 0; 1 item without\n"
    printed = json.loads(command("--json", "--seed", "4").stdout)
    assert printed.pop("seconds") >= 0
    assert printed == {"images": 8, "failed": 1, "column": "ssl_loss", "method": "byol", "views": 2, "seed": 4}
    assert json.loads(command("--json", "--missing").stdout)["failed"] == 1
