"""Tables in Markdown: medians of the runs with their spread, and ratios of medians."""

from collections.abc import Sequence
from statistics import median

import click

from benchmarks.answers import Answers, K

FIGURES = ["p50 ms", "p99 ms", f"recall@{K}"]


def show(found: dict[str, list[float]], unit: str, against: list[str], digits: int = 1) -> None:
    """Print a table: median (least-most), and the ratio to the medians of some of the rows."""
    medians = {name: median(values) for name, values in found.items()}
    rows = [
        [name, cell(values, digits), *(f"{medians[name] / medians[other]:.2f}" for other in against)]
        for name, values in found.items()
    ]
    table(["what", unit, *(f"against {name}" for name in against)], rows)


def cell(values: Sequence[float], digits: int) -> str:
    """Median (least-most)."""
    middle = f"{median(values):,.{digits}f}"
    return f"{middle} ({min(values):,.{digits}f}-{max(values):,.{digits}f})" if len(values) > 1 else middle


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table."""
    click.echo(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for row in rows:
        click.echo(f"| {' | '.join(row)} |")
    click.echo()


def show_answers(found: dict[str, list[Answers]], against: str) -> None:
    """Print how sides answered, and how often the time of one of them each takes."""
    rows = [[name, *figures(answers), ratio(answers, found[against])] for name, answers in found.items()]
    table(["what", *FIGURES, f"p50 against {against}"], rows)


def figures(answers: list[Answers]) -> list[str]:
    return [cell([one[key] for one in answers], digits) for key, digits in (("p50", 2), ("p99", 2), ("recall", 4))]


def ratio(measured: list[dict[str, float]], base: list[dict[str, float]], key: str = "p50") -> str:
    return f"{median(one[key] for one in measured) / median(one[key] for one in base):.2f}"


def show_measured(found: dict[str, list[dict[str, float]]], key: str, unit: str, digits: int) -> None:
    """Print one figure of each side with its recall, and the ratio to the last side."""
    last = list(found)[-1]
    rows = [
        [
            name,
            cell([one[key] for one in measured], digits),
            cell([one["recall"] for one in measured], 4),
            ratio(measured, found[last], key),
        ]
        for name, measured in found.items()
    ]
    table(["what", unit, "recall", f"against {last}"], rows)
