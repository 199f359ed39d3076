"""Commands that show what a store contains: a summary, its failures, and any SQL query."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pyarrow as pa

from featurestore.cli.options import json_option, store_argument
from featurestore.errors import QueryError
from featurestore.storage import Storage
from featurestore.storage.info import failures as list_failures
from featurestore.storage.info import info as summarise
from featurestore.system.terminal import print_json_list, print_line, print_lines, print_result
from featurestore.system.text_table import format_table, table_lines

LABELS = 20  # printed at most
ROWS = 1_000  # of a result of SQL, on a terminal


@click.command()
@store_argument
@json_option
def info(store: Path, as_json: bool) -> None:
    """Summarise STORE: items, labels, encoders, indexes, classifiers, size."""
    found = summarise(Storage.open(store))
    print_result(found, _info(found), as_json)


def _info(found: dict[str, Any]) -> Iterator[str]:
    several = f" ({found['several_labels']} of them with several labels)" if found["several_labels"] else ""
    yield f"{found['store']}: {found['items']} items, {found['labelled']} labelled{several}, {found['removed']} removed, {found['failures']} failures, {found['bytes'] / 1e6:.1f} MB"
    yield "splits    " + (", ".join(f"{name} {n}" for name, n in found["splits"].items()) or "none")
    labels = [f"{name} {n}" for name, n in found["labels"].items()]
    more = f" and {len(labels) - LABELS} more" if len(labels) > LABELS else ""
    yield "labels    " + (", ".join(labels[:LABELS]) + more or "none")
    for e in found["encoders"]:
        trained_on = e["trained_on"]
        weights, count = trained_on.get("weights"), trained_on["count"]
        origin = f"weights {weights}" if weights else f"trained on {count} images"
        if weights and count:
            origin = f"trained on {count} images from {origin}"
        whitened = f", whitened on {e['whitening']['images']}" if e["whitening"] else ""
        default = ", the default" if e["default"] and len(found["encoders"]) > 1 else ""
        yield f"encoder   {e['name']}  {e['vectors']} vectors of {e['dim']}, {e['method']} {e['backbone']} at {e['preprocess']['size']} px, {origin}{whitened}{default}"
        if e["index"] is not None:
            yield from _index(e["index"])
    yield from map(_classifier, found["classifiers"])
    for source in found["sources"]:
        yield f"source    {source}"


def _index(index: dict[str, Any]) -> Iterator[str]:
    """The size of an index, and its recall by the number of lists probed, at the number of candidates that is used."""
    used = index["settings"][0]
    yield (
        f"index     {index['vectors']} vectors in {index['lists']} lists, {index['bytes'] / 1e6:.1f} MB; a search probes {used['probes']} lists and "
        f"re-ranks {used['candidates']} candidates: recall@10 {used['recall']:.3f}, measured on {index['queries']} held-out rows"
    )
    curve = [
        f"{probes} lists {recall:.3f}"
        for probes, candidates, recall in index["curve"]
        if candidates == used["candidates"]
    ]
    yield f"          recall@10 at {used['candidates']} candidates: {', '.join(curve)}"


def _classifier(classifier: dict[str, Any]) -> str:
    if classifier["damaged"]:
        return f"classifier {classifier['name']}  damaged: train it again"
    applied = f"applied {str(classifier['applied_at'])[:16]}" if classifier["applied_at"] else "not applied"
    return (
        f"classifier {classifier['name']}  {len(classifier['classes'])} classes, {classifier['method']} of {classifier['n_train']} images, encoder "
        f"{classifier['encoder'][:16]}, cross-validated top-1 {classifier['top1']:.4f}, {applied}"
    )


@click.command()
@store_argument
@json_option
def failures(store: Path, as_json: bool) -> None:
    """List the files that could not be used, with the reason."""
    found = list_failures(Storage.open(store))
    lines = format_table([(f.path, f.reason) for f in found], ("path", "reason")) if found else ["no failures"]
    print_result([{"path": f.path, "reason": f.reason} for f in found], lines, as_json)


@click.command()
@store_argument
@click.argument("statement")
@click.option("--seconds", default=30.0, show_default=True, help="Time limit.")
@json_option
def sql(store: Path, statement: str, seconds: float, as_json: bool) -> None:
    """Run a read-only SQL statement over the tables items, vectors, encoders and failures of STORE."""
    opened = Storage.open(store)
    table = opened.catalog.sql(statement, seconds)
    shown = table if as_json or not sys.stdout.isatty() else table.slice(0, ROWS)
    try:
        if as_json:
            print_json_list(batch.to_pylist() for batch in shown.to_batches())
        else:
            print_lines(table_lines(lambda: map(_rows, shown.to_batches()), table.column_names))
    except (OverflowError, ValueError) as error:  # of Python's dates
        raise QueryError(
            f"SQL: a time that Python cannot hold ({error}); turn it into text, such as added_at::TEXT"
        ) from error
    if len(shown) < len(table):
        print_line(f"the first {ROWS} of {len(table)} rows; for all of them, write to a file or use --json", err=True)


def _rows(batch: pa.RecordBatch) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist() for column in batch.columns), strict=True))
