"""Encoders compared: one whose vectors are mean colours, another whose vectors are the same, and a blind one."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from featurestore import FeatureStore, compare
from featurestore.errors import ConfigError, EncoderNotInStore, EvaluationError
from featurestore.evaluation.comparison import ComparedEncoder, Comparison
from featurestore.metrics.label_free import neighbour_agreement
from featurestore.metrics.statistics import ItemDifference
from tests.featurestore.commands import Run, answer
from tests.featurestore.evaluation.labelled import labelled_store, random_entries, twins_of_test
from tests.featurestore.fakes import CARD, DIM, Colour, paint, write_encoder

Entries = list[tuple[str, Colour]]


def write_blind_encoder(path: Path) -> Path:
    """Write an encoder for which all pictures are the same."""
    model = onnx.load(str(write_encoder(path, replace(CARD, method="blind"), scale=0)))
    model.graph.node[-1].output[0] = "zeros"
    model.graph.node.append(helper.make_node("Cos", ["zeros"], ["vector"]))
    onnx.save(model, str(path))
    return path


@pytest.fixture(autouse=True, scope="module")
def _folds_once() -> Iterator[None]:
    """C is chosen by folds drawn once, not three times, which is tested with the estimator."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("featurestore.estimators.linear.REPEATS", 1)
        yield


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory, encoder: Path, other_encoder: Path) -> dict[str, Path]:
    blind = write_blind_encoder(tmp_path_factory.mktemp("encoders") / "blind.onnx")
    return {"quadrants": encoder, "copy": other_encoder, "blind": blind}


def filled(folder: Path, encoders: dict[str, Path], entries: Entries, *names: str) -> FeatureStore:
    """A store of labelled pictures by the quadrants and by other encoders."""
    store = labelled_store(folder, encoders["quadrants"], entries)
    for name in names:
        FeatureStore.open(store.path, encoders[name]).index(folder / "source")
    return FeatureStore.open(store.path)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory, encoders: dict[str, Path]) -> dict[str, FeatureStore]:
    """A store of forty pictures with splits, and one without, by all three encoders."""
    return {
        name: filled(tmp_path_factory.mktemp(name), encoders, random_entries(name == "split"), "copy", "blind")
        for name in ("split", "whole")
    }


@pytest.fixture(scope="module")
def comparisons(stores: dict[str, FeatureStore]) -> dict[str, Comparison]:
    return {name: compare(store, k=5, linear=True, grid=3) for name, store in stores.items()}


def difference(row: ComparedEncoder, measure: str) -> ItemDifference:
    found = row.figures()[measure].difference
    assert isinstance(found, ItemDifference)
    return found


# -- what it measures


@pytest.mark.parametrize("kind", ["split", pytest.param("whole", marks=pytest.mark.slow)])
def test_every_figure_is_that_of_the_command_for_one_encoder(
    kind: str, stores: dict[str, FeatureStore], comparisons: dict[str, Comparison]
) -> None:
    store, found = stores[kind], comparisons[kind]
    assert [row.method for row in found.rows] == ["quadrants", "other", "blind"]
    for row in (found.rows[0], found.rows[2]):
        knn, linear = store.knn(5, encoder=row.encoder), store.linear(3, encoder=row.encoder)
        top1 = [row.figures()[measure].top1 for measure in ("k-NN", "linear")]
        assert [*top1, row.c] == pytest.approx([knn.results[0].top1, linear.top1, linear.c])
        assert (found.split, found.linear_split) == (knn.split, linear.split)
        few = store.lowshot([1, 5], methods=["nearest-mean"], encoder=row.encoder)
        assert {n: figure.top1 for n, figure in row.lowshot.items()} == pytest.approx({r.shots: r.top1_mean for r in few.results})  # fmt: skip
        assert found.lowshot_split == few.split


@pytest.mark.parametrize("kind", ["split", "whole"])
def test_a_copy_differs_by_nothing(kind: str, comparisons: dict[str, Comparison]) -> None:
    found = comparisons[kind]
    first, copy, _ = found.rows
    assert copy.encoder != first.encoder
    assert {figure.difference for figure in first.figures().values()} == {None}
    for figure in copy.figures().values():
        assert figure.difference is not None
        low, high = figure.difference.ci95
        assert (figure.difference.mean, low) == pytest.approx((0.0, -high))
    assert (copy.rankme, copy.uniformity, copy.neighbour_agreement) == (first.rankme, first.uniformity, 1.0)
    assert found.verdicts[0].startswith(
        f"k-NN: {copy.name} and {first.name} do not differ significantly on these {found.n_test} items (-"
    )


