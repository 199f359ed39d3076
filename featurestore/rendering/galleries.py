"""Pictures in groups, with what is said of each: what pages, sheets and notebooks show of findings, and how many of them."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture, with what is said of it."""

    path: str
    title: str  # one short line
    note: str = ""  # another one
    marked: bool = False  # framed: what the others beside it are compared with


@dataclass(frozen=True, slots=True)
class Gallery:
    """Pictures that belong together, such as the copies of one."""

    title: str
    pictures: Sequence[Picture]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is shown at most; galleries share the pictures, and each may have `each`."""

    galleries: int
    pictures: int
    each: int


PAGE = Limits(100, 1000, 12)  # a thousand pictures are some twenty megabytes
SHEET = Limits(40, 240, 6)  # so that a sheet has less than 16,384 pixels, the most of a WebP
NOTEBOOK = Limits(4, 24, 6)


def limited(galleries: Sequence[Gallery], limits: Limits) -> list[Gallery]:
    """Give the first galleries, and the first pictures of each; the title of one that has more says so."""
    chosen = galleries[: limits.galleries]
    most = max(limits.each, limits.pictures // max(1, len(chosen)))
    return [
        gallery
        if len(gallery.pictures) <= most
        else Gallery(
            f"{gallery.title} (the first {most:,} of {len(gallery.pictures):,} are shown)", gallery.pictures[:most]
        )
        for gallery in chosen
    ]


def left_out(galleries: Sequence[Gallery], limits: Limits) -> list[str]:
    """Say how many galleries `limited` leaves out: one sentence, or none."""
    count = len(galleries)
    return [f"the first {limits.galleries:,} of {count:,} groups are shown"] if count > limits.galleries else []
