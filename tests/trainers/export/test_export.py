"""Encoders from torch: checked against torch, one file, and mistakes named."""

import copy
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import timm
import torch
from click.testing import CliRunner
from torch import Tensor, nn

import trainers
from featurestore.cli import cli
from featurestore.encoders.card import Card
from featurestore.encoders.encoder import Encoder
from featurestore.encoders.write import check_pixels
from featurestore.errors import ConfigError, DiskError, EncoderError, ExportError
from featurestore.imaging.preprocess import Preprocess
from tests.trainers.export.onnx_networks import convolutional, pictures, preprocess_file, save
from trainers.export import torch_onnx as exporting
from trainers.export.torch_onnx import EncoderGraph, export
from trainers.models.backbones import Conv4, feature_dim, make_backbone

RECORD = Preprocess(size=16, shorter_side=16)


def card(backbone: nn.Module, record: Preprocess = RECORD) -> Card:
    return Card(record, feature_dim(backbone), "simclr", "conv4", "online", {"count": 3, "sha256": "ab"}, "cd", "0")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Conv4, Path]:
    """A network and its file, which tests do not change."""
    backbone = Conv4(width=4).eval()
    out = tmp_path_factory.mktemp("exported") / "new folder" / "encoder.onnx"
    return backbone, export(backbone, card(backbone), out)


@pytest.fixture
def traced(exported: tuple[Conv4, Path], monkeypatch: pytest.MonkeyPatch) -> Conv4:
    """The network, whose export takes its graph from the file instead of tracing it again, which takes longest."""
    backbone, path = exported
    model = onnx.load(path)
    del model.metadata_props[:]
    monkeypatch.setattr(exporting, "to_onnx", lambda *_: model)
    return backbone


def test_the_file_carries_its_card_and_says_what_torch_says(exported: tuple[Conv4, Path]) -> None:
    backbone, path = exported
    encoder = Encoder(path)
    assert encoder.card == card(backbone)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
    mean, std = torch.tensor(RECORD.mean), torch.tensor(RECORD.std)
    x = ((torch.from_numpy(pixels) / 255 - mean) / std).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = backbone(x).numpy()
    np.testing.assert_allclose(encoder.encode(pixels), expected, atol=1e-4)
    assert [p.name for p in path.parent.iterdir()] == ["encoder.onnx"]  # one file, weights inside
    record = json.loads(encoder.card.to_json())
    assert record["card_version"] == 1
    assert set(record["preprocess"]) == {"size", "shorter_side", "resize", "interpolation", "mean", "std"}
    assert str(path.parent) not in json.dumps(record)


def test_the_file_says_nothing_of_where_the_code_is(exported: tuple[Conv4, Path]) -> None:
    """Or it would have another fingerprint in every place of installation."""
    content = exported[1].read_bytes()
    for words in (str(Path(trainers.__file__).parents[1]), str(Path(torch.__file__).parents[1]), "stack_trace", ".py"):
        assert words.encode() not in content