def test_a_blind_encoder_is_worse(comparisons: dict[str, Comparison]) -> None:
    first, _, blind = comparisons["whole"].rows
    for measure, verdict in zip(("k-NN", "linear"), comparisons["whole"].verdicts[2:], strict=True):
        found = difference(blind, measure)
        assert found.mean == pytest.approx(blind.figures()[measure].top1 - first.figures()[measure].top1)
        assert found.mean * 40 == pytest.approx(found.only_second - found.only_first)
        low, high = (-100 * end for end in reversed(found.ci95))
        points = f"{-100 * found.mean:.1f} points ({low:.1f} to {high:.1f})"
        assert verdict == f"{measure}: {blind.name} is worse than {first.name} by {points}"
    assert blind.rankme == pytest.approx(1, abs=1e-3)
    assert blind.uniformity == pytest.approx(0, abs=1e-6)
    assert blind.neighbour_agreement < 0.5


def test_on_few_items_not_even_a_blind_encoder_differs_significantly(comparisons: dict[str, Comparison]) -> None:
    first, _, blind = comparisons["split"].rows
    found = difference(blind, "k-NN")
    assert (found.only_first, found.only_second) == (5, 0)
    assert found.ci95[1] < 0
    expected = f"k-NN: {blind.name} and {first.name} do not differ significantly on these 14 items (-"
    verdict = comparisons["split"].verdicts[2]
    assert verdict.startswith(expected)
    assert verdict.endswith(" points; the sign test disagrees with this interval, p = 0.062)")


def test_compared_with_the_blind_encoder_the_other_is_better(
    stores: dict[str, FeatureStore], comparisons: dict[str, Comparison]
) -> None:
    first, _, blind = comparisons["whole"].rows
    found = compare(stores["whole"], encoders=[blind.name, first.encoder[:10]], k=5, linear=False)
    assert [row.encoder for row in found.rows] == [blind.encoder, first.encoder]
    there, back = difference(blind, "k-NN"), difference(found.rows[1], "k-NN")
    assert (back.mean, back.only_first, back.only_second) == (-there.mean, there.only_second, there.only_first)
    assert found.verdicts[0].startswith(f"k-NN: {first.name} is better than {blind.name} by ")


def test_agreement_is_that_of_the_nearest_by_hand(
    stores: dict[str, FeatureStore], comparisons: dict[str, Comparison]
) -> None:
    """Neighbours by a full sort of float64 scores, equal ones by row, in place of the search's own."""
    nearest = []
    first, _, blind = comparisons["whole"].rows
    for row in (first, blind):
        x = stores["whole"].features(encoder=row.encoder)[1].astype(np.float64)
        scores = np.round(x @ x.T, 6)
        np.fill_diagonal(scores, -np.inf)
        nearest.append(np.argsort(-scores, axis=1, kind="stable")[:, :5])
    assert blind.neighbour_agreement == pytest.approx(neighbour_agreement(*nearest), abs=0.01)


# -- which items


def test_items_that_one_encoder_lacks_are_left_out_of_all(tmp_path: Path, encoders: dict[str, Path]) -> None:
    store = labelled_store(tmp_path, encoders["quadrants"], random_entries(False, 12))
    for place in range(3):
        paint(tmp_path / "source" / "class0" / f"new{place}.png", (250, 10, place))
    FeatureStore.open(store.path, encoders["blind"]).index(tmp_path / "source", labels="folders")
    found = compare(store.path, k=5, linear=False)
    assert (found.items, found.left_out, found.n_test) == (12, 3, 12)


def test_several_stores_are_matched_by_path_and_content(tmp_path: Path, encoders: dict[str, Path]) -> None:
    store = labelled_store(tmp_path, encoders["quadrants"], random_entries(False, 12))
    source, second = tmp_path / "source", tmp_path / "second.store"
    changed, gone = sorted(source.rglob("*.png"))[:2]
    paint(changed, (3, 2, 1))
    gone.unlink()
    FeatureStore.open(second, encoders["blind"]).index(source, labels="folders")
    found = compare(store, second, k=5, linear=False)
    assert [row.store for row in found.rows] == [str(store.path), str(second)]
    assert (found.items, found.left_out, found.labelled_otherwise) == (10, 3, 0)  # the changed one is two items
    assert found.names()[1] == f"{second}:{found.rows[1].name}"
    assert f"k-NN: {second}:blind-" in found.verdicts[0]


