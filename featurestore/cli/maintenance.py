"""Commands that keep a store in order, and move vectors in and out of it."""

import sys
from dataclasses import asdict
from pathlib import Path

import click

from featurestore.cli.options import PATH, encoder_option, json_option, print_json
from featurestore.progress import ProgressBar
from featurestore.store import FeatureStore


@click.command()
@click.argument("store", type=PATH)
@click.option("--where", metavar="SQL", required=True, help="Which items, such as \"label = 'rose'\".")
@click.option("--dry-run", is_flag=True, help="Only say how many.")
@json_option
def delete(store: Path, where: str, dry_run: bool, as_json: bool) -> None:
    """Forget items of STORE with their labels and vectors; their files stay, and a later index adds them again."""
    count = FeatureStore.open(store).delete(where, dry_run)
    if as_json:
        print_json({"deleted": 0 if dry_run else count, "matching": count})
    else:
        click.echo(f"{count} items match, nothing was deleted" if dry_run else f"{count} items deleted")


@click.command()
@click.argument("store", type=PATH)
@click.option(
    "--recall", default=0.99, show_default=True, help="Share of the 10 nearest that searches by the index are to find."
)
@click.option(
    "--memory", default=2048, show_default=True, metavar="MB", help="What building the index may take, at most."
)
@json_option
def optimize(store: Path, recall: float, memory: int, as_json: bool) -> None:
    """Rewrite STORE without the vectors of items that changed, vanished or were deleted, and index large collections."""
    with ProgressBar() as bar:
        report = FeatureStore.open(store).optimize(recall, memory << 20, bar)
    if as_json:
        print_json(asdict(report))
        return
    click.echo(
        f"{report.kept} vectors kept, {report.dropped} dropped, {report.bytes_before / 1e6:.1f} MB before, {report.bytes_after / 1e6:.1f} MB now"
    )
    for index in report.indexes:
        made = "built" if index.built else "as it was"
        click.echo(
            f"index of {index.encoder} {made}: {index.vectors} vectors, {index.bytes / 1e6:.1f} MB, recall@10 {index.recall:.3f}"
        )
        if index.recall < recall:
            click.echo(
                f"recall {recall:g} was not reached; what is found is as good as it gets: search --exact looks at all",
                err=True,
            )


@click.command()
@click.argument("store", type=PATH)
@click.option(
    "--repair", is_flag=True, help="Put right what can be; what cannot is moved to STORE/damaged, never deleted."
)
@json_option
def verify(store: Path, repair: bool, as_json: bool) -> None:
    """Read all of STORE against its checksums and say what is wrong; exit status 1 when something is damaged."""
    with ProgressBar() as bar:
        report = FeatureStore.verify(store, repair, bar)
    if as_json:
        print_json(report.to_json())
    else:
        for finding in report.findings:
            click.echo(f"{finding.place}: {finding.problem}\n  safe:   {finding.safe}\n  repair: {finding.repair}")
        repaired = sum(finding.repaired for finding in report.findings)
        damage = sum(finding.damage for finding in report.findings) - repaired
        found = f"{damage} damaged" if damage else "no damage left" if repaired else "no damage"
        click.echo(f"{found}; {report.vectors} vectors read, {report.bytes / 1e6:.1f} MB in {report.seconds:.1f} s")
        if damage and not repair:
            click.echo(f"to put it right: featurestore verify {store} --repair", err=True)
    if report.damaged:
        sys.exit(1)


@click.command("export-vectors")
@click.argument("store", type=PATH)
@click.argument("file", type=PATH)
@encoder_option
@json_option
def export_vectors(store: Path, file: Path, encoder: str | None, as_json: bool) -> None:
    """Write the items of STORE with their vectors into FILE.parquet."""
    with ProgressBar() as bar:
        count = FeatureStore.open(store).export_vectors(file, encoder, bar)
    if as_json:
        print_json({"file": str(file), "vectors": count})
    else:
        click.echo(f"{count} vectors written to {file}")


@click.command("import-vectors")
@click.argument("store", type=PATH)
@click.argument("file", type=PATH)
@click.option("--encoder", type=PATH, help="The encoder.onnx that made them; may be left out when STORE has it.")
@json_option
def import_vectors(store: Path, file: Path, encoder: Path | None, as_json: bool) -> None:
    """Add the items and vectors of FILE.parquet, written by export-vectors, to STORE."""
    with ProgressBar() as bar:
        report = FeatureStore.open(store, encoder).import_vectors(file, bar)
    if as_json:
        print_json(asdict(report))
    else:
        click.echo(f"{report.added} added, {report.unchanged} unchanged, {report.conflicting} conflicting")
