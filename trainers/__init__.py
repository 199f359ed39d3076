"""Train image encoders without labels."""

from trainers.run import Run, train

__all__ = ["Run", "train"]
