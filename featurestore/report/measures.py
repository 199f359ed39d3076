"""Sections of figures: k-NN, few labels, measures without labels, and training curves."""

from collections.abc import Iterator, Sequence

from featurestore.evaluation import LowShotReport
from featurestore.evaluation.knn import KnnReport
from featurestore.evaluation.lowshot import MEASURED
from featurestore.evaluation.same_pictures import finding_command
from featurestore.metrics.confusion import ClassFigures
from featurestore.report.blocks import (
    MINUS,
    Block,
    Cell,
    Footnote,
    Graphic,
    Number,
    Paragraph,
    Section,
    Table,
    interval,
    percent,
    plus_minus,
)
from featurestore.report.charts import SMALL, Axis, Line, Plot, line_chart, swatch
from featurestore.report.training import WHOLE, Training, is_number
from featurestore.report.values import LEARNED_NOTHING, LabelFree, ReportValues
from featurestore.system.text import counted

UNSEEN = 10  # classes named at most


def knn(report: ReportValues, figures: KnnReport) -> Section:
    """Show the accuracy of the neighbours' votes, for each k."""
    which = "test image" if figures.split == "train->test" else "labelled image"
    among = "training images" if figures.split == "train->test" else "images, itself left out"
    words = (
        f"The class of each {which} ({figures.n_test:,}) is predicted from the labels of its k nearest neighbours among {figures.n_train:,} {among}. "
        "The vote of a neighbour has the weight exp(score / T), where the score is the cosine similarity. Top-1 is the share of correct predictions; "
        "top-5 the share where the correct class is among the five with the most votes. The interval shows how far top-1 may differ for other images of the same kind."
    )
    rows: list[list[Cell]] = [
        [r.k, Number(f"{r.temperature:g}"), percent(r.top1), interval(r.top1_ci95), percent(r.top5)]
        for r in figures.results
    ]
    heads = ("k", "T", "top-1, %", "95 % interval", "top-5, %")
    blocks: list[Block] = [Paragraph(words), Table(heads, rows), Footnote(["k-NN", *_conditions(report, figures)])]
    if not report.baselines and report.encoder["method"] not in LEARNED_NOTHING:
        blocks.append(
            Paragraph(
                "The store has no encoder that has learned nothing, with vectors of the same images. It would show what training has gained: featurestore export untrained:RUN, then index with it."
            )
        )
    if figures.unseen:
        names = ", ".join(figures.unseen[:UNSEEN]) + (" and others" if len(figures.unseen) > UNSEEN else "")
        blocks.append(
            Paragraph(f"No training image has the label {names}: test images with it cannot be classified correctly.")
        )
    blocks += [Paragraph(sentence) for sentence in _leaks(figures)]
    return Section("knn", "k-NN classification", blocks)


def _leaks(figures: KnnReport) -> Iterator[str]:
    """Say how many images show a picture that votes for them, and the figure without them; or that only exact copies are known."""
    leaks, twins = figures.leaks, figures.twins

    def without(top1: float | None) -> str:
        return "" if top1 is None else f" Without them, top-1 at k = {figures.k} is {100 * top1:.1f} %."

    if leaks is None:
        if twins.n:
            yield f"Images with an exact copy among those that vote: {twins.n:,}.{without(twins.top1_without)}"
        yield f"Near copies were not looked for: featurestore {finding_command(figures.split)} STORE."
    else:
        unseen = f" {counted(leaks.unseen, 'picture')} could not be looked at." if leaks.unseen else ""
        exact = f", {twins.n:,} of them exact" if leaks.n else ""
        yield f"Images with an exact, near or mirrored copy among those that vote: {leaks.n:,}{exact}.{without(leaks.top1_without)}{unseen}"


def class_table(classes: Sequence[ClassFigures], summary: str) -> Table:
    """Make a table of recall and precision."""
    rows: list[list[Cell]] = [[c.label, c.n, percent(c.recall), percent(c.precision)] for c in classes]
    return Table(("class", "images", "recall, %", "precision, %"), rows, summary)


def class_footnote(report: ReportValues, figures: KnnReport) -> Footnote:
    """Say how the figures of single classes were measured."""
    return Footnote([f"k-NN, k = {figures.k}, T = {figures.temperature:g}", *_conditions(report, figures)])


def _conditions(report: ReportValues, figures: KnnReport | LowShotReport) -> list[str]:
    counts = f"{figures.n_train:,} train, {figures.n_test:,} test"
    return [figures.split.replace("->", " → "), counts, report.encoder["name"], f"seed {report.seed}"]


