"""Items of a small catalog."""

from featurestore.catalog import ItemChange

ENCODER, OTHER = "e" * 64, "f" * 64


def item(number: int, row: int | None, label: str | None = None, split: str | None = None) -> ItemChange:
    return ItemChange(
        number,
        True,
        f"/p/{number}.png",
        label,
        split,
        10 * number,
        20,
        300,
        400,
        f"sha-{number}",
        row,
        "folder",
        "folder",
    )


# What the card of an encoder must have at least.
CARD = '{"method": "m", "backbone": "b", "branch": "", "trained_on": {"count": 1}, "preprocess": {"size": 8}}'
