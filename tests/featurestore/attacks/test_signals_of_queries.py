"""Signals while a command asks a network or draws: it ends as Ctrl-C ends others, and leaves no file behind."""

import signal
from pathlib import Path

import pytest

from featurestore import FeatureStore
from tests.featurestore.attacks.test_outputs import with_attention
from tests.featurestore.commands import ended_within, script_ended

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NETWORK = "featurestore.encoders.limits", "_Thread", "start"
STEPS = {  # of a command: what it has just called
    "search {store} {image}": (NETWORK, ("featurestore.search.searcher", "Searcher", "of")),
    "search {store} {image} --sheet {out}.png": (("PIL.Image", "Image", "save"),),
    "search {store} {image} --html {out}.html": (("featurestore.rendering.html", "base64", "b64encode"),),
    "attention {encoder} {image} --out {out}.png": (
        NETWORK, ("featurestore.rendering", "contact_sheet", "contact_sheet"), ("PIL.Image", "Image", "save"),
    ),
}  # fmt: skip
CASES = [(command, step, number) for command, steps in STEPS.items() for step in steps for number in SIGNALS]
QUICK = [(command, steps[0], signal.SIGTERM) for command, steps in STEPS.items() if steps[0] == NETWORK]


@pytest.mark.parametrize(
    ("command", "step", "number"),
    [case if case in QUICK else pytest.param(*case, marks=pytest.mark.slow) for case in CASES],
)
def test_a_query_that_is_ended_leaves_nothing(
    tmp_path: Path, store_path: Path, colours: Path, command: str, step: tuple[str, str, str], number: signal.Signals
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "temporary").mkdir()
    names = {"store": store_path, "image": colours / "mixed" / "cyan.png", "out": tmp_path / "out" / "drawn"}
    arguments = command.format(**names, encoder=with_attention(tmp_path)).split()
    ended = ended_within(*step, number, *arguments, TMPDIR=str(tmp_path / "temporary"))
    assert ended == (128 + number, "featurestore: interrupted")
    assert list((tmp_path / "out").iterdir()) == []
    assert {path.name for path in (tmp_path / "temporary").iterdir()} <= {".ses"}  # by onnxruntime
    assert not FeatureStore.verify(store_path).findings


STUCK = """
import time
from featurestore.cli import main, search
from featurestore.encoders.limits import limited
def step():
    print("within", flush=True)
    time.sleep(60)
search.search_store = lambda *args, **named: limited(step, lambda: None, "encoder.onnx", 60)
main()
"""


@pytest.mark.parametrize(
    "number", [signal.SIGINT, *(pytest.param(number, marks=pytest.mark.slow) for number in SIGNALS[1:])]
)
def test_a_step_that_cannot_be_interrupted_keeps_the_exit_status(store_path: Path, number: signal.Signals) -> None:
    assert script_ended(STUCK, number, "search", store_path, "id:1") == (128 + number, "featurestore: interrupted")
