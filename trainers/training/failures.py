"""Failures of a training step in words: memory that runs out, and networks that cannot be compiled."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from featurestore.errors import TrainingError

OUT_OF_MEMORY = ("can't allocate memory", "MPS backend out of memory")  # on a processor; on Apple's GPUs


@contextmanager
def explain_failures(what: str, advice: str) -> Iterator[None]:
    """Raise TrainingError when something does not fit the memory of the device, or cannot be compiled; other errors pass.

    The message is "not enough memory on this device for `what`; `advice`".
    """
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if isinstance(error, torch.OutOfMemoryError) or any(words in text for words in OUT_OF_MEMORY):
            raise TrainingError(f"not enough memory on this device for {what}; {advice}") from error
        if type(error).__module__.startswith(("torch._inductor", "torch._dynamo")):
            raise TrainingError(
                f"--compile: {text.strip().splitlines()[0]}; leave it out, or install what is missing"
            ) from error
        raise
