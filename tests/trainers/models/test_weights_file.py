"""Files of weights: what is read, and that nothing else is run or believed."""

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from featurestore.errors import ConfigError
from trainers.models.weights_file import describe_weights, read_weights

STATE = {"conv1.weight": torch.ones(2, 3), "conv1.bias": torch.zeros(2)}


class Attack:
    """A pickle that would make a folder when it is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize(
    "content",
    [STATE, {"state_dict": STATE, "epoch": 3}, {"teacher": {"model": STATE}, "student": {"a": torch.ones(1)}}, {"model": STATE, "args": None}, {**STATE, "version": 2}],
)  # fmt: skip
@pytest.mark.parametrize("old", [False, True])
def test_the_state_dict_is_found(content: dict[str, Any], old: bool, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.PTH", _use_new_zipfile_serialization=not old)
    found = read_weights(tmp_path / "w.PTH")
    assert found.keys() == STATE.keys()
    torch.testing.assert_close(found["conv1.weight"], STATE["conv1.weight"])


def test_safetensors_are_read_and_named(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "w.safetensors")
    assert read_weights(tmp_path / "w.safetensors").keys() == STATE.keys()
    name, sha256 = describe_weights(tmp_path / "w.safetensors").split()
    assert (name, len(sha256)) == ("w.safetensors", len("sha256:") + 16)


def truncated(path: Path) -> None:
    torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[:-100])


def truncated_safetensors(path: Path) -> None:
    save_file(STATE, path)
    path.write_bytes(path.read_bytes()[:-4])


def compressed(path: Path) -> None:
    torch.save(STATE, path)
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in parts.items():
            file.writestr(name, data)


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("w.pt", lambda p: p.write_text("\n<!DOCTYPE html><html></html>"), "a web page"),
        ("w.safetensors", lambda p: p.write_text("<html></html>"), "a web page"),
        ("w.pt", lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
        ("w.pt", lambda p: p.write_bytes(b""), "an empty one"),
        ("w.bin", lambda p: p.write_bytes(b"\x00\x01nonsense" * 20), "cannot be read"),
        ("w.pt", truncated, "cannot be read"),
        ("w.safetensors", truncated_safetensors, "cannot be read"),
        ("w.pt", compressed, "compressed"),
        ("w.pt", lambda p: torch.save([1, 2], p), "found list"),
        ("w.pt", lambda p: torch.save({"epoch": 1, "lr": 0.1}, p), "found the keys epoch, lr"),
        ("w.pt", lambda p: torch.save({"a": torch.ones(1).expand(10**9)}, p), "found the keys a"),
        ("w.pt", lambda p: None, "no such file"),
        ("w.pt", lambda p: p.mkdir(), "a folder"),
        ("w.pt", os.mkfifo, "a pipe"),
        ("w.ckpt", lambda p: torch.save(STATE, p), ".safetensors, .pth, .pt, .bin"),
    ],
)
def test_a_file_that_is_no_weights_is_a_named_error(name: str, write: Any, words: str, tmp_path: Path) -> None:
    write(tmp_path / name)
    with pytest.raises(ConfigError, match="expected") as caught:
        read_weights(tmp_path / name)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("how", ["torch", "old torch", "pickle"])
def test_no_code_in_a_file_is_run(how: str, tmp_path: Path) -> None:
    content = {"state_dict": STATE, "args": Attack(tmp_path / "made")}
    if how == "pickle":
        (tmp_path / "w.pt").write_bytes(pickle.dumps(content["args"], protocol=2))
    else:
        torch.save(content, tmp_path / "w.pt", _use_new_zipfile_serialization=how == "torch")
    with pytest.raises(ConfigError, match="could run code and was not run"):
        read_weights(tmp_path / "w.pt")
    assert not (tmp_path / "made").exists()
