"""From the name of a network to an encoder file, float32 or int8: a run, a published model, an ONNX network, or a baseline.

Each kind imports what it needs when it is exported: an ONNX network needs no torch.
"""

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from featurestore.errors import ConfigError, DiskError
from featurestore.progress import Listener
from featurestore.system.text import as_argument

if TYPE_CHECKING:
    from trainers.export.preprocess_file import ForeignPreprocess
    from trainers.export.quantize import Quantized

Kind = Literal["run", "untrained", "pixels", "timm", "torchvision", "file"]
Bands = tuple[int, ...] | None
PREFIXES: tuple[Kind, ...] = ("untrained", "pixels", "timm", "torchvision")


def kind_of(what: str) -> Kind:
    """Distinguish a run, "untrained:RUN", "pixels:SIZE", "timm:NAME", "torchvision:NAME" and an ONNX file by the name alone."""
    for kind in PREFIXES:
        if what.startswith(f"{kind}:"):
            return kind
    return "file" if what.lower().endswith(".onnx") else "run"


def export_encoder(
    what: str,
    out: Path,
    *,
    pretrained: bool = True,
    weights: Path | None = None,
    preprocess: Path | None = None,
    bands: Bands = None,
    attention: bool = False,
    whiten: bool = True,
    calibrate: str | Path | None = None,
    listener: Listener | None = None,
) -> Path:
    """Export a run, a published model, an ONNX network (with its preprocess file), or a baseline, as a float32 encoder file.

    weights: a file of weights for a published model. calibrate: for "pixels:SIZE", images whose mean is subtracted. bands: which are read, from 1; a run has its own.
    whiten: of a run, see `export_run`. Raises ConfigError, SourceError, EncoderError, ExportError, DiskError, TrainingError.
    """
    kind, name = kind_of(what), what.partition(":")[2]
    if kind == "run":
        from trainers.export.training_run import export_run

        return export_run(what, out, attention, whiten)
    if kind == "untrained":
        return _export_untrained(Path(name), out)
    if kind == "pixels":
        from trainers.export.pixel_baseline import export_pixels, read_size

        return export_pixels(read_size(name), out, calibrate, listener, bands)
    if kind == "file":
        from trainers.export import foreign

        return foreign.export_foreign(what, _preprocess_of(what, preprocess, bands), out, listener)
    from trainers.export.published import export_published

    return export_published(kind, name, out, pretrained, attention, bands, weights, listener)


def export_int8(
    what: str,
    out: Path,
    calibrate: str | Path,
    *,
    force: bool = False,
    pretrained: bool = True,
    weights: Path | None = None,
    preprocess: Path | None = None,
    bands: Bands = None,
    attention: bool = False,
    whiten: bool = True,
    listener: Listener | None = None,
) -> "Quantized":
    """Export as `export_encoder` does, quantise the result to int8 and measure it; an ONNX file with a card is used as it is.

    Raises what `export_encoder` and `quantize` raise.
    """
    from trainers.export import foreign, quantize
    from trainers.export.sample import check_source

    check_source(calibrate)  # before weights are fetched and a network is exported
    if kind_of(what) == "file" and preprocess is None and foreign.has_card(Path(what)):
        return quantize.quantize(what, calibrate, out, force, listener)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-")
    except OSError as error:
        raise DiskError(
            f"encoder {out}: cannot be written ({error.strerror}); free some space or choose another place"
        ) from error
    with beside as folder:
        full = export_encoder(
            what,
            Path(folder) / "float32.onnx",
            pretrained=pretrained,
            weights=weights,
            preprocess=preprocess,
            bands=bands,
            attention=attention,
            whiten=whiten,
            listener=listener,
        )
        return quantize.quantize(full, calibrate, out, force, listener)


def _export_untrained(run: Path, out: Path) -> Path:
    """Export the network of a run with the random weights that its seed gives, whatever weights the run started from."""
    from trainers.config.parse import read_settings
    from trainers.config.resolve import resolve
    from trainers.export.training_run import export_untrained

    if not (run / "config.toml").is_file():
        raise ConfigError(f"untrained:{run}: expected the folder of a training run, found none there; check the path")
    return export_untrained(dataclasses.replace(resolve(read_settings(run)), init=None), out)


def _preprocess_of(what: str, preprocess: Path | None, bands: Bands) -> "ForeignPreprocess":
    from trainers.export import foreign
    from trainers.export.preprocess_file import read_preprocess

    if preprocess is not None:
        given = read_preprocess(preprocess)
        return (
            given
            if bands is None
            else dataclasses.replace(given, record=dataclasses.replace(given.record, bands=bands))
        )
    if foreign.has_card(Path(what)):
        raise ConfigError(
            f"{what}: has a card already; use it as it is: featurestore index --encoder {as_argument(what)}"
        )
    raise ConfigError(
        f"{what}: expected --preprocess FILE, which says how its images are resized and normalised; see docs/guides/own-onnx.md for an example"
    )
