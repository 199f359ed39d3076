"""Commands that need torch; imported only when one of them is called, and torch only when it runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from featurestore.errors import ConfigError
from featurestore.progress import ProgressBar
from featurestore.system.packages import need

F = TypeVar("F", bound=Callable[..., Any])
PATH = click.Path(path_type=Path)
NEEDED_TO_EXPORT = {
    "run": ("torch", "timm", "lightning_fabric", "onnx"),
    "untrained": ("torch", "timm", "lightning_fabric", "onnx"),
    "pixels": ("onnx",),
    "timm": ("torch", "timm", "onnx"),
    "torchvision": ("torch", "timm", "torchvision", "onnx"),
    "file": ("onnx",),
}


SETTINGS = [  # of a training; `train` and `profile` share them
    click.option(
        "--method",
        help="byol, dino, jigsaw, lejepa, mae, moco-v1, -v2, -v3, simclr or simclr-v2.  [default: byol; with --minutes simclr]",
    ),
    click.option(
        "--backbone",
        help="A timm name such as resnet18, or conv4 for small images.  [default: resnet18; up to 64 px on a processor conv4]",
    ),
    click.option(
        "--image-size",
        type=int,
        help="Side of the square that the encoder sees, in pixels.  [default: 32; with --minutes by the images]",
    ),
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
    click.option("--precision", help="auto, 32-true or bf16-mixed.  [default: auto]"),
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
    help="Folder for encoder.onnx, checkpoint.pt, config.toml, metrics.jsonl, curves.png.",
)
@_with_settings
@click.option(
    "--init", metavar="RUN|timm", help="Start from the backbone of another run, or from timm's published weights."
)
@click.option("--epochs", type=int, help="Passes over the images.  [default: by the recipe]")
@click.option("--minutes", type=float, help="Train for this long instead, by a method, network and size chosen for it.")
@click.option("--resume", is_flag=True, help="Go on with the run in RUN.")
@click.option(
    "--labels",
    type=click.Choice(["none", "folders"]),
    default="none",
    show_default=True,
    help="Never trained on; folders: monitor k-NN each epoch, with --minutes less often.",
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
    as_json: bool,
    **options: Any,
) -> None:
    """Train an encoder on the images of SOURCE, without their labels."""
    need("torch", "timm", "lightning_fabric", "onnx", extra="train")
    from trainers.config.parse import parse_assignments
    from trainers.run import train as run_training
    from trainers.training import distributed

    with ProgressBar() as bar:
        run = run_training(
            source,
            out,
            labels=labels,
            resume=resume,
            config=config,
            listener=bar,
            **_join(options, parse_assignments(assignments)),
        )
    if distributed.rank():
        return  # the first process speaks for all
    last = run.metrics[-1]
    if as_json:
        click.echo(json.dumps({"encoder": str(run.encoder), **last}))
        return
    knn = f", k-NN {last['knn_top1']:.3f}" if "knn_top1" in last else ""
    click.echo(f"{run.encoder}  ({last['epoch']} epochs in {last['seconds']:.0f} s, loss {last['loss']:.4f}{knn})")


def _join(options: dict[str, Any], assigned: dict[str, Any]) -> dict[str, Any]:
    given = {key: value for key, value in options.items() if value is not None}
    twice = sorted(given.keys() & assigned.keys())
    if twice:
        raise ConfigError(f"{', '.join(twice)}: given both as an option and by --set; give it once")
    return {**given, **assigned}


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
    need("torch", "timm", "lightning_fabric", extra="train")
    from trainers.config.parse import parse_assignments
    from trainers.training.profile import profile as run_profile

    with ProgressBar() as bar:
        found = run_profile(
            source, steps=steps, config=config, listener=bar, **_join(options, parse_assignments(assignments))
        )
    click.echo(json.dumps(found.to_json()) if as_json else str(found))


@click.command()
@click.argument("what", metavar="RUN|timm:NAME|torchvision:NAME|FILE.onnx|untrained:RUN|pixels:SIZE")
@click.option("--out", type=PATH, required=True, metavar="encoder.onnx", help="The file to write.")
@click.option(
    "--attention", is_flag=True, help="Of a ViT: also say where the class token looks (see `featurestore attention`)."
)
@click.option(
    "--preprocess",
    type=PATH,
    metavar="FILE",
    help="Of FILE.onnx: TOML or JSON that says how its images are made ready.",
)
@click.option(
    "--pretrained/--no-pretrained", default=True, help="Of a published model: its weights, or random ones for a trial."
)
@click.option("--int8", is_flag=True, help="Quantise: smaller and faster, and measured against float32.")
@click.option(
    "--calibrate",
    metavar="SOURCE",
    help="For --int8: images like those that the encoder is for. For pixels:SIZE: images whose mean is subtracted.",
)
@click.option("--force", is_flag=True, help="For --int8: write it however little it agrees with float32.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def export(what: str, out: Path, int8: bool, calibrate: str | None, force: bool, as_json: bool, **how: Any) -> None:
    """Write a network as an encoder file, checked: that of a training run, a published one, or any ONNX network.

    Two more are there to be compared with: the network of a run with its first, random weights, and raw pixels at a size.
    """
    from trainers.export.targets import export_encoder, export_int8, kind_of

    kind = kind_of(what)
    for wrong, message in (
        (kind == "pixels" and int8, "--int8 belongs to a network; pixels:SIZE has no weights"),
        (int8 and calibrate is None, "--int8 needs --calibrate SOURCE: images like those that the encoder is for"),
        (
            not int8 and (force or (calibrate is not None and kind != "pixels")),
            "--calibrate and --force belong to --int8, --calibrate to pixels:SIZE as well",
        ),
        (
            kind != "file" and how["preprocess"] is not None,
            "--preprocess belongs to a FILE.onnx; all else brings its own",
        ),
        (
            kind not in ("timm", "torchvision") and not how["pretrained"],
            "--no-pretrained belongs to timm:NAME or torchvision:NAME",
        ),
        (kind not in ("run", "timm") and how["attention"], "--attention belongs to a run or a timm:NAME"),
    ):
        if wrong:
            raise click.UsageError(message)
    need(*NEEDED_TO_EXPORT[kind], extra="train")
    if not int8:
        with ProgressBar() as bar:
            written = export_encoder(what, out, calibrate=calibrate, listener=bar, **how)
        click.echo(json.dumps({"encoder": str(written)}) if as_json else str(written))
        return
    assert calibrate is not None
    with ProgressBar() as bar:
        found = export_int8(what, out, calibrate, force=force, listener=bar, **how)
    if as_json:
        click.echo(json.dumps(found.to_json()))
        return
    click.echo(
        f"{found.encoder}  (int8: the nearest image is that of float32 for {found.agreement:.3f} of {found.images} images, "
        f"mean cosine {found.mean_cosine:.4f})"
    )


def _training_options(command: Any) -> Any:
    """Options that every training of a classifier has."""
    for option in (
        click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps."),
        click.option("--minutes", type=float, help="Train for this long instead; trials before it take as long again."),
        click.option("--epochs", type=int, help="Passes of a training over its labels.  [default: by their number]"),
        click.option(
            "--head",
            type=click.Choice(["mlp", "linear", "projection"]),
            default="mlp",
            show_default=True,
            help="On the backbone; projection: with the first layer of the method's own projection.",
        ),
        click.option(
            "--labels",
            metavar="folders|FILE.csv",
            default="folders",
            show_default=True,
            help="The parent folder of an image, or a file with path, label and perhaps split.",
        ),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("run", type=PATH)
@click.argument("source")
@click.option("--out", type=PATH, required=True, metavar="DIR", help="Folder for classifier.onnx and its figures.")
@click.option(
    "--fraction", type=float, default=1.0, show_default=True, help="Share of each class's labels to learn from."
)
@click.option("--from-scratch", is_flag=True, help="Start from random weights instead: what RUN must beat.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the draw, the head, the order.")
@_training_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def finetune(run: Path, source: str, out: Path, as_json: bool, **options: Any) -> None:
    """Train a classifier on a share of the labels of SOURCE, from the network of RUN, and write it as one ONNX file."""
    need("torch", "timm", "lightning_fabric", "onnx", extra="train")
    from trainers.finetuning.finetune import finetune as run_finetuning

    with ProgressBar() as bar:
        found = run_finetuning(run, source, out, listener=bar, **options)
    click.echo(json.dumps(found.to_json(), indent=2) if as_json else str(found))


@click.command()
@click.argument("source")
@click.option("--run", "runs", type=PATH, multiple=True, required=True, help="A training run; may be repeated.")
@click.option(
    "--fraction",
    "fractions",
    type=float,
    multiple=True,
    default=(0.01, 0.1, 1.0),
    show_default=True,
    help="Share of each class's labels; may be repeated.",
)
@click.option("--seeds", type=int, default=3, show_default=True, help="Draws of each share.")
@click.option(
    "--out",
    type=PATH,
    required=True,
    metavar="FILE.md|FILE.json",
    help="The table; what is finished is kept beside it.",
)
@_training_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def field(source: str, runs: tuple[Path, ...], out: Path, as_json: bool, **options: Any) -> None:
    """Make the table of the field: runs by share of the labels, fine-tuned, linear, k-NN, and supervised from scratch."""
    need("torch", "timm", "lightning_fabric", "onnx", extra="train")
    need("sklearn", extra="eval")
    from trainers.finetuning.label_efficiency import field as run_field

    with ProgressBar() as bar:
        table = run_field(source, runs, out, listener=bar, **options)
    click.echo(json.dumps(table.to_json(), indent=2) if as_json else table.to_markdown())


@click.command()
@click.option("--out", type=PATH, default=Path("demo"), show_default=True, help="Folder for everything the demo makes.")
@click.option("--minutes", type=float, default=1.5, show_default=True, help="Time to train.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def demo(out: Path, minutes: float, as_json: bool) -> None:
    """Go the whole road with handwritten digits: train, export, index, measure, search."""
    need("torch", "timm", "lightning_fabric", "onnx", "sklearn", extra="demo")
    from trainers.demo import run_demo

    with ProgressBar() as bar:
        figures = run_demo(out, minutes, bar, say=lambda text: None if as_json else click.echo(text))
    if as_json:
        click.echo(json.dumps(figures, indent=2))
