"""Commands that search a store: the nearest items of a query, or of every item."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from featurestore.ann.near_duplicates import DUPLICATE
from featurestore.cli.options import (
    PATH,
    encoder_option,
    json_option,
    provider_option,
    store_argument,
    where_option,
)
from featurestore.progress import ProgressBar
from featurestore.search import neighbours as build_knn_graph
from featurestore.search import search as search_store
from featurestore.search import search_many
from featurestore.search.query import QueryExample
from featurestore.search.query_file import parse_query, read_queries
from featurestore.search.results import Matches, label_text
from featurestore.search.search import NEIGHBOURS
from featurestore.search.searcher import HITS
from featurestore.storage import Storage
from featurestore.system.terminal import print_json, print_line, print_lines, print_result
from featurestore.system.text import CONTROL, printable
from featurestore.system.text_table import format_table

HEADS = ("rank", "score", "id", "label", "path")


def score(text: str) -> float:
    """Parse a cosine similarity, as a type of a click option."""
    try:
        value = float(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a score; before a QUERY write --unique={DUPLICATE}") from error
    if not -1 <= value <= 1:
        raise click.BadParameter(f"{text} is not a score: expected a number between -1 and 1")
    return value


@click.command()
@store_argument
@click.argument("queries", metavar="[QUERY]...", nargs=-1)
@click.option("--id", "items", type=int, multiple=True, metavar="N", help="An item of STORE as a query.")
@click.option(
    "--not", "exclude", multiple=True, metavar="QUERY", help="A negative example: hits must not be similar to it."
)
@click.option(
    "--weight",
    "weights",
    type=float,
    multiple=True,
    metavar="W",
    help="Weight of an example; one for each, QUERYs before --id.",
)
@click.option("-k", "--k", type=int, metavar="K", help=f"Number of hits.  [default: {HITS}; with --above all]")
@where_option
@click.option("--above", type=score, metavar="SCORE", help="All hits with at least this score.")
@click.option(
    "--unique",
    type=score,
    is_flag=False,
    flag_value=DUPLICATE,
    metavar="[SCORE]",
    help=f"Leave out near duplicates: items with this score to a better hit.  [{DUPLICATE} without SCORE]",
)
@click.option("--with-self", is_flag=True, help="Keep a QUERY among its hits when it is an item of STORE itself.")
@click.option("--exact", is_flag=True, help="Compare with every vector instead of using the index.")
@click.option(
    "--batch",
    type=PATH,
    metavar="FILE",
    help="Search for each QUERY of a text file, one per line, or each vector of a .npy file.",
)
@click.option("--sheet", type=PATH, metavar="FILE.png", help="Also draw the hits as a contact sheet.")
@click.option("--html", type=PATH, metavar="FILE.html", help="Also write an HTML page of the hits with their pictures.")
@click.option("--paths", is_flag=True, help="Print only the paths of the hits, one per line.")
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
    with_self: bool,
    exact: bool,
    batch: Path | None,
    sheet: Path | None,
    html: Path | None,
    paths: bool,
    encoder: str | None,
    provider: str,
    as_json: bool,
) -> None:
    """Find the images of STORE that are most similar to QUERY: an image file, its URL, CONTAINER::MEMBER, or an item such as id:17.

    Several QUERYs and items are examples of one query. --id, --not and --weight may be repeated.
    """
    single = {
        "QUERY": queries, "--id": items, "--not": exclude, "--weight": weights, "--above": above is not None,
        "--unique": unique is not None, "--sheet": sheet, "--html": html, "--paths": paths,
    }  # fmt: skip
    if batch is not None and any(single.values()):
        given = ", ".join(name for name, value in single.items() if value)
        raise click.UsageError(f"--batch searches for each line of its file separately and does not go with {given}")
    if batch is None and not queries and not items:
        raise click.UsageError("expected a query: a QUERY, --id N, or --batch FILE")
    if weights and len(weights) != len(queries) + len(items):
        raise click.UsageError(
            f"--weight: expected one for each of the {len(queries) + len(items)} examples, found {len(weights)}"
        )
    if paths and as_json:
        raise click.UsageError("--paths and --json exclude each other")

    if batch is not None:
        batch_queries = read_queries(batch)
        names = (
            [example.written for example in batch_queries]
            if isinstance(batch_queries, list)
            else range(len(batch_queries))
        )
        opened = Storage.open(store, provider=provider)
        answers = search_many(opened, batch_queries, HITS if k is None else k, where, exact, encoder, with_self)
        _warn(answers, [example.query for example in batch_queries if isinstance(example, QueryExample)])
        _print_each(names, answers, as_json)
        return

    examples, unwanted = [*map(parse_query, queries), *items], list(map(parse_query, exclude))
    matches = search_store(
        Storage.open(store, provider=provider), examples, k, where, exclude=unwanted, weights=weights or None,
        above=above, unique=unique, exact=exact, encoder=encoder, with_self=with_self,
    )  # fmt: skip
    if sheet is not None:
        matches.sheet(sheet)
    if html is not None:
        matches.html(html)
    _warn([matches], [*examples, *unwanted])
    if paths:
        _print_paths(matches.paths)
    elif as_json:
        print_json(matches.to_json())
    else:
        print_lines(format_table(_rows(matches), HEADS))


def _warn(answers: Sequence[Matches], queries: Iterable[object]) -> None:
    """Print warnings, and which queries are not hits though they are items; the user knows of those named by id."""
    left_out = {item for matches in answers for item in matches.left_out}.difference(queries)
    if left_out:
        one = f"item {min(left_out)} is a query itself and left out of its hits; to keep it"
        many = f"{len(left_out)} items are queries themselves and left out of their hits; to keep them"
        print_line(f"{one if len(left_out) == 1 else many}: --with-self", err=True)
    for warning in dict.fromkeys(warning for matches in answers for warning in matches.warnings):
        print_line(warning, err=True)


def _print_paths(paths: Iterable[str]) -> None:
    """Print paths unchanged for other programs, and so that a terminal can show them; no path of ours has control characters."""
    if sys.stdout.isatty():
        print_lines(paths)
    else:
        sys.stdout.writelines(f"{printable(path) if CONTROL.search(path) else path}\n" for path in paths)


def _print_each(names: Iterable[str | int], answers: Iterable[Matches], as_json: bool) -> None:
    """Print the hits of each query: a line of JSON, or rows of a table."""
    answered = list(zip(names, answers, strict=True))
    if as_json:
        for name, matches in answered:
            print_json({"query": name, "hits": matches.to_json()}, indent=None)
    else:
        rows = [(name, *row) for name, matches in answered for row in _rows(matches)]
        print_lines(format_table(rows, ("query", *HEADS)))


def _rows(matches: Matches) -> list[tuple[Any, ...]]:
    return [tuple({**hit, "label": label_text(hit)}[head] for head in HEADS) for hit in matches.to_json()]


@click.command()
@store_argument
@click.option(
    "-k", "--k", type=int, help=f"Number of neighbours of each item.  [default: {NEIGHBOURS}, or as many as there are]"
)
@click.option("--out", type=PATH, required=True, metavar="FILE.parquet", help="File to write.")
@click.option("--exact", is_flag=True, help="Compare all items with all others instead of using the index.")
@encoder_option
@json_option
def neighbours(store: Path, k: int | None, out: Path, exact: bool, encoder: str | None, as_json: bool) -> None:
    """Write the nearest neighbours of every item of STORE: columns id, neighbours, scores."""
    with ProgressBar() as bar:
        graph = build_knn_graph(Storage.open(store), k, exact, encoder, bar)
    graph.save(out)
    found = graph.neighbours.shape[1]
    fewer = f"; there are no more, so not the {NEIGHBOURS} that are usual" if k is None and found < NEIGHBOURS else ""
    text = f"{found} neighbours of each of {len(graph.ids)} items written to {out}{fewer}"
    print_result({"file": str(out), "items": len(graph.ids), "k": found}, [text], as_json)
