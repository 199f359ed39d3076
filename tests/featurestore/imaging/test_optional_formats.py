"""Files of formats whose package is missing say so; those whose package is there are opened by it."""

import importlib
import struct
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from featurestore.errors import ImageError
from featurestore.imaging import decode, optional_formats
from tests.featurestore.imaging.image_bytes import quadrants, saved, tiff, tiff_tags

HEIC = struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic"
GENERAL = struct.pack(">I", 24) + b"ftypmif1\0\0\0\0mif1heic"
AVIF = struct.pack(">I", 24) + b"ftypmif1\0\0\0\0mif1avif"
DNG = tiff({**tiff_tags(4, 4), 50706: (1,)}, bytes(48))
WITH_PREVIEW = tiff({**tiff_tags(4, 4), 254: (1,), 271: (0,), 330: (8,)}, bytes(48))


@pytest.mark.parametrize(
    ("data", "extra"),
    [(HEIC, "heic"), (GENERAL, "heic"), (AVIF, None), (b"\xff\x0a" + bytes(9), "jxl"), (b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"), (saved(quadrants(), "jpeg"), None)],
)  # fmt: skip
def test_a_format_is_known_by_its_first_bytes(data: bytes, extra: str | None) -> None:
    assert optional_formats.extra_of(data) == extra


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (HEIC, r"^HEIC: needs the package pi-heif: pip install 'featurestore\[heic\]'$"),
        (b"\xff\x0a" + bytes(9), r"^JPEG XL: needs the package pillow-jxl-plugin: .*\[jxl\]'$"),
        (DNG, r"^camera RAW: needs the package rawpy: pip install 'featurestore\[raw\]'$"),
        (WITH_PREVIEW, "^camera RAW: "),
        (b"II*\0\x10\0\0\0CR\x02\0", "^camera RAW: "),
        (b"FUJIFILMCCD-RAW 0201", "^camera RAW: "),
    ],
)
def test_a_missing_package_is_named(data: bytes, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optional_formats, "decoder", lambda extra: None)
    optional_formats.register.cache_clear()
    for read in (decode.decode, decode.size_of):
        with pytest.raises(ImageError, match=reason):
            read(data)


def test_an_ordinary_tiff_of_a_camera_is_not_raw() -> None:
    data = tiff({**tiff_tags(4, 4), 271: (0,)}, bytes(48))
    assert decode.decode(data).image.size == (4, 4)


class Raw:
    """What rawpy gives: a sensor of 40 x 20 pixels, held upright."""

    sizes = SimpleNamespace(width=40, height=20, flip=6)

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *error: object) -> None: ...

    def postprocess(self, use_camera_wb: bool, half_size: bool) -> object:
        assert use_camera_wb
        return np.zeros((20, 10, 3) if half_size else (40, 20, 3), np.uint8)


@pytest.mark.parametrize(("shorter_side", "size"), [(None, (20, 40)), (11, (20, 40)), (10, (10, 20))])
def test_a_raw_file_is_developed_at_half_its_size_where_that_suffices(
    shorter_side: int | None, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", SimpleNamespace(imread=lambda file: Raw()))
    monkeypatch.setattr(optional_formats, "decoder", lambda extra: "rawpy")
    decoded = decode.decode(DNG, shorter_side)
    assert (decoded.image.size, decoded.width, decoded.height) == (size, 20, 40)
    assert decode.size_of(DNG) == (40, 20)


def test_a_registered_plugin_opens_its_format(monkeypatch: pytest.MonkeyPatch) -> None:
    registered = []
    plugin = SimpleNamespace(register_heif_opener=lambda: registered.append(True))
    monkeypatch.setattr(optional_formats, "decoder", lambda extra: "pi_heif")
    monkeypatch.setattr(importlib, "import_module", lambda name: plugin)
    optional_formats.register.cache_clear()
    for _ in range(2):
        with pytest.raises(ImageError):
            decode.decode(HEIC)  # nothing in it
    assert registered == [True]
    optional_formats.register.cache_clear()
