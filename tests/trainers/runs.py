"""Settings of runs small enough for a test, and somebody who watches them."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from featurestore.progress import Listener
from trainers import train

TINY: dict[str, Any] = {
    "method": "simclr",
    "backbone": "conv4",
    "image_size": 16,
    "batch_size": 8,
    "precision": "32-true",
    "simclr": {"hidden": 16, "dim": 8},
}


class Notes(Listener):
    """Remembers what was said, and presses Ctrl-C after a number of training steps."""

    def __init__(self, interrupt_after: int | None = None) -> None:
        self.lines: list[str] = []
        self._left, self._training, self._resumed = interrupt_after, False, False

    def start(self, what: str, total: int | None) -> None:
        self._training = what.startswith("training, ")
        self._resumed = True  # the first report says how much was done before

    def advance(self, amount: int = 1, detail: str = "") -> None:
        if self._training and self._left is not None and not self._resumed:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGINT)
        self._resumed = False

    def note(self, text: str) -> None:
        self.lines.append(text)


def fails(kind: type[Exception], words: list[str], source: Path, out: Path, **settings: Any) -> None:
    """A training of `source` fails with an error that has these words, and makes no encoder."""
    with pytest.raises(kind) as caught:
        train(source, out, **{**TINY, "epochs": 1, **settings})
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert not (out / "encoder.onnx").exists()
