"""The report as one HTML file: pictures, styles and the script are inside, so it opens anywhere and loads nothing."""

from collections.abc import Iterator

from markupsafe import Markup

from featurestore.progress import Listener
from featurestore.rendering.html import templates
from featurestore.report.blocks import Graphic, cell_text
from featurestore.report.findings import shown_items
from featurestore.report.lead import baseline_table, headline
from featurestore.report.pictures import Pictures
from featurestore.report.sections import sections
from featurestore.report.values import Item, ReportValues
from featurestore.system.text import counted


def page(report: ReportValues, listener: Listener) -> str:
    """Write the report as HTML; a picture that cannot be opened leaves a grey tile."""
    small = report.map.items if report.map else ()
    pictures = Pictures.of(_large(report), small, report.encoder["preprocess"].get("bands"), listener)
    environment = templates("featurestore.report")

    def draw(graphic: Graphic) -> Markup:
        return Markup(environment.get_template(f"{graphic.template}.html").render(graphic.values, pictures=pictures))

    return environment.get_template("report.html").render(
        title=report.title, byline=_byline(report), headline=headline(report), baselines=baseline_table(report),
        sections=sections(report), draw=draw, cell_text=cell_text,
        footer=f"Made by featurestore {report.version}, {report.made}. This one file loads nothing from elsewhere.",
    )  # fmt: skip


def _byline(report: ReportValues) -> str:
    """Say in a line what the report is about."""
    card = report.encoder
    return (
        f"{counted(report.collection.items, 'image')} as seen by {card['name']} ({card['method']}, {card['backbone']})"
    )


def _large(report: ReportValues) -> Iterator[Item]:
    """The items whose pictures stand in the page by themselves, not only in the sheet of the map."""
    yield from report.collection.mosaic
    for sheet in report.sheets:
        yield sheet.query
        yield from (neighbour.item for neighbour in sheet.neighbours)
    for examples in (*report.classes.best, *report.classes.worst) if report.classes else ():
        for example in (*examples.right, *examples.wrong):
            yield example.item
            yield from (neighbour.item for neighbour in example.neighbours)
    yield from shown_items(report)
