"""Every awkward file is decoded as documented or refused in words; none stops a run, warns or prints."""

import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from featurestore.errors import ImageError
from featurestore.imaging import Loaded, Preprocess, load_all
from featurestore.imaging import decode as images
from featurestore.imaging.quality import measure
from featurestore.sources import Failure, ImageFile
from tests.featurestore.imaging.corpus import Expected, corpus

ROOT = Path(__file__).parents[3]
CORPUS = {name: (data, expected) for name, data, expected in corpus()}
LEVELS = 8  # a colour may be off by: what JPEG and WebP lose

# The filters of images.py, which pytest replaces by its own; all other warnings are errors.
pytestmark = pytest.mark.filterwarnings(
    "ignore::PIL.Image.DecompressionBombWarning", r"ignore::UserWarning:PIL\.", "ignore::UserWarning:PIL"
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    for name, (data, _) in CORPUS.items():
        (folder / name).write_bytes(data)
    return folder


def check_colours(pixels: NDArray[np.uint8], expected: Expected) -> None:
    """Compare one place in each quadrant."""
    if expected.colours is not None:
        height, width = pixels.shape[:2]
        found = pixels[[[height // 8], [7 * height // 8]], [width // 8, 7 * width // 8]].reshape(4, 3)
        assert np.abs(np.subtract(found, expected.colours, dtype=np.int16)).max() <= LEVELS


@pytest.mark.parametrize("name", CORPUS)
def test_an_awkward_file_is_decoded_as_documented_or_refused_in_words(name: str) -> None:
    data, expected = CORPUS[name]
    began = time.process_time()
    found: images.Decoded | str
    try:
        found = images.decode(data)
    except ImageError as error:
        found = str(error)
    assert time.process_time() - began < 2
    if isinstance(found, str):
        assert re.search(expected.reason or "no failure", found)
        assert found.isprintable()
        return
    assert found.image.mode == "RGB"
    assert found.image.size == (found.width, found.height) == expected.size
    check_colours(np.asarray(found.image), expected)


@pytest.mark.parametrize("record", [Preprocess(32, 36), Preprocess(16, 16, "stretch", "bilinear")])
def test_the_pipeline_gives_one_result_for_each_file_in_order(written: Path, record: Preprocess) -> None:
    """Stretched, the whole picture is seen, and is upright."""
    files = [ImageFile(str(written / name), None, None, 0, 0) for name in CORPUS]
    results = list(load_all(((file, None) for file in files), record, workers=2, with_small=True))
    assert [result.path for result in results] == [file.path for file in files]
    for result, (_, wanted) in zip(results, CORPUS.values(), strict=True):
        match result:
            case Failure(_, reason):
                assert re.search(wanted.reason or "no failure", reason)
            case Loaded():
                assert (result.width, result.height) == wanted.size
                assert result.pixels.shape == (record.size, record.size, 3)
                assert result.pixels.dtype == np.uint8
                assert result.small is not None or max(wanted.size) > 16
                values = () if result.small is None else measure([result.small])[0]
                assert all(0 <= value <= 1 for value in values)
                if record.resize == "stretch":
                    check_colours(result.pixels, wanted)
            case _:
                pytest.fail(f"{result}")


def test_nothing_is_printed_and_no_warning_escapes(written: Path) -> None:
    """In a process of its own, where a warning is an error and the libraries of C are heard as well."""
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
        [sys.executable, "-W", "error", "-c", code, str(written)], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, f"{len(CORPUS)}\n"), done.stderr
    # libtiff itself prints on damaged TIFFs, under the name that Pillow gives it, and cannot be told not to.
    assert [line for line in done.stderr.splitlines() if not line.startswith("tempfile.tif: ")] == []
