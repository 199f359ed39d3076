"""Which items the paths of a file mean, what is told, and what is suggested when they mean none."""

import unicodedata
from pathlib import Path

import duckdb
import pytest

from featurestore import FeatureStore
from featurestore.errors import SourceError
from featurestore.metadata.matching import find_items
from featurestore.metadata.suggestions import did_you_mean
from featurestore.sources.label_file import read_labels
from tests.featurestore.metadata.annotated import csv, said


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere"


def found(store: FeatureStore, folder: Path, *rows: str) -> tuple[dict[int, str], tuple[str, ...], list[str]]:
    """The labels that the rows of a file give to items, what is told, and the paths that no item has."""
    matched = find_items(store.catalog, read_labels(csv(folder, "\n".join(["path,label", *rows]))))
    items, labels = matched.items.reader().read_all().columns
    return dict(zip(items.to_pylist(), labels.to_pylist(), strict=True)), matched.notes, matched.unknown.to_pylist()


def test_paths_relative_to_a_source_are_found_and_told(shared: FeatureStore, colours: Path, elsewhere: Path) -> None:
    rows = ["primary\\red.png,a", "./primary/blue.png ,b", f"{colours.name}/plain/white.png,c", "mixed/cyan.png,d"]
    labels = {6: "a", 4: "b", 3: "c", 1: "d"}
    assert found(shared, elsewhere, *rows) == (labels, ("4 paths read as relative to a source",), [])


def test_paths_of_windows_are_found_and_told(shared: FeatureStore, colours: Path, elsewhere: Path) -> None:
    rows = [str(colours / "primary" / "red.png").replace("/", "\\") + ",x"]
    assert found(shared, elsewhere, *rows) == (
        {6: "x"},
        ("1 path read with \\ as / and without blanks around",),
        [],
    )


def test_accents_match_in_either_form_when_only_one_item_can_be_meant(store: FeatureStore, elsewhere: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    renamed = {1: f"/s/{decomposed}.png", 2: f"/s/t/{composed}.png", 3: f"/s/t/{decomposed}.png"}
    with duckdb.connect(str(store.layout.catalog)) as opened:
        opened.execute("UPDATE all_items SET path = '/s/é/' || id || '.png' WHERE id > 3")
        opened.executemany(
            "UPDATE all_items SET path = ? WHERE id = ?", [(path, item) for item, path in renamed.items()]
        )
    labels, notes, _ = found(store, elsewhere, f"/s/{composed}.png,x", f"/s/t/{decomposed}.png,y")
    assert labels == {1: "x", 3: "y"}
    assert notes == ("1 path written with accents in another form of Unicode than the file names",)
    with duckdb.connect(str(store.layout.catalog)) as opened:
        opened.execute("UPDATE all_items SET path = ? WHERE id = 3", [f"/s/t/{decomposed}.PNG"])
    assert found(store, elsewhere, f"/s/t/{decomposed}.png,x")[0] == {2: "x"}


def test_a_path_that_is_in_two_sources_means_none(store: FeatureStore, elsewhere: Path) -> None:
    store.catalog.sources.add({"/other": ()})
    with duckdb.connect(str(store.layout.catalog)) as opened:
        opened.execute("UPDATE all_items SET path = '/other/plain/white.png' WHERE id = 1")
    _, _, unknown = found(store, elsewhere, "plain/white.png,x", "primary/red.png,y")
    assert unknown == ["plain/white.png"]


def test_no_match_shows_both_sides(shared: FeatureStore, colours: Path, elsewhere: Path) -> None:
    with pytest.raises(SourceError) as raised:
        found(shared, elsewhere, *(f"/x/primary/{colour}.png,l" for colour in ("red", "blue", "o", "p")))
    text = str(raised.value)
    assert "none of its paths (4 rows) belongs to an item" in text
    assert "in the file: '/x/primary/red.png', '/x/primary/blue.png', '/x/primary/o.png', …; " in text
    assert f"in the store: '{colours}/mixed/cyan.png', '{colours}/mixed/yellow.png', " in text
    assert f"the same names are under '{colours}' instead of '/x'" in text


def test_a_partial_match_says_how_many_rows_match_nothing(store: FeatureStore, elsewhere: Path) -> None:
    rows = ["mixed/cyan.png", "primary/Red.png", "no/1.png", "no/2.png", "no/3.png"]
    remarks = store.label(csv(elsewhere, "path,label\n" + "".join(f"{row},l\n" for row in rows))).remarks()
    assert remarks[0].startswith("4 paths without an item in the store: ")
    assert remarks[0].endswith(", …")
    assert remarks[-1].startswith("for 'primary/Red.png', did you mean '/")
    assert said(store, "label")[1] == "l"


def test_rows_that_differ_about_one_item_are_told(shared: FeatureStore, elsewhere: Path) -> None:
    rows = ["mixed/cyan.png,a", "plain/white.png,c", "plain/white.png,c", "mixed\\cyan.png,b"]
    labels, notes, _ = found(shared, elsewhere, *rows)
    assert labels == {1: "b", 3: "c"}
    assert (
        notes[-1] == "1 item with several rows that differ, of which the last one counts; the first: 'mixed/cyan.png'"
    )


@pytest.mark.parametrize(
    ("written", "path", "said_so"),
    [
        ("/y/rose/a.jpg", "/x/rose/a.jpg", "the same names are under '/x' instead of '/y'; "),
        ("C:\\p\\rose\\a.jpg", "/x/rose/a.jpg", "the same names are under '/x' instead of 'C:/p'; "),
        ("rose/a.jpg", "/x/rose/a.jpg", "the same names are under '/x'; "),
        ("/x/rose/a.JPG", "/x/rose/a.jpg", "upper and lower case differ"),
        ("/x/Rose/a.jpg", "/x/rose/a.jpg", "upper and lower case differ"),
        ("/x/rose/a", "/x/rose/a.jpg", "the suffix differs"),
        ("/x/rose/é.jpg", "/x/rose/e\u0301.jpg", "the accents have another form in Unicode"),
    ],
)
def test_the_difference_is_named(written: str, path: str, said_so: str) -> None:
    assert said_so in did_you_mean([(written, path)])


def test_the_item_in_the_most_similar_folder_is_suggested() -> None:
    pairs = [("z/rose/1.jpg", f"/x/{folder}/1.jpg") for folder in ("aster", "rose", "tulip")]
    assert did_you_mean(pairs).startswith("the same names are under '/x' instead of 'z'")
    assert did_you_mean([("z/iris/1.jpg", path) for _, path in pairs]) == ""
