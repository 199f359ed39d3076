"""Two checkouts of this project side by side in one run: imports, cold and warm searches, extraction and training steps.

    python -m benchmarks.search generate 1m.store && python -m benchmarks.search generate 20k.store --rows 20000
    python -m benchmarks.before_after OLD NEW --store 1m.store --store 20k.store

Measures whether a change of the code made anything slower: NEW against OLD, each the root of a checkout. Every measurement is a process of
its own with PYTHONPATH set to the root, on the same interpreter; old and new alternate, and so does which of them begins. Uses only the
public API and the command line, so that the modules inside may differ. The images are drawn here, unless --folder names others. Prints
Markdown: median (least-most) of each side, of the ratio new / old of neighbouring runs (above 1 is slower), and of the same ratio of the
processor time of the whole process, which other programs on the machine disturb less.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from PIL import Image

from benchmarks.stores import encoder_file, queries_of
from benchmarks.tables import spread, table

JOBS = Path(__file__).with_name("before_after_jobs.py")
SHORT = 4  # times as many runs for measurements of about a second
GROUPS = ("imports", "cold", "warm", "extraction", "training")
TRAININGS = {  # name and settings of `featurestore profile`
    "SimCLR, conv4, batch 256": ["--method", "simclr", "--backbone", "conv4", "--batch-size", "256"],
    "BYOL, conv4, batch 256": ["--method", "byol", "--backbone", "conv4", "--batch-size", "256"],
    "MoCo v2, conv4, batch 256": ["--method", "moco-v2", "--backbone", "conv4", "--batch-size", "256"],
    "DINO, resnet18, batch 32": ["--method", "dino", "--backbone", "resnet18", "--batch-size", "32"],
}
SETTINGS = ["--image-size", "32", "--precision", "32-true", "--device", "cpu", "--json"]
EXISTING = click.Path(path_type=Path, exists=True, file_okay=False)


@dataclass(frozen=True)
class Measurement:
    """What to measure, and how: `figure` runs it once with the root of a checkout."""

    name: str
    unit: str
    figure: Callable[[Path], float]
    runs: int


def run_job(root: Path, *arguments: object) -> str:
    """Run a job with a checkout; returns what it printed. Stops with its last line of errors when it fails."""
    command = [sys.executable, "-P", str(JOBS), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": ""}  # each is compiled once
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise click.ClickException(f"{root}: {' '.join(map(str, arguments))} failed: {last}")
    return done.stdout


def printed(*arguments: object) -> Callable[[Path], float]:
    """The figure that a job prints."""
    return lambda root: float(json.loads(run_job(root, *arguments).splitlines()[-1]))


def whole_process(*arguments: object) -> Callable[[Path], float]:
    """Seconds of a whole command, with the start of Python."""

    def seconds(root: Path) -> float:
        began = time.perf_counter()
        run_job(root, "command", *arguments)
        return time.perf_counter() - began

    return seconds


def step(folder: Path, settings: list[str], steps: int) -> Callable[[Path], float]:
    """Milliseconds of a training step, from `featurestore profile`."""

    def milliseconds(root: Path) -> float:
        out = run_job(root, "command", "profile", folder, "--steps", steps, *settings, *SETTINGS)
        return float(json.loads(next(line for line in out.splitlines() if line.startswith("{")))["step_ms"])

    return milliseconds


def draw_images(folder: Path, count: int, side: int) -> Path:
    """Draw `count` JPEGs of `side` px: gradients with noise, all different."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    ramp = np.linspace(0, 255, side)
    for number in range(count):
        across, down, noise = rng.random(3), rng.random(3), rng.normal(0, 12, (side, side, 3))
        pixels = (ramp[None, :, None] * across + ramp[:, None, None] * down) / 2 + noise
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number:06}.jpg", quality=85)
    return folder


