"""What sets pictures apart by their looks."""

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from featurestore.curation.appearance import LOOKS, measures, unusual_looks

USUAL = {"width": 300.0, "height": 200.0, "brightness": 0.5, "contrast": 0.25, "sharpness": 0.35, "colourfulness": 0.3}
ODD = {
    "dark": {"brightness": 0.02},
    "light": {"brightness": 0.99},
    "empty": {"contrast": 0.001},
    "blurred": {"sharpness": 0.01},
    "grey": {"colourfulness": 0.0},
    "colourful": {"colourfulness": 0.9},
    "tiny": {"width": 30.0, "height": 20.0},
    "large": {"width": 3000.0, "height": 2000.0},
    "narrow": {"width": 100.0, "height": 600.0},
    "wide": {"width": 900.0, "height": 66.0},
}


def columns(odd: Mapping[str, float] | None = None, count: int = 400) -> dict[str, NDArray[np.float64]]:
    """Pictures that differ a little; the last one is as given."""
    generator = np.random.default_rng(0)
    found = {name: value * (1 + 0.05 * generator.standard_normal(count)) for name, value in USUAL.items()}
    for name, value in (odd or {}).items():
        found[name][-1] = value
    return found


def test_every_look_has_its_case() -> None:
    assert set(ODD) == set(LOOKS)


@pytest.mark.parametrize("name", ODD)
def test_one_odd_picture_is_named(name: str) -> None:
    found = unusual_looks(measures(columns(ODD[name])))
    assert {look for look, share in found.items() if share[-1] < 1} == {name}
    assert found[name][-1] <= 1 / 400
    assert sum(int((share < 1).sum()) for share in found.values()) == 1


def test_what_is_common_is_not_unusual() -> None:
    given = columns()
    given["brightness"][:60] = 0.02  # 15 % are dark
    assert (unusual_looks(measures(given))["dark"] == 1).all()
    given = columns()
    given["colourfulness"][:] = 0
    assert (unusual_looks(measures(given))["grey"] == 1).all()


def test_the_farther_from_the_others_the_odder() -> None:
    far, farther = (
        unusual_looks(measures(columns({"width": side, "height": side})))["large"][-1] for side in (1000.0, 8000.0)
    )
    assert farther < far < 1


def test_values_that_are_not_known_are_not_unusual() -> None:
    given = columns()
    for values in given.values():
        values[:30] = np.nan
    assert all((share[:30] == 1).all() for share in unusual_looks(measures(given)).values())
    assert all((share == 1).all() for share in unusual_looks(measures(columns(count=0))).values())
