"""Commands that maintain a store: delete, optimise, verify, and vectors out of it and into it."""

import sys
from dataclasses import asdict
from pathlib import Path

import click

from featurestore import ingest, maintenance
from featurestore.cli.options import PATH, encoder_option, json_option, store_argument
from featurestore.maintenance.verification import verify_path
from featurestore.progress import ProgressBar
from featurestore.storage import Storage
from featurestore.storage.info import info
from featurestore.system.terminal import print_line, print_result
from featurestore.system.text import as_argument, counted
from featurestore.system.text_table import format_table


@click.command()
@store_argument
@click.option("--where", metavar="SQL", required=True, help="Which items, such as \"label = 'rose'\".")
@click.option("--dry-run", is_flag=True, help="Count the items and delete nothing.")
@click.option(
    "--forget",
    is_flag=True,
    help="Leave no trace but the hash of the content, also of items deleted before; rewrites vectors and catalog.",
)
@json_option
def delete(store: Path, where: str, dry_run: bool, forget: bool, as_json: bool) -> None:
    """Delete items from STORE with their labels and vectors; their files stay, but `index` passes them over from now on."""
    count = maintenance.delete(Storage.open(store), where, dry_run, forget=forget)
    text = (
        f"{counted(count, 'matching item')}, nothing was deleted"
        if dry_run
        else f"{counted(count, 'item')} {'forgotten' if forget else 'deleted'}"
    )
    print_result({"deleted": 0 if dry_run else count, "matching": count}, [text], as_json)


@click.command()
@store_argument
@click.option("--default", metavar="NAME", help="Use this encoder where none is named.")
@click.option("--name", "rename", nargs=2, metavar="OLD NEW", help="Give an encoder another name.")
@click.option("--drop", metavar="NAME", help="Remove an encoder with its vectors; items and labels stay.")
@json_option
def encoders(store: Path, default: str | None, rename: tuple[str, str] | None, drop: str | None, as_json: bool) -> None:
    """List the encoders of STORE, the default one first; or choose the default, rename or drop one.

    NAME is a name, the start of a name or fingerprint, an ONNX file, or a run.
    """
    if sum(given is not None for given in (default, rename, drop)) > 1:
        raise click.UsageError("--default, --name and --drop exclude each other")
    opened = Storage.open(store)
    if default is not None:
        maintenance.set_default_encoder(opened, default)
    elif rename is not None:
        maintenance.rename_encoder(opened, *rename)
    elif drop is not None:
        name = opened.encoder_record(drop).name
        vectors = maintenance.drop_encoder(opened, drop)
        print_line(f"{name} dropped with {counted(vectors, 'vector')}", err=True)
    found = info(opened)["encoders"]
    heads = ("name", "vectors", "dim", "method", "backbone", "fingerprint")
    rows = [
        (e["name"] + (" (default)" if e["default"] else ""), *(e[head] for head in heads[1:-1]), e["fingerprint"][:16])
        for e in found
    ]
    print_result(found, format_table(rows, heads) if rows else ["no encoders"], as_json)


@click.command()
@store_argument
@click.option("--forget", metavar="SOURCE", help="Forget a source; its items stay.")
@json_option
def sources(store: Path, forget: str | None, as_json: bool) -> None:
    """List the sources of earlier runs, which `index` takes when it is given none; or forget one."""
    opened = Storage.open(store)
    if forget is not None:
        print_line(f"{maintenance.forget_source(opened, forget)} is forgotten; its items stay", err=True)
    found = maintenance.sources(opened)
    rows = [
        (s.path, "not asked" if s.there is None else "there" if s.there else "missing", " ".join(s.exclude))
        for s in found
    ]
    heads = ("source", "state", "left out")
    print_result(list(map(asdict, found)), format_table(rows, heads) if rows else ["no sources"], as_json)


@click.command()
@store_argument
@click.argument("old")
@click.argument("new")
@click.option("--missing-ok", is_flag=True, help="NEW need not be there now, such as a drive that is not mounted.")
@json_option
def relocate(store: Path, old: str, new: str, missing_ok: bool, as_json: bool) -> None:
    """Tell STORE that images have moved from OLD to NEW: folders, files, containers or URLs. Nothing is encoded again."""
    report = maintenance.relocate(Storage.open(store), old, new, missing_ok)
    checked = f"; {report.there} of the first {report.checked} files checked are there" if report.checked else ""
    others = [
        counted(n, what)
        for n, what in ((report.sources, "source"), (report.deleted, "deleted file"), (report.failures, "failure"))
        if n
    ]
    more = f", with {' and '.join(others)}" if others else ""
    print_result(asdict(report), [f"{counted(report.items, 'item')} now under {report.new}{more}{checked}"], as_json)