def plan(
    groups: tuple[str, ...],
    stores: tuple[Path, ...],
    images: Path,
    encoder: Path,
    steps: int,
    runs: int,
    work: Path,
) -> list[Measurement]:
    """List the measurements of some groups; files they need are written to `work`."""
    found = []
    if "imports" in groups:
        for module in ("featurestore", "featurestore.cli"):
            found.append(Measurement(f"import {module}", "ms", printed("imports", module), SHORT * runs))
    for store in stores:
        queries = queries_of(store)
        one = work / f"{store.stem}.npy"
        np.save(one, np.load(queries, mmap_mode="r")[:1])
        if "cold" in groups:
            by_id = whole_process("search", store, "--id", 5)
            by_vector = whole_process("search", store, "--batch", one)
            found.append(Measurement(f"cold search by id, {store.name}", "s", by_id, SHORT * runs))
            found.append(Measurement(f"cold search by vector, {store.name}", "s", by_vector, SHORT * runs))
        if "warm" in groups:
            found.append(Measurement(f"warm search, {store.name}", "ms", printed("warm", store, queries), runs))
    if "extraction" in groups:
        name = f"{images.name}, {encoder.name}"
        found.append(Measurement(f"ingest {name}", "s", printed("extract", images, encoder), runs))
        found.append(Measurement(f"ingest again, {name}", "s", printed("extract_again", images, encoder), runs))
    if "training" in groups:
        found += [
            Measurement(f"step of {name}", "ms", step(images, settings, steps), runs)
            for name, settings in TRAININGS.items()
        ]
    return found


def processor_seconds() -> float:
    """Processor time of all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def compare(what: Measurement, old: Path, new: Path) -> list[str]:
    """Run a measurement with both checkouts, alternately; returns its row of the table."""
    sides: dict[Path, list[float]] = {old: [], new: []}
    processor: dict[Path, list[float]] = {old: [], new: []}
    for run in range(what.runs):
        for root in (old, new) if run % 2 == 0 else (new, old):
            before = processor_seconds()
            sides[root].append(what.figure(root))
            processor[root].append(processor_seconds() - before)
        click.echo(
            f"{run + 1}/{what.runs} {what.name}: {sides[old][-1]:.4g}, {sides[new][-1]:.4g} {what.unit}", err=True
        )
    digits = 1 if min(sides[old]) > 100 else 3
    ratios = [
        spread([after / before for before, after in zip(figures[old], figures[new], strict=True)], 3)
        for figures in (sides, processor)
    ]
    return [f"{what.name}, {what.unit}", spread(sides[old], digits), spread(sides[new], digits), *ratios]


@click.command()
@click.argument("old", type=EXISTING)
@click.argument("new", type=EXISTING)
@click.option(
    "--store", "stores", multiple=True, type=EXISTING, help="A store of `python -m benchmarks.search generate`."
)
@click.option("--only", "groups", multiple=True, type=click.Choice(GROUPS), default=GROUPS, show_default=True)
@click.option("--folder", type=EXISTING, help="Images for extraction and training, in place of drawn ones.")
@click.option(
    "--encoder",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="For extraction, in place of a network that does nothing.",
)
@click.option("--images", default=4000, show_default=True, help="JPEGs to draw for extraction and training.")
@click.option("--side", default=48, show_default=True, help="Side of these JPEGs in pixels.")
@click.option("--steps", default=10, show_default=True, help="Training steps in each of the five rounds of a profile.")
@click.option(
    "--runs", default=5, show_default=True, help=f"Of each side; {SHORT} times as many for imports and cold searches."
)
def main(
    old: Path,
    new: Path,
    stores: tuple[Path, ...],
    groups: tuple[str, ...],
    folder: Path | None,
    encoder: Path | None,
    images: int,
    side: int,
    steps: int,
    runs: int,
) -> None:
    """Compare the checkouts OLD and NEW and print a table."""
    old, new = old.resolve(), new.resolve()
    if old == new:
        raise click.UsageError(f"OLD and NEW are the same checkout: {old}")
    if {"cold", "warm"} & set(groups) and not stores:
        raise click.UsageError("cold and warm searches need a store: add --store, or choose other groups with --only")
    with tempfile.TemporaryDirectory() as made:
        work = Path(made)
        if folder is None and {"extraction", "training"} & set(groups):
            folder = draw_images(work / f"{images:,} JPEGs of {side} px", images, side)
        encoder = encoder or encoder_file(64, work / "no network")
        measurements = plan(groups, tuple(map(Path.resolve, stores)), folder or work, encoder, steps, runs, work)
        for root in (old, new):
            run_job(root, "imports", "featurestore.cli")  # compiles the modules and reads them into the page cache
        rows = [compare(what, old, new) for what in measurements]
    click.echo()
    table(["what", "old", "new", "new / old", "processor time, new / old"], rows)


if __name__ == "__main__":
    main()
