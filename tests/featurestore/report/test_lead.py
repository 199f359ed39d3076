"""The head of a report: what it says about the store of `conftest`, and what it compares the encoder with."""

from dataclasses import replace
from pathlib import Path

from featurestore import FeatureStore
from featurestore.evaluation.knn import Leaks
from featurestore.metrics.twins import Twins
from featurestore.report.lead import baseline_table, chance, headline
from featurestore.report.report import Report
from tests.featurestore.fakes import CARD, write_encoder
from tests.featurestore.report.conftest import report


def test_the_head_says_what_the_figures_mean(made: Report) -> None:
    first, weakest, few = headline(made.figures)
    assert first == "83 % of 12 test images get the right class from their 10 nearest training images; chance 33 %."
    assert weakest == "Weakest: warm (3 of 4 right). Most frequent mistake: leaf taken for cold, 1 time."
    assert few.startswith("With 5 labelled images of each class, ")
    table = baseline_table(made.figures)
    assert table is not None
    assert [(name, top1) for name, _, top1 in table.rows] == [
        (made.figures.encoder["name"], "83.3"),
        ("chance: always the largest class", "33.3"),
    ]


def test_exact_copies_in_train_are_told_with_the_figure_without_them(made: Report) -> None:
    knn = made.figures.knn
    assert knn is not None

    def second(twins: Twins, split: str = "train->test") -> str:
        return headline(replace(made.figures, knn=replace(knn, twins=twins, split=split)))[1]

    assert second(Twins(3, 7 / 9)) == "3 test images have an exact copy in train; without them, 78 % are right."
    assert second(Twins(1, 0.75)) == "1 test image has an exact copy in train; without it, 75 % are right."
    assert second(Twins(12, None), "leave-one-out") == (
        "12 images have an exact copy among the others: no other is left to measure."
    )


def test_known_leaks_take_the_place_of_exact_copies(made: Report) -> None:
    knn = made.figures.knn
    assert knn is not None
    leaking = replace(knn, twins=Twins(3, 7 / 9), leaks=Leaks(4, 0.75, 0))
    assert headline(replace(made.figures, knn=leaking))[1] == (
        "4 test images have a copy in train; without them, 75 % are right."
    )


def test_chance_is_the_share_of_the_largest_class(made: Report) -> None:
    knn = made.figures.knn
    assert knn is not None
    largest = replace(knn.classes[0], n=6)
    assert chance(replace(knn, n_test=10, classes=[largest, *knn.classes[1:]])) == 0.6


def test_images_without_a_label_are_counted(made: Report) -> None:
    held = replace(made.figures.collection, labelled=18)
    said = headline(replace(made.figures, collection=held))
    assert said[-1] == "12 of 30 images have no label, and are not in these figures."


def test_baselines_are_measured_on_the_items_that_a_where_chooses(
    copied: FeatureStore, tmp_path: Path, drawn: Path
) -> None:
    add_untrained(copied, tmp_path, drawn)
    where = "label <> 'warm'"
    found = report(copied, encoder="quadrants", where=where).figures
    [baseline] = found.baselines
    assert baseline.top1 == copied.knn(10, encoder="untrained", where=where).results[0].top1 == 7 / 8
    assert headline(found)[0] == "Only 20 of 30 images: where label <> 'warm'."


def add_untrained(store: FeatureStore, folder: Path, source: Path) -> None:
    """Add an encoder of the same vectors, whose card says that it is untrained."""
    file = write_encoder(folder / "untrained.onnx", replace(CARD, method="untrained"), 2.0)
    FeatureStore.open(store.path, file).index(source)


def test_an_encoder_that_learned_nothing_is_measured_on_the_same_images(
    copied: FeatureStore, tmp_path: Path, drawn: Path
) -> None:
    add_untrained(copied, tmp_path, drawn)
    found = report(copied, encoder="quadrants").figures
    [baseline] = found.baselines
    assert found.knn is not None
    assert (baseline.top1, baseline.top1_ci95) == (found.knn.results[0].top1, found.knn.results[0].top1_ci95)
    assert (baseline.gain.only_first, baseline.gain.only_second) == (0, 0)  # the vectors are the same
    first, gain, *_ = headline(found)
    assert first.endswith("; chance 33 %, an untrained network 83 %.")
    assert gain.startswith("That it is better than an untrained network is not certain (0 points, 95 % interval ")
    assert report(copied, encoder="untrained").figures.baselines == ()  # it is not compared with itself


def test_an_encoder_of_other_images_is_no_baseline(copied: FeatureStore, tmp_path: Path, drawn: Path) -> None:
    add_untrained(copied, tmp_path, drawn / "train")
    assert report(copied, encoder="quadrants").figures.baselines == ()
