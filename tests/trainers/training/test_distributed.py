"""Two processes are one: the same loss, gradients and state; and a batch in parts is the batch.

Two gloo processes are started once for the whole file. Networks have no BatchNorm, whose statistics do differ between processes.
"""

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from featurestore.encoders.encoder import Encoder
from featurestore.errors import Interrupted
from featurestore.progress import Listener
from tests.trainers import small
from tests.trainers.small import AT, FIRST_EPOCH, apart, without_norm
from trainers.config.schema import Config
from trainers.data.images import Images
from trainers.methods import METHODS, Method, Progress, Step
from trainers.training import checkpoint, loop
from trainers.training.devices import launch
from trainers.training.distributed import rank
from trainers.training.setup import assemble

WORLD = 2
TIMEOUT = 90  # seconds for everything that the two processes do
STEPS = ("byol", "dino", "lejepa", "moco-v2", "moco-v3", "simclr")
RUNS = {"byol": 2, "simclr": 1, "moco-v2": 2, "dino": 1}  # method to parts
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
    own = {"moco-v2": {"queue": 128}} if name == "moco-v2" else {}  # so that no key is replaced
    return small.config_of(name, image_size=8, **own, **settings)


def make(config: Config) -> Method:
    """A method without BatchNorm whose teacher differs from its student."""
    torch.manual_seed(0)
    cls = METHODS[config.method]
    views = cls.make_views(config.augment, 8, config.settings)
    method: Method = apart(without_norm(cls(Plain(), config.settings, views)))
    return method


class Shell(nn.Module):
    """What DistributedDataParallel calls."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, views: list[Tensor], at: Progress) -> Step:
        return self.method.loss(views, at)


def one_step(name: str, at: Progress = AT) -> dict[str, Any]:
    """Loss, gradients, and the state after one step on this process's share of a batch of 12."""
    method = make(config_of(name)).train()
    views = small.batch(method, 12)
    parallel = dist.is_initialized()
    network = DistributedDataParallel(Shell(method), find_unused_parameters=True) if parallel else Shell(method)
    step = network([view[rank() :: WORLD] if parallel else view for view in views], at)
    step.loss.backward()
    gradients = {name: p.grad for name, p in method.named_parameters() if p.requires_grad}
    method.after_step(step.carry, at)
    return {"loss": step.loss.detach(), "gradients": gradients, "state": method.state_dict()}


def whole_run(
    name: str, accumulate: int, fabric: Fabric, out: Path, batch: int = 9, listener: Listener | None = None
) -> dict[str, Any]:
    """Train through the loop itself; nothing about the views is random, so that any division of the batch gives the same."""
    still = {"dino": {"local_crops": 0}} if name == "dino" else {}
    config = config_of(
        name, epochs=2, **still, batch_size=batch, accumulate=accumulate, augment=NOTHING, optimizer={"lr": 3.0}
    )
    pixels = torch.randint(0, 256, (25, 3, 8, 8), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    method = make(config)
    out.mkdir(parents=True, exist_ok=True)
    setup = assemble(config, fabric, method, Images(pixels, (), (), ""), listener or Listener())
    loop.fit(setup, out, lambda backbone: {}, None, {"images": len(pixels), "sha256": ""})
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


def process(number: int, folder: str, port: int) -> None:
    """What each of the two processes does."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=number, world_size=WORLD)
    results: dict[str, Any] = {name: one_step(name) for name in STEPS}
    results["dino-frozen"] = one_step("dino", FIRST_EPOCH)
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
    """The results of both processes, which are forked from one that has imported this file: an import takes seconds."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    multiprocessing.set_forkserver_preload([__name__])
    context = torch.multiprocessing.start_processes(  # type: ignore[attr-defined, no-untyped-call]
        process, (str(folder), port), WORLD, join=False, start_method="forkserver"
    )
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


def by_first_column(rows: Tensor) -> Tensor:
    return rows[rows[:, 0].argsort()]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*STEPS, "dino-frozen"])
def test_two_processes_have_the_loss_gradient_and_state_of_one(name: str, two: list[dict[str, Any]]) -> None:
    """The keys of one batch may stand in the queue in another order, but in the same one in both processes."""
    one = one_step(name.removesuffix("-frozen"), FIRST_EPOCH if name == "dino-frozen" else AT)
    close(torch.stack([ours[name]["loss"] for ours in two]).mean(), one["loss"])
    nonzero = 0
    for ours in two:
        for key, gradient in one["gradients"].items():
            close(ours[name]["gradients"][key], gradient, key)
            nonzero += gradient is not None and bool(gradient.abs().max() > 1e-4)
        for key, value in one["state"].items():
            found = ours[name]["state"][key]
            assert torch.equal(found, two[0][name]["state"][key])
            in_order = by_first_column if key == "keys" else torch.as_tensor
            close(in_order(found), in_order(value), key)
    assert nonzero > 2 * len(two)


@pytest.fixture
def alone() -> Fabric:
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    return fabric


def same_weights(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    for key, value in expected.items():
        if key != "keys":  # its order within a batch differs
            torch.testing.assert_close(found[key], value, rtol=1e-3, atol=1e-5, msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_training_on_two_processes_ends_where_that_on_one_does(
    name: str, two: list[dict[str, Any]], alone: Fabric, tmp_path: Path
) -> None:
    """A batch of 9 is one of 8 on two processes, so that both have as many images."""
    one = whole_run(name, 1, alone, tmp_path, batch=8)
    start = make(config_of(name)).state_dict()
    assert sum(not torch.allclose(value, start[key], atol=1e-3) for key, value in one["state"].items()) >= 4
    for ours in two:
        same_weights(ours[f"run {name}"]["state"], one["state"])
    assert two[0][f"run {name}"]["lines"] == one["lines"] == [3, 6]


@pytest.mark.slow
def test_ctrl_c_that_one_process_hears_stops_both_at_one_step(two: list[dict[str, Any]]) -> None:
    """Each by itself, one would wait for ever for the other's gradients, and the state would be lost."""
    assert all("--resume" in ours["stopped"] for ours in two)
    assert two[0]["step"] == 3


@pytest.mark.parametrize("name", ["byol", "dino", "moco-v2"])
def test_a_batch_in_parts_is_the_batch(name: str, alone: Fabric, tmp_path: Path) -> None:
    """Also where parts differ in size: 12 images in 5 parts."""
    whole, divided = (whole_run(name, k, alone, tmp_path / str(k), batch=12)["state"] for k in (1, 5))
    same_weights(divided, whole)


# --- the commands ---

SCRIPT = Path(sys.executable).with_name("featurestore")


@pytest.mark.slow
@pytest.mark.skipif(not SCRIPT.exists(), reason="the command is not installed beside python")
@pytest.mark.parametrize("launcher", ["--devices", "torchrun"])
def test_the_command_trains_on_two_processes(launcher: str, few_shapes: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [
        sys.executable, *(torchrun if launcher == "torchrun" else []), str(SCRIPT),
        "train", str(few_shapes), "--out", str(run), "--method", "simclr", "--backbone", "conv4", "--image-size", "16",
        "--batch-size", "9", "--epochs", "2", "--device", "cpu", "--precision", "32-true",
        "--set", "simclr.hidden=16", "--set", "simclr.dim=8", *(["--devices", "2"] if launcher == "--devices" else []),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert {p.name for p in run.iterdir()} == {
        "encoder.onnx", "checkpoint.pt", "config.toml", "metrics.jsonl", "curves.png",
    }  # fmt: skip
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert Encoder(run / "encoder.onnx").card.trained_on["count"] == 24
