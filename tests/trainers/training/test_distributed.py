"""Two processes are one: the same loss, gradients and state; and a batch in parts is the batch.

Two gloo processes are started once for the whole file. Networks have no BatchNorm, whose statistics do differ between processes.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import trainers.methods.byol
import trainers.methods.dino
import trainers.methods.moco
import trainers.methods.simclr
from featurestore.encoders.encoder import Encoder
from featurestore.errors import Interrupted
from featurestore.progress import Listener
from trainers.config.resolve import resolve
from trainers.config.schema import Config
from trainers.data.images import Images
from trainers.methods import METHODS, Method, Progress, Step
from trainers.training import checkpoint, loop
from trainers.training.devices import launch
from trainers.training.distributed import gather_keys, rank
from trainers.training.setup import assemble

WORLD = 2
TIMEOUT = 90  # seconds for everything that the two processes do
AT = Progress(step=3, epoch=1, fraction=0.25, seed=5)
FIRST_EPOCH = AT._replace(step=0, epoch=0, fraction=0.0)
SETTINGS: dict[str, dict[str, Any]] = {
    "byol": {"hidden": 24, "dim": 8},
    "dino": {"hidden": 24, "bottleneck": 8, "prototypes": 12, "local_crops": 2},
    "lejepa": {"hidden": 24, "dim": 8, "slices": 16, "local_crops": 1},
    "moco-v2": {"dim": 8, "queue": 128},
    "moco-v3": {"hidden": 24, "dim": 8},
    "simclr": {"hidden": 24, "dim": 8},
}
NOTHING = {"crop_min": 1, "aspect": 1, "flip": 0, "jitter": 0, "grey": 0, "blur": [0, 0], "solarize": [0, 0]}


class Plain(nn.Module):
    """A backbone without statistics of the batch, for pictures of any size."""

    num_features = 32

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Tanh(), nn.AdaptiveAvgPool2d(2), nn.Flatten())

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.layers(x))


def config_of(name: str, **settings: Any) -> Config:
    own = {"method": name, "image_size": 8, "device": "cpu", "precision": "32-true", name: SETTINGS[name]}
    return resolve(own, settings)


def make(config: Config) -> Method:
    """A method without BatchNorm whose teacher differs from its student."""
    torch.manual_seed(0)
    cls = METHODS[config.method]
    method = cls(Plain(), config.settings, cls.make_views(config.augment, 8, config.settings))
    for module in list(method.modules()):
        for name, child in module.named_children():
            if isinstance(child, (nn.BatchNorm1d, nn.BatchNorm2d)):
                module.register_module(name, nn.Identity())
    with torch.no_grad():
        for name, parameter in method.named_parameters():
            if name.startswith("teacher"):
                parameter.add_(0.1 * torch.randn_like(parameter))
        if "centre" in dict(method.named_buffers()):
            method.get_buffer("centre").normal_(std=0.1)
    return method


class Shell(nn.Module):
    """What DistributedDataParallel calls."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, views: list[Tensor], at: Progress) -> Step:
        return self.method.loss(views, at)


def one_step(name: str, at: Progress, count: int = 12) -> dict[str, Any]:
    """Loss, gradients, and the state after one step on this process's share of a batch."""
    method = make(config_of(name)).train()
    rng = torch.Generator().manual_seed(1)
    views = [torch.randn(count, 3, spec.size, spec.size, generator=rng) for spec in method.views]
    parallel = dist.is_initialized()
    shell = Shell(method)
    network = DistributedDataParallel(shell, find_unused_parameters=True) if parallel else shell
    step = network([view[rank() :: WORLD] if parallel else view for view in views], at)
    step.loss.backward()
    gradients = {name: p.grad for name, p in method.named_parameters() if p.requires_grad}
    method.after_step(step.carry, at)
    return {"loss": step.loss.detach(), "gradients": gradients, "state": method.state_dict()}


