"""Images that are made to take time or memory, on every road that decodes: each ends in time, and spoils nothing else."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from featurestore import FeatureStore
from featurestore.errors import ImageError
from featurestore.imaging import Preprocess, guarded, single
from featurestore.sources import Failure, filesystem
from featurestore.sources.local_files import FileState
from tests.featurestore.attacks.canary import Canary
from tests.featurestore.attacks.image_attacks import LARGE, SMALL
from tests.featurestore.attacks.images import jpeg_of_scans
from tests.featurestore.commands import Run
from tests.featurestore.fakes import paint

ROOT = Path(__file__).parents[3]
LATE = "took longer than 0.3 s to decode"


@pytest.fixture
def slow_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An image that takes seconds, where images have 0.3 s."""
    monkeypatch.setattr(guarded, "SECONDS", 0.3)
    path = tmp_path / "slow.jpg"
    path.write_bytes(jpeg_of_scans(4000, 1200))
    return path


def use_for_item(store: Path, image: Path) -> None:
    """Put an image in the place of the file of an item."""
    source = store.parent / "items"
    for name, colour in (("a", (255, 0, 0)), ("b", (0, 255, 0))):
        paint(source / f"{name}.png", colour)
    FeatureStore.open(store).index(source)
    (source / "a.png").write_bytes(image.read_bytes())


# -- roads


def test_a_search_by_an_image_ends(run: Run, store_path: Path, slow_image: Path, canary: Canary) -> None:
    status, out, err = run("search", store_path, slow_image)
    assert (status, out) == (1, "")
    assert err.strip().endswith(f"expected an image file; {LATE}")
    canary.check(out, err)


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--html", "--sheet"])
def test_pictures_of_hits_say_what_is_missing(
    run: Run, store_path: Path, slow_image: Path, tmp_path: Path, option: str
) -> None:
    use_for_item(store_path, slow_image)
    target = tmp_path / ("hits.html" if option == "--html" else "hits.png")
    status, _, err = run("search", store_path, "--id", "1", option, target)
    assert status == 0, err
    assert target.stat().st_size > 0
    if option == "--html":
        page = target.read_text()
        assert LATE in page
        assert page.count("data:image") >= 2  # the others are shown


@pytest.mark.slow
def test_the_report_is_made_without_it(run: Run, store_path: Path, slow_image: Path, tmp_path: Path) -> None:
    use_for_item(store_path, slow_image)
    status, _, err = run("report", store_path, "--out", tmp_path / "report.html")
    assert status == 0, err
    assert (tmp_path / "report.html").stat().st_size > 0


@pytest.mark.slow
def test_a_classification_of_an_image_ends(run: Run, store_path: Path, slow_image: Path, tmp_path: Path) -> None:
    classifier = tmp_path / "warmth.onnx"
    status, _, err = run("classify", store_path, "--train", "--name", "warmth")
    assert status == 0, err
    status, _, err = run("classify", store_path, "--export", classifier, "--name", "warmth")
    assert status == 0, err
    status, out, err = run("classify", classifier, slow_image)
    assert status == 1
    assert LATE in out + err


@pytest.mark.slow
@pytest.mark.parametrize(
    "use",
    [
        lambda store, path: store.search(path),
        lambda store, path: store.search(Path(path)),
        lambda store, path: single.thumbnail(path, 64),
        lambda store, path: (_ for _ in ()).throw(ImageError(_reason(single.load_one(path, Preprocess(8, 8))))),
    ],
)
def test_every_function_of_python_ends(
    store_path: Path, slow_image: Path, use: Callable[[FeatureStore, str], object]
) -> None:
    with pytest.raises(ImageError, match=LATE):
        use(FeatureStore.open(store_path), str(slow_image))


def _reason(found: object) -> str:
    assert isinstance(found, Failure)
    return found.reason


# -- files that are too large


def test_a_file_that_is_too_large_is_not_read(run: Run, tmp_path: Path, encoder: Path) -> None:
    """A sparse file, which takes no room on the disk."""
    paint(tmp_path / "source" / "good.png", (255, 0, 0))
    with (tmp_path / "source" / "sparse.jpg").open("wb") as file:
        file.write(b"\xff\xd8\xff\xe0")
        file.truncate(6 << 30)
    status, _, err = run("index", tmp_path / "my.store", tmp_path / "source", "--encoder", encoder, "--json")
    assert status == 0, err
    [failure] = FeatureStore.open(tmp_path / "my.store").failures()
    assert failure.reason == "too large: a file of more than 1 GiB"
    status, _, err = run("search", tmp_path / "my.store", tmp_path / "source" / "sparse.jpg")
    assert status == 1
    assert "too large: a file of more than 1 GiB" in err


