"""Run folders of strangers: code in a checkpoint, weights that fit nothing, settings and figures that make no sense."""

import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from socket import AF_UNIX, socket
from typing import Any

import pytest
import torch
from torch import Tensor

from featurestore import FeatureStore
from featurestore.errors import ConfigError, FeatureStoreError, TrainingError
from featurestore.report.training import read_training
from featurestore.system import json_lines
from tests.trainers.runs import TINY
from trainers.config.parse import read_toml
from trainers.config.resolve import resolve
from trainers.export.targets import export_encoder
from trainers.finetuning.network import build_classifier, read_start
from trainers.training import checkpoint
from trainers.training.resume import resume
from trainers.training.setup import build
from trainers.training.step import TrainingStep

pytestmark = pytest.mark.slow  # together
WEIGHT = "backbone.layers.0.weight"


class Code:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that never trained."""
    folder = tmp_path_factory.mktemp("good")
    config = resolve(TINY)
    state = {"images": 8, "sha256": "0" * 64, "step": 0, "seconds": 0.0, "config": config.hash()}
    torch.save({**state, "method": build(config).state_dict(), "optimizer": {}}, folder / "checkpoint.pt")
    (folder / "config.toml").write_text(config.to_toml())
    (folder / "metrics.jsonl").write_text('{"epoch": 1, "step": 1, "fraction": 0.5, "loss": 1.0}\n')
    return folder


@pytest.fixture
def run(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "run"))


def roads(run: Path) -> dict[str, Callable[[], object]]:
    """What reads the checkpoint of a run."""

    def go_on() -> None:
        from lightning_fabric import Fabric

        state, settled = resume(run, {"device": "cpu"})
        config = settled.config
        TrainingStep(Fabric(accelerator="cpu"), build(config), config, 8, state)

    return {
        "export": lambda: export_encoder(str(run), run / "out.onnx"),
        "finetune": lambda: build_classifier(read_start(run), "linear", 2, 0),
        "resume": go_on,
    }


def refused(run: Path, told: str, error: type[FeatureStoreError] = TrainingError) -> None:
    before = sorted(path.name for path in run.iterdir())
    for name, road in roads(run).items():
        with pytest.raises(error, match=told) as found:
            road()
        assert "\n" not in str(found.value), name
    assert sorted(path.name for path in run.iterdir()) == before


def change(run: Path, **values: Any) -> None:
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    torch.save({**state, **values}, run / "checkpoint.pt")


def weights(run: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = torch.load(run / "checkpoint.pt", weights_only=True)["method"]
    return found


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_checkpoint_does_not_run(run: Path, tmp_path: Path, legacy: bool) -> None:
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    evil = {**state, "more": Code(tmp_path / "written")}
    if legacy:
        (run / "checkpoint.pt").write_bytes(pickle.dumps(evil["more"]))
    else:
        torch.save(evil, run / "checkpoint.pt")
    refused(run, r"checkpoint .* cannot be read \((UnpicklingError|BadZipFile)\); train again without --resume")
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize("content", [[1, 2], {}, "text", 7, {"method": 7}, {"method": {}, "step": "x"}])
def test_a_checkpoint_of_something_else_is_refused(run: Path, content: object) -> None:
    torch.save(content, run / "checkpoint.pt")
    refused(run, "expected that of a training run, found other content")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("images", "many"),
        ("images", None),
        ("sha256", "\x1b[2J"),
        ("sha256", "x" * 10**6),
        ("step", [1]),
        ("seconds", "x"),
        ("method", []),
    ],
)
def test_a_checkpoint_with_absurd_values_is_refused(run: Path, name: str, value: object) -> None:
    change(run, **{name: value})
    refused(run, "expected that of a training run, found other content")


@pytest.mark.parametrize(
    "harm",
    [
        lambda state: {name: value for name, value in state.items() if name != WEIGHT},
        lambda state: {**state, "more": torch.zeros(1)},
        lambda state: {**state, WEIGHT: torch.zeros(3)},
        lambda state: {**state, WEIGHT: torch.zeros(1).expand(1 << 20, 1 << 20)},
        lambda state: {**state, WEIGHT: torch.empty(1 << 40, device="meta")},
        lambda state: {**state, WEIGHT: torch.sparse_coo_tensor(torch.tensor([[0]]), torch.ones(1), (1 << 40,), check_invariants=False)},
        lambda state: {**state, WEIGHT: "text"},
        lambda state: {**state, WEIGHT: None},
    ],
    ids=["missing", "more", "shape", "no-strides", "meta", "sparse", "text", "none"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_weights_that_do_not_fit_are_refused(run: Path, harm: Callable[[dict[str, Tensor]], dict[str, Any]]) -> None:
    change(run, method=harm(weights(run)))
    refused(run, "the weights of its checkpoint do not fit the network|cannot be read")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(run: Path, value: float) -> None:
    found = weights(run)
    change(run, method={**found, WEIGHT: found[WEIGHT] * 0 + value})
    refused(run, "the weights of its checkpoint are not finite numbers")


@pytest.mark.parametrize("state", [{}, {"state": {}, "param_groups": []}, {"state": 7, "param_groups": 7}, [], None])
def test_the_state_of_another_optimizer_is_refused(run: Path, state: object) -> None:
    change(run, optimizer=state)
    with pytest.raises(TrainingError, match="the state of the optimizer in the checkpoint does not fit"):
        roads(run)["resume"]()


def test_a_checkpoint_that_unpacks_to_more_is_refused_unread(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(run / "checkpoint.pt") as whole:
        parts = {entry.filename: whole.read(entry) for entry in whole.infolist()}
    with zipfile.ZipFile(run / "checkpoint.pt", "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in parts.items():
            packed.writestr(name, data)
    monkeypatch.setattr(torch, "load", lambda *arguments, **options: pytest.fail("read"))
    refused(run, r"cannot be read \(BadZipFile\)")


@pytest.mark.parametrize("kind", ["link", "pipe", "socket"])
@pytest.mark.parametrize("name", ["checkpoint.pt", "config.toml", "metrics.jsonl", "encoder.onnx"])
def test_only_files_of_the_run_are_read(run: Path, name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link out of its folder is not followed, and a pipe is not waited for."""
    monkeypatch.chdir(run)  # a socket has a short name only
    (run / "encoder.onnx").touch()
    os.rename(name, run.parent / name)
    if kind == "link":
        os.symlink(Path("..", name), name)
    elif kind == "pipe":
        os.mkfifo(name)
    else:
        with socket(AF_UNIX) as made:
            made.bind(name)
    told = "a link that leads out of its folder" if kind == "link" else "a pipe, a socket or a device"
    report = {"report": lambda: read_training(run, "")}
    untrained = {"untrained": lambda: export_encoder(f"untrained:{run}", run / "out.onnx")}
    readers: dict[str, dict[str, Callable[[], object]]] = {
        "checkpoint.pt": roads(run),
        "config.toml": roads(run) | untrained,
        "metrics.jsonl": report | {"resume": roads(run)["resume"]},
        "encoder.onnx": report | {"index": lambda: FeatureStore.open(run / "new.store", run)},
    }
    for road in readers[name].values():
        with pytest.raises(FeatureStoreError, match=f"{told}|found none there"):
            road()


