"""Copies deleted from stores: which go, what is written of them before, and how they come back."""

import csv
import json
import shutil
import signal
from pathlib import Path

import pytest

from featurestore import FeatureStore
from featurestore.curation import delete_copies, duplicates, keep_columns, outliers, removal
from featurestore.curation.duplicates import Keep
from featurestore.errors import ConfigError, DiskError
from tests.featurestore.commands import ended_within
from tests.featurestore.curation.pictures import draw, save
from tests.featurestore.curation.stems import KNOWN, stems

RULES: tuple[Keep, ...] = ("best", "first")


def test_all_but_the_item_to_keep_is_deleted(copied: FeatureStore, copied_files: Path) -> None:
    files = sorted(copied_files.rglob("*.png"))
    report = duplicates(copied)
    done = delete_copies(copied, report)
    assert (done.deleted, done.left) == (report.superfluous, 0) == (3, 0)
    assert stems(copied) == {*map(str, range(20)), "mirrored"}
    assert sorted(copied_files.rglob("*.png")) == files
    assert [group.kind for group in duplicates(copied).groups] == ["mirrored"]
    assert done.file is not None
    with done.file.open(newline="") as file:
        rows = {Path(row["path"]).stem: row for row in csv.DictReader(file)}
    small, part, same = (rows[name] for name in ("small", "crop", "same"))
    assert list(small) == ["path", "label", "split", "id", "sha256", "kept", "kind", "score", "week", "note", "day"]
    assert (small["label"], small["split"], small["kind"]) == ("other", "test", "near")
    assert small["kept"] == part["kept"] == str(copied_files / "train" / "kind" / "5.png")
    assert 0.98 < float(small["score"]) <= 1
    assert (same["kind"], same["score"], same["kept"]) == (
        "exact",
        "1.0",
        str(copied_files / "train" / "kind" / "3.png"),
    )
    assert same["note"] == f'a "note", {same["id"]}\nof two lines'


@pytest.mark.parametrize("name", ["gone.csv", "gone.jsonl"])
def test_they_come_back_as_they_were(copied: FeatureStore, tmp_path: Path, name: str) -> None:
    before = copied.sql(KNOWN).to_pylist()
    delete_copies(copied, duplicates(copied), tmp_path / name)
    assert copied.sql(KNOWN).to_pylist() != before
    assert copied.index().added == 0  # index passes them over
    report = copied.index(restore=tmp_path / name)
    assert (report.added, report.labels_set, report.deleted) == (3, 3, 0)
    assert copied.sql(KNOWN).to_pylist() == before
    assert copied.index(restore=tmp_path / name).added == 0


def test_only_what_the_file_names_comes_back(copied: FeatureStore, copied_files: Path, tmp_path: Path) -> None:
    """One item was deleted for another reason, and one with the content of another that comes back."""
    shutil.copy(copied_files / "test" / "other" / "small.png", tmp_path / "twin.png")
    copied.index(tmp_path / "twin.png")
    copied.delete(f"path = '{tmp_path / 'twin.png'}' OR path LIKE '%/7.png'")
    before = copied.sql(KNOWN).to_pylist()
    delete_copies(copied, duplicates(copied), tmp_path / "gone.csv")
    copied.index(restore=tmp_path / "gone.csv")
    assert copied.sql(KNOWN).to_pylist() == before


def test_several_labels_need_json_lines(copied: FeatureStore, tmp_path: Path) -> None:
    [small] = [row["id"] for row in copied.sql("SELECT id FROM items WHERE path LIKE '%/small.png'").to_pylist()]
    (tmp_path / "labels.jsonl").write_text(json.dumps({"id": small, "label": ["red", "rose"]}))
    copied.label(tmp_path / "labels.jsonl")
    before = copied.sql(KNOWN).to_pylist()
    report = duplicates(copied)
    with pytest.raises(ConfigError, match=r"several labels, which CSV cannot hold; name it gone\.jsonl"):
        delete_copies(copied, report, tmp_path / "gone.csv")
    assert copied.sql(KNOWN).to_pylist() == before
    done = delete_copies(copied, report)
    assert done.file is not None
    assert done.file.suffix == ".jsonl"
    copied.index(restore=done.file)
    assert copied.sql(KNOWN).to_pylist() == before


