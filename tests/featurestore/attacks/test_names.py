"""Names of strangers in every line that a command prints: nothing acts on the terminal, and JSON gives every name back."""

import csv
import json
import shutil
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurestore import FeatureStore
from featurestore.cli import MODULES
from featurestore.errors import StoreError
from tests.featurestore.attacks.nasty_names import LONG, NASTY, NOT_UTF8, fits_a_file, printed, without_control
from tests.featurestore.attacks.nasty_store import COLUMN, NASTY_NAMES, make_store
from tests.featurestore.commands import Run, answer
from tests.featurestore.fakes import paint

EVIL = "".join(NASTY[name] for name in ("window title", "override", "line separator", "new line"))
# What each command is given after the store: {evil} is a nasty name, {column} that of an encoder and of a user's column, {source}
# that of a source; {tables} is a folder with nasty files.
CASES: dict[str, list[list[str]]] = {
    "index": [[], ["{tables}/photos", "--labels", "folders"], ["{evil}"], ["--encoder", "{evil}"], ["--labels", "{evil}"],
              ["{tables}/photos", "--labels", "{tables}/labels.csv"], ["--exclude", "{evil}"], ["--restore", "{evil}"], ["--restore", "{tables}/labels.csv"]],
    "search": [["--id", "1"], ["--id", "2", "-k", "142"], ["{evil}"], ["id:{evil}"], ["--id", "1", "--where", "label = '{evil}'"],
               ["--id", "1", "--where", "{evil}"], ["--batch", "{tables}/queries.txt"], ["--batch", "{evil}"], ["--id", "1", "--paths"],
               ["--id", "1", "--encoder", "{evil}"], ["--id", "1", "--html", "{tables}/{evil}/x.html"], ["--id", "1", "--unique", "{evil}"],
               ["--id", "1", "--html", "{tables}/hits.html", "--sheet", "{tables}/hits.png", "-k", "100"], ["--{evil}"], ["--provider", "{evil}"]],
    "neighbours": [["--out", "{tables}/graph.parquet"], ["--out", "{tables}/{evil}.txt"]],
    "info": [[], ["{evil}"]],
    "failures": [[]],
    "sql": [["SELECT * FROM items"], ["SELECT path, reason FROM failures"], ["{evil}"], ["SELECT {evil}"], ["SELECT '{evil}' AS \"{evil}\""],
            ["SELECT nosuch FROM items"], ["SELECT [label] AS a, {'x': label} AS b, label::BLOB AS c FROM items WHERE NOT contains(label, chr(0))"]],
    "serve": [["--port", "0", "--host", "{evil}"], ["--port", "{evil}"], ["{evil}"], ["--port", "0", "--host", "nul\0"], ["--port", "0", "--host", "a..b"]],
    "knn": [["-k", "1"], ["-k", "1", "--where", "label <> '{evil}'"], ["--where", "label = '{evil}'"], ["--encoder", "{evil}"], ["-k", "{evil}"]],
    "linear": [["--grid", "1"]],
    "lowshot": [["--shots", "1", "--tries", "2", "--method", "nearest-mean"], ["--shots", "5"], ["--way", "2", "--shots", "1", "--queries", "1", "--episodes", "2"]],
    "retrieval": [["-k", "1"]],
    "compare": [["--no-linear", "-k", "1"], ["{store}", "--no-linear", "-k", "1", "--shots", "1"], ["{evil}"]],
    "duplicates": [[], ["--html", "{tables}/dup.html", "--sheet", "{tables}/dup.png"], ["--sheet", "{tables}/{evil}.x"], ["-n", "{evil}"], ["--encoder", "{evil}"], ["--delete", "--yes", "--out", "{tables}/{evil}.csv"], ["--delete", "--yes", "--out", "{evil}"]],
    "leaks": [["-n", "99"], ["-n", "{evil}"], ["--encoder", "{evil}"]],
    "outliers": [[], ["--html", "{tables}/odd.html", "--sheet", "{tables}/odd.png"], ["--html", "{tables}/{evil}/x.html"], ["--where", "{evil}"], ["-n", "{evil}"], ["--column"], ["--encoder", "{evil}"]],
    "label-errors": [[], ["--where", "{evil}"], ["--html", "{tables}/wrong.html"], ["-n", "{evil}"], ["--column"], ["--encoder", "{evil}"]],
    "clusters": [["-k", "2"], ["-k", "{evil}"], ["--where", "{evil}"], ["--column"], ["--sheet", "{tables}/clusters.png"], ["--encoder", "{evil}"]],
    "suggest": [["-n", "3", "--out", "{tables}/next.csv"], ["--by", "{evil}"], ["--where", "{evil}"], ["--out", "{tables}/{evil}.x"], ["--encoder", "{evil}"],
                ["--simulate", "--labels", "2", "--seeds", "2"]],
    "coverage": [[], ["--column", "--html", "{tables}/coverage.html"], ["--where", "{evil}"], ["--where", "label = '{evil}'"], ["--encoder", "{evil}"]],
    "report": [["--out", "{tables}/report.md", "--map", "pca"], ["--out", "{tables}/report.json", "--map", "pca"], ["--out", "{tables}/{evil}.x"],
               ["--out", "{tables}/report.md", "--run", "{evil}"], ["--out", "{tables}/report.md", "--map", "pca", "--run", "{tables}/{evil}"]],
    "attention": [["{evil}", "--out", "{tables}/x.png"]],
    "classify": [["--train", "--name", "kind", "--method", "ridge"], ["--train", "--name", "{evil}"], ["--apply", "{evil}"], ["--drop", "{evil}"],
                 ["--export", "{tables}/x.onnx", "--name", "{evil}"], ["{evil}"], ["--train", "--name", "kind", "--method", "{evil}"]],
    "label": [["{tables}/labels.csv"], ["{tables}/strange.csv"], ["--undo"], ["{evil}"], ["{tables}/labels.csv", "--label-column", "{evil}"], ["{tables}/columns.csv"]],
    "annotate": [["{tables}/columns.csv"], ["{tables}/strange.csv"], ["--drop", "{evil}"], ["{evil}"], ["--drop", "{column}"]],
    "encoders": [[], ["--default", "{evil}"], ["--name", "{evil}", "b"], ["--name", "{column}", "{evil}"], ["--drop", "{evil}"], ["--drop", "{column}"]],
    "sources": [[], ["--forget", "{evil}"], ["--forget", "{source}"]],
    "relocate": [["/a", "{evil}"], ["{evil}", "/a", "--missing-ok"], ["{source}", "/b{evil}", "--missing-ok"]],
    "delete": [["--where", "label = '{evil}'"], ["--where", "{evil}"], ["--where", "id < 9", "--dry-run"], ["--where", "id < 9"]],
    "optimize": [[]],
    "verify": [[], ["--repair"]],
    "export-vectors": [["{tables}/vectors.parquet"], ["{tables}/{evil}.x"], ["{tables}/x.parquet", "--encoder", "{evil}"]],
    "import-vectors": [["{tables}/mine.parquet"], ["{evil}"]],
    "whiten": [["--out", "{tables}/white.onnx"], ["--out", "{tables}/{evil}.onnx"], ["--out", "{tables}/white.onnx", "--encoder", "{evil}"]],
}  # fmt: skip

