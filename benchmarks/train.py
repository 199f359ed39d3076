"""Training side by side with lightly 1.6, whose documented transforms, heads and losses `benchmarks.lightly_training` writes down.

    python -m benchmarks.train speed DATA
    python -m benchmarks.train augmentation DATA PHOTOS
    python -m benchmarks.train accuracy DATA --minutes 10 --seed 0 --seed 1 --seed 2 --out FOUND.jsonl
    python -m benchmarks.train figure FOUND.jsonl
    python -m benchmarks.train speedups DATA

DATA holds train/<class>/ and test/<class>/, such as CIFAR-10 as image files; PHOTOS is a folder of larger images. Needs the extra [bench]. Every figure is taken in a process of its own, and the two take turns, so
that a busy machine slows both alike. Prints Markdown: median (least-most) of the runs.
"""

import json
import statistics
import tempfile
from itertools import product
from pathlib import Path

import click

from benchmarks import quality
from benchmarks.quality import take
from benchmarks.speedups import CASES, WHOLE, milliseconds
from benchmarks.tables import cell, ratio, table
from benchmarks.trainings import SIDES, SIZE, our_views, ours, their_views, theirs, train_for_lightly
from benchmarks.turns import Peak, measure, take_turns
from trainers.config.parse import read_toml
from trainers.config.resolve import resolve
from trainers.export.pixel_baseline import export_pixels
from trainers.export.training_run import export_untrained
from trainers.training import metrics_file as metrics


@click.group()
def cli() -> None:
    pass


@cli.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--method", "methods", multiple=True, default=tuple(SIDES), show_default=True)
@click.option("--images", default=5000, show_default=True, help="Of the training images.")
@click.option("--batch-size", default=128, show_default=True)
@click.option("--seconds", default=30.0, show_default=True, help="That each training is timed for.")
@click.option("--runs", default=3, show_default=True)
def speed(data: Path, methods: tuple[str, ...], images: int, batch_size: int, seconds: float, runs: int) -> None:
    """Images a second and peak memory of whole trainings, decoding left out for ours, which does it once."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        take(data, images, Path(folder))
        train = Path(folder) / "train"
        for method in methods:
            sides = {
                "featurestore": (ours, "auto"),
                "featurestore, float32": (ours, "32-true"),
                "lightly": (theirs, "32-true"),
            }
            found: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
            for _ in range(runs):
                for name, (side, precision) in sides.items():
                    peak = Peak()
                    speed = measure(side, train, method, batch_size, seconds, precision, peak=peak)
                    found[name].append({"speed": speed, "memory": peak.shared})
                    click.echo(f"{method} {name}: {speed:.1f} images/s, {peak.shared:.0f} MB", err=True)
            for name, measured in found.items():
                rows.append([
                    method, name, cell([one["speed"] for one in measured], 1), ratio(measured, found["lightly"], "speed"),
                    cell([one["memory"] for one in measured], 0),
                ])  # fmt: skip
    click.echo(f"{SIZE} px, batch {batch_size}, {images} images\n")
    table(["method", "who", "images/s", "against lightly", "peak MB"], rows)


@cli.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--minutes", "budgets", multiple=True, type=float, default=(10.0,), show_default=True)
@click.option("--seed", "seeds", multiple=True, type=int, default=(0,), show_default=True)
@click.option("--theirs", default="conv4", show_default=True, help="The network of lightly's training.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="JSON lines; what is there is kept.")
def accuracy(data: Path, budgets: tuple[float, ...], seeds: tuple[int, ...], theirs: str, out: Path) -> None:
    """k-NN of test images after the same minutes of training, ours with `--minutes` alone, beside raw pixels and the untrained network."""

    def note(who: str, encoder: Path, **more: float) -> None:
        results = quality.indexed(data, encoder, work).knn(k=quality.K).results
        line = json.dumps({"who": who, **more, **{f"knn_{k}": r.top1 for k, r in zip(quality.K, results, strict=True)}})
        with out.open("a") as lines:
            lines.write(line + "\n")
        click.echo(line, err=True)

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for minutes, seed in product(budgets, seeds):
            run = work / f"ours-{minutes}-{seed}"
            quality.train(data, run, ["--seed", str(seed), "--minutes", str(minutes)])
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
@click.option("--out", type=click.Path(path_type=Path), default=Path("benchmarks/minutes.png"), show_default=True)
def figure(lines: Path, out: Path) -> None:
    """Draw what `accuracy` found: k-NN top-1 against minutes of training, and a table of it."""
    found = [json.loads(line) for line in lines.read_text().splitlines()]
    groups: dict[tuple[str, float | None], list[dict[str, float]]] = {}
    for one in found:
        groups.setdefault((one["who"], one.get("minutes")), []).append(one)
    draw(groups, out)
    rows = []
    for (who, minutes), ones in sorted(groups.items(), key=lambda item: (item[0][0], item[0][1] or 0)):
        speed = cell([one["images_per_second"] for one in ones], 0) if minutes else ""
        top1 = [cell([one[f"knn_{k}"] for one in ones], 3) for k in quality.K]
        rows.append([who, f"{minutes:g}" if minutes else "", str(len(ones)), *top1, speed])
    table(["vectors", "minutes", "seeds", *(f"k-NN {k}" for k in quality.K), "images/s"], rows)


def draw(groups: dict[tuple[str, float | None], list[dict[str, float]]], out: Path) -> None:
    """One line a training with its spread, one level for vectors that take no time."""
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
        spread = [
            [m - min(points[i]) for m, i in zip(middle, x, strict=True)],
            [max(points[i]) - m for m, i in zip(middle, x, strict=True)],
        ]
        axes.errorbar(x, middle, yerr=spread, marker="o", capsize=3, color=colour, label=who)
    axes.set(xlabel="minutes of training on two cores", ylabel="k-NN top-1 (k = 20) on CIFAR-10", xlim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    drawing.savefig(out, dpi=150)


@cli.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("photos", type=click.Path(exists=True, path_type=Path))
@click.option("--runs", default=5, show_default=True)
def augmentation(data: Path, photos: Path, runs: int) -> None:
    """Milliseconds a view of SimCLR's augmentation on one thread: ours from the cache of pixels, lightly's from decoded pictures."""
    rows = []
    for folder, size in ((data, 32), (photos, 224)):
        found: dict[str, list[dict[str, float]]] = {"featurestore": [], "lightly": []}
        for _ in range(runs):
            for name, side in (("featurestore", our_views), ("lightly", their_views)):
                found[name].append({"ms": measure(side, folder, size)})
        for name, measured in found.items():
            rows.append(
                [f"{size} px", name, cell([one["ms"] for one in measured], 3), ratio(measured, found["lightly"], "ms")]
            )
    table(["size", "who", "ms a view", "against lightly"], rows)


@cli.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--steps", default=20, show_default=True)
@click.option("--runs", default=3, show_default=True)
def speedups(data: Path, steps: int, runs: int) -> None:
    """Milliseconds a step of conv4, whole and with each means of speed taken away by itself."""
    found = take_turns(runs, {case: (milliseconds, data, case, steps) for case in CASES})
    rows = [
        [case, cell(times, 1), f"{statistics.median(times) / statistics.median(found[WHOLE[CASES[case].method]]):.2f}"]
        for case, times in found.items()
    ]
    table(["step", "ms", "times the whole"], rows)


if __name__ == "__main__":
    cli()
