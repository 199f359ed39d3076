"""Training against lightly 1.6 as documented (see `lightly_training.py`): speed, memory, augmentation, quality for the same minutes; ablations.

    python -m benchmarks.training speed DATA
    python -m benchmarks.training augmentation DATA PHOTOS
    python -m benchmarks.training accuracy DATA --minutes 10 --seed 0 --seed 1 --seed 2 --out FOUND.jsonl
    python -m benchmarks.training figure FOUND.jsonl
    python -m benchmarks.training ablations DATA

DATA holds train/<class>/ and test/<class>/, such as CIFAR-10 as image files; PHOTOS is a folder of larger images. Needs the extra [bench].
Every measurement runs in its own process; the sides alternate, so that a busy machine slows all alike. Prints Markdown: median (least-most)
of the runs.
"""

import json
import statistics
import tempfile
from itertools import product
from pathlib import Path

import click

from benchmarks import pipeline
from benchmarks.interleaved import Call, measure, measure_with_memory, run_interleaved
from benchmarks.pipeline import link_subset
from benchmarks.tables import column, ratio, show, spread, table
from benchmarks.training.ablations import CASES, COMPLETE, milliseconds
from benchmarks.training.measurements import SETTINGS, SIZE, our_views, ours, their_views, theirs, train_for_lightly
from trainers.config.parse import read_toml
from trainers.config.resolve import resolve
from trainers.export.pixel_baseline import export_pixels
from trainers.export.training_run import export_untrained
from trainers.training import metrics_file as metrics

K = (20, 200)  # neighbours


@click.group()
def cli() -> None:
    pass


