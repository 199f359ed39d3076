"""The command line: each command parses, makes one library call and prints. Commands of `trainers` arrive by entry point."""

import json
import os
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click

from featurestore.attention import draw as draw_attention
from featurestore.encoder import Encoder
from featurestore.errors import ConfigError, FeatureStoreError, Interrupted
from featurestore.progress import ProgressBar
from featurestore.results import columns
from featurestore.store import FeatureStore
from featurestore.version import __version__

PATH = click.Path(path_type=Path)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
encoder_option = click.option(
    "--encoder",
    metavar="NAME",
    help="Which encoder's vectors: name, fingerprint or ONNX file; needed when there are several.",
)


class Commands(click.Group):
    """Store commands here, those of other packages by the entry-point group `featurestore.commands`, loaded when called."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader of a pipe has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.commands, *sorted(point.name for point in entry_points(group="featurestore.commands"))]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in self.commands:
            return self.commands[name]
        for point in entry_points(group="featurestore.commands", name=name):
            try:
                command: click.Command = point.load()
            except ModuleNotFoundError as error:
                return _without(name, error.name)
            return command
        return None


def _without(name: str, module: str | None) -> click.Command:
    """Stand in for a command whose package is not installed: it is listed, and says what it needs."""
    needs = f"needs {module}, which is not installed: pip install 'featurestore[train]'"

    def refuse() -> None:
        raise ConfigError(f"{name} {needs}")

    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, callback=refuse, help=f"({needs})", context_settings=anything)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__)
def cli() -> None:
    """Train an image encoder without labels, run it over a collection, and search, measure and label what it sees."""


@cli.command()
@click.argument("store", type=PATH)
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option("--encoder", type=PATH, help="The encoder.onnx to run; may be left out when the store has just one.")
@click.option(
    "--labels", default="none", show_default=True, metavar="none|folders|FILE.csv", help="Where labels come from."
)
@click.option("--workers", type=click.IntRange(min=1), help="Threads that decode images.  [default: one a processor]")
@json_option
def index(
    store: Path, sources: tuple[str, ...], encoder: Path | None, labels: str, workers: int | None, as_json: bool
) -> None:
    """Bring STORE up to date with folders of images: encode what is new or changed, drop what is gone."""
    with ProgressBar() as bar:
        opened = FeatureStore.open(store, encoder=encoder)
        report = opened.index(*sources, labels=labels, workers=workers, listener=bar)
    if as_json:
        _print_json(report.to_json())
        return
    c = report
    click.echo(
        f"{c.added} added, {c.updated} updated, {c.unchanged} unchanged, {c.removed} removed, {c.failed} failed  ({c.images_per_second:g} images/s)"
    )
    if report.failed:
        click.echo(f"{report.failed} files could not be used: featurestore failures {store}", err=True)


@cli.command()
@click.argument("store", type=PATH)
@click.argument("query", type=PATH)
@click.option("-k", default=10, show_default=True, help="How many hits.")
@click.option("--where", metavar="SQL", help="Only items for which this holds, such as \"label = 'rose'\".")
@click.option("--sheet", type=PATH, metavar="FILE.png", help="Also draw the hits as a contact sheet.")
@encoder_option
@json_option
def search(
    store: Path, query: Path, k: int, where: str | None, sheet: Path | None, encoder: str | None, as_json: bool
) -> None:
    """Find the images of STORE nearest to the image QUERY."""
    matches = FeatureStore.open(store).search(query, k=k, where=where, encoder=encoder)
    hits = matches.to_json()
    if sheet is not None:
        matches.sheet(sheet)
    if as_json:
        _print_json(hits)
    else:
        click.echo(
            columns(
                [(h["rank"], h["score"], h["id"], h["label"], h["path"]) for h in hits],
                ("rank", "score", "id", "label", "path"),
            )
        )


@cli.command()
@click.argument("store", type=PATH)
@click.option(
    "--k",
    "ks",
    type=int,
    multiple=True,
    default=(20,),
    show_default=True,
    help="Number of neighbours that vote; may be repeated.",
)
@click.option("--temperature", default=0.07, show_default=True, help="T in the weight exp(score / T) of a vote.")
@encoder_option
@json_option
def knn(store: Path, ks: tuple[int, ...], temperature: float, encoder: str | None, as_json: bool) -> None:
    """Measure how well nearest neighbours in STORE share a label (test against train, else leave-one-out)."""
    report = FeatureStore.open(store).knn(ks, temperature, encoder)
    if as_json:
        _print_json(report.to_json())
        return
    click.echo(
        f"k-NN  {report.split}, {report.n_train} train, {report.n_test} test, T = {report.temperature:g}, encoder {report.encoder[:16]}"
    )
    click.echo(columns([(r.k, r.top1, r.top5) for r in report.results], ("k", "top-1", "top-5")))
    click.echo()
    click.echo(
        columns([(c.label, c.n, c.recall, c.precision) for c in report.classes], ("label", "n", "recall", "precision"))
    )


@cli.command()
@click.argument("store", type=PATH)
@json_option
def info(store: Path, as_json: bool) -> None:
    """Say what STORE holds."""
    found = FeatureStore.open(store).info()
    if as_json:
        _print_json(found)
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
        click.echo(
            f"encoder   {e['name']}  {e['vectors']} vectors of {e['dim']}, {e['method']} {e['backbone']} at {e['preprocess']['size']} px, trained on {e['trained_on']['count']} images"
        )


@cli.command()
@click.argument("store", type=PATH)
@json_option
def failures(store: Path, as_json: bool) -> None:
    """List the files that could not be used, with the reason."""
    found = FeatureStore.open(store).failures()
    if as_json:
        _print_json([{"path": f.path, "reason": f.reason} for f in found])
    else:
        click.echo(columns([(f.path, f.reason) for f in found], ("path", "reason")) if found else "no failures")


@cli.command()
@click.argument("store", type=PATH)
@click.argument("statement")
@click.option("--seconds", default=30.0, show_default=True, help="Time limit.")
@json_option
def sql(store: Path, statement: str, seconds: float, as_json: bool) -> None:
    """Run a read-only SQL statement over the tables items, vectors, encoders and failures of STORE."""
    table = FeatureStore.open(store).sql(statement, seconds)
    if as_json:
        _print_json(table.to_pylist())
    else:
        click.echo(columns(list(zip(*(c.to_pylist() for c in table.columns), strict=True)), table.column_names))


@cli.command()
@click.argument("store", type=PATH)
@click.argument("file", type=PATH)
@json_option
def label(store: Path, file: Path, as_json: bool) -> None:
    """Set labels from a CSV file with the columns path, label and perhaps split."""
    report = FeatureStore.open(store).label(file)
    if as_json:
        _print_json({"labelled": report.labelled, "unknown": list(report.unknown)})
        return
    click.echo(f"{report.labelled} labelled")
    if report.unknown:
        click.echo(f"{len(report.unknown)} paths are no item of the store, the first: {report.unknown[0]}", err=True)


@cli.command()
@click.argument("encoder", type=PATH)
@click.argument("image", type=PATH)
@click.option("--out", type=PATH, required=True, metavar="FILE.png", help="The picture to write.")
@json_option
def attention(encoder: Path, image: Path, out: Path, as_json: bool) -> None:
    """Draw where a ViT ENCODER, exported with --attention, looks in IMAGE."""
    drawn = draw_attention(Encoder(encoder), image, out)
    if as_json:
        _print_json({"picture": str(drawn)})
    else:
        click.echo(drawn)


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, default=str))


def main() -> None:
    """Run the command line; the one place where an error becomes a line and an exit status."""
    try:
        sys.exit(cli.main(standalone_mode=False))
    except FeatureStoreError as error:
        click.echo(f"featurestore: {error}", err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort as stop:  # so does click call Ctrl-C
        kept = stop.__cause__
        click.echo(f"featurestore: {kept if isinstance(kept, Interrupted) else 'interrupted'}", err=True)
        sys.exit(130)
