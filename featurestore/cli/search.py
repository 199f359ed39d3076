"""The command that searches a store."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from featurestore.ann.near_duplicates import DUPLICATE
from featurestore.cli.options import PATH, encoder_option, json_option, print_json, provider_option
from featurestore.search.query_file import parse_query, read_queries
from featurestore.search.results import Matches
from featurestore.search.searcher import HITS
from featurestore.store import FeatureStore
from featurestore.system.text import printable
from featurestore.system.text_table import columns

HEADS = ("rank", "score", "id", "label", "path")


def score(text: str) -> float:
    """Read a cosine similarity, as click asks types to do."""
    try:
        value = float(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no score; before a QUERY write --unique={DUPLICATE}") from error
    if not -1 <= value <= 1:
        raise click.BadParameter(f"{text} is no score: expected a number between -1 and 1")
    return value


@click.command()
@click.argument("store", type=PATH)
@click.argument("queries", metavar="[QUERY]...", nargs=-1)
@click.option("--id", "items", type=int, multiple=True, metavar="N", help="An item of STORE to search by.")
@click.option("--not", "exclude", multiple=True, metavar="QUERY", help="What hits are not to be like.")
@click.option(
    "--weight",
    "weights",
    type=float,
    multiple=True,
    metavar="W",
    help="How much an example counts; one for each, QUERYs before --id.",
)
@click.option("-k", type=int, metavar="K", help=f"How many hits.  [default: {HITS}; with --above all]")
@click.option("--where", metavar="SQL", help="Only items for which this holds, such as \"label = 'rose'\".")
@click.option("--above", type=score, metavar="SCORE", help="All hits with at least this score.")
@click.option(
    "--unique",
    type=score,
    is_flag=False,
    flag_value=DUPLICATE,
    metavar="[SCORE]",
    help=f"Leave out what has this score with a better hit.  [{DUPLICATE} when none is named]",
)
@click.option("--exact", is_flag=True, help="Look at every vector, without the index.")
@click.option(
    "--batch", type=PATH, metavar="FILE", help="Answer each QUERY of a text file, one a line, or each vector of a .npy."
)
@click.option("--sheet", type=PATH, metavar="FILE.png", help="Also draw the hits as a contact sheet.")
@click.option("--html", type=PATH, metavar="FILE.html", help="Also write a page of the hits, with their pictures.")
@click.option("--paths", is_flag=True, help="Print only the paths of the hits, one a line.")
@encoder_option
@provider_option
@json_option
def search(
    store: Path,
    queries: tuple[str, ...],
    items: tuple[int, ...],
    exclude: tuple[str, ...],
    weights: tuple[float, ...],
    k: int | None,
    where: str | None,
    above: float | None,
    unique: float | None,
    exact: bool,
    batch: Path | None,
    sheet: Path | None,
    html: Path | None,
    paths: bool,
    encoder: str | None,
    provider: str,
    as_json: bool,
) -> None:
    """Find the images of STORE that are nearest to QUERY: an image file, its URL, CONTAINER::MEMBER, or an item such as id:17.

    Several QUERYs and items are examples of one thing. --id, --not and --weight may be repeated.
    """
    for_one_answer = {
        "QUERY": queries, "--id": items, "--not": exclude, "--weight": weights, "--above": above is not None,
        "--unique": unique is not None, "--sheet": sheet, "--html": html, "--paths": paths,
    }  # fmt: skip
    if batch is not None and any(for_one_answer.values()):
        given = ", ".join(name for name, value in for_one_answer.items() if value)
        raise click.UsageError(f"--batch answers each line of its file by itself and does not go with {given}")
    if batch is None and not queries and not items:
        raise click.UsageError("name what to search by: a QUERY, --id N, or --batch FILE")
    if weights and len(weights) != len(queries) + len(items):
        raise click.UsageError(
            f"--weight: expected one for each of the {len(queries) + len(items)} examples, found {len(weights)}"
        )
    if paths and as_json:
        raise click.UsageError("--paths and --json are two forms of one answer: choose one")

    if batch is not None:
        asked = read_queries(batch)
        names = [example.written for example in asked] if isinstance(asked, list) else range(len(asked))
        answers = FeatureStore.open(store, provider=provider).search_many(
            asked, HITS if k is None else k, where, exact, encoder
        )
        _warn(answers)
        _print_each(names, answers, as_json)
        return

    examples = [*map(parse_query, queries), *items]
    matches = FeatureStore.open(store, provider=provider).search(
        examples, k, where, exclude=[parse_query(text) for text in exclude],
        weights=weights or None, above=above, unique=unique, exact=exact, encoder=encoder,
    )  # fmt: skip
    if sheet is not None:
        matches.sheet(sheet)
    if html is not None:
        matches.html(html)
    _warn([matches])
    if paths:
        _print_paths(matches.paths)
    elif as_json:
        print_json(matches.to_json())
    else:
        click.echo(columns(_rows(matches), HEADS))


def _warn(answers: Iterable[Matches]) -> None:
    for warning in dict.fromkeys(warning for matches in answers for warning in matches.warnings):
        click.echo(warning, err=True)


def _print_paths(paths: Iterable[str]) -> None:
    """Print paths as they are; a terminal, which would obey some of what may stand in them, gets that spelt out."""
    shown = printable if sys.stdout.isatty() else str
    for path in paths:
        click.echo(shown(path), color=True)  # or it takes out of a path what looks like a colour


def _print_each(names: Iterable[str | int], answers: Iterable[Matches], as_json: bool) -> None:
    """Print one answer for each query: a line of JSON, or rows of a table."""
    answered = list(zip(names, answers, strict=True))
    if as_json:
        for name, matches in answered:
            click.echo(json.dumps({"query": name, "hits": matches.to_json()}))
    else:
        rows = [(name, *row) for name, matches in answered for row in _rows(matches)]
        click.echo(columns(rows, ("query", *HEADS)))


def _rows(matches: Matches) -> list[tuple[Any, ...]]:
    return [tuple(hit[head] for head in HEADS) for hit in matches.to_json()]
