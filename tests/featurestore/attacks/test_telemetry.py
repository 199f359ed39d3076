"""Nothing is told to anybody: onnxruntime would collect figures about models and send them."""

import os
import subprocess
import sys
from pathlib import Path

RUN = "import sys; from featurestore import Encoder; Encoder(sys.argv[1])"


def files_of(code: str, encoder: Path, home: Path) -> list[str]:
    """What a process leaves in its home and its folder for temporary files."""
    home.mkdir()
    around = {name: value for name, value in os.environ.items() if not name.startswith(("CI", "GITHUB", "ORT_"))}
    places = {"HOME": str(home), "TMPDIR": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    subprocess.run([sys.executable, "-c", code, str(encoder)], env={**around, **places}, check=True, timeout=60)
    return [path.name for path in home.rglob("*") if path.is_file()]


def test_running_an_encoder_leaves_no_figures_and_no_number_for_this_machine(tmp_path: Path, encoder: Path) -> None:
    assert files_of(RUN, encoder, tmp_path / "home") == []