# The same for the commands that need torch; what they print of a collection goes the same way.
TRAINING_CASES: dict[str, list[list[str]]] = {
    "train": [["{evil}", "--out", "{tables}/run"], ["{tables}/photos", "--out", "{tables}/run", "--method", "{evil}"],
              ["{tables}/photos", "--out", "{tables}/run", "--backbone", "{evil}"], ["{tables}/photos", "--out", "{tables}/run", "--set", "{evil}"]],
    "export": [["{evil}", "--out", "{tables}/x.onnx"], ["untrained:{evil}", "--out", "{tables}/x.onnx"], ["timm:{evil}", "--out", "{tables}/x.onnx"],
               ["pixels:4", "--calibrate", "{tables}/photos", "--out", "{tables}/pixels.onnx"]],
    "profile": [["{evil}"]],
    "finetune": [["{evil}", "{tables}/photos", "--out", "{tables}/tuned"]],
    "field": [["{evil}", "--run", "{evil}", "--out", "{tables}/field.md"]],
    "score": [["{evil}", "{tables}/{evil}.store"], ["{tables}/photos", "{evil}", "--device", "{evil}"]],
    "demo": [["--out", "{tables}"]],
}  # fmt: skip


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> Path:
    return make_store(tmp_path_factory.mktemp("strange"), encoder, NASTY_NAMES, COLUMN)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of photos, and tables of users, with nasty names."""
    folder = tmp_path_factory.mktemp("tables")
    names = list(NASTY.values())
    for name in filter(fits_a_file, names):
        paint(folder / "photos" / name / f"{name}.png", (1, 2, 3))
    allowed = without_control(names)
    _write(folder / "labels.csv", [("id", "label"), *enumerate(allowed, 1)])
    _write(folder / "strange.csv", [("path", "label"), *((name, name) for name in allowed)])
    _write(folder / "columns.csv", [("id", *allowed), *((number, *allowed) for number in range(1, 5))])
    (folder / "queries.txt").write_text("\n".join(allowed), encoding="utf-8")
    vectors = np.eye(12, dtype=np.float32)[[0] * len(names)].tolist()
    pq.write_table(pa.table({"path": names, "vector": vectors}), folder / "mine.parquet")
    return folder


def _write(path: Path, rows: list[tuple[Any, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def test_every_command_has_its_case() -> None:
    assert set(CASES) == set(MODULES)
    assert set(TRAINING_CASES) == {point.name for point in entry_points(group="featurestore.commands")}


@pytest.mark.slow
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize(("command", "words"), [(command, words) for command in CASES for words in CASES[command]])
def test_no_command_prints_what_acts_on_a_terminal(
    run: Run, strange: Path, tables: Path, tmp_path: Path, command: str, words: list[str], as_json: bool
) -> None:
    if as_json and "--paths" in words:
        pytest.skip("the two exclude each other")
    store = tmp_path / "strange.store"
    shutil.copytree(strange, store)
    status, out, err = run(command, store, *_filled(words, tables, store), *["--json"] * as_json)
    assert printed(out) + printed(err) == []
    assert "Traceback" not in err
    assert out + err
    if as_json and status == 0:
        assert out.isascii()
        for text in out.splitlines() if "--batch" in words else [out]:
            json.loads(text)


def _filled(words: list[str], tables: Path, store: Path) -> list[str]:
    given = {"evil": EVIL, "column": COLUMN, "source": f"/{NASTY['override']}", "tables": tables, "store": store}
    for name, value in given.items():
        words = [word.replace(f"{{{name}}}", str(value)) for word in words]
    return words


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "words"), [(command, words) for command in TRAINING_CASES for words in TRAINING_CASES[command]]
)
def test_no_command_of_training_prints_what_acts_on_a_terminal(
    run: Run, tables: Path, tmp_path: Path, command: str, words: list[str]
) -> None:
    _, out, err = run(command, *_filled(words, tables, tmp_path))
    assert printed(out) + printed(err) == []
    assert "Traceback" not in err
    assert out + err


@pytest.mark.slow
def test_json_gives_every_name_back(run: Run, strange: Path) -> None:
    names = set(NASTY_NAMES)
    hits = answer(run, "search", strange, "--id", "1", "-k", "200")
    assert {hit["label"] for hit in hits} == names
    assert {hit["path"].split("/", 1)[1].rpartition("/")[0] for hit in hits} >= names - {NASTY["path"]}
    assert set(answer(run, "info", strange)["labels"]) == names
    assert {row[COLUMN] for row in answer(run, "sql", strange, "SELECT * FROM items")} == names
    assert {failure["reason"] for failure in answer(run, "failures", strange)} == names
    assert {source["path"] for source in answer(run, "sources", strange)} > {f"/{name}" for name in names}
    assert {row["label"] for row in answer(run, "knn", strange, "-k", "1")["classes"]} == names
    assert answer(run, "encoders", strange)[0]["name"] == COLUMN


@pytest.mark.parametrize(
    "words",
    [
        ["info"], ["failures"], ["knn", "-k", "1"], ["lowshot", "--shots", "5"], ["search", "--id", "6"], ["search", "--id", "6", "--paths"],
        ["knn", "--encoder", EVIL],
        ["search", f"--{EVIL}"], ["encoders"], ["info", EVIL],
    ],
)  # fmt: skip
def test_a_stranger_s_names_are_spelled_out(run: Run, store_path: Path, words: list[str]) -> None:
    with duckdb.connect(str(store_path / "catalog.duckdb")) as catalog:
        catalog.execute("UPDATE all_items SET label = $1, path = path || $1 WHERE label = 'primary'", [EVIL])
        catalog.execute("UPDATE encoders SET name = $1", [EVIL])
        catalog.execute("INSERT INTO failures VALUES ($1, $1, now()::TIMESTAMP)", [EVIL])
    command, *others = words
    _, out, err = run(command, store_path, *others)
    assert printed(out) + printed(err) == []
    assert out + err


def test_what_a_python_shell_shows_is_safe(store_path: Path) -> None:
    with duckdb.connect(str(store_path / "catalog.duckdb")) as catalog:
        catalog.execute("UPDATE all_items SET label = $1, path = path || $1", [EVIL])
        catalog.execute("UPDATE encoders SET name = $1", [EVIL])
    store = FeatureStore.open(store_path)
    hits = store.search(1, k=3)
    shown = [store, hits, hits[0], store.failures()]
    assert [unsafe for value in shown for unsafe in printed(repr(value))] == []
    assert hits[0].label == EVIL  # values are exact


@pytest.mark.parametrize("command", MODULES)
def test_a_name_that_is_not_utf_8_is_refused_by_every_command(run: Run, command: str) -> None:
    status, out, err = run(command, "photos.store", NOT_UTF8)
    assert (status, out) == (2, "")
    assert "'caf\\udce9' is not valid UTF-8, as names must be; rename the file or folder" in err


def test_a_store_below_a_name_that_is_not_utf_8_is_refused(tmp_path: Path, encoder: Path) -> None:
    with pytest.raises(StoreError, match="its path is not valid UTF-8; rename the folder"):
        FeatureStore.open(tmp_path / NOT_UTF8, encoder)
    assert list(tmp_path.iterdir()) == []


def test_very_long_names_are_cut_in_text_and_whole_in_json(run: Run, store_path: Path) -> None:
    with duckdb.connect(str(store_path / "catalog.duckdb")) as catalog:
        catalog.execute("UPDATE all_items SET label = $1 || id::TEXT", [LONG])
    for words in (["info"], ["search", "--id", "1"]):
        _, out, err = run(words[0], store_path, *words[1:])
        assert max(map(len, (out + err).split("\n"))) < 11_000
    assert sorted(answer(run, "info", store_path)["labels"]) == [f"{LONG}{number}" for number in range(1, 7)]


def test_a_mistake_of_ours_prints_nothing_unsafe(run: Run, store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError(EVIL)

    monkeypatch.setattr("featurestore.cli.store.summarise", fail)
    status, out, err = run("info", store_path)
    assert (status, out) == (1, "")
    assert "Traceback" in err
    assert printed(err.replace("\nforged", "")) == []
