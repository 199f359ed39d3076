"""What every kind of source promises; what is special about one stands in the file of its name."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import numpy as np
import pytest

from featurestore.errors import ImageError, SourceError
from featurestore.sources import Failure, ImageFile, containers, find, open_source, read
from tests.featurestore.sources.kinds import KINDS, TIME, Images, Kind
from tests.featurestore.sources.tables import images

FOUR: Images = {
    "test/rose/c.png": b"",
    "test/tulip/größe 図.png": b"third" * 1000,
    "train/rose/a.png": b"first",
    "train/rose/b.png": b"second",
}
OTHER: Images = {
    "test/tulip/größe 図.png": b"shorter",
    "train/rose/a.png": b"longer" * 999,
    "train/tulip/new.png": b"n",
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@pytest.fixture(autouse=True)
def no_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(containers, "TRUSTED_SECONDS", 0.0)
    yield
    fsspec.filesystem("memory").store.clear()


@every_kind
def test_every_image_is_listed_and_read(tmp_path: Path, kind: Kind) -> None:
    source = open_source(place := kind.make(tmp_path, FOUR))
    files = [entry for entry in source if isinstance(entry, ImageFile)]
    assert files == list(source)  # each iteration lists again, with the same result
    assert [read(file.path, file.mtime_ns) for file in files] == list(FOUR.values())
    assert [file.size for file in files] == list(map(len, FOUR.values()))
    assert [file.label for file in files] == [name.split("/")[1] for name in FOUR]
    assert [file.split for file in files] == [name.split("/")[0] for name in FOUR]
    if kind.timed:
        assert {file.mtime_ns for file in files} == {TIME}
    if not kind.numbered:
        assert all(file.path.endswith(name) for file, name in zip(files, FOUR, strict=True))
    assert source.prefix == (kind.prefix and kind.prefix.format(source=place))
    assert source.prefix is None or all(file.path.startswith(source.prefix) for file in files)
    assert source.within_containers == kind.within_containers
    assert not source.passed_over.counts


@every_kind
def test_threads_read_in_any_order(tmp_path: Path, kind: Kind) -> None:
    files, data = images(kind.make(tmp_path, FOUR)), list(FOUR.values())
    order = np.random.default_rng(1).permutation(40) % 4
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda n: read(files[n].path), order)) == [data[n] for n in order]


@every_kind
def test_a_source_that_was_written_again_is_read_as_it_is_now(tmp_path: Path, kind: Kind) -> None:
    before = images(kind.make(tmp_path, FOUR))
    assert [read(file.path) for file in before] == list(FOUR.values())
    for name in FOUR.keys() - OTHER.keys():
        for path in (tmp_path / name, tmp_path / "files" / name):
            path.unlink(missing_ok=True)
        fsspec.filesystem("memory").store.pop(f"/x/{name}", None)
    after = images(kind.make(tmp_path, OTHER))
    assert [read(file.path) for file in after] == list(OTHER.values())
    assert [file.size for file in after] == list(map(len, OTHER.values()))


@every_kind
def test_an_image_that_is_not_there_is_refused(tmp_path: Path, kind: Kind) -> None:
    [file, *_] = images(kind.make(tmp_path, FOUR))
    for path in (f"{file.path}9", file.path.replace("/", "/absent", 1)):
        with pytest.raises(ImageError, match="no such"):
            read(path)


@every_kind
def test_what_is_cut_off_or_gone_is_a_value_or_named(tmp_path: Path, kind: Kind) -> None:
    """Never another error, and nothing behind the damage counts as vanished."""
    place = kind.make(tmp_path, FOUR)
    if not Path(place).is_file() or not kind.within_containers or kind.prefix is None:
        with pytest.raises(SourceError, match="found nothing there"):
            list(find(f"{place}-absent"))
        return
    whole, last_image = Path(place).read_bytes(), images(place)[-1].path
    for tenths in (0, 1, 5, 7):  # the end of some holds no images
        Path(place).write_bytes(whole[: len(whole) * tenths // 10])
        source = open_source(place)
        *_, last = source
        assert isinstance(last, Failure)
        assert (last.path, source.prefix) == (place, None)
        with pytest.raises(ImageError):
            read(last_image)
    Path(place).unlink()
    with pytest.raises(ImageError, match="no such file, or it has vanished"):
        read(last_image)
