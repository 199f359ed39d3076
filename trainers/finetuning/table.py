"""The table of label efficiency as a value: it converts to Markdown and JSON."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from featurestore.estimators import knn
from featurestore.metrics.statistics import half_width
from trainers.config.time_budget import so_many
from trainers.finetuning.network import Head

TITLES = {"finetuned": "fine-tuned", "linear": "linear", "knn": "k-NN", "scratch": "supervised from scratch"}
GRID = 12  # values of C, of DINOv2's 45


@dataclass(frozen=True, slots=True)
class Setting:
    """The settings that all cells of a table share."""

    labels: str
    head: Head
    epochs: int | None
    minutes: float | None


@dataclass(frozen=True)
class Row:
    """One run at one share of the labels; each column holds the top-1 of every seed."""

    run: str
    method: str
    backbone: str
    fraction: float
    n_train: int
    columns: dict[str, list[float]]


@dataclass(frozen=True)
class EfficiencyTable:
    """Top-1 of runs at shares of the labels."""

    rows: list[Row]
    setting: Setting
    split: str
    n_test: int
    classes: int
    seeds: int

    def to_json(self) -> dict[str, Any]:
        rows = [
            {
                "run": row.run, "method": row.method, "backbone": row.backbone, "fraction": row.fraction, "n_train": row.n_train,
                **{how: {"top1_mean": float(np.mean(values)), "top1_ci95": _half(values), "top1": values} for how, values in row.columns.items()},
            }
            for row in self.rows
        ]  # fmt: skip
        return {
            "protocol": "field", "split": self.split, "n_test": self.n_test, "classes": self.classes,
            "seeds": list(range(self.seeds)), **dataclasses.asdict(self.setting),
            "k": knn.K, "temperature": knn.TEMPERATURE, "results": rows,
        }  # fmt: skip

    def to_markdown(self) -> str:
        """Write the table as Markdown, with a paragraph on how it was made."""
        lines = [f"| method | labels | {' | '.join(TITLES.values())} |", "|---|---|" + "---|" * len(TITLES)]
        for row in self.rows:
            cells = " | ".join(_cell(row.columns[how]) for how in TITLES)
            lines.append(f"| {row.method}, {row.backbone} | {100 * row.fraction:g} % ({row.n_train:,}) | {cells} |")
        times = (
            so_many(self.setting.minutes, "minutes")
            if self.setting.minutes
            else so_many(self.setting.epochs, "epochs")
            if self.setting.epochs
            else "by recipe"
        )
        seeds = f"mean of {self.seeds} seeds with its 95 % half-width (Student's t)" if self.seeds > 1 else "seed 0"
        return "\n".join([
            *lines, "",
            f"Top-1, {seeds}, on {self.n_test:,} test images of {self.classes} classes ({self.split}); all columns of a row on the same draws of labels. "
            f"Fine-tuned and from scratch: head {self.setting.head}, trainings {times}. Linear: logistic regression, C chosen on a tenth of the labels from {GRID}. "
            f"k-NN: k = {knn.K}, or all labels where there are fewer, T = {knn.TEMPERATURE}.", "",
        ])  # fmt: skip


def _half(top1: list[float]) -> float | None:
    """Half the 95 % interval of the mean; None for one seed, which has no spread."""
    return half_width(top1) if len(top1) > 1 else None


def _cell(top1: list[float]) -> str:
    half = _half(top1)
    return f"{np.mean(top1):.3f}" + (f" ± {half:.3f}" if half is not None else "")
