"""Starting is quick: what a command does not need is not loaded."""

import ast
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


def loaded_rooms(program: str) -> set[str]:
    show = "import sys; print({name.split('.')[1] for name in sys.modules if name.startswith('featurestore.')})"
    ended = subprocess.run([sys.executable, "-c", f"{program}\n{show}"], capture_output=True, text=True, check=True)
    return set(ast.literal_eval(ended.stdout.splitlines()[-1]))


def test_a_command_loads_only_the_rooms_that_it_needs() -> None:
    assert loaded_rooms("import featurestore") == {"errors", "version"}
    assert loaded_rooms("import featurestore.cli") == {"cli", "errors", "version"}
    search = loaded_rooms("from featurestore.cli import cli; cli.main(['search', '--help'], standalone_mode=False)")
    assert "search" in search
    assert search & {"classification", "evaluation", "ingest", "maintenance", "metadata", "report", "store"} == set()


def test_public_names_are_imported_at_first_use() -> None:
    import featurestore

    assert set(featurestore.__all__) <= set(dir(featurestore))
    for name in featurestore.__all__:
        assert getattr(featurestore, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = featurestore.nothing
