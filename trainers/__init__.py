"""Train image encoders without labels.

from trainers import score, train

run = train("photos/", method="dino", out="runs/dino")
score(run.out, "photos.store")
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainers.run import Run, train
    from trainers.scoring.score import ScoreReport, score

__all__ = ["Run", "ScoreReport", "score", "train"]


def __getattr__(name: str) -> Any:
    """Import torch only when something is asked for: the command line lists its commands without it."""
    if name in ("ScoreReport", "score"):
        from trainers.scoring import score

        return getattr(score, name)
    if name in __all__:
        from trainers import run

        return getattr(run, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)  # and not the modules