def test_a_link_within_a_run_is_followed(run: Path) -> None:
    (run / "checkpoint.pt").rename(run / "checkpoint-1.pt")
    (run / "checkpoint.pt").symlink_to("checkpoint-1.pt")
    assert read_start(run).pretrained


@pytest.mark.parametrize(
    "text",
    [
        "source = '/etc'", "out = '/tmp'", "backbone = 'hf-hub:evil/model'", "backbone = 'local-dir:/etc'", "backbone = '../../x'",
        "method = '../../x'", "image_size = 1000000000", "image_size = -1", "batch_size = 1e400", "workers = 10000000000000000000000",
        "epochs = nan", "x = " + "[" * 5_000, "\0", "a.b.c.d = 1", "[[optimizer]]", "image_size = '16'", "minutes = inf",
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(run: Path, text: str) -> None:
    lines = [
        line for line in (run / "config.toml").read_text().splitlines() if line.split(" ")[0] != text.split(" ")[0]
    ]
    (run / "config.toml").write_text("\n".join([text, *lines]))
    refused(run, ".", ConfigError)


def test_settings_of_megabytes_are_refused_unread(run: Path) -> None:
    (run / "config.toml").write_text("#" * (2 << 20))
    with pytest.raises(ConfigError, match="expected a TOML file of settings, found one of more than 1,048,576 bytes"):
        read_toml(run / "config.toml")


# -- figures


@pytest.mark.parametrize(
    "line",
    [
        {"epoch": 10**400}, {"epoch": "1"}, {"epoch": None}, {"epoch": [1]}, {}, {"epoch": float("nan")}, {"epoch": float("inf")},
        {"epoch": True},
    ],
)  # fmt: skip
def test_figures_without_an_epoch_are_refused(run: Path, line: dict[str, object]) -> None:
    (run / "metrics.jsonl").write_text(json.dumps(line))
    with pytest.raises(ConfigError, match=r"expected a metrics\.jsonl with one line for each epoch"):
        read_training(run, "")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, 10**400, "<script>", [1], {"a": 1}, True, None])
def test_figures_that_cannot_be_drawn_are_left_out(run: Path, value: object) -> None:
    lines = [{"epoch": 1, "loss": value}, {"epoch": 2, "loss": 0.5}]
    (run / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert list(read_training(run, "").curves().values()) == [[(2.0, 0.5)]]


def test_figures_of_gigabytes_or_without_end_are_refused(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run / "metrics.jsonl").write_text("[" * 100_000 + "\n" + '{"epoch": 1, "loss": 1.0}\n')
    assert len(read_training(run, "").metrics) == 1
    monkeypatch.setattr(json_lines, "MOST_BYTES", 1000)
    with pytest.raises(ConfigError, match="larger than 1,000 bytes"):
        read_training(run, "")
    with pytest.raises(TrainingError, match="larger than 1,000 bytes"):
        roads(run)["resume"]()


def test_a_good_run_is_read_on_every_road(good: Path, tmp_path: Path) -> None:
    """The refusals would otherwise prove nothing."""
    assert checkpoint.load(good / "checkpoint.pt")["images"] == 8
    assert read_start(good).pretrained
    assert resume(good, {})[0]["step"] == 0
    build_classifier(read_start(good), "linear", 2, 0)
    assert read_training(good, "").curves()
