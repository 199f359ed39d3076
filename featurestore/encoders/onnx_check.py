"""Check, without the onnx package, that an ONNX file is whole and refers to no other file, which its fingerprint would not cover."""

from collections.abc import Iterator

from featurestore.errors import EncoderError

# By message: the fields that hold messages, and which message (onnx.proto3 of the ONNX project).
MESSAGES = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
OP_TYPE = 4  # of a node
EXTERNAL_DATA, DATA_LOCATION = 13, 14  # of a tensor
DAMAGED = "not ONNX, or a file that was cut off or damaged"
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # kinds of fields on the wire
DEEPEST = 100  # nested messages; protobuf reads no more


def check_whole(data: bytes) -> None:
    """Raise EncoderError when an ONNX file is cut off, or refers to a second file with weights or a compiled graph."""
    _check(data, "model", 0, len(data), 0)


def _check(data: bytes, message: str, start: int, end: int, depth: int) -> None:
    if depth > DEEPEST:
        raise EncoderError(DAMAGED)
    for number, kind, value, stop in _fields(data, start, end):
        if message == "tensor" and (number == EXTERNAL_DATA or (number == DATA_LOCATION and value != 0)):
            raise EncoderError("weights in a second file, which the fingerprint would not cover")
        if message == "node" and number == OP_TYPE and data[value:stop] == b"EPContext":
            raise EncoderError("a graph compiled for one machine, which may be in a second file")
        if kind == BYTES and number in MESSAGES[message]:
            _check(data, MESSAGES[message][number], value, stop, depth + 1)


def _fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield for each field between two positions: number, kind, value or start, and end."""
    while start < end:
        tag, start = _varint(data, start, end)
        if tag >> 32:
            raise EncoderError(DAMAGED)  # protobuf would drop these bits, and read a field that was not checked
        number, kind, value = tag >> 3, tag & 7, start
        if kind == VARINT:
            value, start = _varint(data, start, end)
        elif kind == BYTES:
            length, value = _varint(data, start, end)
            start = value + length
        elif kind in (FIXED64, FIXED32):
            start += 8 if kind == FIXED64 else 4
        else:
            raise EncoderError(DAMAGED)
        if number == 0 or start > end:
            raise EncoderError(DAMAGED)
        yield number, kind, value, start


def _varint(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Read a number of seven bits per byte; returns it and the position behind it."""
    if start < end and data[start] < 0x80:
        return data[start], start + 1  # nearly all of them
    value = 0
    for place in range(start, min(end, start + 10)):
        value |= (data[place] & 0x7F) << 7 * (place - start)
        if data[place] < 0x80:
            return value, place + 1
    raise EncoderError(DAMAGED)