def test_labels_are_those_of_the_first_store(tmp_path: Path, encoders: dict[str, Path]) -> None:
    store = labelled_store(tmp_path, encoders["quadrants"], random_entries(False, 12))
    second = tmp_path / "second.store"
    FeatureStore.open(second, encoders["copy"]).index(tmp_path / "source")
    found = compare(store, second, k=5, linear=False)
    assert (found.items, found.labelled_otherwise, found.n_test) == (12, 12, 12)
    assert [row.figures()["k-NN"].top1 for row in found.rows] == [store.knn(5).results[0].top1] * 2
    assert compare(second, store, k=5).split is None


def test_a_large_collection_is_sampled_for_the_figures_without_labels(stores: dict[str, FeatureStore], monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(sys.modules["featurestore.evaluation.compare"], "SAMPLED", 10)
    found = compare(stores["whole"], k=5, linear=False)
    assert (found.sampled, found.items) == (10, 40)
    assert found.rows[1].neighbour_agreement == 1.0
    assert found.rows[0].rankme <= 10


# -- without labels


def test_without_labels_only_the_figures_that_need_none_are_measured(
    tmp_path: Path, encoders: dict[str, Path], run: Run
) -> None:
    store = filled(tmp_path, encoders, [(".", (200, 20 * place, 10)) for place in range(8)], "blind")
    found = compare(store)
    assert (found.split, found.linear_split, found.n_test, found.classes, found.verdicts) == (None, None, 0, 0, [])
    assert (found.items, found.k) == (8, 7)
    assert [row.figures() for row in found.rows] == [{}, {}]
    assert found.rows[0].neighbour_agreement == 1.0
    assert found.rows[0].rankme > found.rows[1].rankme
    status, out, err = run("compare", store.path)
    assert (status, err) == (0, "")
    assert "no labels, so only measures without labels; to add some: featurestore label STORE FILE.csv" in out
    assert "k-NN" not in out
    assert answer(run, "compare", store.path)["encoders"][0]["knn"] is None


# -- refusals


def test_one_encoder_alone_is_refused(shared: FeatureStore) -> None:
    with pytest.raises(
        EvaluationError, match=r"expected two encoders or more to compare, found quadrants-\w+; index the same source"
    ):
        compare(shared)
    with pytest.raises(EvaluationError, match="expected two encoders or more to compare, found none"):
        compare()


def test_an_unknown_encoder_is_refused(stores: dict[str, FeatureStore], encoders: dict[str, Path]) -> None:
    with pytest.raises(EncoderNotInStore, match="'nobody' does not name one encoder"):
        compare(stores["whole"], encoders=[encoders["blind"], "nobody"])


def test_stores_without_common_items_are_refused(
    tmp_path: Path, encoders: dict[str, Path], shared: FeatureStore
) -> None:
    paint(tmp_path / "source" / "one.png", (9, 9, 9))
    FeatureStore.open(tmp_path / "my.store", encoders["blind"]).index(tmp_path / "source")
    with pytest.raises(
        EvaluationError,
        match=r"at least 2 items .* found 0 \(quadrants-\w+ 6, blind-\w+ 1\).* path and content must be the same",
    ):
        compare(shared, tmp_path / "my.store")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"k": 40}, "k = 40: expected from 1 to 39"),
        ({"k": 0}, "k = 0: expected from 1 to 39"),
        ({"linear": True, "grid": 0}, "grid = 0: expected at least 1"),
        ({"shots": [30]}, "shots = 30: expected between 1 and .* smallest class"),
        ({"temperature": 0.0}, "temperature 0.0: expected more than 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    stores: dict[str, FeatureStore], asked: dict[str, object], message: str
) -> None:
    with pytest.raises(EvaluationError, match=message):
        compare(stores["whole"], **{"linear": False, **asked})  # type: ignore[arg-type]


def test_labels_of_one_class_are_refused(tmp_path: Path, encoders: dict[str, Path]) -> None:
    one_class: Entries = [("rose", (200, 10, 10)), ("rose", (210, 20, 10))]
    with pytest.raises(EvaluationError, match="one class"):
        compare(filled(tmp_path, encoders, one_class, "blind"))