@cli.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--method", "methods", multiple=True, default=tuple(SETTINGS), show_default=True)
@click.option("--images", default=5000, show_default=True, help="Training images.")
@click.option("--batch-size", default=128, show_default=True)
@click.option("--seconds", default=30.0, show_default=True, help="How long each training is timed.")
@click.option("--runs", default=3, show_default=True)
def speed(data: Path, methods: tuple[str, ...], images: int, batch_size: int, seconds: float, runs: int) -> None:
    """Images a second and peak memory of whole trainings. Our decoding is not counted: it happens once, before the first step."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        link_subset(data, images, Path(folder))
        train = Path(folder) / "train"
        for method in methods:
            sides: dict[str, Call] = {
                "featurestore": (ours, train, method, batch_size, seconds, "auto"),
                "featurestore, float32": (ours, train, method, batch_size, seconds, "32-true"),
                "lightly": (theirs, train, method, batch_size, seconds, "32-true"),
            }
            found = run_interleaved(runs, sides, measure_with_memory)
            for name, figures in found.items():
                speeds = column(figures, "value")
                against = ratio(speeds, column(found["lightly"], "value"))
                rows.append([method, name, spread(speeds, 1), against, spread(column(figures, "memory"), 0)])
    click.echo(f"{SIZE} px, batch {batch_size}, {images} images\n")
    table(["method", "who", "images/s", "against lightly", "peak MB"], rows)


@cli.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--minutes", "budgets", multiple=True, type=float, default=(10.0,), show_default=True)
@click.option("--seed", "seeds", multiple=True, type=int, default=(0,), show_default=True)
@click.option("--theirs", default="conv4", show_default=True, help="Network of lightly's training.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="JSON lines; new ones are appended.")
def accuracy(data: Path, budgets: tuple[float, ...], seeds: tuple[int, ...], theirs: str, out: Path) -> None:
    """k-NN of test images after the same minutes of training, ours with `--minutes` alone, against raw pixels and the untrained network."""

    def note(who: str, encoder: Path, **more: float) -> None:
        results = pipeline.labelled_store(data, encoder, work).knn(k=K).results
        line = json.dumps({"who": who, **more, **{f"knn_{k}": r.top1 for k, r in zip(K, results, strict=True)}})
        with out.open("a") as lines:
            lines.write(line + "\n")
        click.echo(line, err=True)

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for minutes, seed in product(budgets, seeds):
            run = work / f"ours-{minutes}-{seed}"
            pipeline.train(data, run, ["--seed", str(seed), "--minutes", str(minutes)])
            last = metrics.read(run / "metrics.jsonl")[-1]
            speed = last["step"] * read_toml(run / "config.toml")["batch_size"] / last["seconds"]
            note("featurestore", run / "encoder.onnx", minutes=minutes, seed=seed, images_per_second=speed)
            encoder = work / f"theirs-{minutes}-{seed}" / "encoder.onnx"
            speed = measure(train_for_lightly, data / "train", theirs, minutes, seed, encoder)
            note("lightly", encoder, minutes=minutes, seed=seed, images_per_second=speed)
        note("untrained network", export_untrained(resolve(read_toml(run / "config.toml")), work / "untrained.onnx"))
        note("raw pixels", export_pixels(SIZE, work / "pixels.onnx", data / "train"))


@cli.command()
@click.argument("lines", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("benchmarks/results/minutes.png"), show_default=True
)
def figure(lines: Path, out: Path) -> None:
    """Draw the lines of `accuracy`: k-NN top-1 against minutes of training, and print them as a table."""
    found = [json.loads(line) for line in lines.read_text().splitlines()]
    groups: dict[tuple[str, float | None], list[dict[str, float]]] = {}
    for one in found:
        groups.setdefault((one["who"], one.get("minutes")), []).append(one)
    draw(groups, out)
    rows = []
    for (who, minutes), ones in sorted(groups.items(), key=lambda item: (item[0][0], item[0][1] or 0)):
        speed = spread(column(ones, "images_per_second"), 0) if minutes else ""
        top1 = [spread(column(ones, f"knn_{k}"), 3) for k in K]
        rows.append([who, f"{minutes:g}" if minutes else "", str(len(ones)), *top1, speed])
    table(["vectors", "minutes", "seeds", *(f"k-NN {k}" for k in K), "images/s"], rows)


def draw(groups: dict[tuple[str, float | None], list[dict[str, float]]], out: Path) -> None:
    """Draw one line with error bars for each library, and one level for vectors that need no training."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(7, 4.2), layout="constrained")
    axes = drawing.subplots()
    for colour, who in zip(
        ("C0", "C1", "0.35", "0.6"), ("featurestore", "lightly", "raw pixels", "untrained network"), strict=True
    ):
        points = {minutes: [one["knn_20"] for one in ones] for (name, minutes), ones in groups.items() if name == who}
        if None in points:
            level = statistics.median(points[None])
            axes.axhline(level, color=colour, linestyle="--", linewidth=1)
            axes.annotate(who, (1, level), xycoords=("axes fraction", "data"), ha="right", va="bottom", color=colour)
            continue
        x = sorted(minutes for minutes in points if minutes)
        middle = [statistics.median(points[minutes]) for minutes in x]
        bars = [
            [m - min(points[i]) for m, i in zip(middle, x, strict=True)],
            [max(points[i]) - m for m, i in zip(middle, x, strict=True)],
        ]
        axes.errorbar(x, middle, yerr=bars, marker="o", capsize=3, color=colour, label=who)
    axes.set(xlabel="minutes of training on two cores", ylabel="k-NN top-1 (k = 20) on CIFAR-10", xlim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    drawing.savefig(out, dpi=150)


@cli.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("photos", type=click.Path(exists=True, path_type=Path))
@click.option("--runs", default=5, show_default=True)
def augmentation(data: Path, photos: Path, runs: int) -> None:
    """Milliseconds a view of SimCLR's augmentation on one thread: ours from the pixel cache, lightly's from decoded pictures."""
    for folder, size in ((data, 32), (photos, 224)):
        sides: dict[str, Call] = {"featurestore": (our_views, folder, size), "lightly": (their_views, folder, size)}
        found = run_interleaved(runs, sides)
        click.echo(f"{size} px\n")
        show(found, "ms a view", ["lightly"], digits=3)


@cli.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--steps", default=20, show_default=True)
@click.option("--runs", default=3, show_default=True)
def ablations(data: Path, steps: int, runs: int) -> None:
    """Milliseconds a step of conv4: as it is, and without each optimization."""
    found = run_interleaved(runs, {case: (milliseconds, data, case, steps) for case in CASES})
    rows = [
        [case, spread(times, 1), ratio(times, found[COMPLETE[CASES[case].method]])] for case, times in found.items()
    ]
    table(["step", "ms", "against the complete step"], rows)


if __name__ == "__main__":
    cli()
