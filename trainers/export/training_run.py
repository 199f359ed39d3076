"""The encoder of a training run as a file: trained, or with its first, random weights."""

from pathlib import Path

from featurestore.encoders.card import Card
from featurestore.errors import ConfigError, TrainingError
from featurestore.estimators.whitening import Whitening
from featurestore.version import __version__
from trainers.config.schema import Config
from trainers.export.torch_onnx import export
from trainers.training.contender import Contender
from trainers.training.contenders import trained, trained_beside, untrained
from trainers.training.setup import open_run
from trainers.training.whitening import from_state


def make_card(config: Config, contender: Contender, whitening: Whitening | None = None) -> Card:
    """Fill in the card of an encoder that a training with these settings may end with."""
    return Card(
        preprocess=contender.record,
        dim=contender.dim if whitening is None else whitening.matrix.shape[1],
        method=contender.method,
        backbone=contender.backbone,
        branch=contender.branch,
        trained_on=dict(contender.trained_on),
        config_hash=config.hash(),
        featurestore_version=__version__,
        whitening={} if whitening is None else whitening.facts,
    )


def export_run(run: str | Path, out: str | Path, attention: bool = False, whiten: bool = True) -> Path:
    """Export the trained encoder of a run again from its checkpoint; `attention` adds that of a ViT as a second output.

    whiten: with the whitening that was fitted when the training ended, if it was.
    Raises TrainingError when `run` does not hold a training run, ConfigError, also when
    known weights are gone that its network stands beside, ExportError, DiskError.
    """
    run = Path(run)
    config, method, state = open_run(run)
    layout = state.get("layout") is True
    if state.get("beside") is True:
        try:
            encoder = trained_beside(config, method, state, layout)
        except ConfigError as error:
            raise ConfigError(
                f"{run}: its network stands beside known weights, which are needed again: {error}"
            ) from error
        except TrainingError as error:
            raise TrainingError(f"{run}: {error}") from error
    else:
        encoder = trained(config, method, state, layout)
    whitening = from_state(state, encoder.dim) if whiten else None
    return export(encoder.network, make_card(config, encoder, whitening), Path(out), attention, whitening)


def export_untrained(config: Config, out: str | Path) -> Path:
    """Export the backbone of `config` with its first weights, random without `init`: what any training must beat."""
    encoder = untrained(config)
    return export(encoder.network, make_card(config, encoder), Path(out))
