"""Commands that fill a store and ask it: each parses, makes one library call and prints."""

from pathlib import Path
from typing import Any

import click

from featurestore.cli.options import PATH, encoder_option, json_option, print_json, provider_option
from featurestore.encoders.encoder import Encoder
from featurestore.progress import ProgressBar
from featurestore.report.attention import draw as draw_attention
from featurestore.store import FeatureStore
from featurestore.system.text_table import columns


@click.command()
@click.argument("store", type=PATH)
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option("--encoder", type=PATH, help="The encoder.onnx to run; may be left out when the store has just one.")
@click.option(
    "--labels", default="none", show_default=True, metavar="none|folders|FILE", help="Where labels come from."
)
@click.option("--workers", type=click.IntRange(min=1), help="Threads that decode images.  [default: one a processor]")
@click.option(
    "--image-seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="Longest that one image may take to be read and decoded; then it is a failure.",
)
@click.option(
    "--auto-optimize",
    is_flag=True,
    help="Afterwards run `optimize`, when that makes searches of a large collection faster.",
)
@provider_option
@json_option
def index(
    store: Path,
    sources: tuple[str, ...],
    encoder: Path | None,
    labels: str,
    workers: int | None,
    image_seconds: float,
    auto_optimize: bool,
    provider: str,
    as_json: bool,
) -> None:
    """Bring STORE up to date with its sources: encode what is new or changed, drop what is gone.

    A SOURCE is a folder, an image, a list of paths (.txt), a .tar shard, a .parquet file, a folder of Hugging Face datasets, or the URL of one.
    """
    with ProgressBar() as bar:
        opened = FeatureStore.open(store, encoder=encoder, provider=provider)
        report = opened.index(*sources, labels=labels, workers=workers, image_seconds=image_seconds, listener=bar)
        slow = opened.slow()
        if slow and auto_optimize:
            opened.optimize(listener=bar)
            slow = []
    for reason in slow:
        click.echo(f"{reason}; faster searches: featurestore optimize {store}", err=True)
    if as_json:
        print_json(report.to_json())
        return
    c = report
    click.echo(
        f"{c.added} added, {c.updated} updated, {c.unchanged} unchanged, {c.removed} removed, {c.failed} failed  ({c.images_per_second:g} images/s)"
    )
    if report.failed:
        click.echo(f"{report.failed} files could not be used: featurestore failures {store}", err=True)


@click.command()
@click.argument("store", type=PATH)
@click.option("-k", default=20, show_default=True, help="How many neighbours of each item.")
@click.option("--out", type=PATH, required=True, metavar="FILE.parquet", help="Where to write them.")
@click.option("--exact", is_flag=True, help="Compare all with all, also when there is an index.")
@encoder_option
@json_option
def neighbours(store: Path, k: int, out: Path, exact: bool, encoder: str | None, as_json: bool) -> None:
    """Write the nearest items of every item of STORE: columns id, neighbours, scores."""
    with ProgressBar() as bar:
        graph = FeatureStore.open(store).neighbours(k, exact, encoder, bar)
    graph.save(out)
    if as_json:
        print_json({"file": str(out), "items": len(graph.ids), "k": k})
    else:
        click.echo(f"{k} neighbours of each of {len(graph.ids)} items written to {out}")


@click.command()
@click.argument("store", type=PATH)
@json_option
def info(store: Path, as_json: bool) -> None:
    """Say what STORE holds."""
    found = FeatureStore.open(store).info()
    if as_json:
        print_json(found)
        return
    click.echo(
        f"{found['store']}: {found['items']} items, {found['labelled']} labelled, {found['removed']} removed, {found['failures']} failures, {found['bytes'] / 1e6:.1f} MB"
    )
    click.echo("splits    " + (", ".join(f"{name} {n}" for name, n in found["splits"].items()) or "none"))
    shown = [f"{name} {n}" for name, n in found["labels"].items()]
    click.echo(
        "labels    " + (", ".join(shown[:20]) + (f" and {len(shown) - 20} more" if len(shown) > 20 else "") or "none")
    )
    for e in found["encoders"]:
        trained_on = e["trained_on"]
        origin = (
            f"weights {trained_on['weights']}"
            if trained_on.get("weights")
            else f"trained on {trained_on['count']} images"
        )
        click.echo(
            f"encoder   {e['name']}  {e['vectors']} vectors of {e['dim']}, {e['method']} {e['backbone']} at {e['preprocess']['size']} px, {origin}"
        )
        if e["index"] is not None:
            _tell_index(e["index"])
    for c in found["classifiers"]:
        _tell_classifier(c)


def _tell_classifier(classifier: dict[str, Any]) -> None:
    if classifier["damaged"]:
        click.echo(f"classifier {classifier['name']}  damaged: train it again")
        return
    applied = f"applied {classifier['applied_at']:%Y-%m-%d %H:%M}" if classifier["applied_at"] else "not applied"
    click.echo(
        f"classifier {classifier['name']}  {len(classifier['classes'])} classes, {classifier['method']} of {classifier['n_train']} images, encoder "
        f"{classifier['encoder'][:16]}, cross-validated top-1 {classifier['top1']:.4f}, {applied}"
    )


def _tell_index(index: dict[str, Any]) -> None:
    """Print what an index holds, and the recall of its settings: for each number of lists, at the number of candidates that is used."""
    used = index["settings"][0]
    click.echo(
        f"index     {index['vectors']} vectors in {index['lists']} lists, {index['bytes'] / 1e6:.1f} MB; {used['probes']} lists and "
        f"{used['candidates']} candidates a search: recall@10 {used['recall']:.3f}, measured on {index['queries']} rows held out"
    )
    curve = [
        f"{probes} lists {recall:.3f}"
        for probes, candidates, recall in index["curve"]
        if candidates == used["candidates"]
    ]
    click.echo(f"          recall@10 at {used['candidates']} candidates: {', '.join(curve)}")


@click.command()
@click.argument("store", type=PATH)
@json_option
def failures(store: Path, as_json: bool) -> None:
    """List the files that could not be used, with the reason."""
    found = FeatureStore.open(store).failures()
    if as_json:
        print_json([{"path": f.path, "reason": f.reason} for f in found])
    else:
        click.echo(columns([(f.path, f.reason) for f in found], ("path", "reason")) if found else "no failures")


@click.command()
@click.argument("store", type=PATH)
@click.argument("statement")
@click.option("--seconds", default=30.0, show_default=True, help="Time limit.")
@json_option
def sql(store: Path, statement: str, seconds: float, as_json: bool) -> None:
    """Run a read-only SQL statement over the tables items, vectors, encoders and failures of STORE."""
    table = FeatureStore.open(store).sql(statement, seconds)
    if as_json:
        print_json(table.to_pylist())
    else:
        click.echo(columns(list(zip(*(c.to_pylist() for c in table.columns), strict=True)), table.column_names))


@click.command()
@click.argument("encoder", type=PATH)
@click.argument("image", type=PATH)
@click.option("--out", type=PATH, required=True, metavar="FILE.png", help="The picture to write.")
@json_option
def attention(encoder: Path, image: Path, out: Path, as_json: bool) -> None:
    """Draw where a ViT ENCODER, exported with --attention, looks in IMAGE."""
    drawn = draw_attention(Encoder(encoder), image, out)
    if as_json:
        print_json({"picture": str(drawn)})
    else:
        click.echo(drawn)
