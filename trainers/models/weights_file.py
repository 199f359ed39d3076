"""Files of weights from elsewhere: safetensors, or torch's own format, of which only tensors and plain values are read."""

import hashlib
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, is_zipfile

import torch
from safetensors.torch import load_file
from torch import Tensor

from featurestore.errors import ConfigError
from featurestore.system.text import describe_error, first_line
from featurestore.system.user_file import refuse_pipe
from trainers.training.checkpoint import check_parts

SAFETENSORS, TORCH = ".safetensors", (".pth", ".pt", ".bin")
SUFFIXES = (SAFETENSORS, *TORCH)
# Where checkpoints of training programs keep the weights; the averaged ones come first, which are the better ones.
PLACES = ("state_dict_ema", "model_ema", "ema", "teacher", "state_dict", "model_state_dict", "model", "network", "net", "module", "backbone", "encoder", "student")  # fmt: skip
NO_WEIGHTS = {
    b"version https://git-lfs": "the pointer of Git LFS to a file; fetch the file itself by git lfs pull",
    b"<": "a web page; download the file itself",
}


def is_weights_file(name: str) -> bool:
    """Whether a name is that of a file of weights, by its suffix."""
    return name.lower().endswith(SUFFIXES)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file by name, from the state dict in it; no code in it is run. Raises ConfigError."""
    if not is_weights_file(path.name):
        raise ConfigError(f"{path}: expected a file of weights with one of the suffixes {', '.join(SUFFIXES)}")
    try:
        refuse_pipe(path)
        _check_start(path)
        content = _read(path)
    except ConfigError:
        raise
    except OSError as error:
        raise ConfigError(f"{path}: expected a file of weights; {describe_error(error)}; check the path") from error
    except Exception as error:  # of the unpickler, of safetensors, or of torch
        raise ConfigError(f"{path}: expected a file of weights, found {_describe(error)}") from error
    return _tensors(content, path)


def describe_weights(path: Path) -> str:
    """Name a file in a card: its name without folders, and the start of its SHA-256. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"{path}: expected a file of weights; {describe_error(error)}; check the path") from error
    name = "".join(letter for letter in path.name if letter.isprintable())[:100]
    return f"{name} sha256:{digest[:16]}"


def _check_start(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(64).lstrip()
    if not start:
        raise ConfigError(f"{path}: expected a file of weights, found an empty one; download it again")
    for mark, found in NO_WEIGHTS.items():
        if start.startswith(mark):
            raise ConfigError(f"{path}: expected a file of weights, found {found}")


def _read(path: Path) -> Any:
    if path.suffix.lower() == SAFETENSORS:
        return load_file(path)
    if is_zipfile(path):
        with ZipFile(path) as file:
            check_parts(file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about its own old formats
        return torch.load(path, map_location="cpu", weights_only=True)


def _describe(error: Exception) -> str:
    """Say what was found in place of weights, and what to do."""
    text = str(error)
    if re.search("unsupported (global|class)", text, re.IGNORECASE):
        return "a pickle with more than tensors, which could run code and was not run; where you trust it, save its state_dict() as .safetensors"
    if "TorchScript" in text:
        return "a TorchScript program; save its state_dict() as .safetensors"
    if isinstance(error, BadZipFile):
        return f"a damaged one ({first_line(error)}); download it again"
    reason = (
        type(error).__name__ if "weights_only" in text else first_line(error)
    )  # torch advises to run what is in the file
    return f"one that cannot be read ({reason}); it may be cut off: download it again"


def _is_plain(value: object) -> bool:
    """Whether a value is a tensor of numbers that the file has in full: a small file can claim huge ones that repeat one number."""
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.device.type != "cpu":
        return False
    usual = not value.is_quantized and not value.is_complex()
    return usual and value.untyped_storage().nbytes() >= value.numel() * value.element_size()


def _tensors(content: Any, path: Path) -> dict[str, Tensor]:
    """Find the state dict: the whole content, or what stands in one of PLACES, also one within another."""
    if isinstance(content, Mapping):
        if tensors := {str(k): v for k, v in content.items() if _is_plain(v)}:
            return tensors
        for place in PLACES:
            if isinstance(content.get(place), Mapping):
                return _tensors(content[place], path)
    keys = ", ".join(str(key)[:40] for key in list(content)[:5]) if isinstance(content, Mapping) else ""
    raise ConfigError(
        f"{path}: expected tensors by name, or these under a key such as state_dict, found {f'the keys {keys}' if keys else type(content).__name__}; "
        "save the state_dict() of the network"
    )
