"""iBOT (Zhou et al. 2022): DINO's loss, and from a view with hidden patches the student predicts what the teacher says about these."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from featurestore.errors import ConfigError
from trainers.augmentations import ViewSpec
from trainers.augmentations.masks import block_masks, count_hidden
from trainers.losses import koleo, masked_distillation, perplexity, self_distillation
from trainers.methods import dino
from trainers.methods.base import Progress, Step, Variant
from trainers.methods.dino import DINO, DINOSettings
from trainers.methods.situation import Situation
from trainers.models.backbones import encode_crops, encode_tokens, feature_dim
from trainers.runtime.seeds import seeded
from trainers.settings import setting
from trainers.training.distributed import gather


@dataclass(frozen=True, slots=True)
class IBOTSettings(DINOSettings):
    """Settings of iBOT: those of DINO, whose head serves class tokens and patches (sections 3 and 4.1), and KoLeo of DINOv2."""

    # Least share of hidden patches, in half of the whole views
    mask_min: float = setting(0.1, above=0, most="mask_max")
    mask_max: float = setting(0.5, above=0, most=1)  # the largest of these shares
    # Weight of KoLeo, which spreads the vectors of a batch; 0: none, as in iBOT
    koleo: float = setting(0.1, least=0, most=1)


class IBOT(DINO):
    variants: ClassVar = {
        "ibot": Variant(
            "DINO with masked patches, for ViTs only; exports the teacher",
            augment=dino.AUGMENT,
            optimizer=dino.OPTIMIZER,
            top={"drop_path": 0.1},
        )
    }
    Settings = IBOTSettings
    cures: ClassVar = dino.cures("ibot")
    needs_vit = True

    @classmethod
    def recipe_for_network(cls, situation: Situation, is_transformer: bool) -> dict[str, Any]:
        return {}  # its defaults are those of ViTs, which it needs

    def __init__(self, backbone: nn.Module, settings: IBOTSettings, views: tuple[ViewSpec, ...]) -> None:
        if not isinstance(backbone, VisionTransformer) or not _has_class_token(backbone):
            raise ConfigError(
                "ibot needs a ViT whose vector is its class token; this backbone is different; "
                "choose --backbone vit_tiny_patch16_224 or another vit, with --patch-size"
            )
        super().__init__(backbone, settings, views)
        self.settings: IBOTSettings = settings
        self.hidden_token = nn.Parameter(torch.zeros(feature_dim(backbone)))
        self.centre = torch.zeros(2, settings.prototypes)  # of class tokens, and of patches

    def loss(self, views: Sequence[Tensor], at: Progress) -> Step:
        s, count = self.settings, len(views[0])
        temperatures = s.student_temperature, dino.teacher_temperature(s, at)
        whole = torch.cat(list(views[:2]))
        hidden, rows, weights = self._hide(whole, at.seed)
        with torch.no_grad():
            teacher = self.teacher.head(torch.cat(_vectors_and_hidden(self.teacher.backbone, whole, rows)))
        seen, guessed = teacher.split([2 * count, len(rows)])  # (2B, P), (M, P)

        with seeded(at.seed, whole.device):  # drop-path
            features, tokens = _vectors_and_hidden(self.student.backbone, whole, rows, hidden, self.hidden_token)
            local = [encode_crops(self.student.backbone, views[2:])] if views[2:] else []
        inputs = torch.cat([features, *local, tokens])  # (V B + M, D)
        student = self.student.head(inputs, dino.is_frozen(s, at))
        classes, patches = student.split([len(views) * count, len(rows)])

        class_loss = self_distillation(
            classes.view(len(views), count, -1), seen.view(2, count, -1), self.centre[0], *temperatures
        )
        patch_loss = masked_distillation(patches, guessed, self.centre[1], weights, *temperatures)
        loss = class_loss + patch_loss
        logs = {"class_loss": class_loss.detach(), "patch_loss": patch_loss.detach()}
        if s.koleo:  # each view by itself: the two vectors of an image should not be pushed apart
            spread = koleo(gather(features[:count])) + koleo(gather(features[count:]))
            loss, logs["koleo"] = loss + s.koleo * spread, spread.detach()
        logs["prototypes_used"] = perplexity((seen - self.centre[0]) / temperatures[1])
        means = torch.stack([seen.mean(dim=0), guessed.mean(dim=0)])  # (2, P)
        return Step(loss, features[:count].detach(), logs, means[None])

    def _hide(self, whole: Tensor, seed: int) -> tuple[Tensor, Tensor, Tensor]:
        """Choose the patches that the student does not see in (N, 3, H, W): bool (N, L), their M rows among all N L, their weights (M,)."""
        embed: Any = self.student.backbone.get_submodule("patch_embed")
        grid = embed.dynamic_feat_size(whole.shape[2:])
        shares = self.settings.mask_min, self.settings.mask_max
        rng = torch.Generator(whole.device).manual_seed(seed)
        hidden = block_masks(len(whole), grid, shares, rng, whole.device)
        total = sum(count_hidden(len(whole), math.prod(grid), shares))  # known here: the device need not be asked
        rows = hidden.flatten().int().argsort(descending=True, stable=True)[:total]
        weights = hidden / (hidden.sum(dim=1, keepdim=True).clamp(min=1) * len(whole))
        return hidden, rows, weights.flatten()[rows]

    @property
    def compiled(self) -> list[nn.Module]:
        return [backbone.get_submodule("blocks") for backbone in self.backbones]


def _vectors_and_hidden(
    vit: nn.Module, x: Tensor, rows: Tensor, hidden: Tensor | None = None, hidden_token: Tensor | None = None
) -> list[Tensor]:
    """Encode images (N, 3, H, W) to their vectors (N, D), and give the outputs of the patches `rows` among all N L: (M, D)."""
    assert isinstance(vit, VisionTransformer)
    tokens = encode_tokens(vit, x, hidden, hidden_token)
    return [vit.forward_head(tokens), tokens[:, vit.num_prefix_tokens :].flatten(0, 1)[rows]]


def _has_class_token(vit: VisionTransformer) -> bool:
    return vit.cls_token is not None and vit.global_pool == "token" and bool(vit.dynamic_img_size)
