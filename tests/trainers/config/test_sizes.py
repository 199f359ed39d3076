"""Sizes by the images, without a number of minutes."""

from typing import Any

import pytest

from featurestore.sources import ImageFile
from trainers.config import sizes
from trainers.config.sizes import by_images

FILES = [ImageFile(f"{number}.png", None, None, 1, 0) for number in range(9)]


@pytest.mark.parametrize(
    ("side", "given", "device", "expected"),
    [
        (20, {}, "cpu", {"image_size": 32, "view_size": 32}),
        (48, {}, "cpu", {"image_size": 32, "view_size": 32}),
        (3000, {}, "cpu", {"image_size": 64, "view_size": 48}),  # a processor
        (3000, {}, "cuda", {"image_size": 224, "view_size": 168}),
        (200, {}, "cuda", {"image_size": 128, "view_size": 96}),
        (3000, {"backbone": "resnet18"}, "cpu", {"image_size": 224}),  # which was asked for
        (100, {"method": "mae"}, "cpu", {"image_size": 64}),  # its ViT has patches that fit
        (100, {"view_size": 24}, "cpu", {"image_size": 64}),
        (100, {"image_size": 96}, "cpu", {}),
        (100, {"minutes": 5}, "cpu", {}),
        (100, {"init": "timm"}, "cpu", {}),
        (100, {"recipe": "none"}, "cpu", {}),
    ],
)
def test_the_largest_size_that_does_not_enlarge_the_images(
    side: int, given: dict[str, Any], device: str, expected: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizes, "usual_side", lambda files: side)
    assert by_images(FILES, given, device) == expected
