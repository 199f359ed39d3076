"""Whether an image is ordinary: its form alone bounds the time and the memory of its decoder.

The form is read from the bytes, without a decoder, in microseconds. What is not ordinary may still be a good image. It is decoded in a
process that can be ended; see `children`.
"""

from collections.abc import Callable

from featurestore.imaging import forms, tiff_form

MOST_BYTES = 1 << 30  # of memory

# What the bytes begin with, and what tells how much memory such an image needs; None for a form that bounds nothing.
FORMS: tuple[tuple[bytes, Callable[[bytes, int | None], int | None]], ...] = (
    (b"\xff\xd8\xff", forms.jpeg),
    (b"\x89PNG\r\n\x1a\n", forms.png),
    (b"GIF8", forms.gif),
    (b"BM", forms.bmp),
    (b"RIFF", forms.webp),
    (b"II*\0", tiff_form.tiff),
    (b"MM\0*", tiff_form.tiff),
    (b"P", forms.pnm),
)
# What images of other formats begin with. Their form bounds neither time nor memory, so they are never ordinary.
OTHERS = (
    b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51", b"\0\0\1\0", b"DDS ", b"qoif", b"8BPS", b"\xff\x0a", b"\0\0\0\x0cJXL ", b"IIRO", b"IIRS", b"MMOR",
    b"IIU\0", b"FUJIFILMCCD-RAW", b"II+\0", b"MM\0+", *(bytes([size, 0, 0, 0]) for size in forms.BMP_HEADERS),
)  # fmt: skip


def memory_of(data: bytes, shorter_side: int | None = None) -> int | None:
    """Return how many bytes of memory an ordinary image needs at most while it is decoded; None for one that is not ordinary.

    shorter_side: as for `decode`. What no decoder takes for an image needs nothing, and is ordinary: it is refused at once.
    """
    form = next((form for head, form in FORMS if data.startswith(head)), forms.tga)
    if form is forms.tga and (data.startswith(OTHERS) or data[4:8] == b"ftyp"):
        return None
    need = form(data, shorter_side)
    return need if need is not None and need <= MOST_BYTES else None
