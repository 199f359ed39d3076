"""After the last step: what the encoder is compared with, and which encoder files are written."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from featurestore.estimators.whitening import Whitening
from trainers.data.even import even_sample
from trainers.export.torch_onnx import export
from trainers.export.training_run import make_card
from trainers.training import checkpoint
from trainers.training.contenders import OWN, Contender, contenders, recompute_statistics
from trainers.training.labelled_sample import SMALL_SIZE, LabelledSample
from trainers.training.proof import VIEWED, VIEWED_LARGE, Proof, best, best_of, measure
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
    config, method, images, listener = setup.config, setup.method, setup.images, setup.listener
    listener.note("comparing the encoder with what there was before")
    most = VIEWED if config.image_size <= SMALL_SIZE else VIEWED_LARGE
    some = even_sample(images.pixels, most)
    # Not in one of several processes: their norms would wait for those of the others.
    if config.init is None and config.view_size not in (None, config.image_size) and setup.fabric.world_size == 1:
        # Views were smaller than what the encoder sees, so their statistics are not those of whole images (FixRes, section 4).
        recompute_statistics(method.export_backbone, some, preprocess_of(config))
    view = dataclasses.replace(method.views[0], size=config.image_size)
    rows = measure(contenders(config, method, identity, some, listener), sample, some, view, whiten)
    own = best_of(rows, OWN).contender
    chosen = own if wanted == "own" else best(rows).contender

    listener.note("exporting and checking the encoder")
    whitening = _export(own, setup, out / (ENCODER if chosen is own else OWN_ENCODER), whiten)
    state = {**checkpoint.load(out / "checkpoint.pt"), "method": method.state_dict(), "layout": own.layout}
    fitted = None if whitening is None else to_state(whitening)
    checkpoint.save(out / "checkpoint.pt", {**state, "whitening": fitted})  # from which the encoder is exported again
    if chosen is own:
        (out / OWN_ENCODER).unlink(missing_ok=True)  # of an end before this one
    else:
        _export(chosen, setup, out / ENCODER, whiten)
    return Proof(tuple(rows), chosen, len(images.files))


def _export(contender: Contender, setup: Setup, file: Path, whiten: bool) -> Whitening | None:
    """Write a contender as an encoder file, and give the whitening that was fitted for it."""
    record, whitening = preprocess_of(setup.config), None
    if whiten:
        whitening = fit_whitening(contender, setup.images, record, setup.listener)
    export(contender.network, make_card(setup.config, contender, whitening), file, whitening=whitening)
    return whitening
