"""Files that commands write into a folder where strangers leave links: at the final name, and at names that it could have before."""

from collections.abc import Callable
from pathlib import Path

import pytest

from featurestore import FeatureStore
from featurestore.estimators import whitening
from tests.featurestore.attacks.canary import Canary
from tests.featurestore.commands import Run

WRITTEN = {
    "search --html": ("hits.html", ("search", "{store}", "id:1", "--html", "{out}")),
    "search --sheet": ("hits.png", ("search", "{store}", "id:1", "--sheet", "{out}")),
    "report": ("report.html", ("report", "{store}", "--out", "{out}")),
    "report of figures": ("report.json", ("report", "{store}", "--out", "{out}")),
    "neighbours": ("graph.parquet", ("neighbours", "{store}", "--out", "{out}")),
    "export-vectors": ("vectors.parquet", ("export-vectors", "{store}", "{out}")),
    "whiten": ("white.onnx", ("whiten", "{store}", "--out", "{out}")),
    "classify --export": ("kind.onnx", ("classify", "{store}", "--export", "{out}", "--name", "kind")),
}
SLOW = ("report", "report of figures", "classify --export")
PYTHON: dict[str, tuple[str, Callable[[FeatureStore, Path], object]]] = {
    "page": ("hits.html", lambda store, out: store.search(1).html(out)),
    "sheet": ("hits.png", lambda store, out: store.search(1).sheet(out)),
    "graph": ("graph.parquet", lambda store, out: store.neighbours(2).save(out)),
    "export_vectors": ("vectors.parquet", lambda store, out: store.export_vectors(out)),
}


def leave_links(out: Path, canary: Canary) -> None:
    """Leave links to the canary where older versions wrote, and where new ones will give the name."""
    out.parent.mkdir()
    for name in (
        out.name,
        f"{out.name}.part",
        f".{out.name}.part{out.suffix}",
        f"{out.name}.part.wal",
        f"{out.name}.tmp",
    ):
        out.with_name(name).symlink_to(canary.path())


def check(out: Path, canary: Canary) -> None:
    canary.check()
    assert out.is_file()
    assert not out.is_symlink()
    assert out.stat().st_size > 0
    assert sum(not path.is_symlink() for path in out.parent.iterdir()) == 1


@pytest.mark.parametrize(
    "command", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in WRITTEN]
)
def test_commands_replace_links_and_follow_none(
    run: Run, store_path: Path, tmp_path: Path, canary: Canary, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whitening, "LEAST", 2)  # for a store of six images
    name, words = WRITTEN[command]
    out = tmp_path / "shared" / name
    leave_links(out, canary)
    if command == "classify --export":
        assert run("classify", store_path, "--train", "--name", "kind", "--method", "ridge")[0] == 0
    status, _, err = run(*(word.format(store=store_path, out=out) for word in words))
    assert (status, "Traceback" in err) == (0, False)
    check(out, canary)


@pytest.mark.parametrize("call", PYTHON)
def test_python_replaces_links_and_follows_none(
    shared: FeatureStore, tmp_path: Path, canary: Canary, call: str
) -> None:
    name, write = PYTHON[call]
    out = tmp_path / "shared" / name
    leave_links(out, canary)
    write(shared, out)
    check(out, canary)
