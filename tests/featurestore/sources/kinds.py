"""The same four images as a source of every kind."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import fsspec
import pyarrow as pa

from tests.featurestore.sources.tables import FORMS, Write, hugging_face, save_dataset, write_parquet
from tests.featurestore.sources.tars import write_tar

Images = dict[str, bytes]  # by name, each train|test/<class>/<file>, sorted
Make = Callable[[Path, Images], str]
TIME = 7_000_000_001  # mtime_ns of all files


@dataclass(frozen=True)
class Kind:
    """A kind of source: how to make one, and what its contract promises."""

    make: Make
    prefix: str | None = "{source}::"  # of all paths, "{source}" stands for the source
    within_containers: bool = True
    numbered: bool = False  # images are named by their row
    timed: bool = True  # whether it tells the file's own time


def rows(images: Images) -> pa.Table:
    """A row for each image, with columns for label and split."""
    parts = [name.split("/") for name in images]
    return hugging_face(
        list(images.values()), label=[label for _, label, _ in parts], split=[split for split, _, _ in parts]
    )


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


def in_table(write: Write) -> Make:
    return lambda folder, images: timed(write(folder, rows(images)))


def in_dataset(folder: Path, images: Images) -> str:
    save_dataset(folder / "set", rows(images).slice(0, 1), rows(images).slice(1))
    for path in (folder / "set").glob("*.arrow"):
        timed(path)
    return str(folder / "set")


def in_table_of_paths(folder: Path, images: Images) -> str:
    in_folder(folder / "files", images)
    paths = pa.array([f"files/{name}" for name in images])
    return str(write_parquet(folder, rows(images).set_column(0, "path", paths)))


def behind_url(make: Make) -> Make:
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
    "list": Kind(in_list, None, within_containers=False),
    "tar": Kind(in_tar),
    **{form: Kind(in_table(write), numbered=True) for form, write in FORMS.items()},
    "dataset": Kind(in_dataset, "{source}/", numbered=True),
    "table of paths": Kind(in_table_of_paths, None),
    "remote folder": Kind(behind_url(in_folder), "{source}/", within_containers=False, timed=False),
    "remote tar": Kind(behind_url(in_tar), timed=False),
    "remote parquet": Kind(behind_url(in_table(FORMS["parquet"])), numbered=True, timed=False),
    "remote arrow": Kind(behind_url(in_table(FORMS["arrow stream"])), numbered=True, timed=False),
}
