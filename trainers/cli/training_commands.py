"""Commands of training: train, profile."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from featurestore.errors import ConfigError
from featurestore.progress import ProgressBar
from featurestore.system.packages import require
from featurestore.system.terminal import print_json, print_line, print_result
from featurestore.system.text import as_argument, counted
from trainers.cli.options import bands_option, whiten_option

F = TypeVar("F", bound=Callable[..., Any])
PATH = click.Path(path_type=Path)
SETTINGS = [  # options that `train` and `profile` share
    click.option(
        "--method",
        help="byol, dino, ibot, jigsaw, lejepa, mae, moco-v1, moco-v2, moco-v3, simclr or simclr-v2.  [default: simclr]",
    ),
    click.option(
        "--backbone",
        help="A timm name such as resnet18, or conv4 for small images.  [default: resnet18; up to 64 px on a processor conv4]",
    ),
    click.option(
        "--image-size",
        type=int,
        help="Side of the square that the encoder sees, in pixels.  [default: by the images; with --init that of the weights]",
    ),
    bands_option,
    click.option("--patch-size", type=int, help="Side of a ViT's patches; smaller is better and slower."),
    click.option("--batch-size", type=int, help="Images a step, over all devices.  [default: by the recipe]"),
    click.option(
        "--accumulate", type=int, help="Parts in which a batch goes through the network, to save memory.  [default: 1]"
    ),
    click.option(
        "--recipe",
        help="auto: what is not given is chosen by the number of images; none: fixed defaults.  [default: auto]",
    ),
    click.option("--config", type=PATH, metavar="FILE.toml", help="Settings from a file, such as a run's config.toml."),
    click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="KEY=VALUE",
        help="Any setting, such as augment.flip=0 or optimizer.lr=0.1; may be repeated.",
    ),
    click.option("--seed", type=int, help="Seed of weights, order and augmentation.  [default: 0]"),
    click.option("--device", help="auto, cpu, cuda or mps.  [default: auto]"),
    click.option("--precision", help="auto, 32-true, bf16-mixed or 16-mixed.  [default: auto]"),
    click.option("--compile", is_flag=True, default=None, help="Compile the backbone."),
]


def _with_settings(command: F) -> F:
    for option in reversed(SETTINGS):
        command = option(command)
    return command


@click.command()
@click.argument("source")
@click.option(
    "--out",
    type=PATH,
    required=True,
    metavar="RUN",
    help="Folder for encoder.onnx, checkpoint.pt, config.toml, metrics.jsonl, curves.png, and own.onnx where another encoder was better.",
)
@_with_settings
@click.option(
    "--init",
    metavar="timm|torchvision:NAME|FILE|RUN|none",
    help="Start from published weights, a file of weights (.safetensors, .pth, .pt, .bin), the backbone of another run, or random weights.  [default: none; with --minutes published weights that are on this machine]",
)
@click.option("--epochs", type=int, help="Passes over the images.  [default: by the recipe]")
@click.option("--minutes", type=float, help="Train for this long instead, with a network and sizes chosen for it.")
@click.option("--resume", is_flag=True, help="Go on with the run in RUN.")
@click.option(
    "--labels",
    type=click.Choice(["none", "folders"]),
    default="none",
    show_default=True,
    help="Never trained on; folders: measure k-NN each epoch, with --minutes less often, and at the end; choose by them what views change, and which encoder is written.",
)
@click.option(
    "--label-column", metavar="NAME", help="The column of labels in a table.  [default: label, class or similar]"
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Leave out what matches, as a line of .gitignore would; may be repeated.",
)
@whiten_option
@click.option(
    "--export",
    type=click.Choice(["best", "own"]),
    default="best",
    show_default=True,
    help="Which encoder.onnx is: the best of the trained one and what there was before, or always the trained one.",
)
@click.option("--devices", type=int, help="Processes to train with, one a device.  [default: 1]")
@click.option("--tensorboard", is_flag=True, default=None, help="Also write logs for TensorBoard.")
@click.option("--stop-on-collapse", is_flag=True, default=None, help="End the run when the vectors collapse.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def train(
    source: str,
    out: Path,
    config: Path | None,
    assignments: tuple[str, ...],
    resume: bool,
    labels: Any,
    label_column: str | None,
    exclude: tuple[str, ...],
    whiten: bool,
    export: Any,
    as_json: bool,
    **options: Any,
) -> None:
    """Train an encoder on the images of SOURCE, without their labels."""
    require("torch", "timm", "lightning_fabric", "onnx", extra="train")
    from trainers.config.parse import parse_assignments
    from trainers.run import train as run_training
    from trainers.training.contender import OWN
    from trainers.training.finish import OWN_ENCODER

    with ProgressBar() as bar:
        run = run_training(
            source,
            out,
            labels=labels,
            label_column=label_column,
            resume=resume,
            config=config,
            listener=bar,
            exclude=exclude,
            whiten=whiten,
            export=export,
            **_join(options, parse_assignments(assignments)),
        )
    if run.proof is None:
        return  # only the first process prints
    last = run.metrics[-1]
    if as_json:
        print_json({"encoder": str(run.encoder), **last, **run.proof.to_json()}, indent=None)
        return
    print_line(
        f"{run.encoder}  ({counted(last['epoch'], 'epoch')} in {last['seconds']:.0f} s, loss {last['loss']:.4f})"
    )
    for line in [*run.proof.table(), *run.proof.verdict(last["epoch"])]:
        print_line(line, err=True)
    if run.proof.written.kind != OWN:
        print_line(
            f"{run.encoder} is {run.proof.written.name}, because the table ranks it higher; the trained encoder is {run.out / OWN_ENCODER}",
            err=True,
        )
    at = as_argument(f"{Path(source).stem or 'images'}.store")
    print_line(f"next: featurestore index {at} {as_argument(source)} --encoder {as_argument(run.encoder)}", err=True)


@click.command()
@click.argument("source")
@_with_settings
@click.option("--steps", type=click.IntRange(1), default=5, show_default=True, help="Steps that are timed at a time.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def profile(
    source: str, config: Path | None, assignments: tuple[str, ...], steps: int, as_json: bool, **options: Any
) -> None:
    """Show where the time of a training step goes on this machine; nothing is written.

    Settings are those of `train`; what --minutes would choose is timed with --set minutes=10.
    """
    require("torch", "timm", "lightning_fabric", extra="train")
    from trainers.config.parse import parse_assignments
    from trainers.training.profile import profile as run_profile

    with ProgressBar() as bar:
        found = run_profile(
            source, steps=steps, config=config, listener=bar, **_join(options, parse_assignments(assignments))
        )
    print_result(found.to_json(), str(found).split("\n"), as_json, indent=None)


def _join(options: dict[str, Any], assigned: dict[str, Any]) -> dict[str, Any]:
    """Merge options and `--set`. Raises ConfigError for a setting given by both."""
    given = {key: value for key, value in options.items() if value is not None}
    twice = sorted(given.keys() & assigned.keys())
    if twice:
        raise ConfigError(f"{', '.join(twice)}: given both as an option and by --set; give it once")
    return {**given, **assigned}
