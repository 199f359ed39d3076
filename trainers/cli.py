"""Commands that need torch; imported only when one of them is called, and torch only when it runs."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import click

from featurestore.errors import ConfigError
from featurestore.progress import ProgressBar

PATH = click.Path(path_type=Path)
NEEDED_TO_EXPORT = {
    "run": ("torch", "timm", "lightning", "onnx"),
    "timm": ("torch", "timm", "onnx"),
    "torchvision": ("torch", "timm", "torchvision", "onnx"),
    "file": ("onnx",),
}


def _need(*modules: str, extra: str) -> None:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"this command needs {', '.join(missing)}, which is not installed: pip install 'featurestore[{extra}]'"
        )


@click.command()
@click.argument("source")
@click.option(
    "--out",
    type=PATH,
    required=True,
    metavar="RUN",
    help="Folder for encoder.onnx, checkpoint.pt, config.toml, metrics.jsonl, curves.png.",
)
@click.option(
    "--method", help="byol, dino, jigsaw, lejepa, mae, moco-v1, -v2, -v3, simclr or simclr-v2.  [default: byol]"
)
@click.option("--backbone", help="A timm name such as resnet18, or conv4 for small images.  [default: resnet18]")
@click.option("--image-size", type=int, help="Side of the square that the network sees, in pixels.  [default: 32]")
@click.option("--patch-size", type=int, help="Side of a ViT's patches; smaller is better and slower.")
@click.option(
    "--init", metavar="RUN|timm", help="Start from the backbone of another run, or from timm's published weights."
)
@click.option("--epochs", type=int, help="Passes over the images.  [default: by the recipe]")
@click.option("--minutes", type=float, help="Train for this long instead.")
@click.option("--batch-size", type=int, help="Images a step, over all devices.  [default: by the recipe]")
@click.option(
    "--accumulate", type=int, help="Parts in which a batch goes through the network, to save memory.  [default: 1]"
)
@click.option(
    "--recipe", help="auto: what is not given is chosen by the number of images; none: fixed defaults.  [default: auto]"
)
@click.option("--config", type=PATH, metavar="FILE.toml", help="Settings from a file, such as a run's config.toml.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any setting, such as augment.flip=0 or optimizer.lr=0.1; may be repeated.",
)
@click.option("--seed", type=int, help="Seed of weights, order and augmentation.  [default: 0]")
@click.option("--resume", is_flag=True, help="Go on with the run in RUN.")
@click.option(
    "--labels",
    type=click.Choice(["none", "folders"]),
    default="none",
    show_default=True,
    help="Never trained on; folders: monitor k-NN each epoch.",
)
@click.option("--device", help="auto, cpu, cuda or mps.  [default: auto]")
@click.option("--precision", help="auto, 32-true or bf16-mixed.  [default: auto]")
@click.option("--devices", type=int, help="Processes to train with, one a device.  [default: 1]")
@click.option("--compile", is_flag=True, default=None, help="Compile the backbone.")
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
    _need("torch", "timm", "lightning", "onnx", extra="train")
    from trainers import distributed
    from trainers.config import parse_assignments
    from trainers.run import train as run_training

    given = {key: value for key, value in options.items() if value is not None}
    with ProgressBar() as bar:
        run = run_training(
            source,
            out,
            labels=labels,
            resume=resume,
            config=config,
            listener=bar,
            **_join(given, parse_assignments(assignments)),
        )
    if distributed.rank():
        return  # the first process speaks for all
    last = run.metrics[-1]
    if as_json:
        click.echo(json.dumps({"encoder": str(run.encoder), **last}))
        return
    knn = f", k-NN {last['knn_top1']:.3f}" if "knn_top1" in last else ""
    click.echo(f"{run.encoder}  ({last['epoch']} epochs in {last['seconds']:.0f} s, loss {last['loss']:.4f}{knn})")


def _join(given: dict[str, Any], assigned: dict[str, Any]) -> dict[str, Any]:
    twice = sorted(given.keys() & assigned.keys())
    if twice:
        raise ConfigError(f"{', '.join(twice)}: given both as an option and by --set; give it once")
    return {**given, **assigned}


@click.command()
@click.argument("what", metavar="RUN|timm:NAME|torchvision:NAME|FILE.onnx")
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
@click.option("--calibrate", metavar="SOURCE", help="For --int8: images like those that the encoder is for.")
@click.option("--force", is_flag=True, help="For --int8: write it however little it agrees with float32.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def export(what: str, out: Path, int8: bool, calibrate: str | None, force: bool, as_json: bool, **how: Any) -> None:
    """Write a network as an encoder file, checked: that of a training run, a published one, or any ONNX network."""
    from trainers.exporting import export_encoder, export_int8, kind_of

    kind = kind_of(what)
    for wrong, message in (
        (int8 and calibrate is None, "--int8 needs --calibrate SOURCE: images like those that the encoder is for"),
        (not int8 and (calibrate is not None or force), "--calibrate and --force belong to --int8"),
        (
            kind != "file" and how["preprocess"] is not None,
            "--preprocess belongs to a FILE.onnx; a run or a published model brings its own",
        ),
        (kind in ("run", "file") and not how["pretrained"], "--no-pretrained belongs to timm:NAME or torchvision:NAME"),
        (kind in ("torchvision", "file") and how["attention"], "--attention belongs to a run or a timm:NAME"),
    ):
        if wrong:
            raise click.UsageError(message)
    _need(*NEEDED_TO_EXPORT[kind], extra="train")
    if calibrate is None:
        written = export_encoder(what, out, **how)
        click.echo(json.dumps({"encoder": str(written)}) if as_json else str(written))
        return
    with ProgressBar() as bar:
        found = export_int8(what, out, calibrate, force=force, listener=bar, **how)
    if as_json:
        click.echo(json.dumps(found.to_json()))
        return
    click.echo(
        f"{found.encoder}  (int8: the nearest image is that of float32 for {found.agreement:.3f} of {found.images} images, "
        f"mean cosine {found.mean_cosine:.4f})"
    )


@click.command()
@click.option("--out", type=PATH, default=Path("demo"), show_default=True, help="Folder for everything the demo makes.")
@click.option("--minutes", type=float, default=1.5, show_default=True, help="Time to train.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def demo(out: Path, minutes: float, as_json: bool) -> None:
    """Go the whole road with handwritten digits: train, export, index, measure, search."""
    _need("torch", "timm", "lightning", "onnx", "sklearn", extra="demo")
    from trainers.demo import run_demo

    with ProgressBar() as bar:
        figures = run_demo(out, minutes, bar, say=lambda text: None if as_json else click.echo(text))
    if as_json:
        click.echo(json.dumps(figures, indent=2))
