"""What all findings have in common: they convert, are drawn as pages, sheets and in notebooks, and can be cut to the first."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from featurestore import FeatureStore, curation
from featurestore.curation import Findings
from featurestore.curation.findings import WRITTEN
from featurestore.errors import ConfigError, QueryError
from tests.featurestore.commands import Run, answer
from tests.featurestore.curation.pictures import crop, draw, mirror, save
from tests.featurestore.rendering.pages import Reader

FIND: dict[str, Callable[[FeatureStore], Findings]] = {
    "duplicates": curation.duplicates,
    "leaks": curation.leaks,
    "outliers": curation.outliers,
    "label-errors": curation.label_errors,
    "clusters": curation.clusters,
    "suggest": curation.suggest,
    "coverage": curation.coverage,
}
COLUMNS = {command: column for column, command in WRITTEN.items()}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> FeatureStore:
    """Pictures of two labels, some without, in two splits; two in both splits, one mirrored, one with a wrong label, one of one colour."""
    folder = tmp_path_factory.mktemp("pictures")
    for n in range(24):
        save(draw(n), folder / "train" / "ab"[n % 2] / f"{n}.png")
    for n in (1, 2):
        save(crop(draw(n)), folder / "test" / "ab"[n % 2] / f"near{n}.png")
    save(mirror(draw(3)), folder / "test" / "b" / "mirrored.png")
    save(Image.new("RGB", (60, 300), (1, 1, 1)), folder / "test" / "a" / "black.png")
    store = FeatureStore.open(tmp_path_factory.mktemp("stores") / "mixed.store", encoder)
    store.index(folder, labels="folders")
    ids = store.sql("SELECT id FROM items ORDER BY id LIMIT 6")["id"].to_pylist()
    (folder / "labels.csv").write_text("id,label\n" + "".join(f"{item},\n" for item in ids))
    store.label(folder / "labels.csv", clear=True)
    return store


@pytest.fixture(scope="module")
def found(mixed: FeatureStore) -> dict[str, Findings]:
    return {name: find(mixed) for name, find in FIND.items()}


@pytest.mark.parametrize("name", FIND)
def test_a_report_is_drawn_as_page_as_sheet_and_in_a_notebook(
    found: dict[str, Findings], name: str, tmp_path: Path
) -> None:
    report = found[name]
    assert report.html(tmp_path / "a.html") == tmp_path / "a.html"
    texts = Reader((tmp_path / "a.html").read_text(encoding="utf-8")).texts
    assert {report.title, *report.summary, report.encoder[:16]} <= set(texts)
    for gallery in report.galleries():
        assert {gallery.title, *(picture.title for picture in gallery.pictures)} <= set(texts)
    with Image.open(report.sheet(tmp_path / "a.png")) as sheet:
        assert sheet.width == 1044
    assert set(report.summary) <= set(Reader(report._repr_html_()).texts)
    for draw_it in (report.html, report.sheet):
        with pytest.raises(ConfigError, match=r"found \.txt; choose another name"):
            draw_it(tmp_path / "a.txt")


@pytest.mark.parametrize("name", FIND)
def test_the_first_of_a_report_are_those_of_all_with_the_same_counts(found: dict[str, Findings], name: str) -> None:
    whole = found[name]
    first = whole.first(1)
    entries = getattr(whole, whole.listed)
    assert getattr(first, whole.listed) == entries[:1]
    assert whole.first(None) is whole
    assert getattr(whole.first(0), whole.listed) == []
    counts: dict[str, Any] = {key: value for key, value in whole.to_json().items() if isinstance(value, (int, dict))}
    assert {key: first.to_json()[key] for key in counts} == counts
    assert isinstance(whole.to_arrow(), pa.Table)


@pytest.mark.parametrize("name", FIND)
def test_the_commands_draw_and_print_what_the_report_says(
    run: Run, mixed: FeatureStore, found: dict[str, Findings], name: str, tmp_path: Path
) -> None:
    options = ["--html", tmp_path / "a.html", "--sheet", tmp_path / "a.png"]
    status, out, err = run(name, mixed.path, *options)
    assert (status, err) == (0, "")
    printed = found[name].first(20).summary
    assert out.splitlines()[: len(printed)] == printed
    assert (tmp_path / "a.png").stat().st_size > 1000
    assert found[name].title in Reader((tmp_path / "a.html").read_text(encoding="utf-8")).texts
    assert set(found[name].to_json()) == set(answer(run, name, mixed.path))


@pytest.fixture
def own(mixed: FeatureStore, tmp_path: Path) -> FeatureStore:
    """A copy of the store, for one test."""
    return FeatureStore.open(shutil.copytree(mixed.path, tmp_path / "own.store"))


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_findings_can_be_asked_for_again(run: Run, own: FeatureStore, name: str) -> None:
    for _ in range(2):
        status, _, err = run(name, own.path, "--column")
        assert (status, err) == (0, f"written into {own.path}: column {COLUMNS[name]}\n")
    assert own.info()["written_columns"] == {COLUMNS[name]: name}
    rows = own.sql(f"SELECT id, {COLUMNS[name]} AS value FROM items WHERE {COLUMNS[name]} IS NOT NULL ORDER BY id")
    columns = FIND[name](own).columns
    assert rows.num_rows == columns.num_rows > 0
    expected = dict(zip(columns["id"].to_pylist(), columns[COLUMNS[name]].to_pylist(), strict=True))
    assert dict(zip(rows["id"].to_pylist(), rows["value"].to_pylist(), strict=True)) == expected


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_the_user_is_refused_before_the_work_and_stays(
    run: Run, own: FeatureStore, found: dict[str, Findings], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    column = COLUMNS[name]
    report = found[name].columns
    value = "chosen" if pa.types.is_string(report[column].type) else "7"  # as the report itself could write
    (tmp_path / "mine.csv").write_text(f"id,{column.title()}\n1,{value}\n")
    own.annotate(tmp_path / "mine.csv")
    text = f"column '{column.title()}': expected one that '{name}' wrote, found your own; it stays as it is."
    with pytest.raises(QueryError, match=text):
        curation.keep_columns(own, found[name])
    monkeypatch.setattr(curation, name.replace("-", "_"), lambda *arguments: pytest.fail("works before it looks"))
    status, out, err = run(name, own.path, "--column")
    assert (status, out) == (1, "")
    assert text in err
    assert f"annotate STORE --drop {column.title()}" in err
    rows = own.sql(f"SELECT id, {column}::TEXT AS value FROM items WHERE {column} IS NOT NULL").to_pylist()
    assert [list(row.values()) for row in rows] == [[1, value]]


def test_a_column_of_another_command_is_refused(own: FeatureStore, found: dict[str, Findings]) -> None:
    own.train_classifier("outlier", method="nearest-mean")
    own.apply_classifier("outlier")
    with pytest.raises(QueryError, match="expected one that 'outliers' wrote, found that of 'classify';"):
        curation.keep_columns(own, found["outliers"])
    curation.keep_columns(own, found["clusters"])
    with pytest.raises(QueryError, match="it would fill 'cluster', which the items have already"):
        own.train_classifier("cluster", method="nearest-mean")


def test_a_page_shows_no_more_than_is_listed(run: Run, mixed: FeatureStore, tmp_path: Path) -> None:
    run("duplicates", mixed.path, "-n", "1", "--html", tmp_path / "a.html")
    assert Reader((tmp_path / "a.html").read_text(encoding="utf-8")).tags.count("section") == 1


def test_a_simulation_has_no_pictures(run: Run, mixed: FeatureStore) -> None:
    status, _, err = run("suggest", mixed.path, "--simulate", "--html", "a.html", "--sheet", "a.png")
    assert status == 2
    assert "--html, --sheet does not go with --simulate" in err


def test_bands_of_the_encoder_are_those_that_pictures_show(
    found: dict[str, Findings], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from featurestore.rendering import inline_image

    asked = set()

    def thumbnail(path: str, side: int, bands: tuple[int, ...] | None) -> Image.Image:
        asked.add(bands)
        return Image.new("RGB", (8, 8))

    monkeypatch.setattr(inline_image, "thumbnail", thumbnail)
    replace(found["duplicates"], bands=(4, 3, 2))._repr_html_()
    assert asked == {(4, 3, 2)}


def test_a_data_frame_needs_pandas(shared: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    report = curation.clusters(shared, 2)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="needs pandas, which is not installed"):
        report.to_pandas()