def whole_run(
    name: str,
    accumulate: int,
    fabric: Fabric,
    out: Path,
    images: int = 25,
    batch: int = 9,
    listener: Listener | None = None,
) -> dict[str, Any]:
    """Train through the loop itself; nothing about the views is random, so that any division of the batch gives the same."""
    still = {"dino": {"local_crops": 0}} if name == "dino" else {}
    config = config_of(
        name, epochs=2, **still, batch_size=batch, accumulate=accumulate, augment=NOTHING, optimizer={"lr": 3.0}
    )
    pixels = torch.randint(0, 256, (images, 3, 8, 8), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    method = make(config)
    out.mkdir(parents=True, exist_ok=True)
    setup = assemble(config, fabric, method, Images(pixels, (), (), ""), listener or Listener())
    loop.fit(setup, out, lambda backbone: {}, None, {})
    lines = (out / "metrics.jsonl").read_text().splitlines() if fabric.is_global_zero else []
    return {"state": method.state_dict(), "lines": [json.loads(line)["step"] for line in lines]}


class CtrlC(Listener):
    """Presses it after the second step."""

    def __init__(self) -> None:
        self._left = 2

    def advance(self, amount: int = 1, detail: str = "") -> None:
        self._left -= amount
        if amount and self._left == 0:
            os.kill(os.getpid(), signal.SIGINT)


RUNS = {"byol": 2, "simclr": 1, "moco-v2": 2, "dino": 1}  # method to parts


def part_gather(x: Tensor) -> Tensor:
    """Mistake 14: a gather that sends no gradient to the rows of other processes."""
    parts = list(gather_keys(x).chunk(WORLD))
    parts[rank()] = x
    return torch.cat(parts)


def process(number: int, folder: str, port: int) -> None:
    """What each of the two processes does."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=number, world_size=WORLD)
    results: dict[str, Any] = {name: one_step(name, AT) for name in SETTINGS}
    results["dino-frozen"] = one_step("dino", FIRST_EPOCH)
    with mock.patch.object(trainers.methods.simclr, "gather", part_gather):
        results["mistake 14"] = one_step("simclr", AT)
    with mock.patch.object(trainers.methods.moco, "gather_keys", lambda x: x):
        results["mistake 7"] = one_step("moco-v2", AT)
    with mock.patch.object(trainers.methods.dino, "gather_keys", lambda x: x):
        results["mistake 13"] = one_step("dino", AT)
    dist.destroy_process_group()

    there = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": WORLD, "LOCAL_WORLD_SIZE": WORLD}
    os.environ.update({key: str(value) for key, value in {**there, "RANK": number, "LOCAL_RANK": number}.items()})
    fabric = launch(config_of("byol"))
    for name, parts in RUNS.items():
        results[f"run {name}"] = whole_run(name, parts, fabric, Path(folder) / name)
    try:
        whole_run("byol", 1, fabric, Path(folder) / "stopped", listener=CtrlC() if number == 0 else None)
    except Interrupted as stopped:
        results["stopped"] = str(stopped)
    if number == 0:
        results["step"] = checkpoint.load(Path(folder) / "stopped" / "checkpoint.pt")["step"]
    torch.save(results, Path(folder) / f"{number}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The results of both processes."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = torch.multiprocessing.spawn(process, (str(folder), port), WORLD, join=False)  # type: ignore[attr-defined, no-untyped-call]
    deadline = time.monotonic() + TIMEOUT
    try:
        while not context.join(timeout=1):
            assert time.monotonic() < deadline, f"two processes did not end within {TIMEOUT} s"
    finally:
        for child in context.processes:
            child.kill()
    return [torch.load(folder / f"{number}.pt", weights_only=True) for number in range(WORLD)]


def close(a: Any, b: Any, message: str = "") -> None:
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=lambda text: f"{message}: {text}")


def same_state(ours: dict[str, Tensor], one: dict[str, Tensor]) -> None:
    """Equal, but for the order in which the keys of one batch stand in a queue."""
    for name, value in one.items():
        if name == "keys":
            close(by_first_column(ours[name]), by_first_column(value), name)
        else:
            close(ours[name], value, name)


def by_first_column(rows: Tensor) -> Tensor:
    return rows[rows[:, 0].argsort()]


@pytest.mark.parametrize("name", [*SETTINGS, "dino-frozen"])
def test_two_processes_have_the_loss_gradient_and_state_of_one(name: str, two: list[dict[str, Any]]) -> None:
    one = one_step(name.removesuffix("-frozen"), FIRST_EPOCH if name == "dino-frozen" else AT)
    close(torch.stack([ours[name]["loss"] for ours in two]).mean(), one["loss"])
    nonzero = 0
    for ours in two:
        for key, gradient in one["gradients"].items():
            close(ours[name]["gradients"][key], gradient, key)
            nonzero += gradient is not None and bool(gradient.abs().max() > 1e-4)
        same_state(ours[name]["state"], one["state"])
    assert nonzero > 2 * len(two)


def test_losses_that_compare_images_see_those_of_both_processes(two: list[dict[str, Any]]) -> None:
    for name in ("simclr", "moco-v3"):
        close(two[0][name]["loss"], two[1][name]["loss"])


def test_prototypes_that_are_frozen_have_no_gradient_in_any_process(two: list[dict[str, Any]]) -> None:
    for ours in two:
        assert ours["dino-frozen"]["gradients"]["student.head.prototypes"] is None
        assert ours["dino"]["gradients"]["student.head.prototypes"] is not None


def test_mistake_07_a_queue_that_is_not_gathered_over_processes(two: list[dict[str, Any]]) -> None:
    one = one_step("moco-v2", AT)["state"]
    assert all(ours["moco-v2"]["state"]["pointer"] == one["pointer"] == 24 for ours in two)
    assert torch.equal(two[0]["moco-v2"]["state"]["keys"], two[1]["moco-v2"]["state"]["keys"])
    with pytest.raises(AssertionError):
        same_state(two[0]["mistake 7"]["state"], one)


def test_mistake_13_a_centre_of_one_processs_images(two: list[dict[str, Any]]) -> None:
    one = one_step("dino", AT)["state"]["centre"]
    close(two[1]["dino"]["state"]["centre"], one)
    assert torch.equal(two[0]["dino"]["state"]["centre"], two[1]["dino"]["state"]["centre"])
    for ours in two:
        with pytest.raises(AssertionError):
            close(ours["mistake 13"]["state"]["centre"], one)


def test_mistake_14_a_gather_without_gradient(two: list[dict[str, Any]]) -> None:
    one = one_step("simclr", AT)["gradients"]
    close(torch.stack([ours["mistake 14"]["loss"] for ours in two]).mean(), one_step("simclr", AT)["loss"])  # hidden so
    wrong = two[0]["mistake 14"]["gradients"]
    assert max(float((wrong[key] - value).norm() / value.norm()) for key, value in one.items()) > 0.2


@pytest.fixture
def alone() -> Fabric:
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    return fabric


@pytest.mark.parametrize("name", RUNS)
def test_a_training_on_two_processes_ends_where_that_on_one_does(
    name: str, two: list[dict[str, Any]], alone: Fabric, tmp_path: Path
) -> None:
    """A batch of 9 is one of 8 on two processes, so that both have as many images."""
    one = whole_run(name, 1, alone, tmp_path, batch=8)
    start = make(config_of(name)).state_dict()
    assert sum(not torch.allclose(value, start[key], atol=1e-3) for key, value in one["state"].items()) >= 4
    for ours in two:
        run_state = ours[f"run {name}"]["state"]
        for key, value in one["state"].items():
            if key != "keys":  # its order within a batch differs
                torch.testing.assert_close(run_state[key], value, rtol=1e-3, atol=1e-5, msg=key)
    assert two[0][f"run {name}"]["lines"] == one["lines"] == [3, 6]


def test_ctrl_c_that_one_process_hears_stops_both_at_one_step(two: list[dict[str, Any]]) -> None:
    """Each by itself, one would wait for ever for the other's gradients, and the state would be lost."""
    assert all("--resume" in ours["stopped"] for ours in two)
    assert two[0]["step"] == 3


@pytest.mark.parametrize("parts", [2, 3, 4, 5])
@pytest.mark.parametrize("name", ["byol", "dino", "moco-v2"])
def test_a_batch_in_parts_is_the_batch(name: str, parts: int, alone: Fabric, tmp_path: Path) -> None:
    """Also where parts differ in size: 12 images in 5 parts, or 10 in 4."""
    batch = 10 if parts == 4 else 12
    whole, divided = (whole_run(name, k, alone, tmp_path / str(k), batch=batch)["state"] for k in (1, parts))
    for key, value in whole.items():
        if key != "keys":
            torch.testing.assert_close(divided[key], value, rtol=1e-3, atol=1e-5, msg=key)


@pytest.mark.parametrize(("name", "module"), [("byol", "byol"), ("dino", "dino"), ("moco-v2", "moco")])
def test_mistake_05_teacher_centre_and_queue_move_once_a_step_however_many_parts(
    name: str, module: str, alone: Fabric, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {"loss": 0, "after_step": 0, "update_teacher": 0}

    def count(owner: Any, attribute: str) -> None:
        genuine = getattr(owner, attribute)

        def counted(*arguments: Any) -> Any:
            counts[attribute] += 1
            return genuine(*arguments)

        monkeypatch.setattr(owner, attribute, counted)

    cls = METHODS[name]
    count(cls, "loss")
    count(cls, "after_step")
    count(getattr(trainers.methods, module), "update_teacher")
    whole_run(name, 3, alone, tmp_path, batch=12)
    assert counts == {"loss": 12, "after_step": 4, "update_teacher": 4}


# --- the commands ---


def command_of(folder: Path, run: Path, *more: str) -> list[str]:
    return [
        "train", str(folder), "--out", str(run), "--method", "simclr", "--backbone", "conv4", "--image-size", "16",
        "--batch-size", "9", "--epochs", "2", "--device", "cpu", "--precision", "32-true",
        "--set", "simclr.hidden=16", "--set", "simclr.dim=8", *more,
    ]  # fmt: skip


def check_run(arguments: list[str], folder: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=240, env=environment, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert {p.name for p in folder.iterdir()} == {
        "encoder.onnx", "checkpoint.pt", "config.toml", "metrics.jsonl", "curves.png",
    }  # fmt: skip
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert Encoder(folder / "encoder.onnx").card.trained_on["count"] == 24


SCRIPT = Path(sys.executable).with_name("featurestore")


@pytest.mark.slow
@pytest.mark.skipif(not SCRIPT.exists(), reason="the command is not installed beside python")
@pytest.mark.parametrize("launcher", ["--devices", "torchrun"])
def test_the_command_trains_on_two_processes(launcher: str, few_shapes: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    if launcher == "--devices":
        check_run([sys.executable, str(SCRIPT), *command_of(few_shapes, run, "--devices", "2")], run)
    else:
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        check_run([*torchrun, str(SCRIPT), *command_of(few_shapes, run)], run)
