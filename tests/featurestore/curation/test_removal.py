"""Copies deleted from stores: which go, what is written of them before, and how they come back."""

import csv
import json
import shlex
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from featurestore import FeatureStore
from featurestore.curation import DuplicatesReport, delete_copies, duplicates, keep_columns, outliers, removal
from featurestore.curation.duplicates import Keep
from featurestore.errors import ConfigError, DiskError
from tests.featurestore.commands import Run, answer, ended_within
from tests.featurestore.curation.pictures import crop, draw, mirror, save

RULES: tuple[Keep, ...] = ("best", "first")
KNOWN = "SELECT path, label, labels, split, width, sha256, week, note, day FROM items ORDER BY path"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty pictures; of one an exact copy, of another a smaller one and a part, of a third a mirrored one."""
    folder = tmp_path_factory.mktemp("pictures")
    for n in range(20):
        save(draw(n), folder / "train" / "kind" / f"{n}.png")
    (folder / "test" / "other").mkdir(parents=True)
    shutil.copy(folder / "train" / "kind" / "3.png", folder / "test" / "other" / "same.png")
    save(draw(5, 60, 45), folder / "test" / "other" / "small.png")
    save(crop(draw(5)), folder / "test" / "other" / "crop.png")
    save(mirror(draw(8)), folder / "test" / "other" / "mirrored.png")
    return folder


@pytest.fixture(scope="module")
def prepared(source: Path, tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> Path:
    store = FeatureStore.open(tmp_path_factory.mktemp("stores") / "own.store", encoder)
    store.index(source / "train", labels="folders")  # so that its items are older
    store.index(source, labels="folders")
    rows = [
        {"id": n, "week": n % 7 or None, "note": f'a "note", {n}\nof two lines', "day": f"2026-01-{n:02}"} for n in range(1, 25)
    ]  # fmt: skip
    table = store.path.parent / "columns.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    store.annotate(table)
    duplicates(store)
    return store.path


@pytest.fixture
def own(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FeatureStore:
    """A copy of the store, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return FeatureStore.open(shutil.copytree(prepared, tmp_path / "own.store"))


def stems(store: FeatureStore) -> set[str]:
    return {Path(row["path"]).stem for row in store.sql("SELECT path FROM items").to_pylist()}


def test_all_but_the_item_to_keep_is_deleted(own: FeatureStore, source: Path) -> None:
    files = sorted(source.rglob("*.png"))
    report = duplicates(own)
    done = delete_copies(own, report)
    assert (done.deleted, done.left) == (report.superfluous, 0) == (3, 0)
    assert stems(own) == {*map(str, range(20)), "mirrored"}
    assert sorted(source.rglob("*.png")) == files
    assert [group.kind for group in duplicates(own).groups] == ["mirrored"]
    assert done.file is not None
    with done.file.open(newline="") as file:
        rows = {Path(row["path"]).stem: row for row in csv.DictReader(file)}
    small, part, same = (rows[name] for name in ("small", "crop", "same"))
    assert list(small) == ["path", "label", "split", "id", "sha256", "kept", "kind", "score", "week", "note", "day"]
    assert (small["label"], small["split"], small["kind"]) == ("other", "test", "near")
    assert small["kept"] == part["kept"] == str(source / "train" / "kind" / "5.png")
    assert 0.98 < float(small["score"]) <= 1
    assert (same["kind"], same["score"], same["kept"]) == ("exact", "1.0", str(source / "train" / "kind" / "3.png"))
    assert same["note"] == f'a "note", {same["id"]}\nof two lines'


@pytest.mark.parametrize("name", ["gone.csv", "gone.jsonl"])
def test_they_come_back_as_they_were(own: FeatureStore, tmp_path: Path, name: str) -> None:
    before = own.sql(KNOWN).to_pylist()
    delete_copies(own, duplicates(own), tmp_path / name)
    assert own.sql(KNOWN).to_pylist() != before
    assert own.index().added == 0  # index passes them over
    report = own.index(restore=tmp_path / name)
    assert (report.added, report.labels_set, report.deleted) == (3, 3, 0)
    assert own.sql(KNOWN).to_pylist() == before
    assert own.index(restore=tmp_path / name).added == 0


def test_only_what_the_file_names_comes_back(own: FeatureStore, source: Path, tmp_path: Path) -> None:
    """One item was deleted for another reason, and one with the content of another that comes back."""
    shutil.copy(source / "test" / "other" / "small.png", tmp_path / "twin.png")
    own.index(tmp_path / "twin.png")
    own.delete(f"path = '{tmp_path / 'twin.png'}' OR path LIKE '%/7.png'")
    before = own.sql(KNOWN).to_pylist()
    delete_copies(own, duplicates(own), tmp_path / "gone.csv")
    own.index(restore=tmp_path / "gone.csv")
    assert own.sql(KNOWN).to_pylist() == before


