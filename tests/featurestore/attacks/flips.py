"""One bit of a file is another: what each question then answers, asked in a process of its own, since a crash is a possible answer."""

import resource
import shutil
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from featurestore.errors import FeatureStoreError
from tests.featurestore.children import Child

SECONDS = 60.0  # an answer that takes longer is a hang
MEMORY = 1 << 30  # bytes that the questions may add to the process
Questions = dict[str, Callable[[Path], Any]]  # each gets the copy of the folder in which the bit was flipped


@dataclass(frozen=True)
class Flip:
    """One flipped bit."""

    file: str
    byte: int
    bit: int

    def apply(self, folder: Path) -> None:
        data = bytearray((folder / self.file).read_bytes())
        data[self.byte] ^= 1 << self.bit
        (folder / self.file).write_bytes(data)


def flips(folder: Path, file: str, count: int, seed: int) -> list[Flip]:
    """Choose bits of a file at random."""
    rng = np.random.default_rng(seed)
    size = (folder / file).stat().st_size
    return [
        Flip(file, int(byte), int(bit))
        for byte, bit in zip(rng.integers(size, size=count), rng.integers(8, size=count), strict=True)
    ]


def flipped_copies(file: Path, to: Path, count: int, seed: int) -> Iterator[tuple[Flip, Path]]:
    """Give copies of a file in a folder, one after the other, each with another flipped bit."""
    to.mkdir(exist_ok=True)
    for flip in flips(file.parent, file.name, count, seed):
        shutil.copy(file, to)
        flip.apply(to)
        yield flip, to / file.name


def ask(questions: Questions, folder: Path) -> dict[str, Any]:
    """Ask everything: answers, or the names of errors of ours, or "TRACEBACK" for any other."""
    answers: dict[str, Any] = {}
    for name, question in questions.items():
        try:
            answers[name] = question(folder)
        except FeatureStoreError as error:
            answers[name] = f"ERROR {type(error).__name__}: {error}"
        except Exception:
            answers[name] = f"TRACEBACK {traceback.format_exc()}"
    return answers


def _answer(
    pipe: Connection, make: Callable[[], Questions], folder: Path, copy: Path, chosen: list[Flip | None]
) -> None:
    questions = make()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for flip in chosen:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        if flip is not None:
            flip.apply(copy)
        answers = ask(questions, copy)
        if (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 > MEMORY:
            answers["memory"] = "TRACEBACK more memory than allowed"
        pipe.send(answers)


def answers(
    make: Callable[[], Questions], folder: Path, copy: Path, chosen: list[Flip]
) -> Iterator[tuple[Flip | None, dict[str, Any]]]:
    """Give what is answered without a flip, then with each. `make` gives the questions and is called in the process that answers."""
    left: list[Flip | None] = [None, *chosen]
    while left:
        with Child(_answer, make, folder, copy, left) as child:
            while left:
                flip = left.pop(0)
                try:
                    found = child.hear(SECONDS)
                except EOFError:
                    found = {"process": f"TRACEBACK it died with {child.wait()}"}
                except AssertionError:
                    found = {"process": "TRACEBACK it hangs"}
                yield flip, found
                if "process" in found:
                    break
