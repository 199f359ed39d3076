"""Starting is quick: what a command does not need is not loaded."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["search", "--help"]])
def test_help_loads_no_torch(arguments: list[str]) -> None:
    program = f"""
import sys
from featurestore.cli import cli
try:
    cli.main({arguments!r}, standalone_mode=False)
finally:
    heavy = sorted(name for name in ("torch", "timm", "lightning_fabric", "sklearn", "matplotlib") if name in sys.modules)
    print("loaded:", heavy)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "loaded: []" in ended.stdout
