"""After the last step: what the encoder is compared with, and which encoder files are written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from featurestore.estimators.whitening import Whitening
from featurestore.progress import Listener
from trainers.config.schema import Config
from trainers.data.even import even_sample
from trainers.data.images import Images
from trainers.export.torch_onnx import export
from trainers.export.training_run import make_card
from trainers.training import checkpoint
from trainers.training.compared import VIEWED, VIEWED_LARGE, compare_on
from trainers.training.contender import OWN, Contender
from trainers.training.contenders import contenders, recompute_statistics
from trainers.training.labelled_sample import SMALL_SIZE, LabelledSample
from trainers.training.proof import Proof, best, best_of, measure
from trainers.training.setup import Setup, preprocess_of
from trainers.training.whitening import fit_whitening, to_state

Wanted = Literal["best", "own"]
ENCODER, OWN_ENCODER = "encoder.onnx", "own.onnx"  # the second only where the first is not the trained one


def finish(
    setup: Setup, sample: LabelledSample | None, out: Path, identity: Mapping[str, Any], whiten: bool, wanted: Wanted
) -> Proof:
    """Compare the trained encoder with what there was before, and write the `wanted` one as encoder.onnx.

    Where that is not the trained one, this is written as own.onnx. Raises ExportError, DiskError, EvaluationError.
    """
    config, method, listener = setup.config, setup.method, setup.listener
    listener.note("comparing the encoder with what there was before")
    compared = compare_on(setup.images, sample, config, listener)
    some = even_sample(setup.images.pixels, VIEWED if config.image_size <= SMALL_SIZE else VIEWED_LARGE)
    # Not in one of several processes: their norms would wait for those of the others.
    if config.init is None and config.view_size not in (None, config.image_size) and setup.fabric.world_size == 1:
        # Views were smaller than what the encoder sees, so their statistics are not those of whole images (FixRes, section 4).
        recompute_statistics(method.export_backbone, some, preprocess_of(config))
    pixels = {**{size: each.pixels for size, each in compared.images.items()}, config.image_size: some}
    rows = measure(
        contenders(config, method, identity, pixels, bool(compared.samples), listener),
        compared,
        method.views[0],
        whiten,
    )
    own = best_of(rows, OWN).contender
    chosen = own if wanted == "own" else best(rows).contender

    listener.note("exporting and checking the encoder")
    images = {**compared.images, config.image_size: setup.images}
    whitening = _export(own, config, images, out / (ENCODER if chosen is own else OWN_ENCODER), whiten, listener)
    state = {**checkpoint.load(out / "checkpoint.pt"), "method": method.state_dict()}
    fitted = None if whitening is None else to_state(whitening)
    # From it the encoder is exported again.
    length = own.parts[-1].length  # of the trained part beside known weights
    form = {"layout": own.layout, "beside": own.beside, "length": length, "fitted": own.fitted, "whitening": fitted}
    checkpoint.save(out / "checkpoint.pt", {**state, **form})
    if chosen is own:
        (out / OWN_ENCODER).unlink(missing_ok=True)  # of an end before this one
    else:
        _export(chosen, config, images, out / ENCODER, whiten, listener)
    return Proof(tuple(rows), chosen, len(setup.images.files))


def _export(
    contender: Contender, config: Config, images: Mapping[int, Images], file: Path, whiten: bool, listener: Listener
) -> Whitening | None:
    """Write a contender as an encoder file, and give the whitening that was fitted for it. images: by their side in pixels."""
    whitening = fit_whitening(contender, images[contender.record.size], listener) if whiten else None
    export(contender.network, make_card(config, contender, whitening), file, whitening=whitening)
    return whitening
