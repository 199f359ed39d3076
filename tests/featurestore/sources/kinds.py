"""The same four images as a source of every kind."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import fsspec
import pyarrow as pa

from tests.featurestore.sources.tables import hugging_face, save_dataset, write_arrow, write_arrow_file, write_parquet
from tests.featurestore.sources.tars import write_tar

Images = dict[str, bytes]  # by name, each train|test/<class>/<file>, sorted
TIME = 7_000_000_001  # mtime_ns of all files


@dataclass(frozen=True)
class Kind:
    """A kind of source: how to make one, and what its contract promises."""

    make: Callable[[Path, Images], str]
    prefix: str | None = "{source}::"  # of all paths, "{source}" stands for the source
    within_containers: bool = True
    splits: bool = True  # whether it tells splits
    numbered: bool = False  # images are named by their row
    timed: bool = True  # whether it tells the file's own time


def labels(images: Images) -> dict[str, list[str]]:
    """Columns for labels and splits."""
    parts = [name.split("/") for name in images]
    return {"label": [label for _, label, _ in parts], "split": [split for split, _, _ in parts]}


def in_folder(folder: Path, images: Images) -> str:
    for name, data in images.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        os.utime(folder / name, ns=(5, TIME))
    return str(folder)


def in_list(folder: Path, images: Images) -> str:
    in_folder(folder / "files", images)
    (folder / "list.txt").write_text("\n".join(f"files/{name}" for name in images))
    return str(folder / "list.txt")


def in_tar(folder: Path, images: Images) -> str:
    return timed(write_tar(folder / "shard.tar", images.items()))


def in_parquet(folder: Path, images: Images) -> str:
    return timed(write_parquet(folder, hugging_face(list(images.values()), **labels(images))))


def in_arrow_stream(folder: Path, images: Images) -> str:
    return timed(write_arrow(folder, hugging_face(list(images.values()), **labels(images))))


def in_arrow_file(folder: Path, images: Images) -> str:
    return timed(write_arrow_file(folder, hugging_face(list(images.values()), **labels(images))))


def in_dataset(folder: Path, images: Images) -> str:
    rows = hugging_face(list(images.values()), **labels(images))
    save_dataset(folder / "set", rows.slice(0, 1), rows.slice(1))
    for path in (folder / "set").glob("*.arrow"):
        timed(path)
    return str(folder / "set")


def in_table_of_paths(folder: Path, images: Images) -> str:
    in_folder(folder / "files", images)
    return str(write_parquet(folder, pa.table({"path": [f"files/{name}" for name in images], **labels(images)})))


def behind_url(make: Callable[[Path, Images], str]) -> Callable[[Path, Images], str]:
    """The same in fsspec's file system in memory."""

    def made(folder: Path, images: Images) -> str:
        local = Path(make(folder, images))
        files = fsspec.filesystem("memory")
        if local.is_file():
            files.pipe_file(f"/x/{local.name}", local.read_bytes())
            return f"memory://x/{local.name}"
        for name, data in images.items():
            files.pipe_file(f"/x/{name}", data)
        return "memory://x"

    return made


def timed(path: Path) -> str:
    os.utime(path, ns=(5, TIME))
    return str(path)


KINDS = {
    "folder": Kind(in_folder, "{source}/", within_containers=False),
    "list": Kind(in_list, None, within_containers=False, splits=False),
    "tar": Kind(in_tar),
    "parquet": Kind(in_parquet, numbered=True),
    "arrow stream": Kind(in_arrow_stream, numbered=True),
    "arrow file": Kind(in_arrow_file, numbered=True),
    "dataset": Kind(in_dataset, "{source}/", numbered=True),
    "table of paths": Kind(in_table_of_paths, None),
    "remote folder": Kind(behind_url(in_folder), "{source}/", within_containers=False, timed=False),
    "remote tar": Kind(behind_url(in_tar), timed=False),
    "remote parquet": Kind(behind_url(in_parquet), numbered=True, timed=False),
    "remote arrow": Kind(behind_url(in_arrow_stream), numbered=True, timed=False),
}
