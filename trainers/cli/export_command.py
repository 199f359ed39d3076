"""The command of export."""

from pathlib import Path
from typing import Any

import click

from featurestore.progress import ProgressBar
from featurestore.system.packages import require
from featurestore.system.terminal import print_result
from trainers.cli.options import bands_option, whiten_option

PATH = click.Path(path_type=Path)
NEEDED = {  # packages, by what is exported
    "run": ("torch", "timm", "lightning_fabric", "onnx"),
    "untrained": ("torch", "timm", "lightning_fabric", "onnx"),
    "pixels": ("onnx",),
    "timm": ("torch", "timm", "onnx"),
    "torchvision": ("torch", "timm", "torchvision", "onnx"),
    "file": ("onnx",),
}


@click.command()
@click.argument("what", metavar="RUN|timm:NAME|torchvision:NAME|FILE.onnx|untrained:RUN|pixels:SIZE")
@click.option("--out", type=PATH, required=True, metavar="encoder.onnx", help="The file to write.")
@click.option(
    "--attention",
    is_flag=True,
    help="Of a ViT: also export the attention of the class token (see `featurestore attention`).",
)
@click.option(
    "--preprocess",
    type=PATH,
    metavar="FILE",
    help="Of FILE.onnx: TOML or JSON that describes its preprocessing.",
)
@bands_option
@click.option(
    "--pretrained/--no-pretrained", default=True, help="Of a published model: its weights, or random ones for a trial."
)
@click.option(
    "--weights",
    type=PATH,
    metavar="FILE",
    help="Of a published model: a file with its weights (.safetensors, .pth, .pt, .bin) in place of the published ones.",
)
@whiten_option
@click.option("--int8", is_flag=True, help="Quantise: smaller and faster, and measured against float32.")
@click.option(
    "--calibrate",
    metavar="SOURCE",
    help="For --int8: images like those that the encoder is for. For pixels:SIZE: images whose mean is subtracted.",
)
@click.option("--force", is_flag=True, help="For --int8: write it however little it agrees with float32.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def export(what: str, out: Path, int8: bool, calibrate: str | None, force: bool, as_json: bool, **how: Any) -> None:
    """Write a network as a checked encoder file: that of a training run, a published one, or any ONNX network.

    Two more serve as baselines: the network of a run with its first, random weights, and raw pixels at a size.
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
        (
            how["weights"] is not None and (kind not in ("timm", "torchvision") or not how["pretrained"]),
            "--weights belongs to timm:NAME or torchvision:NAME, and not together with --no-pretrained",
        ),
        (
            kind in ("run", "untrained") and how["bands"] is not None,
            "--bands belongs to a published model, an ONNX file or pixels:SIZE; a run was trained on its own bands",
        ),
        (kind != "run" and not how["whiten"], "--no-whiten belongs to a run; nothing else is whitened by export"),
        (kind not in ("run", "timm") and how["attention"], "--attention belongs to a run or a timm:NAME"),
    ):
        if wrong:
            raise click.UsageError(message)
    require(*NEEDED[kind], extra="train")
    if not int8:
        with ProgressBar() as bar:
            written = export_encoder(what, out, calibrate=calibrate, listener=bar, **how)
        print_result({"encoder": str(written)}, [str(written)], as_json, indent=None)
        return
    assert calibrate is not None
    with ProgressBar() as bar:
        found = export_int8(what, out, calibrate, force=force, listener=bar, **how)
    text = (
        f"{found.encoder}  (int8: the nearest image is that of float32 for {found.agreement:.3f} of {found.images} images, "
        f"mean cosine {found.mean_cosine:.4f})"
    )
    print_result(found.to_json(), [text], as_json, indent=None)
