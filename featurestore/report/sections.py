"""The sections of a report in their order, and its head, for every format."""

from featurestore.report.blocks import Paragraph, Section, count, interval, percent, plus_minus
from featurestore.report.confusion import confusion
from featurestore.report.galleries import classes, neighbours
from featurestore.report.map import map_section
from featurestore.report.measures import knn, label_free, lowshot, training
from featurestore.report.overview import collection
from featurestore.report.values import ReportValues

MISSING_TITLES = {
    "labels": "Measures that need labels",
    "knn": "k-NN classification",
    "lowshot": "With few labels",
    "classes": "Best and worst classes",
    "labelfree": "Without labels",
    "neighbours": "Nearest neighbours",
    "map": "Map of the collection",
}


def sections(report: ReportValues) -> list[Section]:
    """Make a section of each part that the report has, and of each missing part one with the reason."""
    figures = report.knn
    found = [
        collection(report),
        figures and knn(report, figures),
        report.lowshot and lowshot(report, report.lowshot),
        figures and figures.classes and confusion(report, figures),
        figures and report.classes and classes(report, figures, report.classes),
        *_missing(report, "labels", "knn", "lowshot", "classes"),
        report.sheets and neighbours(report, report.sheets),
        report.map and map_section(report, report.map),
        report.labelfree and label_free(report, report.labelfree),
        *_missing(report, "neighbours", "map", "labelfree"),
        report.training and training(report, report.training),
    ]
    return [section for section in found if section]


def _missing(report: ReportValues, *names: str) -> list[Section]:
    return [
        Section(f"no-{name}", MISSING_TITLES[name], [Paragraph(f"Not in this report: {report.missing[name]}.")])
        for name in names
        if name in report.missing
    ]


def headline(report: ReportValues) -> list[str]:
    """Summarise the report in a few sentences."""
    figures = report.knn
    if figures is None:
        return [
            "The quality of the encoder is measured by labels, and this collection has none of two or more classes. What needs no labels is below: images, their nearest neighbours, and a map."
        ]
    best_k = figures.results[0]
    if figures.split == "train->test":
        voters = f"{best_k.k} nearest of {figures.n_train:,} training images predict the class of {figures.n_test:,} test images"
    else:
        voters = f"{best_k.k} nearest other images predict the class of {figures.n_test:,} labelled images"
    sentences = [f"The {voters}: {percent(best_k.top1)} % correct (95 % interval {interval(best_k.top1_ci95)})."]
    few = [r for r in report.lowshot.results if r.shots is not None] if report.lowshot else []
    if few:
        best = max((r for r in few if r.shots == few[-1].shots), key=lambda r: r.top1_mean)
        labels = count(best.shots or 0, "label")
        sentences.append(
            f"With {labels} per class, {best.method} is the best of the methods tried: {percent(best.top1_mean)} % correct ({plus_minus(best.top1_ci95)})."
        )
    return sentences


def key_figures(report: ReportValues) -> list[tuple[str, str]]:
    """Choose a few numbers to be seen first."""
    held = report.collection
    shown = [("images", f"{held.items:,}"), ("classes", f"{len(held.labels):,}") if held.labels else ("labels", "none")]
    if report.knn is not None:
        first = report.knn.results[0]
        shown.append((f"k-NN top-1, k = {first.k}, T = {first.temperature:g}", f"{percent(first.top1)} %"))
    if report.labelfree is not None:
        shown.append(("effective dimensions", f"{report.labelfree.rankme:.0f} of {report.encoder['dim']:,}"))
    return shown


def provenance(report: ReportValues) -> list[tuple[str, str]]:
    """Describe the encoder, and when the report was made."""
    card = report.encoder
    trained_on = card["trained_on"]
    origin = trained_on.get("weights") or (count(trained_on["count"], "image") if trained_on["count"] else "unknown")
    return [
        ("encoder", card["name"]),
        ("method", card["method"]),
        ("backbone", f"{card['backbone']}, {card['branch']} branch"),
        ("trained on", str(origin)),
        ("input", f"{card['preprocess']['size']} pixels"),
        ("vectors", f"{report.collection.vectors:,} of {card['dim']:,} dimensions"),
        ("fingerprint", card["fingerprint"][:16]),
        ("made", f"{report.made}, featurestore {report.version}, seed {report.seed}"),
    ]
