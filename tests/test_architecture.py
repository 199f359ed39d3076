"""docs/architecture.md shows the house as it is: rooms, floors and the files of the three roads."""

import re
from pathlib import Path

import pytest

from tests.test_layering import FLOORS, PACKAGES

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
AT_MOST = {"image": 8, "query": 8, "batch": 6}  # files that a datum passes


def drawn(package: str) -> set[str]:
    """The rooms and modules of a package in the tree of the page."""
    tree = re.search(rf"^{package}/\n((?:  .*\n)+)", PAGE, re.MULTILINE)
    assert tree, f"no tree of {package}"
    return {line.split()[0] for line in tree[1].splitlines()}


def on_disk(package: str) -> set[str]:
    rooms = {f"{path.parent.name}/" for path in (ROOT / package).glob("*/__init__.py")}
    return rooms | {path.name for path in (ROOT / package).glob("*.py") if path.name != "__init__.py"}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_tree_is_the_one_on_disk(package: str) -> None:
    assert drawn(package) == on_disk(package)


def test_the_floors_are_those_that_the_layering_checks() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", PAGE, re.MULTILINE)
    assert {int(number): set(re.findall(r"`(\w+)`", rooms)) for number, rooms in rows} == {
        number: set(rooms) for number, rooms in enumerate(FLOORS)
    }


@pytest.mark.parametrize("road", AT_MOST)
def test_a_road_is_short_and_its_files_exist(road: str) -> None:
    part = re.search(rf"<!-- road: {road} -->(.*?)<!-- end -->", PAGE, re.DOTALL)
    assert part
    files = re.findall(r"^\d+\. `([\w/]+\.py)`", part[1], re.MULTILINE)
    assert [file for file in files if not (ROOT / file).exists()] == []
    assert 0 < len(files) <= AT_MOST[road]


def test_the_paths_on_the_page_exist() -> None:
    named = re.findall(r"`((?:featurestore|trainers|tests|docs)/[\w/.]+)`", PAGE)
    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).exists()] == []
