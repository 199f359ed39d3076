"""The sections of a report in their order, for every format: what the encoder does first, how it was measured after."""

from featurestore.report import findings
from featurestore.report.blocks import Cell, Paragraph, Section, Table
from featurestore.report.confusion import confusion
from featurestore.report.galleries import classes, neighbours
from featurestore.report.map import map_section
from featurestore.report.measures import knn, label_free, lowshot, training
from featurestore.report.overview import collection
from featurestore.report.values import ReportValues
from featurestore.system.text import counted

MISSING_TITLES = {
    "labels": "Measures that need labels",
    "knn": "k-NN classification",
    "lowshot": "With few labels",
    "classes": "Weakest and strongest classes",
    "labelfree": "Without labels",
    "neighbours": "Nearest neighbours",
    "map": "Map of the collection",
    "clusters": "Groups that look alike",
    "outliers": "Images that do not belong",
    "label_errors": "Labels that may be wrong",
    "copies": findings.COPIES,
    "coverage": "What the labels cover",
}

FOUND = ("clusters", "outliers", "label_errors", "copies", "coverage")


def sections(report: ReportValues) -> list[Section]:
    """Make a section of each part that the report has, and of each missing part one with the reason."""
    figures = report.knn
    found = [
        figures and report.classes and classes(report, figures, report.classes),
        figures and figures.classes and confusion(report, figures),
        report.sheets and neighbours(report, report.sheets),
        report.map and map_section(report, report.map),
        report.clusters and findings.clusters(report, report.clusters),
        report.outliers and findings.outliers(report, report.outliers),
        report.label_errors and findings.label_errors(report, report.label_errors),
        report.duplicates and findings.copies(report, report.duplicates, report.leaks),
        None if report.duplicates or "copies" in report.missing else findings.unknown_copies(),
        report.coverage and findings.coverage(report, report.coverage),
        *_missing(report, "neighbours", "map", *FOUND, "labels", "knn", "lowshot", "classes"),
        collection(report),
        figures and knn(report, figures),
        report.lowshot and lowshot(report, report.lowshot),
        report.labelfree and label_free(report, report.labelfree),
        *_missing(report, "labelfree"),
        report.training and training(report, report.training),
        made(report),
    ]
    return [section for section in found if section]


def _missing(report: ReportValues, *names: str) -> list[Section]:
    return [
        Section(f"no-{name}", MISSING_TITLES[name], [Paragraph(f"Not in this report: {report.missing[name]}.")])
        for name in names
        if name in report.missing
    ]


def made(report: ReportValues) -> Section:
    """Describe the encoder, and when the report was made."""
    card = report.encoder
    trained_on = card["trained_on"]
    images = [counted(trained_on["count"], "image")] if trained_on["count"] else []
    origin = ", from ".join([*images, *filter(None, [trained_on.get("weights")])]) or "unknown"
    rows: list[list[Cell]] = [
        ["encoder", card["name"]],
        ["method", card["method"]],
        ["backbone", f"{card['backbone']}, {card['branch']} branch"],
        ["trained on", origin],
        ["input", f"{card['preprocess']['size']} pixels"],
        ["vectors", f"{report.collection.vectors:,} of {card['dim']:,} dimensions"],
        ["fingerprint", card["fingerprint"][:16]],
        ["made", f"{report.made}, featurestore {report.version}, seed {report.seed}"],
    ]
    return Section("made", "How this was made", [Table(("", ""), rows)])
