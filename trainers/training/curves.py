"""curves.png: the metrics of a run, epoch by epoch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from featurestore.metrics.curve_titles import CURVE_TITLES
from featurestore.system.disk import atomic_write


def draw(metrics: Sequence[Mapping[str, Any]], title: str, path: Path) -> Path:
    """Draw a panel for each figure that the metrics hold, and save them at `path` as PNG. Raises DiskError."""
    shown = [name for name in CURVE_TITLES if any(name in line for line in metrics)]
    rows = -(-len(shown) // 2)
    figure = Figure(figsize=(10, 2.6 * rows + 0.6), layout="constrained")
    figure.suptitle(title, fontsize=11)
    for axes, name in zip(figure.subplots(rows, 2, squeeze=False).flat, [*shown, ""], strict=False):
        if not name:
            axes.set_axis_off()
            continue
        points = [(line["epoch"], line[name]) for line in metrics if name in line]
        axes.plot(
            *zip(*points, strict=True),
            color="#0a5fb4",
            linewidth=1.6,
            marker="o" if len(points) < 20 else "",
            markersize=3,
        )
        if name == "feature_std":
            axes.set_ylim(0, 1.25)
        axes.set_title(CURVE_TITLES[name], fontsize=9, loc="left")
        axes.set_xlabel("epoch", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    with atomic_write(path, "free some space, then go on with --resume") as file:
        figure.savefig(file, dpi=110, format="png")
    return path
