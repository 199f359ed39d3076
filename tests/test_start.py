"""Starting is quick: what a command does not need is not loaded."""

import ast
import subprocess
import sys

import pytest

LOADED = """
import sys
def show():
    rooms = {name.split(".")[1] for name in sys.modules if name.startswith("featurestore.")}
    heavy = {name for name in ("torch", "timm", "lightning_fabric", "sklearn", "matplotlib") if name in sys.modules}
    print("\\n", (rooms, heavy))
import featurestore
show()
import featurestore.cli
show()
for command in ("search", "train"):
    featurestore.cli.cli.main([command, "--help"], standalone_mode=False)
    show()
"""


def test_a_command_loads_only_the_rooms_that_it_needs_and_help_loads_no_torch() -> None:
    ended = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    shown = [ast.literal_eval(line.strip()) for line in ended.stdout.splitlines() if line.startswith(" ({")]
    package, command_line, (search, _), (_, heavy) = shown
    assert package == ({"errors", "version"}, set())
    assert command_line == ({"cli", "errors", "system", "version"}, set())
    assert "search" in search
    assert search & {"classification", "evaluation", "ingest", "maintenance", "metadata", "report", "store"} == set()
    assert heavy == set()


def test_public_names_are_imported_at_first_use() -> None:
    import featurestore

    assert set(featurestore.__all__) <= set(dir(featurestore))
    for name in featurestore.__all__:
        assert getattr(featurestore, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = featurestore.nothing
