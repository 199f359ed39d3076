"""The colours of the page, read from its style sheet: text and what is drawn can be told from what lies behind it."""

import re

import pytest

from tests.featurestore.gallery.page.test_assets import PAGE

STYLE = (PAGE / "style.css").read_text(encoding="utf-8")
TEXT, DRAWN = 4.5, 3.0  # contrast, WCAG 2.1 AA: of text, and of what shows that there is a control or a focus
PAIRS = [
    *((ink, behind, TEXT) for ink in ("ink", "pale") for behind in ("paper", "card", "well")),
    ("ink", "tint", TEXT), ("ink", "line", TEXT), ("pale", "tint", TEXT),
    ("accent", "paper", TEXT), ("accent", "tint", TEXT), ("on-accent", "accent", TEXT),
    ("negative", "paper", TEXT), ("negative", "well", TEXT), ("negative", "card", TEXT),
    ("edge", "paper", DRAWN), ("edge", "card", DRAWN), ("accent", "card", DRAWN), ("accent", "well", DRAWN),
]  # fmt: skip


def colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


LIGHT = colours(STYLE.partition("@media")[0])
DARK = colours(STYLE.partition("@media (prefers-color-scheme: dark)")[2].partition("\n}")[0])


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_the_measure_is_right() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_dark_has_every_colour_that_light_has() -> None:
    assert len(LIGHT) > 8
    assert LIGHT.keys() == DARK.keys()


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("front", "behind", "least"), PAIRS)
def test_what_is_in_front_can_be_told_from_what_is_behind(
    scheme: dict[str, str], front: str, behind: str, least: float
) -> None:
    assert contrast(scheme[front], scheme[behind]) >= least


def test_colours_are_named_once() -> None:
    """Others would escape this test. White on pictures and on shade is the exception."""
    rules = STYLE[STYLE.index("* {") :]
    assert set(re.findall(r"#[0-9a-f]{3,8}\b", rules)) <= {"#fff"}
