"""Files beside a store that no attack may change, read or add to."""

from pathlib import Path

SECRET = "canary-5f1c9e"  # stands in every file; no output may contain it
NAMES = ("canary.json", "canary.txt", "canary.csv", "canary.png", "deep/canary.onnx", "deep/canary.f16")


class Canary:
    """A folder with files that hold a secret. `path(name)` is what an attack aims at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in NAMES:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"{SECRET} {name}\n", encoding="utf-8")
        self._before = self._look()

    def path(self, name: str = NAMES[0]) -> Path:
        return self.folder / name

    def check(self, *outputs: str) -> None:
        """Assert that no file was changed, added or removed, and that no output tells what is in one."""
        assert self._look() == self._before
        assert [text for text in outputs if SECRET in text] == []

    def _look(self) -> dict[str, tuple[int, bytes]]:
        """Each file's time and content, and each folder."""
        found = sorted(self.folder.rglob("*"))
        return {
            str(path.relative_to(self.folder)): (path.lstat().st_mtime_ns, path.read_bytes())
            if path.is_file()
            else (0, b"")
            for path in found
        }