def test_a_column_of_the_user_may_have_any_name(copied: FeatureStore, tmp_path: Path) -> None:
    rows = [{"id": n, "Kind": f"k{n}", "score": n / 7, "kept_": f"x{n}", "photo.png": n} for n in range(1, 25)]
    (tmp_path / "more.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    copied.annotate(tmp_path / "more.jsonl")
    text = 'SELECT path, "Kind", score, "kept_", "photo.png" FROM items ORDER BY path'
    before = copied.sql(text).to_pylist()
    for name in (tmp_path / "gone.jsonl", None):
        done = delete_copies(copied, duplicates(copied), name)
        assert done.file is not None
        assert done.file.suffix == ".jsonl"  # no CSV, whose heading would look like a path
        copied.index(restore=done.file)
        assert copied.sql(text).to_pylist() == before
    copied.drop_column("photo.png")
    before = copied.sql(KNOWN).to_pylist()
    delete_copies(copied, duplicates(copied), tmp_path / "gone.csv")
    assert (tmp_path / "gone.csv").read_text().startswith("path,label,split,id,sha256,kept,kind_,score_,")
    copied.drop_column("score")  # a column that the store no longer has is passed over
    copied.index(restore=tmp_path / "gone.csv")
    assert copied.sql(KNOWN).to_pylist() == before


def test_predictions_are_not_written(copied: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("id,label\n1,odd\n2,odd\n7,odd\n8,odd\n")
    copied.label(tmp_path / "labels.csv")
    copied.train_classifier("guess", method="nearest-mean")
    copied.apply_classifier("guess")
    delete_copies(copied, duplicates(copied), tmp_path / "gone.csv")
    assert "guess" not in (tmp_path / "gone.csv").read_text()
    assert copied.index(restore=tmp_path / "gone.csv").added == 3


def test_columns_of_reports_come_back_and_stay_those_of_their_commands(copied: FeatureStore, tmp_path: Path) -> None:
    keep_columns(copied, outliers(copied))
    before = copied.sql("SELECT path, outlier FROM items ORDER BY path").to_pylist()
    delete_copies(copied, duplicates(copied), tmp_path / "gone.csv")
    copied.index(restore=tmp_path / "gone.csv")
    assert copied.sql("SELECT path, outlier FROM items ORDER BY path").to_pylist() == before
    assert copied.info()["written_columns"] == {"outlier": "outliers"}


def test_the_other_rule_keeps_what_was_indexed_first(copied: FeatureStore, tmp_path: Path) -> None:
    large = save(draw(11, 240, 180), tmp_path / "large.png")
    copied.index(large)
    (tmp_path / "labels.csv").write_text(f"path,label\n{large},kind\n")
    copied.label(tmp_path / "labels.csv")
    kept = {rule: {Path(group.keep.path).stem for group in duplicates(copied, keep=rule).groups} for rule in RULES}
    assert kept == {"best": {"3", "5", "8", "large"}, "first": {"3", "5", "8", "11"}}
    for wrong in ({"keep": "newest"}, {"min_score": 1.5}, {"min_score": float("nan")}):
        with pytest.raises(ConfigError, match="expected"):
            duplicates(copied, **wrong)


def test_less_sure_copies_stay(copied: FeatureStore) -> None:
    scores = {Path(item.path).stem: item.score for group in duplicates(copied).groups for item in group.items[1:]}
    least = min(scores["small"], scores["crop"])
    report = duplicates(copied, min_score=least + 1e-5)
    assert report.superfluous == 2
    assert delete_copies(copied, report).deleted == 2
    assert duplicates(copied, min_score=1).groups == []


def test_what_changed_meanwhile_stays(copied: FeatureStore, tmp_path: Path) -> None:
    report = duplicates(copied)
    copied.delete("path LIKE '%/5.png'")  # the item to keep of two copies
    done = delete_copies(copied, report)
    assert (done.deleted, done.left) == (1, 2)
    assert {"small", "crop"} <= stems(copied)
    done = delete_copies(copied, report)
    assert (done.deleted, done.left, done.file) == (0, 3, None)


def test_an_item_with_another_content_stays(tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for n in range(12):
        save(draw(n), tmp_path / "s" / f"{n}.png")
    for name in ("a", "b"):
        save(draw(3, 60, 45), tmp_path / "s" / f"{name}.png")
    store = FeatureStore.open(tmp_path / "own.store", encoder)
    store.index(tmp_path / "s")
    report = duplicates(store)
    save(draw(50), tmp_path / "s" / "a.png")
    store.index(tmp_path / "s")
    done = delete_copies(store, report)
    assert (done.deleted, done.left) == (1, 1)
    assert stems(store) == {*map(str, range(12)), "a"}


def test_no_file_is_overwritten(copied: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = duplicates(copied)
    (tmp_path / "mine.csv").write_text("mine")
    (tmp_path / "link.csv").symlink_to("nothing")
    for out, message in (("mine.csv", "exists"), ("link.csv", "exists"), ("mine.txt", r"written as \.csv, \.jsonl")):
        with pytest.raises(ConfigError, match=message):
            delete_copies(copied, report, tmp_path / out)
    with pytest.raises(DiskError, match=r"there is no folder .* nothing was deleted; choose another place with --out"):
        delete_copies(copied, report, tmp_path / "none" / "gone.csv")
    with monkeypatch.context() as patched:  # it appears in the last moment
        patched.setattr(removal, "require_new", lambda path: None)
        with pytest.raises(DiskError, match="File exists"):
            delete_copies(copied, report, tmp_path / "mine.csv")
    assert (tmp_path / "mine.csv").read_text() == "mine"
    assert len(stems(copied)) == 24
    first = delete_copies(copied, report).file
    assert first is not None
    copied.index(restore=first)
    second = delete_copies(copied, duplicates(copied)).file
    assert second is not None
    assert second.stem == f"{first.stem}-2"
    assert first.name.startswith("own-duplicates-20")


@pytest.mark.parametrize(
    ("module", "owner", "function", "deleted"),
    [
        pytest.param("featurestore.catalog.items", "Items", "sizes", 0, marks=pytest.mark.slow),
        pytest.param("featurestore.catalog.items", "Items", "described", 3, marks=pytest.mark.slow),
        ("featurestore.catalog.deletions", "Deletions", "delete", 3),
    ],
)
def test_ctrl_c_leaves_all_items_or_a_whole_file(
    copied: FeatureStore, tmp_path: Path, module: str, owner: str, function: str, deleted: int
) -> None:
    before, file = copied.sql(KNOWN).to_pylist(), tmp_path / "gone.csv"
    command = ("duplicates", copied.path, "--delete", "--yes", "--out", file)
    status, err = ended_within(module, owner, function, signal.SIGINT, *command)
    assert (status, err) == (130, "featurestore: interrupted")
    assert len(stems(copied)) == 24 - deleted
    assert file.exists() == (deleted > 0)
    if deleted:
        copied.index(restore=file)
    assert copied.sql(KNOWN).to_pylist() == before
