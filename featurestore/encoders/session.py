"""The bytes of an encoder file, and the onnxruntime session that runs them. The only import of onnxruntime."""

import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featurestore.encoders import limits
from featurestore.encoders.onnx_check import check_whole
from featurestore.errors import EncoderError
from featurestore.system.text import first_line

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

MAX_BYTES = 2 << 30  # of an encoder file: protobuf writes no larger message

COPIES = 4  # of the weights, at most, while a network is opened
NO_MEMORY = "Available memory of"  # in onnxruntime's error when the memory that is allowed is used up

PROVIDERS = {  # what can run an encoder: its name in onnxruntime, and the package to install
    "cpu": ("CPUExecutionProvider", "onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu in place of onnxruntime"),
    "coreml": ("CoreMLExecutionProvider", "onnxruntime on macOS"),
    "openvino": ("OpenVINOExecutionProvider", "onnxruntime-openvino in place of onnxruntime"),
}


def read_encoder_file(path: str | Path) -> bytes:
    """Read an encoder file whole. Raises EncoderError when it is missing, too large, or not a regular file."""
    try:
        found = Path(path).stat()
        if stat.S_ISREG(found.st_mode) and found.st_size <= MAX_BYTES:
            return Path(path).read_bytes()
    except OSError as error:
        raise EncoderError(
            f"encoder {str(path)!r}: expected an ONNX file, found: {error.strerror}; check the path"
        ) from error
    if stat.S_ISDIR(found.st_mode):
        what = "a folder" if (Path(path) / "encoder.onnx").exists() else "a folder without encoder.onnx"
    else:
        what = (
            f"{found.st_size:,} bytes, more than {MAX_BYTES:,}" if stat.S_ISREG(found.st_mode) else "not a regular file"
        )
    raise EncoderError(f"encoder {str(path)!r}: expected an ONNX file, found: {what}; check the path")


def open_session(path: str | Path, data: bytes, threads: int, provider: str) -> "InferenceSession":
    """Open the bytes of an encoder file on one provider, without fallback. Raises EncoderError, also when it takes too much."""
    import onnxruntime  # slow to import, and most commands do without

    onnxruntime.set_default_logger_severity(4)  # what it would print about a damaged file is in the error it raises
    name = _provider_name(provider)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads  # its default counts all processors, not those this process may use
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the decoding threads need the cores
    options.add_session_config_entry("session.load_model_format", "ONNX")  # ORT's own format would not be checked
    if limits.are_on():
        _limit_memory()
        options.add_session_config_entry("session.use_env_allocators", "1")

    def opened() -> Any:
        with runnable(path):
            check_whole(data)
            return onnxruntime.InferenceSession(data, options, providers=[name], enable_fallback=0)

    cancel = lambda: options.set_load_cancellation_flag(True)  # noqa: E731
    growth = limits.most_bytes() + COPIES * len(data)
    session = limits.limited(opened, cancel, path, limits.OPEN_SECONDS, growth)
    session._model_bytes = None  # it keeps a copy, as large as the weights, for the fallback that is off
    if session.get_providers()[0] != name:
        raise EncoderError(
            f"provider {provider!r}: expected onnxruntime to run the encoder with {name}, it chose {session.get_providers()[0]}; "
            "a driver or library that it needs is missing: install it, or choose another provider"
        )
    return session


def run(
    session: "InferenceSession", outputs: Sequence[str], pixels: NDArray[np.uint8], path: str | Path
) -> list[NDArray[Any]]:
    """Run a network on its only input, (B, …), and give some of its outputs. Raises EncoderError, also when it takes too much."""
    import onnxruntime

    options = onnxruntime.RunOptions()

    def outcome() -> list[NDArray[Any]]:
        with runnable(path):
            found: list[NDArray[Any]] = session.run(list(outputs), {session.get_inputs()[0].name: pixels}, options)
            return found

    def stop() -> None:
        options.terminate = True

    try:
        return limits.limited(outcome, stop, path, limits.IMAGE_SECONDS * max(1, len(pixels)))
    except EncoderError as error:
        if NO_MEMORY in str(error.__cause__):
            raise limits.took_memory(path, None) from error
        raise


@cache
def _limit_memory() -> None:
    """Make the memory that all networks of this process share: onnxruntime takes it as they need it, up to the limit."""
    import onnxruntime as ort

    place = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    with suppress(RuntimeError):  # the program has made such memory already
        ort.create_and_register_allocator(place, ort.OrtArenaCfg({"max_mem": limits.most_bytes()}))


def _provider_name(provider: str) -> str:
    """Return onnxruntime's name of a provider. Raises EncoderError when it is unknown or not available."""
    if provider not in PROVIDERS:
        raise EncoderError(f"provider {provider!r}: expected one of {', '.join(PROVIDERS)}")
    import onnxruntime

    name, package = PROVIDERS[provider]
    available = onnxruntime.get_available_providers()
    if name not in available:
        raise EncoderError(
            f"provider {provider!r}: expected an onnxruntime with {name}, found one with {', '.join(available)}; install {package}, or choose another provider"
        )
    return name


@contextmanager
def runnable(path: str | Path) -> Iterator[None]:
    """Turn whatever onnxruntime raises into EncoderError: it has a class of its own for every kind of damage."""
    try:
        yield
    except Exception as error:
        raise EncoderError(
            f"encoder {str(path)!r}: expected an ONNX file that onnxruntime can run; found: {first_line(error)}"
        ) from error
