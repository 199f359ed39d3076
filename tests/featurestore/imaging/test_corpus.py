"""Every awkward file is decoded as documented or refused in words; none stops a run, warns or prints."""

import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from featurestore.errors import ImageError
from featurestore.imaging import Loaded, Preprocess, load_all
from featurestore.imaging import decode as images
from featurestore.imaging.load import load
from featurestore.sources import Failure, ImageFile
from tests.featurestore.imaging.corpus import Expected, corpus, write_corpus

ROOT = Path(__file__).parents[3]
CORPUS = {name: (data, expected) for name, data, expected in corpus()}
LEVELS = 24  # a colour may be off by: what JPEG and CMYK lose

# The filters of images.py, which pytest replaces by its own; all other warnings are errors.
pytestmark = pytest.mark.filterwarnings(
    "ignore::PIL.Image.DecompressionBombWarning", r"ignore::UserWarning:PIL\.", "ignore::UserWarning:PIL"
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Expected]]:
    folder = tmp_path_factory.mktemp("corpus")
    return folder, write_corpus(folder)


def in_quadrants(decoded: images.Decoded) -> list[tuple[int, ...]]:
    pixels = np.asarray(decoded.image, np.int16)
    height, width = pixels.shape[:2]
    rows, columns = (height // 4, 3 * height // 4), (width // 4, 3 * width // 4)
    return [tuple(int(value) for value in pixels[row, column]) for row in rows for column in columns]


def outcome(data: bytes) -> images.Decoded | str:
    try:
        return images.decode(data)
    except ImageError as error:
        return str(error)


@pytest.mark.parametrize("name", CORPUS)
def test_an_awkward_file_is_decoded_as_documented_or_refused_in_words(name: str) -> None:
    data, expected = CORPUS[name]
    began = time.process_time()
    found = outcome(data)
    assert time.process_time() - began < 2
    if isinstance(found, str):
        assert re.search(expected.reason or "no failure", found)
        assert found.isprintable()
        return
    assert found.image.mode == "RGB"
    assert found.image.size == (found.width, found.height) == expected.size
    if expected.colours is not None:
        assert np.abs(np.subtract(in_quadrants(found), expected.colours)).max() <= LEVELS


def test_the_corpus_is_large_and_the_same_every_time() -> None:
    assert len(CORPUS) >= 200
    assert [(name, data) for name, data, _ in corpus()] == [(name, data) for name, (data, _) in CORPUS.items()]


@pytest.mark.parametrize("record", [Preprocess(32, 36), Preprocess(16, 16, "stretch", "bilinear")])
def test_the_pipeline_gives_one_result_for_each_file_in_order(
    written: tuple[Path, dict[str, Expected]], record: Preprocess
) -> None:
    folder, expected = written
    files = [ImageFile(str(folder / name), None, None, 0, 0) for name in expected]
    results = list(load_all(((file, None) for file in files), record, workers=2))
    assert [result.path for result in results] == [file.path for file in files]
    for result, wanted in zip(results, expected.values(), strict=True):
        match result:
            case Failure(_, reason):
                assert re.search(wanted.reason or "no failure", reason)
            case Loaded():
                assert (result.width, result.height) == wanted.size
                assert result.pixels.shape == (record.size, record.size, 3)
                assert result.pixels.dtype == np.uint8
            case _:
                pytest.fail(f"{result}")


def test_a_square_of_a_turned_picture_is_upright(written: tuple[Path, dict[str, Expected]]) -> None:
    folder, everything = written
    expected = {name: wanted for name, wanted in everything.items() if name.startswith("direction-")}
    for name, wanted in expected.items():
        file = ImageFile(str(folder / name), None, None, 0, 0)
        found = load(file, Preprocess(8, 8, "stretch", "bilinear"))
        assert isinstance(found, Loaded)
        corners = [found.pixels[y, x] for y in (1, 6) for x in (1, 6)]
        assert np.abs(np.subtract(corners, wanted.colours or ())).max() <= LEVELS, name
    assert len(expected) > 30


def test_nothing_is_printed_and_no_warning_escapes(written: tuple[Path, dict[str, Expected]]) -> None:
    """In a process of its own, where a warning is an error and the libraries of C are heard as well."""
    folder, expected = written
    code = """
import sys
from pathlib import Path
from featurestore.imaging import Preprocess, load_all
from featurestore.sources import Failure, ImageFile
files = [(ImageFile(str(path), None, None, 0, 0), None) for path in sorted(Path(sys.argv[1]).iterdir())]
results = list(load_all(files, Preprocess(32, 32)))
assert not [r for r in results if isinstance(r, Failure) and "Warning" in r.reason]
print(len(results))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(folder)], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, f"{len(expected)}\n"), done.stderr
    # libtiff itself prints on damaged TIFFs, under the name that Pillow gives it, and cannot be told not to.
    assert [line for line in done.stderr.splitlines() if not line.startswith("tempfile.tif: ")] == []
