"""The head of a report: what its figures mean, in a few sentences, and the encoder beside what has learned nothing."""

from featurestore.evaluation.knn import KnnReport
from featurestore.report.blocks import MINUS, Cell, Table, interval, percent
from featurestore.report.values import Baseline, ReportValues
from featurestore.system.text import counted

DECIMALS_FROM = 1_000  # measured images: a tenth of a percent of fewer is less than one image
WORDS = {"untrained": "an untrained network", "pixels": "bare pixels"}


def headline(report: ReportValues) -> list[str]:
    """Say what the report is about, when that is a part of the store, and what the figures mean."""
    return [sentence for sentence in (_choice(report), *_meaning(report)) if sentence]


def _choice(report: ReportValues) -> str:
    held = report.collection
    return (
        f"Only {held.items:,} of {counted(held.of, 'image')}: where {report.where}." if report.where is not None else ""
    )


def _meaning(report: ReportValues) -> list[str]:
    figures = report.knn
    held = report.collection
    if figures is None:
        parts = {"images with their nearest neighbours": report.sheets, "a map": report.map}
        shown = ", and ".join(name for name, part in parts.items() if part)
        look = f" To judge by eye: {shown}." if shown else ""
        images = counted(held.vectors, "image")
        return [f"{images} without labels of two classes, so it is not known how often the encoder is right.{look}"]
    sentences = [
        _accuracy(report, figures), _copies(figures), _gain(report), _weakest(report, figures), _few_labels(report, figures),
    ]  # fmt: skip
    if held.labelled < held.items:
        sentences.append(
            f"{held.items - held.labelled:,} of {counted(held.items, 'image')} have no label, and are not in these figures."
        )
    return sentences


def baseline_table(report: ReportValues) -> Table | None:
    """Put the encoder beside what has learned nothing, and chance."""
    figures = report.knn
    if figures is None:
        return None
    first = figures.results[0]
    rows: list[list[Cell]] = [[report.encoder["name"], interval(first.top1_ci95), percent(first.top1)]]
    rows += [[b.name, interval(b.top1_ci95), percent(b.top1)] for b in _ranked(report)]
    if figures.classes:
        rows.append(["chance: always the largest class", None, percent(chance(figures))])
    return Table(("encoder", "95 % interval", "right class, %"), rows, bars=True, longest=100)


def chance(figures: KnnReport) -> float:
    """Give the accuracy of always predicting the class that most test images have."""
    return max(figures_of_class.n for figures_of_class in figures.classes) / figures.n_test


def _accuracy(report: ReportValues, figures: KnnReport) -> str:
    """Say how many images get the right class, beside chance and what has learned nothing."""
    first = figures.results[0]
    which, among = ("test", "training image") if figures.split == "train->test" else ("labelled", "other image")
    nearest = f"{first.k} nearest {among}s" if first.k > 1 else f"nearest {among}"
    right = (
        f"{_short(first.top1, figures)} % of {figures.n_test:,} {which} images get the right class from their {nearest}"
    )
    others = [("chance", chance(figures))] if figures.classes else []
    others += [(WORDS[b.method], b.top1) for b in _ranked(report)]
    compared = ", ".join(f"{name} {_short(top1, figures)} %" for name, top1 in others)
    return f"{right}; {compared}." if compared else f"{right}."


def _copies(figures: KnnReport) -> str:
    """Say how many of the images are copies of those that vote, which makes their class too easy, and the figure without them."""
    copies, kind = (figures.twins, "an exact copy") if figures.leaks is None else (figures.leaks, "a copy")
    if not copies.n:
        return ""
    which, among = ("test image", "in train") if figures.split == "train->test" else ("image", "among the others")
    said = f"{counted(copies.n, which)} {'has' if copies.n == 1 else 'have'} {kind} {among}"
    if copies.top1_without is None:
        return f"{said}: no other is left to measure."
    return f"{said}; without {'it' if copies.n == 1 else 'them'}, {_short(copies.top1_without, figures)} % are right."


def _gain(report: ReportValues) -> str:
    """Say whether the encoder is better than the best of those that have learned nothing."""
    known = _ranked(report)
    if not known:
        return ""
    name, gain = WORDS[known[0].method], known[0].gain
    points = f"{abs(100 * gain.mean):.0f} points, 95 % interval {' to '.join(f'{100 * end:+.0f}' for end in gain.ci95)}"
    if gain.significant:
        return f"It is {'better' if gain.mean > 0 else 'worse'} than {name} ({points}).".replace("-", MINUS)
    return f"That it is better than {name} is not certain ({points}).".replace("-", MINUS)


def _weakest(report: ReportValues, figures: KnnReport) -> str:
    """Name the weakest classes and the most frequent mistake."""
    mistakes = figures.confusion.pairs()
    if not mistakes:
        return "No image got another class." if figures.classes else ""
    worst = [examples.figures for examples in report.classes.worst] if report.classes else []
    names = [f"{c.label} ({round((c.recall or 0) * c.n):,} of {c.n:,} right)" for c in worst if (c.recall or 0) < 1]
    times, truth, predicted = mistakes[0]
    weakest = f"Weakest: {', '.join(names)}. " if names else ""
    return f"{weakest}Most frequent mistake: {truth} taken for {predicted}, {counted(times, 'time')}."


def _few_labels(report: ReportValues, figures: KnnReport) -> str:
    few = [r for r in report.lowshot.results if r.shots is not None] if report.lowshot else []
    if not few:
        return ""
    best = max((r for r in few if r.shots == few[-1].shots), key=lambda r: r.top1_mean)
    labels = counted(best.shots or 0, "labelled image")
    return f"With {labels} of each class, {best.method} gets {_short(best.top1_mean, figures)} % right (± {_short(best.top1_ci95, figures)})."


def _ranked(report: ReportValues) -> list[Baseline]:
    """Give what has learned nothing, best first."""
    return sorted(report.baselines, key=lambda baseline: -baseline.top1)


def _short(share: float, figures: KnnReport) -> str:
    """Write a share in percent, with a decimal where enough images were measured."""
    return f"{100 * share:.{int(figures.n_test >= DECIMALS_FROM)}f}"