@pytest.mark.parametrize("folders", ["ab", ".."])  # with labels and without
def test_damaged_vectors_are_named(tmp_path: Path, encoders: dict[str, Path], folders: str) -> None:
    store = filled(tmp_path, encoders, [(folders[0], (200, 10, 10)), (folders[1], (10, 200, 10))], "blind")
    blind = store.info()["encoders"][1]
    with (store.path / "vectors" / f"{blind['fingerprint'][:16]}.f16").open("r+b") as file:
        file.seek(2 * DIM)
        file.write(np.array([np.nan], "<f2").tobytes())
    with pytest.raises(
        EvaluationError, match=rf"1 vectors of {blind['name']} .* the first that of .*001\.png.* featurestore verify"
    ):
        compare(store, linear=False)


def test_linear_is_left_out_without_scikit_learn_and_refused_when_asked_for(stores: dict[str, FeatureStore], monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    genuine = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sklearn" else genuine(name))
    found = compare(stores["whole"], k=5)
    assert (found.linear_split, found.rows[1].linear) == (None, None)
    assert found.rows[1].knn is not None
    with pytest.raises(ConfigError, match=r"needs sklearn, which is not installed: pip install 'featurestore\[eval\]'"):
        compare(stores["whole"], linear=True)


# -- the command


COMMAND = ("--k", "5", "--linear", "--grid", "3")


def test_the_json_has_everything_needed_to_repeat_it(
    stores: dict[str, FeatureStore], comparisons: dict[str, Comparison], run: Run
) -> None:
    found = answer(run, "compare", stores["split"].path, *COMMAND)
    assert found == json.loads(json.dumps(comparisons["split"].to_json()))
    settings = {
        "protocol": "compare", "split": "train->test", "linear_split": "train->test", "items": 40, "left_out": 0, "n_train": 26, "n_test": 14,
        "classes": 3, "k": 5, "temperature": 0.07, "grid": 3, "tries": 10, "sampled": 40, "seed": 0,
    }  # fmt: skip
    assert {key: found[key] for key in settings} == settings
    first, _, blind = found["encoders"]
    assert first["knn"]["difference"] is None
    assert set(blind["knn"]["difference"]) == {"mean", "ci95", "only_first", "only_second"}
    assert [(few["shots"], few["method"]) for few in blind["lowshot"]] == [(1, "nearest-mean"), (5, "nearest-mean")]
    assert len(blind["encoder"]) == 64


def test_the_table_puts_figures_differences_and_verdicts_under_one_another(stores: dict[str, FeatureStore], comparisons: dict[str, Comparison], run: Run) -> None:  # fmt: skip
    status, out, err = run("compare", stores["split"].path, *COMMAND)
    assert (status, err) == (0, "")
    first, _, blind = comparisons["split"].rows
    top1, of_blind = (row.figures()["k-NN"].top1 for row in (first, blind))
    assert out.startswith(
        "40 items with vectors of all encoders, 0 without are left out; seed 0\n"
        "k-NN        train->test, 26 train, 14 test, 3 classes, k = 5, T = 0.07\n"
        "linear      train->test, logistic regression, 3 values of C\n"
        "few labels  train->test, nearest mean, 10 draws\n"
        f"no labels   40 items, 5 neighbours, agreement with {first.name}\n"
        f"twins       {twins_of_test(random_entries(True))} test images are exact copies of a training image; k-NN without them: "
    )
    for row in comparisons["split"].rows:
        assert row.knn is not None
        assert f"{row.name} {row.knn.without_twins:.4f}" in out
    lines = out.splitlines()
    [heads] = [line for line in lines if line.startswith("encoder ")]
    assert heads.split("  ")[0] == "encoder"
    for head in ("dim", "k-NN", "linear", "1 label a class", "5 labels a class", "RankMe", "uniformity", "agreement"):
        assert head in heads
    [own] = [line for line in lines if line.startswith(f"{first.name} ")]
    assert f"{top1:.4f}" in own
    [differences] = [line for line in lines if line.startswith(f"{blind.name} ") and " to " in line]
    assert f"{100 * (of_blind - top1):+.1f} (" in differences
    assert lines[-len(comparisons["split"].verdicts) :] == comparisons["split"].verdicts


def test_a_class_that_cannot_be_learnt_is_named(tmp_path: Path, encoders: dict[str, Path], run: Run) -> None:
    store = filled(tmp_path, encoders, [*random_entries(True, 12), ("test/only here", (1, 2, 250))], "blind")
    out = run("compare", store.path, "--k", "5", "--no-linear")[1]
    assert "untrained   only here: no training item has these labels, so they are never predicted" in out