def lowshot(report: ReportValues, figures: LowShotReport) -> Section:
    """Show the accuracy by the number of labels, a line for each method."""
    results = [r for r in figures.results if r.shots is not None]
    methods = list(dict.fromkeys(r.method for r in results))
    lines = [
        Line(m, [(float(r.shots or 0), 100 * r.top1_mean, 100 * r.top1_ci95) for r in results if r.method == m])
        for m in methods
    ]
    x = Axis.through("labels per class", [px for line in lines for px, _, _ in line.points], logarithmic=True)
    ends = [py + sign * half for line in lines for _, py, half in line.points for sign in (-1, 1)]
    y = Axis.over("top-1, %", [max(0.0, min(ends)), min(100.0, max(ends))])
    alt = "Accuracy by labels per class: " + "; ".join(
        f"{line.name} from {line.points[0][1]:.1f} to {line.points[-1][1]:.1f} %" for line in lines
    )
    tries = results[0].tries
    words = (
        f"Accuracy when only a few images of each class have a label. Each point is the mean of {tries} random draws of labels, "
        "the same for all methods; the whiskers are the 95 % interval of that mean."
    )
    rows: list[list[Cell]] = [
        [r.shots, r.method, percent(r.top1_mean), plus_minus(r.top1_ci95), r.labels, r.tries] for r in results
    ]
    heads = ("labels per class", "method", "top-1, %", "95 % interval", "labels in total", "draws")
    blocks: list[Block] = [
        Paragraph(words),
        Graphic("plot", {"chart": line_chart(lines, Plot(x, y), alt), "legend": methods, "swatch": swatch}),
        Table(heads, rows, summary="The same as a table"),
        Footnote([f"few labels, {tries} draws", *_conditions(report, figures)]),
    ]
    absent = [method for method in MEASURED if method not in methods]
    if absent:
        blocks.append(Paragraph(f"Not measured: {' and '.join(absent)}, which need scikit-learn: pip install 'featurestore[eval]'."))  # fmt: skip
    return Section("few-labels", "With few labels", blocks)


def label_free(report: ReportValues, figures: LabelFree) -> Section:
    """Show measures of the vectors alone."""
    words = (
        "Measures of the vectors alone. RankMe (Garrido et al. 2023) counts the effective dimensions; uniformity (Wang & Isola 2020) is 0 "
        f"when all vectors are the same and falls towards {MINUS}4 as they spread over the sphere. Few effective dimensions are a sign of a "
        "collapsed encoder; neither measure proves that an encoder is good."
    )
    rows: list[list[Cell]] = [
        ["RankMe", Number(f"{figures.rankme:.1f} of {min(report.encoder['dim'], figures.n):,}")],
        ["uniformity", Number(f"{figures.uniformity:.2f}".replace("-", MINUS))],
    ]
    vectors = f"{figures.n:,} of {counted(report.collection.vectors, 'vector')}"
    footnote = Footnote([vectors, report.encoder["name"], f"seed {report.seed}"])
    return Section("without-labels", "Without labels", [Paragraph(words), Table(("measure", "value"), rows), footnote])


def training(report: ReportValues, run: Training) -> Section:
    """Show the curves of the run that made the encoder, a small chart each."""
    curves = run.curves()
    monitor = [(m["epoch"], m["knn_top1"]) for m in run.metrics if is_number(m.get("knn_top1"))]
    words = f"The measurements of the training run “{run.run}” in each epoch."
    if not run.same_encoder:
        words += f" Its encoder.onnx is not the file that made these vectors, {report.encoder['name']}: it was trained further or exported again."
    if len(monitor) > 1:
        (first, start), (last, end) = monitor[0], monitor[-1]
        words += f" Its k-NN monitor went from {percent(start)} % in epoch {first} to {percent(end)} % in epoch {last}."
    epochs = sorted({epoch for points in curves.values() for epoch, _ in points})

    def chart(title: str, points: list[tuple[float, float]]) -> str:
        x = Axis.over("epoch", epochs)
        y = Axis.over("", [*(value for _, value in points), *WHOLE.get(title, ())])
        (first, start), (last, end) = points[0], points[-1]
        alt = f"{title} from {start:.4g} in epoch {first:.0f} to {end:.4g} in epoch {last:.0f}"
        return line_chart([Line(title, [(epoch, value, 0.0) for epoch, value in points])], Plot(x, y, SMALL), alt)

    values = {title: dict(points) for title, points in curves.items()}
    rows: list[list[Cell]] = [[int(epoch), *[values[title].get(epoch) for title in curves]] for epoch in epochs]
    return Section("training", "Training curves", [
        Paragraph(words), Graphic("panels", {"panels": [(title, chart(title, points)) for title, points in curves.items()]}),
        Table(("epoch", *curves), rows, summary="The same as a table"),
        Footnote([f"run {run.run}", counted(len(epochs), "epoch"), report.encoder["name"]]),
    ])  # fmt: skip