def test_a_second_export_has_the_same_fingerprint_and_prints_nothing(
    exported: tuple[Conv4, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    backbone, path = exported
    again = export(backbone, card(backbone), tmp_path / "again.onnx")
    assert Encoder(again).fingerprint == Encoder(path).fingerprint
    assert capfd.readouterr().out == ""
    assert exporting.OPSET >= 18


@pytest.mark.parametrize(
    ("count", "factor", "batch"),
    [(7, 1.002, "a batch of 7"), (7, math.nan, "a batch of 7"), (1, 1.002, "batches of 1")],
)
def test_a_network_that_onnx_runs_differently_is_refused_and_leaves_nothing(
    traced: Conv4, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, factor: float, batch: str
) -> None:
    """In a batch or one by one: the vector of an image must not depend on the others."""

    def drifted(self: Encoder, pixels: np.ndarray) -> np.ndarray:
        return genuine(self, pixels) * np.float32(factor if len(pixels) == count else 1)

    genuine = Encoder.encode
    monkeypatch.setattr(Encoder, "encode", drifted)
    with pytest.raises(ExportError, match=f"disagrees with torch in {batch}"):
        export(traced, card(traced), tmp_path / "encoder.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(traced: Conv4, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="cannot be created"):
        export(traced, card(traced), tmp_path / "file" / "encoder.onnx")


def test_a_network_that_cannot_be_written_as_onnx_is_one_named_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise RuntimeError("no decomposition for aten::odd\n\nstack of the tracer")

    monkeypatch.setattr(torch.onnx, "export", refuse)
    backbone = Conv4(width=4).eval()
    with pytest.raises(ExportError, match=r"written as ONNX: no decomposition for aten::odd; nothing was written"):
        export(backbone, card(backbone), tmp_path / "encoder.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_compiled_network_is_checked_without_a_compiler(traced: Conv4, tmp_path: Path) -> None:
    def compiler(graph: object, inputs: object) -> None:
        raise RuntimeError("no C++ compiler on this machine")

    backbone = copy.deepcopy(traced)
    backbone.compile(backend=compiler)
    with pytest.raises(RuntimeError, match="no C\\+\\+ compiler"):
        backbone(torch.zeros(2, 3, 16, 16))
    assert export(backbone, card(backbone), tmp_path / "encoder.onnx").exists()


def test_check_images_are_awkward_and_all_different() -> None:
    pixels = check_pixels(RECORD)
    assert pixels.shape == (7, 16, 16, 3)
    assert len({image.tobytes() for image in pixels}) == 7


def test_normalisation_inside_the_graph_is_the_records() -> None:
    record = Preprocess(size=2, shorter_side=2, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    graph = EncoderGraph(nn.Flatten(), record)
    out = graph(torch.full((1, 2, 2, 3), 51, dtype=torch.uint8)).view(3, 4)
    expected = torch.tensor([(0.2 - 0.1) / 0.4, (0.2 - 0.2) / 0.5, (0.2 - 0.3) / 0.6])
    torch.testing.assert_close(out, expected[:, None].expand(3, 4), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("name", "size", "patch"),
    [
        pytest.param("vit_tiny_patch16_224", 16, 4, marks=pytest.mark.slow),
        pytest.param("resnet18", 32, None, marks=pytest.mark.slow),
        pytest.param("resnet18", 96, None, marks=pytest.mark.slow),
        pytest.param("convnext_atto", 32, None, marks=pytest.mark.slow),
    ],
)
def test_backbones_of_all_kinds_pass_their_own_check(name: str, size: int, patch: int | None, tmp_path: Path) -> None:
    backbone = make_backbone(name, size, patch)[0].eval()
    encoder = Encoder(export(backbone, card(backbone, Preprocess(size, size)), tmp_path / "encoder.onnx"))
    assert encoder.encode(np.zeros((3, size, size, 3), np.uint8)).shape == (3, feature_dim(backbone))


@pytest.mark.slow
def test_a_vits_places_are_stored_at_a_fixed_size(tmp_path: Path) -> None:
    """Made anew in the graph they would need an antialiased bicubic resize, which onnxruntime does otherwise or not at all."""
    backbone = make_backbone("vit_tiny_patch16_224", 32, 8)[0].eval()
    graph = onnx.load(export(backbone, card(backbone, Preprocess(32, 32)), tmp_path / "encoder.onnx")).graph
    assert not {"Resize", "Upsample", "GridSample"} & {node.op_type for node in graph.node}
    assert [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim][1:] == [32, 32, 3]
    places = backbone.get_parameter("pos_embed").detach().numpy()
    assert any(
        places.shape == tuple(t.dims) and np.array_equal(onnx.numpy_helper.to_array(t), places)
        for t in graph.initializer
    )


@pytest.mark.slow
@pytest.mark.parametrize("registers", [0, 3])
def test_attention_is_a_second_output_and_changes_no_vector(
    registers: int, exported: tuple[Conv4, Path], tmp_path: Path
) -> None:
    """The attention to patches, not to registers."""
    backbone: Any = make_backbone("test_vit", 16, 4, registers=registers)[0].eval()
    backbone.blocks = backbone.blocks[:2]  # of six; each takes its time to trace
    encoder = Encoder(export(backbone, card(backbone), tmp_path / "encoder.onnx", attention=True))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    maps = encoder.attention(pixels)
    assert maps.shape == (2, 2, 4, 4)

    seen: list[Tensor] = []
    attention: Any = backbone.get_submodule("blocks.1.attn")
    attention.fused_attn = False
    attention.get_submodule("attn_drop").register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad():
        vectors = EncoderGraph(backbone, RECORD)(torch.from_numpy(pixels))
    np.testing.assert_allclose(encoder.encode(pixels), vectors.numpy(), atol=1e-4)
    np.testing.assert_allclose(maps, seen[0][:, :, 0, 1 + registers :].reshape(2, 2, 4, 4).numpy(), atol=1e-4)
    with pytest.raises(EncoderError, match="no attention"):
        Encoder(exported[1]).attention(pixels)


def test_attention_of_a_network_without_a_class_token_is_refused(tmp_path: Path) -> None:
    vit = timm.create_model("test_vit", num_classes=0, img_size=16, class_token=False, global_pool="avg").eval()
    for backbone in (vit, Conv4(width=4).eval()):
        with pytest.raises(ConfigError, match="expected a ViT with a class token"):
            export(backbone, card(backbone), tmp_path / "encoder.onnx", attention=True)


# -- the command


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--int8"], "--int8 needs --calibrate SOURCE"),
        (["run", "--calibrate", "photos"], "--calibrate and --force belong to --int8"),
        (["run", "--bands", "4,3,2"], "--bands belongs to a published model, an ONNX file or pixels:SIZE"),
        (["pixels:4", "--bands", "4,3"], "expected three or one, counted from 1"),
        (["run", "--preprocess", "p.toml"], "--preprocess belongs to a FILE.onnx"),
        (["run", "--no-pretrained"], "--no-pretrained belongs to timm:NAME or torchvision:NAME"),
        (["other.onnx", "--preprocess", "p.toml", "--attention"], "--attention belongs to a run or a timm:NAME"),
        (["torchvision:vit_b_16", "--attention"], "--attention belongs to a run or a timm:NAME"),
        (["pixels:8", "--int8"], "pixels:SIZE has no weights"),
        (["pixels:8", "--force"], "--calibrate and --force belong to --int8"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(cli, ["export", *arguments, "--out", "e.onnx"])
    assert result.exit_code == 2
    assert message in result.output
    assert not Path("e.onnx").exists()


def test_int8_is_reported_in_words_and_as_json(tmp_path: Path) -> None:
    other, given = save(convolutional(), tmp_path / "other.onnx"), preprocess_file(tmp_path / "p.toml")
    out, source = tmp_path / "int8.onnx", pictures(tmp_path / "pictures", 50)
    command = ["export", str(other), "--preprocess", str(given), "--int8", "--calibrate", str(source), "--force", "--out", str(out)]  # fmt: skip
    found = json.loads(CliRunner().invoke(cli, [*command, "--json"]).stdout)
    assert {key: type(value) for key, value in found.items()} == {"encoder": str, "agreement": float, "mean_cosine": float, "images": int}  # fmt: skip
    assert (found["encoder"], found["images"]) == (str(out), 50)
    text = CliRunner().invoke(cli, command).stdout
    assert text == (
        f"{out}  (int8: the nearest image is that of float32 for {found['agreement']:.3f} of 50 images, "
        f"mean cosine {found['mean_cosine']:.4f})\n"
    )


WITHOUT_TORCH = """
import importlib.abc, json, sys
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "timm", "torchvision", "lightning_fabric", "sklearn", "onnxscript"}:
            raise ModuleNotFoundError(f"{name} is not installed here", name=name)
sys.meta_path.insert(0, Blocker())
from featurestore.cli import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["featurestore", *words]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, ended.code
"""


def test_networks_from_elsewhere_int8_and_pixels_need_no_torch(tmp_path: Path) -> None:
    other, given = save(convolutional(), tmp_path / "other.onnx"), preprocess_file(tmp_path / "p.toml")
    source = str(pictures(tmp_path / "pictures", 50))
    outs = [str(tmp_path / f"{number}.onnx") for number in range(3)]
    foreign = ["export", str(other), "--preprocess", str(given)]
    commands = [
        [*foreign, "--out", outs[0]],
        [*foreign, "--int8", "--calibrate", source, "--force", "--out", outs[1]],
        ["export", "pixels:4", "--calibrate", source, "--out", outs[2]],
    ]
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, json.dumps(commands)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    branches = [Encoder(out).card.branch for out in outs]
    assert branches == ["vector", "vector, int8", "less the mean image"]
