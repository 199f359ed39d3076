"""After the last step: what the encoder is compared with, and which encoder files are written."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from trainers.export.torch_onnx import export
from trainers.export.training_run import make_card
from trainers.training import checkpoint
from trainers.training.contenders import OWN, Contender, contenders
from trainers.training.labelled_sample import SMALL_SIZE, LabelledSample
from trainers.training.proof import VIEWED, VIEWED_LARGE, Proof, best, measure
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
    images, listener = setup.images, setup.listener
    listener.note("comparing the encoder with what there was before")
    most = VIEWED if setup.config.image_size <= SMALL_SIZE else VIEWED_LARGE
    some = images.pixels[:: max(1, -(-len(images.pixels) // most))]
    view = dataclasses.replace(setup.method.views[0], size=setup.config.image_size)  # as the encoder sees images
    rivals = contenders(setup.config, setup.method, identity, some, listener)
    rows = measure(rivals, sample, some, view, whiten)
    own = best([row for row in rows if row.contender.kind == OWN]).contender
    chosen = own if wanted == "own" else best(rows).contender

    listener.note("exporting and checking the encoder")
    _export(own, setup, out / (ENCODER if chosen is own else OWN_ENCODER), whiten, keep=out / "checkpoint.pt")
    if chosen is own:
        (out / OWN_ENCODER).unlink(missing_ok=True)  # of an end before this one
    else:
        _export(chosen, setup, out / ENCODER, whiten)
    return Proof(tuple(rows), chosen, len(images.files))


def _export(contender: Contender, setup: Setup, file: Path, whiten: bool, keep: Path | None = None) -> None:
    """Write a contender as an encoder file; `keep`: the checkpoint that gets what was fitted, from which it is exported again."""
    record, network, whitening = preprocess_of(setup.config), contender.network, None
    if whiten:
        whitening = fit_whitening(network, contender.dim, setup.images, record, setup.listener)
    if keep is not None:
        fitted = {"layout": contender.layout, "whitening": None if whitening is None else to_state(whitening)}
        checkpoint.save(keep, {**checkpoint.load(keep), **fitted})
    export(network, make_card(setup.config, contender, whitening), file, whitening=whitening)
