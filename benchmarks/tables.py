"""Markdown tables for all benchmarks: medians of the runs with their spread, and ratios of medians."""

from collections.abc import Sequence
from statistics import median

import click


def spread(values: Sequence[float], digits: int) -> str:
    """Format a median as `median (least-most)`."""
    middle = f"{median(values):,.{digits}f}"
    return f"{middle} ({min(values):,.{digits}f}-{max(values):,.{digits}f})" if len(values) > 1 else middle


def ratio(values: Sequence[float], base: Sequence[float]) -> str:
    """Format the ratio of two medians."""
    return f"{median(values) / median(base):.2f}"


def column(runs: Sequence[dict[str, float]], key: str) -> list[float]:
    """One figure of every run."""
    return [run[key] for run in runs]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table."""
    click.echo(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for row in rows:
        click.echo(f"| {' | '.join(row)} |")
    click.echo()


def show(figures: dict[str, list[float]], unit: str, against: Sequence[str], digits: int = 1) -> None:
    """Print one figure of every side, and its ratio to each side of `against`."""
    rows = [
        [name, spread(values, digits), *(ratio(values, figures[other]) for other in against)]
        for name, values in figures.items()
    ]
    table(["what", unit, *(f"against {name}" for name in against)], rows)


def show_with_recall(figures: dict[str, list[dict[str, float]]], key: str, unit: str, digits: int) -> None:
    """Print one figure of every side with its recall, and its ratio to the last side."""
    last = list(figures)[-1]
    rows = [
        [
            name,
            spread(column(runs, key), digits),
            spread(column(runs, "recall"), 4),
            ratio(column(runs, key), column(figures[last], key)),
        ]
        for name, runs in figures.items()
    ]
    table(["what", unit, "recall", f"against {last}"], rows)