@click.command()
@store_argument
@click.option(
    "--recall", default=0.99, show_default=True, help="Share of the 10 nearest items that the index must find."
)
@click.option("--memory", default=2048, show_default=True, metavar="MB", help="Memory limit for building the index.")
@json_option
def optimize(store: Path, recall: float, memory: int, as_json: bool) -> None:
    """Remove the vectors of changed, vanished and deleted items from STORE, and build an index of large collections."""
    with ProgressBar() as bar:
        report = maintenance.optimize(Storage.open(store), recall, memory << 20, bar)
    lines = [
        f"{report.kept} vectors kept, {report.dropped} dropped, {report.bytes_before / 1e6:.1f} MB before, {report.bytes_after / 1e6:.1f} MB now"
    ]
    for index in report.indexes:
        state = "built" if index.built else "unchanged"
        lines.append(
            f"index of {index.encoder} {state}: {index.vectors} vectors, {index.bytes / 1e6:.1f} MB, recall@10 {index.recall:.3f}"
        )
    lines += [
        f"no index of {few.encoder}: its {few.vectors} vectors are searched exactly; an index makes searches faster from {few.least} vectors on"
        for few in report.unindexed
    ]
    print_result(asdict(report), lines, as_json)
    for index in report.indexes:
        if index.recall < recall and not as_json:
            print_line(
                f"index of {index.encoder}: recall {recall:g} was not reached, {index.recall:.3f} is the best there is; for all nearest items: featurestore search --exact",
                err=True,
            )


@click.command()
@store_argument
@click.option(
    "--repair", is_flag=True, help="Repair what can be repaired; the rest is moved to STORE/damaged, never deleted."
)
@json_option
def verify(store: Path, repair: bool, as_json: bool) -> None:
    """Check every byte of STORE against its checksums; exit status 1 when something is damaged."""
    with ProgressBar() as bar:
        report = verify_path(store, repair, bar)
    lines = [
        line
        for f in report.findings
        for line in (f"{f.place}: {f.problem}", f"  safe:   {f.safe}", f"  repair: {f.repair}")
    ]
    repaired = sum(finding.repaired for finding in report.findings)
    damaged = sum(finding.damage and not finding.repaired for finding in report.findings)
    summary = f"{damaged} damaged" if damaged else "no damage left" if repaired else "no damage"
    lines.append(f"{summary}; {report.vectors} vectors read, {report.bytes / 1e6:.1f} MB in {report.seconds:.1f} s")
    print_result(report.to_json(), lines, as_json)
    if damaged and not repair and not as_json:
        print_line(f"to repair it: featurestore verify {as_argument(store)} --repair", err=True)
    if report.damaged:
        sys.exit(1)


@click.command("export-vectors")
@store_argument
@click.argument("file", type=PATH)
@encoder_option
@json_option
def export_vectors(store: Path, file: Path, encoder: str | None, as_json: bool) -> None:
    """Write the items of STORE with their vectors to FILE.parquet."""
    with ProgressBar() as bar:
        count = ingest.export_vectors(Storage.open(store), file, encoder, bar)
    print_result({"file": str(file), "vectors": count}, [f"{counted(count, 'vector')} written to {file}"], as_json)


@click.command("import-vectors")
@store_argument
@click.argument("file", metavar="FILE", type=PATH)
@click.option(
    "--encoder",
    metavar="NAME",
    help="The encoder that made them: its file, or its name in STORE. Needed when FILE does not say it, or STORE does not have it.",
)
@click.option("--paths", type=PATH, metavar="FILE.txt", help="Paths of the images, one a line, for vectors in a .npy.")
@json_option
def import_vectors(store: Path, file: Path, encoder: str | None, paths: Path | None, as_json: bool) -> None:
    """Add items and vectors to STORE: FILE.parquet of export-vectors or of another program, or FILE.npy with --paths.

    Another program's Parquet needs a column of paths, such as path or file_name, and one of vectors, such as vector or embedding. The
    images are read once, but not encoded.
    """
    with ProgressBar() as bar:
        report = ingest.import_vectors(Storage.open(store, encoder), file, paths, bar)
    text = f"{report.added} added, {report.unchanged} unchanged, {report.conflicting} conflicting"
    if report.failed:
        text += f", {report.failed} left out, since their files cannot be read"
    if report.deleted:
        text += f", {report.deleted} left out, since they were deleted from {store}; to have them back: featurestore index {as_argument(store)} SOURCE --include-deleted"
    scaled = [f"{report.normalized} vectors were scaled to length 1"] * bool(report.normalized)
    print_result(asdict(report), [text, *scaled], as_json)
