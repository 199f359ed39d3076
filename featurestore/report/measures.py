"""Sections of figures: k-NN, few labels, figures without labels, and training."""

from featurestore.evaluation import LowShotReport
from featurestore.evaluation.knn import KnnReport
from featurestore.evaluation.lowshot import MEASURED
from featurestore.report.blocks import (
    MINUS,
    Block,
    Cell,
    Drawn,
    Number,
    Origin,
    Section,
    Table,
    Words,
    count,
    give_or_take,
    percent,
    span,
)
from featurestore.report.charts import SMALL, Axis, Line, Plot, legend, line_chart
from featurestore.report.figures import Figures, LabelFree
from featurestore.report.training import WHOLE, Training

UNSEEN = 10  # classes named at most


def knn(report: Figures, figures: KnnReport) -> Section:
    """Accuracy of the neighbours' votes, for each k."""
    asked = "test images" if figures.split == "train->test" else "labelled images, which is itself left out,"
    words = (
        f"Each of {figures.n_test:,} {asked} is named by the labels of its k nearest among {figures.n_train:,}. The vote of a neighbour weighs "
        "exp(score / T), where the score is the cosine similarity. Top-1 is the share that is named right, top-5 the share whose class is "
        "among the five with most votes. The interval says how far top-1 may lie from this with other images of the same kind."
    )
    rows: list[list[Cell]] = [
        [r.k, Number(f"{r.temperature:g}"), percent(r.top1), span(r.top1_ci95), percent(r.top5)]
        for r in figures.results
    ]
    heads = ("k", "T", "top-1, %", "95 % interval", "top-5, %")
    blocks: list[Block] = [Words(words), Table(heads, rows), Origin(["k-NN", *_taken(report, figures)])]
    if figures.unseen:
        names = ", ".join(figures.unseen[:UNSEEN]) + (" and others" if len(figures.unseen) > UNSEEN else "")
        blocks.append(
            Words(
                f"No image to learn from has the label of {names}: images of {'that class' if len(figures.unseen) == 1 else 'these classes'} cannot be named right."
            )
        )
    return Section("knn", "What the neighbours say", blocks)


def of_classes(report: Figures, figures: KnnReport) -> Origin:
    """How figures of single classes were taken."""
    return Origin([f"k-NN, k = {figures.k}, T = {figures.temperature:g}", *_taken(report, figures)])


def _taken(report: Figures, figures: KnnReport | LowShotReport) -> list[str]:
    counts = f"{figures.n_train:,} to learn from, {figures.n_test:,} named"
    return [figures.split.replace("->", " → "), counts, report.encoder["name"], f"seed {figures.seed}"]


def lowshot(report: Figures, figures: LowShotReport) -> Section:
    """Accuracy by the number of labels, a line a method."""
    results = [r for r in figures.results if r.shots is not None]
    methods = list(dict.fromkeys(r.method for r in results))
    lines = [
        Line(m, [(float(r.shots or 0), 100 * r.top1_mean, 100 * r.top1_ci95) for r in results if r.method == m])
        for m in methods
    ]
    x = Axis.through("labels a class", [px for line in lines for px, _, _ in line.points], logarithmic=True)
    ends = [py + sign * half for line in lines for _, py, half in line.points for sign in (-1, 1)]
    y = Axis.over("top-1, %", [max(0.0, min(ends)), min(100.0, max(ends))])
    alt = "Accuracy by labels a class: " + "; ".join(
        f"{line.name} from {line.points[0][1]:.1f} to {line.points[-1][1]:.1f} %" for line in lines
    )
    tries = results[0].tries
    words = (
        f"How well the rest is named when only a few images of each class have a label. Each point is the mean of {tries} draws of "
        "labels, the same for all methods, and the whiskers are the 95 % interval of that mean."
    )
    rows: list[list[Cell]] = [
        [r.shots, r.method, percent(r.top1_mean), give_or_take(r.top1_ci95), r.labels, r.tries] for r in results
    ]
    blocks: list[Block] = [
        Words(words),
        Drawn(lambda _: f'<figure class="plot">{line_chart(lines, Plot(x, y), alt)}{legend(methods)}</figure>'),
        Table(("labels a class", "method", "top-1, %", "95 % interval", "labels in all", "draws"), rows, behind="These figures as a table"),
        Origin([f"few labels, {tries} draws", *_taken(report, figures)]),
    ]  # fmt: skip
    absent = [method for method in MEASURED if method not in methods]
    if absent:
        blocks.append(
            Words(
                f"{' and '.join(absent)} need scikit-learn, which was not installed: pip install 'featurestore[eval]'."
            )
        )
    return Section("few-labels", "With few labels", blocks)


def labelfree(report: Figures, figures: LabelFree) -> Section:
    """Figures of the vectors alone."""
    dim = report.encoder["dim"]
    words = (
        "What the vectors say of themselves. RankMe (Garrido et al. 2023) counts the dimensions that they really use; uniformity (Wang & "
        f"Isola 2020) is 0 when all vectors are the same and falls as they spread over the sphere, to {MINUS}4 at best. Low use of dimensions tells of a "
        "collapsed encoder; neither figure says that an encoder is good."
    )
    rows: list[list[Cell]] = [
        ["RankMe", Number(f"{figures.rankme:.1f} of {min(dim, figures.n):,}")],
        ["uniformity", Number(f"{figures.uniformity:.2f}".replace("-", MINUS))],
    ]
    origin = Origin(
        [
            f"{figures.n:,} of {count(report.collection.vectors, 'vector')}",
            report.encoder["name"],
            f"seed {report.seed}",
        ]
    )
    return Section("without-labels", "Without labels", [Words(words), Table(("figure", "value"), rows), origin])


def training(report: Figures, run: Training) -> Section:
    """The curves of the run that made the encoder, a small chart each."""
    curves = run.curves()
    words = f"What was measured while the run {run.run} trained, epoch by epoch."
    if not run.same_encoder:
        words += f" Its encoder.onnx is not the very file that made these vectors, {report.encoder['name']}: it was trained on since, or exported anew."
    epochs = [epoch for points in curves.values() for epoch, _ in points]

    def draw(title: str, points: list[tuple[float, float]]) -> str:
        line = Line(title, [(epoch, value, 0.0) for epoch, value in points])
        x = Axis.over("epoch", epochs, "{:g}".format)
        y = Axis.over("", [*(value for _, value in points), *WHOLE.get(title, ())])
        alt = f"{title} from {points[0][1]:.4g} in epoch {points[0][0]:.0f} to {points[-1][1]:.4g} in epoch {points[-1][0]:.0f}"
        return f"<figure><figcaption>{title}</figcaption>{line_chart([line], Plot(x, y, SMALL), alt)}</figure>"

    every = sorted(set(epochs))
    values = {title: dict(points) for title, points in curves.items()}
    rows: list[list[Cell]] = [[int(epoch), *[values[title].get(epoch) for title in curves]] for epoch in every]
    blocks: list[Block] = [
        Words(words),
        Drawn(lambda _: f'<div class="panels">{"".join(draw(*curve) for curve in curves.items())}</div>'),
        Table(("epoch", *curves), rows, behind="These figures as a table"),
        Origin([f"run {run.run}", count(len(every), "epoch"), report.encoder["name"]]),
    ]
    return Section("training", "How the encoder was trained", blocks)
