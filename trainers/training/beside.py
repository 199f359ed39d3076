"""Known weights that stay as they are, and the trained network beside them."""

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from featurestore.errors import TrainingError
from featurestore.estimators import whitening
from featurestore.estimators.whitening import Part
from trainers.augmentations import ViewSpec
from trainers.config.schema import Config
from trainers.data.even import even_sample
from trainers.models.backbones import feature_dim
from trainers.models.side_by_side import SAFE_LENGTH, SideBySide
from trainers.models.start import kind_of_start, known_network
from trainers.models.steady import Steady, fit_views
from trainers.training.contender import (
    BESIDE,
    BESIDE_FITTED,
    LAYOUT,
    START,
    Contender,
    Encoding,
    Make,
    forms_of,
    numbers,
    published,
)
from trainers.training.features import Vectors
from trainers.training.setup import base_preprocess_of
from trainers.training.view_retrieval import encode_two_views

FITTED = 500  # images, at most, whose views the known network is fitted to
SENSELESS = "what its checkpoint has fitted to views does not fit its known weights; train again"


def known_weights(config: Config, identity: Mapping[str, Any], device: torch.device) -> Contender:
    """Build the known network that the trained one stands beside. Raises ConfigError when its weights are gone."""
    assert config.base is not None
    assert config.base_backbone is not None
    record = base_preprocess_of(config)
    network = known_network(config.base, config.base_backbone, record.size).eval().to(device)
    return Contender(
        START, network, record, (Part(feature_dim(network)),), kind_of_start(config.base), config.base_backbone, "start",
        published(identity),
    )  # fmt: skip


def steadied(known: Contender, pixels: Tensor, view: ViewSpec) -> Contender | None:
    """Let a known network count less what views of an image differ in, by images uint8 (N, 3, S, S); None for too few of them."""
    some = even_sample(pixels, FITTED)
    if len(some) < whitening.LEAST:
        return None
    both = encode_two_views(known.network, some, dataclasses.replace(view, size=known.record.size))
    return with_fitted(known, fit_views(both))


def with_fitted(known: Contender, fitted: Mapping[str, Tensor] | None) -> Contender:
    """Put what was fitted to views behind a known network; nothing where it was not. Raises TrainingError when it makes no sense."""
    if fitted is None:
        return known
    try:
        mean, matrix = fitted["mean"].float(), fitted["matrix"].float()
        makes_sense = matrix.shape == (known.dim, known.dim) and mean.shape == (known.dim,) and matrix.isfinite().all()
    except (AttributeError, KeyError, TypeError) as error:
        raise TrainingError(SENSELESS) from error
    if not makes_sense:
        raise TrainingError(SENSELESS)
    network = Steady(known.network, mean, matrix).to(next(known.network.parameters()).device)
    return dataclasses.replace(known, network=network, fitted=fitted)


def beside(known: Contender, own: Contender, config: Config, steady: Contender | None = None) -> Encoding:
    """Measure a trained network beside a known one, both without layout, and both with it; and the known one alone, as it was published.

    steady: the known one fitted to views, to be measured beside the trained one, too.
    """
    knowns, owns = forms_of(known), forms_of(own)
    pairs = list(dict.fromkeys([(knowns[0], owns[0]), (knowns[-1], owns[-1])]))
    after = knowns[-1].dim  # where the numbers of the trained network begin
    takes = [numbers(np.r_[: theirs.dim, after : after + mine.dim]) for theirs, mine in pairs]
    made = [(side_by_side(*pair, config), take) for pair, take in zip(pairs, takes, strict=True)]
    widest = made[-1][0].network
    made += [(form, numbers(slice(form.dim))) for form in knowns]
    if steady is not None:
        assert isinstance(steady.network, Steady)
        for form in forms_of(steady):
            for (theirs, mine), take in zip(pairs, takes, strict=True):
                if theirs.layout == form.layout:
                    made.append((side_by_side(form, mine, config), partial(_fitted, steady.network, take)))
    return Encoding(widest, known.record, tuple(made))


def _fitted(steady: Steady, take: Make, x: Vectors) -> Vectors:
    """Make vectors of those that begin with the output of a known network, as if that had been fitted to views."""
    output, others = np.split(x, [steady.num_features], axis=1)
    length = np.linalg.norm(output, axis=1, keepdims=True)  # that it has beside the layout
    whitened = steady.whiten(torch.from_numpy(output).to(steady.mean.device)).cpu().numpy()
    return take(np.concatenate([length * whitened, others], axis=1))


def side_by_side(known: Contender, own: Contender, config: Config) -> Contender:
    """Make one encoder of a known network and a trained one."""
    [part] = own.parts
    layout = known.layout or own.layout
    return dataclasses.replace(
        own, network=SideBySide(known.network, own.network, config.image_size), record=known.record,
        parts=(*known.parts, part._replace(length=SAFE_LENGTH)), backbone=f"{known.backbone} and {own.backbone}",
        branch=own.branch.removesuffix(LAYOUT) + (BESIDE_FITTED if known.fitted else BESIDE) + LAYOUT * layout,
        trained_on={**published(known.trained_on), **own.trained_on}, layout=layout, beside=True, fitted=known.fitted,
    )  # fmt: skip
