"""Text files of users as UTF-8, whatever program wrote them: plain or compressed, in UTF-8, UTF-16 or cp1252."""

import codecs
import re
from pathlib import Path

import pyarrow as pa

from featurestore.sources.unpacking import too_large

BLOCK_BYTES = 8 << 20  # read at a time
BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
WESTERN = "cp1252"  # what Windows and Excel write in Western Europe and America
PACKED = (".gz", ".bz2", ".zst", ".lz4")  # unpacked while reading


def open_bytes(path: Path) -> pa.NativeFile:
    """Open a file, unpacked when its suffix says that it is compressed."""
    return pa.input_stream(str(path), compression="detect")


def open_text(path: Path, encoding: str) -> pa.NativeFile:
    """Open a text file as UTF-8 without a mark at its start."""
    file = open_bytes(path)
    return file if encoding == "utf-8" else pa.transcoding_input_stream(file, encoding, "utf-8")


def unpacked_suffix(path: Path) -> str:
    """Return the suffix in lower case, without that of the compression: ".csv" of labels.CSV.gz."""
    name = path.name.lower()
    return Path(name.removesuffix(Path(name).suffix)).suffix if name.endswith(PACKED) else Path(name).suffix


def detect_encoding(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the encoding of a whole file, and what to tell about it. Raises ValueError when it is neither of those that are read.

    A file without a mark is UTF-8. If it is not valid UTF-8 it is cp1252, which is told: the text may be of another encoding.
    """
    with open_bytes(path) as file:
        head = file.read(max(map(len, BOMS)))
    marked = next((encoding for mark, encoding in BOMS.items() if head.startswith(mark)), None)
    encoding = marked or "utf-8"
    wrong = _undecodable(path, encoding)
    if wrong is None:
        return encoding, ()
    if marked or _undecodable(path, WESTERN) is not None:
        raise ValueError(f"its text is neither UTF-8 nor {WESTERN}; save it as UTF-8")
    return WESTERN, (f"its text is not UTF-8; read as {WESTERN}, for example {_word_at(wrong)!r}",)


def _undecodable(path: Path, encoding: str) -> UnicodeDecodeError | None:
    """Return the first error of decoding a whole file. Raises ValueError for one that unpacks to far more than tables do."""
    decoder = codecs.getincrementaldecoder(encoding)()
    packed, unpacked = path.stat().st_size, 0
    with open_bytes(path) as file:
        try:
            while block := file.read(BLOCK_BYTES):
                unpacked += len(block)
                if found := too_large(packed, unpacked):
                    raise ValueError(found)
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            return error
    return None


def _word_at(error: UnicodeDecodeError) -> str:
    """Return the word in which the first byte stands that is not UTF-8, read as cp1252."""
    near = error.object[max(0, error.start - 20) : error.start + 20]
    before, after = near[: min(error.start, 20)], near[min(error.start, 20) :]
    words = re.compile(rb"[\s,;|\"/]")
    return (words.split(before)[-1] + words.split(after)[0]).decode(WESTERN, "replace")
