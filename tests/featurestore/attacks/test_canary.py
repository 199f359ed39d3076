"""The canary notices each thing that it is there to notice."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.featurestore.attacks.canary import SECRET, Canary


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / "canary.txt").write_text("other"),
        lambda folder: (folder / "canary.txt").write_text((folder / "canary.txt").read_text()),
        lambda folder: (folder / "canary.json").unlink(),
        lambda folder: (folder / "deep" / "new").mkdir(),
        lambda folder: (folder / "new.csv").touch(),
    ],
)
def test_a_change_is_noticed(canary: Canary, harm: Callable[[Path], object]) -> None:
    canary.check("nothing")
    harm(canary.folder)
    with pytest.raises(AssertionError):
        canary.check()


def test_a_secret_in_an_output_is_noticed(canary: Canary) -> None:
    with pytest.raises(AssertionError):
        canary.check("nothing", f"label: {SECRET}")