def test_several_labels_need_json_lines(own: FeatureStore, tmp_path: Path) -> None:
    [small] = [row["id"] for row in own.sql("SELECT id FROM items WHERE path LIKE '%/small.png'").to_pylist()]
    (tmp_path / "labels.jsonl").write_text(json.dumps({"id": small, "label": ["red", "rose"]}))
    own.label(tmp_path / "labels.jsonl")
    before = own.sql(KNOWN).to_pylist()
    report = duplicates(own)
    with pytest.raises(ConfigError, match=r"several labels, which CSV cannot hold; name it gone\.jsonl"):
        delete_copies(own, report, tmp_path / "gone.csv")
    assert own.sql(KNOWN).to_pylist() == before
    done = delete_copies(own, report)
    assert done.file is not None
    assert done.file.suffix == ".jsonl"
    own.index(restore=done.file)
    assert own.sql(KNOWN).to_pylist() == before


def test_a_column_of_the_user_may_have_any_name(own: FeatureStore, tmp_path: Path) -> None:
    rows = [{"id": n, "Kind": f"k{n}", "score": n / 7, "kept_": f"x{n}", "photo.png": n} for n in range(1, 25)]
    (tmp_path / "more.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    own.annotate(tmp_path / "more.jsonl")
    text = 'SELECT path, "Kind", score, "kept_", "photo.png" FROM items ORDER BY path'
    before = own.sql(text).to_pylist()
    for name in (tmp_path / "gone.jsonl", None):
        done = delete_copies(own, duplicates(own), name)
        assert done.file is not None
        assert done.file.suffix == ".jsonl"  # no CSV, whose heading would look like a path
        own.index(restore=done.file)
        assert own.sql(text).to_pylist() == before
    own.drop_column("photo.png")
    before = own.sql(KNOWN).to_pylist()
    delete_copies(own, duplicates(own), tmp_path / "gone.csv")
    assert (tmp_path / "gone.csv").read_text().startswith("path,label,split,id,sha256,kept,kind_,score_,")
    own.drop_column("score")  # a column that the store no longer has is passed over
    own.index(restore=tmp_path / "gone.csv")
    assert own.sql(KNOWN).to_pylist() == before


def test_predictions_are_not_written(own: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("id,label\n1,odd\n2,odd\n7,odd\n8,odd\n")
    own.label(tmp_path / "labels.csv")
    own.train_classifier("guess", method="nearest-mean")
    own.apply_classifier("guess")
    delete_copies(own, duplicates(own), tmp_path / "gone.csv")
    assert "guess" not in (tmp_path / "gone.csv").read_text()
    assert own.index(restore=tmp_path / "gone.csv").added == 3


def test_columns_of_reports_come_back_and_stay_those_of_their_commands(own: FeatureStore, tmp_path: Path) -> None:
    keep_columns(own, outliers(own))
    before = own.sql("SELECT path, outlier FROM items ORDER BY path").to_pylist()
    delete_copies(own, duplicates(own), tmp_path / "gone.csv")
    own.index(restore=tmp_path / "gone.csv")
    assert own.sql("SELECT path, outlier FROM items ORDER BY path").to_pylist() == before
    assert own.info()["written_columns"] == {"outlier": "outliers"}


def test_the_other_rule_keeps_what_was_indexed_first(own: FeatureStore, tmp_path: Path) -> None:
    large = save(draw(11, 240, 180), tmp_path / "large.png")
    own.index(large)
    (tmp_path / "labels.csv").write_text(f"path,label\n{large},kind\n")
    own.label(tmp_path / "labels.csv")
    kept = {rule: {Path(group.keep.path).stem for group in duplicates(own, keep=rule).groups} for rule in RULES}
    assert kept == {"best": {"3", "5", "8", "large"}, "first": {"3", "5", "8", "11"}}
    for wrong in ({"keep": "newest"}, {"min_score": 1.5}, {"min_score": float("nan")}):
        with pytest.raises(ConfigError, match="expected"):
            duplicates(own, **wrong)


def test_less_sure_copies_stay(own: FeatureStore) -> None:
    scores = {Path(item.path).stem: item.score for group in duplicates(own).groups for item in group.items[1:]}
    least = min(scores["small"], scores["crop"])
    report = duplicates(own, min_score=least + 1e-5)
    assert report.superfluous == 2
    assert delete_copies(own, report).deleted == 2
    assert duplicates(own, min_score=1).groups == []


def test_what_changed_meanwhile_stays(own: FeatureStore, tmp_path: Path) -> None:
    report = duplicates(own)
    own.delete("path LIKE '%/5.png'")  # the item to keep of two copies
    done = delete_copies(own, report)
    assert (done.deleted, done.left) == (1, 2)
    assert {"small", "crop"} <= stems(own)
    done = delete_copies(own, report)
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


def test_no_file_is_overwritten(own: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = duplicates(own)
    (tmp_path / "mine.csv").write_text("mine")
    (tmp_path / "link.csv").symlink_to("nothing")
    for out, message in (("mine.csv", "exists"), ("link.csv", "exists"), ("mine.txt", r"written as \.csv, \.jsonl")):
        with pytest.raises(ConfigError, match=message):
            delete_copies(own, report, tmp_path / out)
    with pytest.raises(DiskError, match=r"there is no folder .* nothing was deleted; choose another place with --out"):
        delete_copies(own, report, tmp_path / "none" / "gone.csv")
    with monkeypatch.context() as patched:  # it appears in the last moment
        patched.setattr(removal, "require_new", lambda path: None)
        with pytest.raises(DiskError, match="File exists"):
            delete_copies(own, report, tmp_path / "mine.csv")
    assert (tmp_path / "mine.csv").read_text() == "mine"
    assert len(stems(own)) == 24
    first = delete_copies(own, report).file
    assert first is not None
    own.index(restore=first)
    second = delete_copies(own, duplicates(own)).file
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
    own: FeatureStore, tmp_path: Path, module: str, owner: str, function: str, deleted: int
) -> None:
    before, file = own.sql(KNOWN).to_pylist(), tmp_path / "gone.csv"
    command = ("duplicates", own.path, "--delete", "--yes", "--out", file)
    status, err = ended_within(module, owner, function, signal.SIGINT, *command)
    assert (status, err) == (130, "featurestore: interrupted")
    assert len(stems(own)) == 24 - deleted
    assert file.exists() == (deleted > 0)
    if deleted:
        own.index(restore=file)
    assert own.sql(KNOWN).to_pylist() == before


# -- the command


def asked(monkeypatch: pytest.MonkeyPatch, answer: bool) -> list[str]:
    """Answer what the command asks on a terminal; gives what it asks."""
    questions: list[str] = []

    def confirm(text: str, **_: Any) -> bool:
        questions.append(text)
        return answer

    monkeypatch.setattr("click.confirm", confirm)
    for stream in ("stdin", "stderr"):
        monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True)
    return questions


def test_the_command_asks(run: Run, own: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = asked(monkeypatch, False)
    status, out, _ = run("duplicates", own.path, "--delete")
    assert (status, out.splitlines()[-1]) == (0, "nothing was deleted")
    assert questions == [
        f"3 items (test 3) of 24 will be deleted from {own.path}, and written to a file before. Their images stay. Delete them?"
    ]
    assert len(stems(own)) == 24
    asked(monkeypatch, True)
    assert run("duplicates", own.path, "--delete")[1].splitlines()[-2].startswith("3 items deleted; what")
    assert len(stems(own)) == 21


def test_without_a_terminal_it_needs_yes(run: Run, own: FeatureStore) -> None:
    status, out, err = run("duplicates", own.path, "--delete")
    assert (status, out) == (1, "")
    assert "there is no terminal to ask on; add --yes to delete without being asked" in err
    for option in (["--yes"], ["--out", "x.csv"]):
        assert "add --delete" in run("duplicates", own.path, *option)[2]
    assert len(stems(own)) == 24


def test_the_command_that_it_prints_brings_all_back(run: Run, own: FeatureStore) -> None:
    before = own.sql(KNOWN).to_pylist()
    status, out, err = run("duplicates", own.path, "--delete", "--yes", "-n", "0", "--out", "what is gone.csv")
    assert (status, err) == (0, "")
    *_, deleted, back = out.splitlines()
    assert deleted == "3 items deleted; what the store knew of them is in what is gone.csv"
    said, _, command = back.partition(": featurestore ")
    assert said == "to have them back"
    status, out, _ = run(*shlex.split(command))
    assert (status, out.splitlines()[-1]) == (0, "3 labels set, 0 changed, 0 kept")
    assert own.sql(KNOWN).to_pylist() == before


def test_json_has_the_groups_and_what_was_deleted(run: Run, own: FeatureStore, tmp_path: Path) -> None:
    report: DuplicatesReport = duplicates(own, min_score=0.99)
    found = answer(run, "duplicates", own.path, "--delete", "--yes", "--min-score", "0.99", "--out", "gone.csv")
    assert found == json.loads(json.dumps(report.to_json())) | {"deleted": report.superfluous, "left": 0, "file": "gone.csv"}  # fmt: skip
    assert {"sha256", "score"} <= set(found["groups"][0]["items"][0])
    again = answer(run, "duplicates", own.path, "--delete", "--yes", "--min-score", "0.99", "--out", "more.csv")
    assert (again["deleted"], again["file"]) == (0, None)
    assert not (tmp_path / "more.csv").exists()
    assert "exists, and is not overwritten" in run("duplicates", own.path, "--delete", "--yes", "--out", "gone.csv")[2]


def test_files_that_are_none_of_these_are_refused(run: Run, own: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path,label\na.png,rose\n")
    (tmp_path / "bad.csv").write_text("path,label,split,id,sha256,kept,kind,score,week\n/a.png,rose,,1,00,/b.png,near,1,monday\n")  # fmt: skip
    for name, message in (
        ("labels.csv", "expected what duplicates --delete wrote, with the columns path, label, split, id"),
        ("none.csv", "no such file"),
        ("bad.csv", "monday"),
    ):
        status, out, err = run("index", own.path, "--restore", name)
        assert (status, out) == (1, "")
        assert message in err
    assert "leave out --labels" in run("index", own.path, "--restore", "labels.csv", "--labels", "folders")[2]
