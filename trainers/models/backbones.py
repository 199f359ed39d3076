"""Backbones: timm's by name, adapted to the image size, and one small network of our own for small images."""

import difflib
from collections.abc import Sequence
from functools import cache
from itertools import groupby, pairwise
from typing import Any

import timm
import torch
from timm.models.resnet import ResNet
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from featurestore.errors import ConfigError
from featurestore.system.text import first_line
from trainers.runtime.quiet import quiet

FETCH_HINT = "run the command once with access to the network, or give a file of weights by --init FILE"
LAST_BLOCK = 3  # layers of conv4: convolution, norm, pooling
CIFAR_STEM_UP_TO = 64  # pixels; He et al. 2016, section 4.2, use a 3x3 stride-1 stem without pooling on 32 px images


class Conv4(nn.Module):
    """Four blocks of a 3x3 convolution and a pooling by two, then the mean over positions: (B, 3, H, W) to (B, 8 * width).

    The classic small network of few-shot learning (Vinyals et al. 2016, section 4.1), but with twice the channels in each block.
    At 16 px the last map is one pixel, so that the mean loses no layout. The last block has no ReLU, so that the vectors are centred at zero and use the whole sphere.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        channels = [3, width, 2 * width, 4 * width, 8 * width]
        self.num_features = channels[-1]
        layers: list[nn.Module] = []
        for before, after in pairwise(channels):
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
            layers += [nn.MaxPool2d(2)]
        del layers[-2]  # the last ReLU
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.maps(x)[-1].mean(dim=(2, 3))

    def maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Give the map after the last block but one, (B, 4 * width, H/8, W/8), and the one after the last, half as large."""
        earlier = self.layers[:-LAST_BLOCK](x)
        return earlier, self.layers[-LAST_BLOCK:](earlier)


OWN = {"conv4": Conv4}
# Modules of timm with transformers whose names need not have "vit" in them.
TRANSFORMERS = {
    "beit", "cait", "coat", "deit", "eva", "hiera", "nest", "pit", "pvt_v2", "swin_transformer", "swin_transformer_v2",
    "swin_transformer_v2_cr", "tnt", "twins", "visformer", "vision_transformer", "volo", "xcit",
}  # fmt: skip
CONV4_SMALLEST = 16  # pixels; four poolings by two leave one


@cache
def has_depthwise(name: str) -> bool:
    """Whether a network of timm has convolutions of single channels, such as EfficientNet and MobileNet; False for a name it does not know."""
    if name in OWN or not timm.is_model(name):
        return False
    with torch.device("meta"):
        network = timm.create_model(name)
    return any(isinstance(part, nn.Conv2d) and part.groups == part.in_channels > 1 for part in network.modules())


def make_backbone(
    name: str,
    image_size: int,
    patch_size: int | None = None,
    drop_path: float = 0.0,
    pretrained: bool = False,
    published_stem: bool = False,
    registers: int = 0,
) -> tuple[nn.Module, list[str]]:
    """Build a backbone; returns it and what was adapted, as lines for the log.

    Its `num_features` is the dimension D of its output (B, D). pretrained: with timm's published weights; these, and `published_stem`, leave
    the first layers as they were published, at any image size. registers: of a ViT; 0 leaves those that it has by its name. Raises ConfigError for a name that neither timm nor this file
    knows, for an image size that does not fit the backbone, and for options it does not have.
    """
    if name in OWN:
        if patch_size is not None or pretrained or registers:
            raise ConfigError(
                f"{name} has no patches, no registers and no published weights; leave out --patch-size, registers and --init timm"
            )
        if image_size < CONV4_SMALLEST:
            raise ConfigError(
                f"image size {image_size}: {name} needs at least {CONV4_SMALLEST} pixels; choose a larger --image-size"
            )
        ignored = f"{name} has no residual branches: drop_path {drop_path:g} has no effect"
        return OWN[name](), [ignored] if drop_path else []
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, [*OWN, *timm.list_models()], n=1)
        hint = f"did you mean {near[0]}?" if near else "such as resnet18"
        raise ConfigError(f"backbone {name!r}: expected {' or '.join(OWN)}, or a name that timm knows; {hint}")
    is_vit = timm.models.is_model_in_modules(name, {"vision_transformer"})
    if patch_size is not None and not is_vit:
        raise ConfigError(f"backbone {name!r} has no patches; leave out --patch-size, or choose a vit")
    if registers and not is_vit:
        raise ConfigError(f"backbone {name!r} has no registers; leave out registers, or choose a vit")
    if registers and pretrained:
        raise ConfigError(
            f"--init timm: the published weights of {name} are for the registers that it has; leave out registers, or choose a backbone with some, "
            "such as vit_small_patch14_reg4_dinov2"
        )
    options: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
    if is_vit:
        options |= {"img_size": image_size, "dynamic_img_size": True}
        if patch_size is not None:
            options["patch_size"] = patch_size
        if registers:
            options["reg_tokens"] = registers
    if pretrained and not timm.models.is_model_pretrained(name):
        raise ConfigError(
            f"--init timm: {name} has no published weights; choose one of timm.list_models(pretrained=True)"
        )
    try:
        backbone: Any = _create(name, pretrained, options)
        notes = _fit_stem(backbone, image_size, pretrained or published_stem)
        backbone.num_features = try_size(backbone, image_size)  # timm's own number is wrong for some
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"backbone {name!r} cannot be built for images of {image_size} px: {error}; choose another --image-size, --patch-size or --backbone"
        ) from error
    return backbone, notes


