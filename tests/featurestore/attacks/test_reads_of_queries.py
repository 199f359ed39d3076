"""A disk that fails at the nth read of a store, an encoder or an image, while a command only reads: one line, and nothing is changed or left."""

import errno
import shutil
from pathlib import Path

import pytest

from featurestore import FeatureStore
from tests.featurestore.attacks.failing import FailingReads
from tests.featurestore.commands import Run

COMMANDS = (
    "search {store} {image}", "search {store} {image} --html {out}.html", "info {store}", "knn {store}", "lowshot {store} --shots 1 --tries 2",
    "compare {store} {other}", "report {store} --out {out}.html",
)  # fmt: skip


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize("code", [errno.EIO, errno.EMFILE])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_read_that_fails_ends_a_query_in_one_line(
    tmp_path: Path, encoder: Path, colours: Path, run: Run, command: str, code: int
) -> None:
    photos, out = Path(shutil.copytree(colours, tmp_path / "photos")), tmp_path / "out"
    out.mkdir()
    for name in ("my.store", "other.store"):
        FeatureStore.open(tmp_path / name, encoder).index(photos, labels="folders")
    names = {"store": tmp_path / "my.store", "other": tmp_path / "other.store", "out": out / "made"}
    arguments = command.format(**names, image=photos / "mixed" / "cyan.png").split()
    assert run(*arguments)[0] == 0
    for path in out.iterdir():
        path.unlink()
    known = contents(tmp_path)
    nth, ended = 1, 0
    while True:
        with pytest.MonkeyPatch.context() as patch:
            disk = FailingReads(tmp_path, patch, nth, code)
            status, printed, err = run(*arguments)
        made = {path.name for path in out.iterdir()}
        assert status in (0, 1), (nth, err)
        if status == 1:
            ended += 1
            assert (printed, made) == ("", set()), (nth, err)
            last = err.replace("\r", "\n").splitlines()[-1]
            assert last.startswith("featurestore: "), (nth, err)
        assert "Traceback" not in err, nth
        for path in out.iterdir():
            path.unlink()
        assert contents(tmp_path) == known, nth
        if disk.calls < nth:
            break
        nth += 3
    assert ended > 5
