"""Label efficiency: runs at shares of the labels, fine-tuned, linear, k-NN, and the same network trained on those labels alone."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import ConfigError, Interrupted
from featurestore.estimators import knn
from featurestore.estimators.linear import best_c, c_grid, logistic, try_c
from featurestore.progress import Listener
from featurestore.system.disk import write_text
from trainers.data.labelled import LabelledFiles, LabelledImages, list_labelled, load_labelled
from trainers.finetuning.finetune import check_options, draw_labels, fabric_of
from trainers.finetuning.finished_cells import FinishedCells
from trainers.finetuning.loop import logits_of
from trainers.finetuning.network import Head, StartingPoint, build_classifier, read_start
from trainers.finetuning.select import Task, Trainer, top1
from trainers.finetuning.table import GRID, TITLES, EfficiencyTable, Row, Setting
from trainers.finetuning.views import mild_view
from trainers.training.features import features
from trainers.training.setup import preprocess_of


def field(
    source: str | Path,
    runs: Sequence[str | Path],
    out: str | Path,
    *,
    labels: str = "folders",
    label_column: str | None = None,
    fractions: Sequence[float] = (0.01, 0.1, 1.0),
    seeds: int = 3,
    head: Head = "mlp",
    epochs: int | None = None,
    minutes: float | None = None,
    device: str = "auto",
    listener: Listener | None = None,
) -> EfficiencyTable:
    """Measure runs at shares of the labels, each in four ways and with several seeds; finished figures are saved beside `out`.

    Called again, it goes on from these. Raises what `finetune` raises; Interrupted on Ctrl-C, after saving what is finished.
    """
    out, listener = Path(out), listener or Listener()
    if out.suffix not in (".md", ".json"):
        raise ConfigError(f"{out}: expected a name that ends in .md or .json, which says what to write")
    if not runs or not fractions or seeds < 1:
        raise ConfigError("expected at least one run, one fraction and one seed")
    for fraction in fractions:
        check_options(fraction, head, epochs, minutes)
    setting = Setting(labels, head, epochs, minutes)
    listed = list_labelled(source, labels, label_column)
    for line in listed.notes:
        listener.note(line)
    cells = FinishedCells(out.with_name(f"{out.name}.cells.jsonl"))
    rows = []
    try:
        for run in runs:
            measure = RunMeasure(Path(run), listed, setting, device, listener)
            for fraction in sorted(fractions):
                rows.append(measure.row(fraction, seeds, cells))
    except KeyboardInterrupt as stop:
        raise Interrupted(
            f"interrupted; what is finished is saved in {cells.path}: run the command again to go on"
        ) from stop
    table = EfficiencyTable(rows, setting, listed.split, len(listed.test), len(listed.names), seeds)
    text = json.dumps(table.to_json(), indent=2) + "\n" if out.suffix == ".json" else table.to_markdown()
    write_text(out, text, "free some space or choose another --out")
    return table


class RunMeasure:
    """Measures one run. Images are decoded and encoded once, and only when a figure is missing."""

    def __init__(self, run: Path, listed: LabelledFiles, setting: Setting, device: str, listener: Listener) -> None:
        self._run, self._start = run, read_start(run)
        self._listed, self._setting, self._device, self._listener = listed, setting, device, listener
        self._codes = listed.codes(listed.train)

    def row(self, fraction: float, seeds: int, cells: FinishedCells) -> Row:
        """Measure one row: all columns on the same draws of labels."""
        columns: dict[str, list[float]] = {how: [] for how in TITLES}
        for seed in range(seeds):
            drawn = draw_labels(self._codes, fraction, seed)
            for how, figures in columns.items():
                key = {**self._key(how), "fraction": fraction, "seed": seed}
                figures.append(cells.get(key, partial(self._measure, how, drawn, seed)))
                self._listener.note(
                    f"{self._run.name}, {100 * fraction:g} % of the labels, seed {seed}, {TITLES[how]}: {figures[-1]:.3f}"
                )
        config = self._start.config
        return Row(self._run.name, config.method, config.backbone, fraction, len(drawn), columns)

    def _measure(self, how: str, drawn: NDArray[np.intp], seed: int) -> float:
        match how:
            case "finetuned":
                return self._trained(self._start, drawn, seed)
            case "scratch":
                return self._trained(self._start.from_scratch(), drawn, seed)
            case "linear":
                return self._linear(drawn, seed)
            case _:
                return self._knn(drawn)

    def _key(self, how: str) -> dict[str, Any]:
        """Give what a figure depends on beside share and seed. From scratch that is the network without weights, which runs may share."""
        trains = how in ("finetuned", "scratch")
        return {
            "how": how,
            "network": self._network if how == "scratch" else self._weights,
            "data": self._data,
            **(dataclasses.asdict(self._setting) if trains else {}),
        }

    @cached_property
    def _weights(self) -> str:
        return hashlib.sha256((self._run / "checkpoint.pt").read_bytes()).hexdigest()[:16]

    @cached_property
    def _network(self) -> str:
        network = build_classifier(self._start.from_scratch(), self._setting.head, len(self._listed.names), 0)
        pooling = getattr(network.backbone, "global_pool", "")  # missing in the description of a ViT
        return hashlib.sha256(f"{network} {pooling} {mild_view(self._start.config)}".encode()).hexdigest()[:16]

    @cached_property
    def _data(self) -> str:
        files = [(file.path, file.label) for files in (self._listed.train, self._listed.test) for file in files]
        return hashlib.sha256(repr((files, len(self._listed.train))).encode()).hexdigest()[:16]

    @cached_property
    def _images(self) -> tuple[LabelledImages, LabelledImages]:
        """The images to draw from, and the test images."""
        record = preprocess_of(self._start.config)
        train, test = (
            load_labelled(files, self._listed, record, self._listener)
            for files in (self._listed.train, self._listed.test)
        )
        return train, test

    @cached_property
    def _vectors(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The vectors of the frozen backbone: (N, D) each, unit length."""
        fabric = fabric_of(self._start, self._device)
        network = build_classifier(self._start, "linear", 2, 0).to(fabric.device)
        train, test = (
            features(network.backbone, images.pixels, mean=network.mean, std=network.std) for images in self._images
        )
        return train, test

    def _drawn(self, drawn: NDArray[np.intp]) -> NDArray[np.intp]:
        """Give the rows, among the decoded images, of what was drawn from the list; an image that cannot be decoded has none."""
        return np.flatnonzero(np.isin(self._images[0].places, drawn))

    def _trained(self, start: StartingPoint, drawn: NDArray[np.intp], seed: int) -> float:
        train, test = self._images
        task = Task(train[self._drawn(drawn)], test, len(self._listed.names))
        trainer = Trainer(fabric_of(start, self._device), start, self._setting.head, task, seed, self._listener)
        trained = trainer.train(self._setting.epochs, self._setting.minutes)
        return top1(logits_of(trained.network, test.pixels), test.codes.numpy())

    def _linear(self, drawn: NDArray[np.intp], seed: int) -> float:
        rows, (x, test_x) = self._drawn(drawn), self._vectors
        labels = self._images[0].codes.numpy()[rows]
        c = best_c(try_c(x[rows], labels, c_grid(GRID), seed))
        return self._right(logistic(x[rows], labels, test_x, c))

    def _knn(self, drawn: NDArray[np.intp]) -> float:
        rows, (x, test_x) = self._drawn(drawn), self._vectors
        return self._right(knn.predict(x[rows], self._images[0].codes.numpy()[rows], test_x))

    def _right(self, predicted: NDArray[np.integer]) -> float:
        return float((predicted == self._images[1].codes.numpy()).mean())