def is_transformer(name: str) -> bool:
    """Whether a backbone is a transformer by its name: every ViT, and its relatives such as DeiT and Swin."""
    return "vit" in name or timm.models.is_model_in_modules(name, TRANSFORMERS)


def _create(name: str, pretrained: bool, options: dict[str, Any]) -> Any:
    if not pretrained:
        return timm.create_model(name, num_classes=0, **options)
    try:
        with quiet("huggingface_hub"):  # it warns about every attempt
            return timm.create_model(name, pretrained=True, num_classes=0, **options)
    except Exception as error:  # from the hub, its cache, the network, or a truncated file
        raise ConfigError(
            f"--init timm: the published weights of {name} cannot be fetched ({first_line(error)}); {FETCH_HINT}"
        ) from error


def _fit_stem(backbone: nn.Module, image_size: int, published: bool) -> list[str]:
    if image_size > CIFAR_STEM_UP_TO or not isinstance(backbone, ResNet):
        return []
    if published:
        return [
            f"the published first layers stay, though images are {image_size} px: they shrink these by four; a larger --image-size suits them better"
        ]
    channels = backbone.get_parameter("layer1.0.conv1.weight").shape[1]
    backbone.register_module("conv1", nn.Conv2d(3, channels, 3, padding=1, bias=False))
    backbone.register_module("maxpool", nn.Identity())
    return [
        f"CIFAR stem: 3x3 first convolution with stride 1, no max-pool, because images are {image_size} px (<= {CIFAR_STEM_UP_TO})"
    ]


@torch.no_grad()
def try_size(backbone: nn.Module, size: int) -> int:
    """Run the backbone once on a black image and give D, the width of its output; lets through whatever the backbone raises."""
    training = backbone.training
    backbone.eval()
    device = next(backbone.parameters()).device
    _, width = backbone(torch.zeros(1, 3, size, size, device=device)).shape
    backbone.train(training)
    return int(width)


def feature_dim(backbone: nn.Module) -> int:
    """Give D, the length of a backbone's output."""
    return int(str(backbone.num_features))


def encode_crops(backbone: nn.Module, views: Sequence[Tensor]) -> Tensor:
    """Encode views of several sizes, one batch for each run of equal sizes: V tensors (B, 3, H, W) to (V B, D)."""
    runs = groupby(views, key=lambda view: view.shape[-1])
    return torch.cat([backbone(torch.cat(list(run))) for _, run in runs])


def patch_tokens(vit: VisionTransformer, x: Tensor) -> Tensor:
    """Embed the patches of images and add their positions, without the class token: (B, 3, H, W) to (B, L, D)."""
    tokens: Tensor = vit.patch_embed(x).flatten(1, 2)  # (B, h, w, D) before
    return tokens + vit.get_parameter("pos_embed")[:, vit.num_prefix_tokens :]


def encode_tokens(
    vit: VisionTransformer, x: Tensor, hidden: Tensor | None = None, hidden_token: Tensor | None = None
) -> Tensor:
    """Give all output tokens of a ViT, class token and registers first: (B, 3, H, W) to (B, prefix + L, D).

    hidden: patches in place of which the network gets `hidden_token`, (D,), at their positions: bool (B, L).
    """
    grid: Tensor = vit.patch_embed(x)  # (B, h, w, D)
    if hidden is not None and hidden_token is not None:
        grid = torch.where(hidden.view(*grid.shape[:3], 1), hidden_token.to(grid.dtype), grid)
    tokens: Tensor = vit.norm(vit.blocks(vit.norm_pre(vit._pos_embed(grid))))
    return tokens


def with_attention(vit: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Run a ViT and also give the attention of its class token in the last layer: (B, D) and (B, heads, h, w). x: (B, 3, H, W)."""
    assert isinstance(vit, VisionTransformer)
    grid: Tensor = vit.patch_embed(x)  # (B, h, w, D)
    tokens = vit.norm_pre(vit._pos_embed(grid))
    *earlier, last = vit.blocks.children()
    tokens = nn.Sequential(*earlier)(tokens)
    attention: Any = last.get_submodule("attn")
    norm = last.get_submodule("norm1")
    batch, length, _ = tokens.shape
    qkv = attention.qkv(norm(tokens)).view(batch, length, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    queries, keys = attention.q_norm(qkv[0]), attention.k_norm(qkv[1])  # (B, heads, length, d)
    weights = (queries[:, :, :1] @ keys.transpose(2, 3) * attention.scale).softmax(dim=3)[
        :, :, 0, vit.num_prefix_tokens :
    ]
    features: Tensor = vit.forward_head(vit.norm(last(tokens)))
    return features, weights.unflatten(2, (grid.shape[1], grid.shape[2]))
