"""`knn`, `linear`, `lowshot` and `retrieval`: what they print, and what they refuse."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from featurestore import FeatureStore
from featurestore.progress import Listener
from featurestore.storage.kept_pairs import KeptPairs, contents_of, keep_pairs
from tests.featurestore.commands import Run, answer
from tests.featurestore.evaluation.labelled import labelled_store, random_entries, twins_of_test

TWINS = twins_of_test(random_entries(True, 60))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> Path:
    return labelled_store(tmp_path_factory.mktemp("measured"), encoder, random_entries(True, 60)).path


def test_knn(run: Run, store_path: Path) -> None:
    status, out, err = run("knn", store_path, "--k", "1", "--k", "5")
    assert (status, err) == (0, "")
    heading, *table = out.splitlines()
    assert heading.startswith("k-NN  leave-one-out, 6 train, 6 test, encoder ")
    assert table[0].split() == ["k", "T", "top-1", "95", "%", "interval", "top-5"]
    assert [line.split()[:2] for line in table[1:3]] == [["1", "0.07"], ["5", "0.07"]]
    assert table[3] == f"near copies were not looked for: featurestore duplicates {store_path}"
    assert table[5] == "classes, at k = 1, T = 0.07"
    assert [line.split()[0] for line in table[7:10]] == ["mixed", "plain", "primary"]
    assert table[11] == "never predicted, since no training item has the label: plain"
    assert table[13] == "confusion matrix: rows are labels, columns are predictions"
    assert table[14].split() == ["label", "mixed", "plain", "primary"]
    assert sum(int(count) for line in table[15:] for count in line.split()[1:]) == 6


def test_knn_says_how_many_leak(run: Run, measured: Path, tmp_path: Path) -> None:
    """Two nodes of a test image and a training image that is no exact copy of it are kept as a pair."""
    store = FeatureStore.open(shutil.copytree(measured, tmp_path / "own.store"))
    hint = f"near copies were not looked for: featurestore leaks {store.path} --encoder quadrants"
    assert hint in run("knn", store.path, "-k", "1", "--encoder", "quadrants")[1].splitlines()
    contents = contents_of(store)
    splits = contents.view.items.splits.to_pylist()
    nodes = {split: {node for node, own in zip(contents.nodes.tolist(), splits, strict=True) if own == split} for split in ("train", "test")}  # fmt: skip
    pair = sorted((min(nodes["test"] - nodes["train"]), min(nodes["train"] - nodes["test"])))
    left, right = (np.array([node]) for node in pair)
    shown = sum(own == "test" and node in pair for node, own in zip(contents.nodes.tolist(), splits, strict=True))

    def leaks(unseen: list[int], left: np.ndarray, right: np.ndarray) -> str:
        score, mirrored = np.full(len(left), 0.99, np.float32), np.zeros(len(left), bool)
        found = KeptPairs(contents, left, right, score, mirrored, np.array(unseen, np.int64), 1.0, 0.97, 0.9)
        keep_pairs(store, found, Listener())
        status, out, err = run("knn", store.path, "-k", "1")
        assert (status, err) == (0, "")
        return out.splitlines()[3]

    said = f"leaks: {TWINS + shown} test images show the picture of a training image, {TWINS} as an exact copy; top-1 at k = 1 without them 0."
    assert leaks([], left, right).startswith(said)
    assert leaks([3], left, right).endswith("; 1 picture could not be looked at")
    assert answer(run, "knn", store.path, "-k", "1")["leaks"]["n"] == TWINS + shown
    in_train = "(SELECT sha256 FROM items WHERE split = 'train')"
    store.delete(f"split = 'test' AND id IN (SELECT id FROM items WHERE sha256 IN {in_train})")
    contents = contents_of(store)
    assert leaks([], left[:0], right[:0]) == "leaks: none"


def test_knn_of_many_classes_prints_the_most_frequent_mistakes(run: Run, tmp_path: Path, encoder: Path) -> None:
    entries = [(f"class{c:02}", (20 * c, 255 - 20 * c, 0)) for c in range(11)] * 2
    twins = [*[("class11", (60, 195, 0))] * 2, ("class12", (255, 255, 255)), ("class12", (254, 255, 255))]
    status, out, err = run("knn", labelled_store(tmp_path, encoder, entries + twins).path, "--k", "1")
    assert (status, err) == (0, "")
    heading, heads, *pairs = out.split("\n\n")[-1].splitlines()
    assert heading == "the most frequent mistakes of 13 classes"
    assert heads.split() == ["times", "label", "predicted"]
    assert pairs[0].split() == ["2", "class11", "class03"]


def test_options_of_knn_become_arguments(run: Run, store_path: Path) -> None:
    found = answer(run, "knn", store_path, "-k", "2", "--temperature", "0.5", "--where", "id < 6")
    assert (found["k"], found["temperature"], found["where"], found["n_test"]) == (2, 0.5, "id < 6", 5)
    assert [(r["k"], r["temperature"]) for r in found["results"]] == [(2, 0.5)]


def test_linear(run: Run, measured: Path) -> None:
    status, out, err = run("linear", measured, "--grid", "3")
    assert (status, err) == (0, "")
    first, grid, classes = (part.splitlines() for part in out.split("\n\n"))
    heading, figure, twins = first
    assert twins.startswith(f"twins: {TWINS} test images are exact copies of a training image; top-1 without them 0.")
    assert heading.startswith("linear  train->test, 40 train, 20 test, seed 0, encoder ")
    assert figure.startswith("top-1 0.")
    assert ", 95 % interval 0." in figure
    assert grid[0].split() == ["C", "top-1", "within", "train"]
    assert [line.split()[0] for line in grid[1:]] == ["1e-06", "0.316", "1e+05"]
    assert [line.split()[0] for line in classes] == ["label", "class0", "class1", "class2"]
    found = answer(run, "linear", measured, "--grid", "3")
    assert figure.startswith(f"top-1 {found['top1']:.4f}")


def test_lowshot(run: Run, measured: Path) -> None:
    words = ["--shots", "2", "--fraction", "0.5", "--tries", "3", "--method", "knn", "--method", "nearest-mean"]
    status, out, err = run("lowshot", measured, *words)
    assert (status, err) == (0, "")
    heading, heads, *rows, twins, settings = out.splitlines()
    assert twins == f"twins: {TWINS} images to predict with an exact copy among those whose labels may be drawn"
    assert settings == "knn: k = 20, temperature = 0.07"
    assert heading.startswith("few labels  train->test, 40 train, 20 test, seed 0, encoder ")
    assert heads.split() == ["labels", "drawn", "method", "top-1", "95", "%", "±", "without", "twins", "tries"]
    assert [(*row.split()[:5], row.split()[-1]) for row in rows] == [
        ("2", "per", "class", "6", "knn", "3"), ("2", "per", "class", "6", "nearest-mean", "3"),
        ("0.5", "of", "all", "20", "knn", "3"), ("0.5", "of", "all", "20", "nearest-mean", "3"),
    ]  # fmt: skip
    assert answer(run, "lowshot", measured, *words)["results"][2]["fraction"] == 0.5


def test_episodes(run: Run, measured: Path) -> None:
    call = ("lowshot", measured, "--way", "2", "--shots", "1", "--queries", "3", "--episodes", "4")
    status, out, err = run(*call)
    assert (status, err) == (0, "")
    heading, heads, row = out.splitlines()
    assert heading.startswith("episodes (nearest-mean)  train->test, 40 train, 20 test, seed 0, encoder ")
    assert heads.split() == ["ways", "shots", "queries", "top-1", "95", "%", "±", "episodes", "of", "classes"]
    assert row.split()[:3] == ["2", "1", "3"]
    assert answer(run, *call)["results"][0]["episodes"] == 4


@pytest.mark.parametrize("option", [("--fraction", "0.5"), ("--method", "knn")])
def test_episodes_know_no_options_of_draws(run: Run, measured: Path, option: tuple[str, str]) -> None:
    status, _, err = run("lowshot", measured, "--way", "2", *option)
    assert status == 2
    assert "--way runs episodes, which have neither --fraction nor --method" in err


def test_retrieval(run: Run, measured: Path) -> None:
    status, out, err = run("retrieval", measured, "--k", "1", "--k", "4")
    assert (status, err) == (0, "")
    heading, figure, twins, _, heads, *rows = out.splitlines()
    assert twins.startswith(f"twins: {TWINS} test images are exact copies of a training image; mAP without them 0.")
    assert heading.startswith("retrieval  train->test, 40 candidates, 20 queries, 0 of them without a match, encoder ")
    found = answer(run, "retrieval", measured, "--k", "1", "--k", "4")
    assert figure == f"mAP {found['results']['map']:.4f}"
    assert heads.split() == ["k", "recall@k", "precision@k"]
    assert rows[1].split() == ["4", f"{found['results']['recall@4']:.4f}", f"{found['results']['precision@4']:.4f}"]


@pytest.mark.parametrize("command", ["knn", "linear", "lowshot", "lowshot --way 2", "retrieval"])
def test_every_measure_takes_the_name_of_an_encoder(run: Run, measured: Path, command: str) -> None:
    name, *options = command.split()
    status, out, err = run(name, measured, *options, "--encoder", "absent")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("featurestore: encoder 'absent'")
