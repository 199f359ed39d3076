"""What a report says and in which order, for any form that it is written in."""

from featurestore.report.blocks import Section, Words, count, give_or_take, percent, span
from featurestore.report.confusion import confusion
from featurestore.report.figures import Figures
from featurestore.report.galleries import classes, neighbours
from featurestore.report.measures import knn, labelfree, lowshot, training
from featurestore.report.overview import collection
from featurestore.report.scatter import map_of

ABSENT = {
    "labels": "What labels would tell",
    "knn": "What the neighbours say",
    "lowshot": "With few labels",
    "classes": "Best and worst classes",
    "labelfree": "Without labels",
    "neighbours": "Images and their neighbours",
    "map": "A map of the collection",
}


def sections(report: Figures) -> list[Section]:
    """All sections that the report has figures for; for each of the others, why there are none."""
    figures = report.knn
    found = [
        collection(report),
        figures and knn(report, figures),
        report.lowshot and lowshot(report, report.lowshot),
        figures and confusion(report, figures),
        figures and report.classes and classes(report, figures, report.classes),
        *(
            _absent(name, report.missing[name])
            for name in ("labels", "knn", "lowshot", "classes")
            if name in report.missing
        ),
        report.sheets and neighbours(report, report.sheets),
        report.map and map_of(report, report.map),
        report.labelfree and labelfree(report, report.labelfree),
        *(_absent(name, report.missing[name]) for name in ("neighbours", "map", "labelfree") if name in report.missing),
        report.training and training(report, report.training),
    ]
    return [section for section in found if section]


def _absent(name: str, reason: str) -> Section:
    return Section(f"no-{name}", ABSENT[name], [Words(f"Not in this report: {reason}.")])


def headline(report: Figures) -> list[str]:
    """What the report comes to, in a few sentences."""
    if report.knn is None:
        return [
            "Without labels of two classes or more nothing tells how good the encoder is here. What can be seen without them is below: images, their neighbours, and a map."
        ]
    first, figures = report.knn.results[0], report.knn
    if figures.split == "train->test":
        asked = f"The {first.k} nearest of {figures.n_train:,} labelled images name the class of {figures.n_test:,} test images"
    else:
        asked = f"The {first.k} nearest other images name the class of {figures.n_test:,} labelled images"
    told = [f"{asked}: {percent(first.top1)} % right (95 % interval {span(first.top1_ci95)})."]
    few = [r for r in report.lowshot.results if r.shots is not None] if report.lowshot else []
    if few:
        best = max((r for r in few if r.shots == few[-1].shots), key=lambda r: r.top1_mean)
        labels = count(best.shots or 0, "label")
        told.append(
            f"With {labels} a class, {best.method}, the best of the methods tried, has {percent(best.top1_mean)} % right ({give_or_take(best.top1_ci95)})."
        )
    return told


def key_figures(report: Figures) -> list[tuple[str, str]]:
    """A few numbers to be seen first."""
    held = report.collection
    shown = [("images", f"{held.items:,}"), ("classes", f"{len(held.labels):,}") if held.labels else ("labels", "none")]
    if report.knn is not None:
        first = report.knn.results[0]
        shown.append((f"k-NN top-1, k = {first.k}, T = {first.temperature:g}", f"{percent(first.top1)} %"))
    if report.labelfree is not None:
        shown.append(("dimensions in use", f"{report.labelfree.rankme:.0f} of {report.encoder['dim']:,}"))
    return shown


def provenance(report: Figures) -> list[tuple[str, str]]:
    """Which encoder looked at the collection, and when the report was made."""
    card = report.encoder
    trained_on = card["trained_on"]
    origin = trained_on.get("weights") or (count(trained_on["count"], "image") if trained_on["count"] else "not said")
    return [
        ("encoder", card["name"]),
        ("method", card["method"]),
        ("backbone", f"{card['backbone']}, {card['branch']} branch"),
        ("trained on", str(origin)),
        ("input", f"{card['preprocess']['size']} pixels"),
        ("vectors", f"{report.collection.vectors:,}, of {card['dim']:,} dimensions each"),
        ("fingerprint", card["fingerprint"][:16]),
        ("made", f"{report.made_at[:16].replace('T', ' ')}, featurestore {report.version}, seed {report.seed}"),
    ]
