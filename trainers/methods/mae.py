"""MAE (He et al. 2022): from a quarter of the patches, reconstruct the others. Its vectors are for fine-tuning; their k-NN is weak."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from featurestore.errors import ConfigError
from trainers.augmentations import AugmentConfig, ViewSpec
from trainers.losses import masked_mse
from trainers.methods.base import Bank, Method, Progress, Step, Variant
from trainers.methods.situation import Situation
from trainers.models.backbones import feature_dim, patch_tokens
from trainers.runtime.seeds import seeded
from trainers.settings import setting


@dataclass(frozen=True, slots=True)
class MAESettings:
    """Settings of MAE (section 3; a small decoder for small networks)."""

    mask: float = setting(0.75, above=0, below=1)  # share of the patches that are hidden
    decoder_dim: int = setting(128, least=1, multiple_of="decoder_heads")
    decoder_depth: int = setting(2, least=1)
    decoder_heads: int = setting(4, least=1)


class MAE(Method):
    variants: ClassVar = {
        "mae": Variant(
            "for fine-tuning with labels later; needs a ViT; search and k-NN on its vectors are weak",
            augment={"jitter": 0.0, "grey": 0.0, "blur": [0.0, 0.0]},
            optimizer={"name": "adamw", "lr": 1e-3, "weight_decay": 0.05, "warmup": 0.1},
            warning="mae is for fine-tuning: search and k-NN on its vectors are weak, however low the loss is",
        )
    }
    Settings = MAESettings
    needs_vit = True
    export_branch = "encoder"

    def __init__(self, backbone: nn.Module, settings: MAESettings, views: tuple[ViewSpec, ...]) -> None:
        super().__init__(backbone, settings, views)
        if not isinstance(backbone, VisionTransformer) or not _is_plain(backbone):
            raise ConfigError(
                "mae needs a plain ViT, with one class token, no registers and learned positions for all tokens; this backbone is different; "
                "choose --backbone vit_tiny_patch16_224 or another vit, with --patch-size"
            )
        if (views[0].size // backbone.patch_embed.patch_size[0]) ** 2 != backbone.patch_embed.num_patches:
            raise ConfigError(
                "mae learns a position for each patch of an image: leave out view_size, or make it equal to --image-size"
            )
        self.settings = settings
        self.backbone = backbone
        backbone.global_pool = "avg"  # no loss reaches the class token's output: the mean of the patches is the vector
        self.patch = backbone.patch_embed.patch_size[0]
        tokens, width = (views[0].size // self.patch) ** 2, settings.decoder_dim
        self.enter = nn.Linear(feature_dim(backbone), width)
        self.hidden_token = nn.Parameter(torch.zeros(width).normal_(std=0.02))
        self.place = nn.Parameter(torch.zeros(1 + tokens, width).normal_(std=0.02))
        self.decoder = nn.Sequential(
            *(Block(width, settings.decoder_heads) for _ in range(settings.decoder_depth)), nn.LayerNorm(width)
        )
        self.leave = nn.Linear(width, 3 * self.patch**2)

    @classmethod
    def recipe_for_network(cls, situation: Situation, is_transformer: bool) -> dict[str, Any]:
        return {"optimizer": {"betas": (0.9, 0.95)}}  # appendix A.1; not a default, because earlier runs had 0.999

    @classmethod
    def make_views(cls, augment: AugmentConfig, image_size: int, settings: MAESettings) -> tuple[ViewSpec, ...]:
        return (ViewSpec(image_size, 0.0, 0.0, augment),)

    def loss(self, views: Sequence[Tensor], at: Progress) -> Step:
        (x,) = views
        losses, code = self._losses(x, self._order(len(x), x.device, at), at)
        return Step(losses.mean(), code[:, 1:].mean(dim=1).detach(), {})

    def image_losses(self, views: Sequence[Tensor], at: Progress, bank: Bank | None) -> Tensor:
        (x,) = views
        return self._losses(x, self._order(1, x.device, at).expand(len(x), -1), at)[0]

    def _order(self, count: int, device: torch.device, at: Progress) -> Tensor:
        """Draw an order of the patches of so many images, of which the first stay: (count, L)."""
        rng = torch.Generator(device).manual_seed(at.seed)
        return torch.rand(count, self.place.shape[0] - 1, generator=rng, device=device).argsort(dim=1)

    def _losses(self, x: Tensor, order: Tensor, at: Progress) -> tuple[Tensor, Tensor]:
        """Compute the loss of each image (B,), and the code of its visible patches behind that of the class token: (B, 1 + keep, D)."""
        tokens = patch_tokens(self.backbone, x)  # (B, L, D), with their positions
        count, length, dim = tokens.shape
        keep = max(1, round(length * (1 - self.settings.mask)))
        back = order.argsort(dim=1)

        seen = tokens.gather(1, order[:, :keep, None].expand(-1, -1, dim))
        prefix = self.backbone.get_parameter("cls_token") + self.backbone.get_parameter("pos_embed")[:, :1]
        with seeded(at.seed, x.device):  # drop-path
            code = self.backbone.blocks(torch.cat([prefix.expand(count, -1, -1), seen], dim=1))
        code = self.backbone.norm(code)  # (B, 1 + keep, D)

        known = self.enter(code)
        blanks = self.hidden_token.to(known.dtype).expand(count, length - keep, -1)
        in_place = torch.cat([known[:, 1:], blanks], dim=1).gather(1, back[:, :, None].expand(-1, -1, known.shape[2]))
        predicted = self.leave(
            self.decoder(torch.cat([known[:, :1], in_place], dim=1) + self.place)[:, 1:]
        )  # (B, L, 3 p p)
        return masked_mse(predicted, self._patches(x), back >= keep, "none"), code

    def _patches(self, x: Tensor) -> Tensor:
        """Cut images into patches, in the order of the tokens: (B, 3, H, W) to (B, L, 3 p p)."""
        return nn.functional.unfold(x.float(), self.patch, stride=self.patch).transpose(1, 2)

    @property
    def compiled(self) -> list[nn.Module]:
        return [self.backbone.blocks, self.decoder]

    @property
    def export_backbone(self) -> nn.Module:
        return self.backbone


def _is_plain(vit: VisionTransformer) -> bool:
    """Tell whether `loss` can rebuild what a ViT's own forward does with its tokens."""
    return (
        vit.cls_token is not None
        and vit.num_prefix_tokens == 1
        and vit.pos_embed is not None
        and vit.pos_embed.shape[1] == 1 + vit.patch_embed.num_patches
        and bool(vit.dynamic_img_size)
        and isinstance(vit.norm_pre, nn.Identity)
    )