@pytest.mark.parametrize(
    "read",
    [
        filesystem.read_whole,
        lambda path: filesystem.read_span(path, 0, 10),
        lambda path: filesystem.open_file(path).close(),
    ],
)
def test_a_file_that_becomes_a_pipe_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, read: Callable[[str], object]
) -> None:
    """It was a file when it was looked at."""
    pipe = tmp_path / "a.jpg"
    os.mkfifo(pipe)
    monkeypatch.setattr(filesystem, "local_state", lambda path: FileState(10, 0))

    def attempt() -> None:
        with suppress(ImageError):
            read(str(pipe))

    reading = threading.Thread(target=attempt, daemon=True)
    reading.start()
    reading.join(5)
    assert not reading.is_alive()


def test_a_stream_without_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless:
        given = 0

        def __enter__(self) -> "Endless":
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def read(self, size: int) -> bytes:
            self.given += size
            return bytes(size)

    class Server:
        def open(self, *arguments: object, **options: object) -> Endless:
            return answer

    answer = Endless()
    monkeypatch.setattr(filesystem, "MOST_BYTES", 3 << 20)
    monkeypatch.setattr(filesystem, "file_system", lambda url: (Server(), url))
    with pytest.raises(ImageError, match=r"^too large: a file of more than "):
        filesystem.read_whole("http://example.org/a.jpg")
    assert answer.given == 4 << 20


# -- a run over many

INDEX = """
import json, sys
from pathlib import Path
from typing import Any
from featurestore import FeatureStore
from featurestore.imaging.children import CHILDREN
store = FeatureStore.open(sys.argv[1], sys.argv[3])
report = store.index(sys.argv[2], workers=2, image_seconds=float(sys.argv[4]))
def most(process):
    [line] = [line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) << 10
children = [most(child.pid) for _, child in CHILDREN._idle]
print(json.dumps({"added": report.added, "memory": most("self"), "children": children}))
"""


def index(folder: Path, encoder: Path, seconds: float) -> dict[str, Any]:
    store = folder.parent / "my.store"
    done = subprocess.run(
        [sys.executable, "-c", INDEX, store, folder, encoder, str(seconds)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of a process is not told")
@pytest.mark.parametrize("attacks", [SMALL, LARGE], ids=["small", "large"])
def test_an_index_of_attacks_alone_keeps_its_memory(
    tmp_path: Path, encoder: Path, attacks: dict[str, Callable[[], bytes]]
) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    for name, make in attacks.items():
        (folder / name).write_bytes(make())
    good = [paint(folder / f"good-{n}.png", (255, 10 * n, 0)) for n in range(5)]
    done = index(folder, encoder, 2)
    assert done["memory"] < 1200 << 20
    assert max(done["children"]) < 3400 << 20
    failures = FeatureStore.open(tmp_path / "my.store").failures()
    assert not {failure.path for failure in failures} & {str(path) for path in good}
    assert done["added"] == len(good) + len(attacks) - len(failures)
    for failure in failures:
        assert failure.reason.isprintable()


@pytest.mark.slow
def test_many_stalling_images_leave_no_thread_and_no_process(tmp_path: Path, encoder: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    paint(folder / "good.png", (255, 0, 0))
    stalling = jpeg_of_scans(20_000, 1200)
    for n in range(12):
        (folder / f"{n}.jpg").write_bytes(stalling)
    done = index(folder, encoder, 0.5)
    assert done["added"] == 1
    assert done["memory"] < 400 << 20
    reasons = {failure.reason for failure in FeatureStore.open(tmp_path / "my.store").failures()}
    assert reasons == {"took longer than 0.5 s to decode"}


def test_the_front_for_bytes_is_the_only_caller_of_the_decoder() -> None:
    """Nothing else may decode the bytes of a file; `upright`, for the images of a caller, is not meant."""
    found = {
        str(path.relative_to(ROOT))
        for package in ("featurestore", "trainers")
        for path in (ROOT / package).rglob("*.py")
        if any(call in path.read_text() for call in ("decode.decode(", "decode.size_of(", "Image.open("))
    }
    assert found == {
        "featurestore/imaging/tasks.py",  # for `guarded`, and for the check of an encoder, which draws its own images
        "featurestore/imaging/opening.py",
        "featurestore/imaging/deep_png.py",
        "featurestore/imaging/tiff.py",
        "trainers/demo.py",  # pictures that it has written itself
    }
