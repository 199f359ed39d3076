"""iBOT (Zhou et al. 2022): DINO's loss, and from a view with hidden patches the student predicts what the teacher says about these."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from featurestore.errors import ConfigError
from trainers.augmentations import ViewSpec
from trainers.augmentations.masks import block_masks, count_hidden
from trainers.losses import koleo, masked_distillation, perplexity, self_distillation
from trainers.methods import dino
from trainers.methods.base import Bank, Progress, Step, Variant
from trainers.methods.dino import DINO, DINOSettings
from trainers.methods.situation import Situation
from trainers.models.backbones import encode_crops, encode_tokens, feature_dim
from trainers.runtime.seeds import seeded
from trainers.settings import setting
from trainers.training.distributed import gather

MASKS = 16  # drawn together, for the views of one image: their shares of hidden patches run from the least to the most


@dataclass(frozen=True, slots=True)
class IBOTSettings(DINOSettings):
    """Settings of iBOT: those of DINO, whose head serves class tokens and patches (sections 3 and 4.1), and KoLeo of DINOv2."""

    # Least share of hidden patches, in half of the whole views
    mask_min: float = setting(0.1, above=0, most="mask_max")
    mask_max: float = setting(0.5, above=0, most=1)  # the largest of these shares
    # Weight of KoLeo, which spreads the vectors of a batch; 0: none, as in iBOT
    koleo: float = setting(0.1, least=0, most=1)


class _Hidden(NamedTuple):
    """The patches that the student does not see in N whole views."""

    patches: Tensor  # bool (N, L), True where hidden
    rows: Tensor  # (M,): those among all N L
    weights: Tensor  # (M,): 1 / (hidden patches of the view) / N

    @classmethod
    def of(cls, patches: Tensor, total: int) -> "_Hidden":
        """Find the `total` patches that are hidden."""
        rows = patches.flatten().int().argsort(descending=True, stable=True)[:total]
        weights = patches / (patches.sum(dim=1, keepdim=True).clamp(min=1) * len(patches))
        return cls(patches, rows, weights.flatten()[rows])


class _Answers(NamedTuple):
    """What student and teacher say about a batch, in whose 2B whole views M patches are hidden."""

    class_losses: Tensor  # (B,)
    patch_losses: Tensor  # (M,), weighted: their sum is the mean over the whole views
    features: Tensor  # (2B, D), the student's of the whole views
    seen: Tensor  # (2B, P), the teacher's logits of class tokens
    guessed: Tensor  # (M, P), of the hidden patches


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
        answers = self._answer(views, self._hide(torch.cat(list(views[:2])), at.seed), at)
        class_loss, patch_loss = answers.class_losses.mean(), answers.patch_losses.sum()
        loss = class_loss + patch_loss
        logs = {"class_loss": class_loss.detach(), "patch_loss": patch_loss.detach()}
        features, seen, guessed = answers.features, answers.seen, answers.guessed
        if s.koleo:  # each view by itself: the two vectors of an image should not be pushed apart
            spread = koleo(gather(features[:count])) + koleo(gather(features[count:]))
            loss, logs["koleo"] = loss + s.koleo * spread, spread.detach()
        logs["prototypes_used"] = perplexity((seen - self.centre[0]) / dino.teacher_temperature(s, at))
        means = torch.stack([seen.mean(dim=0), guessed.mean(dim=0)])  # (2, P)
        return Step(loss, features[:count].detach(), logs, means[None])

    def image_losses(self, views: Sequence[Tensor], at: Progress, bank: Bank | None) -> Tensor:
        """Compute the losses of class token and hidden patches, the same of all images. KoLeo is about all vectors together."""
        count = len(views[0])
        masks = self._masks(views[0], MASKS, at.seed)[:2]
        hidden = _Hidden.of(masks.repeat_interleave(count, dim=0), count * int(masks.sum()))
        answers = self._answer(views, hidden, at)
        image = hidden.rows // masks.shape[1] % count
        patch_losses = torch.zeros_like(answers.class_losses).index_add(0, image, answers.patch_losses * count)
        return answers.class_losses + patch_losses

    def _answer(self, views: Sequence[Tensor], hidden: _Hidden, at: Progress) -> _Answers:
        """Let student and teacher say something about all views, and about the hidden patches of the whole ones."""
        s, count = self.settings, len(views[0])
        temperatures = s.student_temperature, dino.teacher_temperature(s, at)
        whole, rows = torch.cat(list(views[:2])), hidden.rows
        with torch.no_grad():
            teacher = self.teacher.head(torch.cat(_vectors_and_hidden(self.teacher.backbone, whole, rows)))
        seen, guessed = teacher.split([2 * count, len(rows)])  # (2B, P), (M, P)

        with seeded(at.seed, whole.device):  # drop-path
            features, tokens = _vectors_and_hidden(
                self.student.backbone, whole, rows, hidden.patches, self.hidden_token
            )
            local = [encode_crops(self.student.backbone, views[2:])] if views[2:] else []
        inputs = torch.cat([features, *local, tokens])  # (V B + M, D)
        student = self.student.head(inputs, dino.is_frozen(s, at))
        classes, patches = student.split([len(views) * count, len(rows)])

        class_losses = self_distillation(
            classes.view(len(views), count, -1), seen.view(2, count, -1), self.centre[0], *temperatures, "none"
        )
        patch_losses = masked_distillation(patches, guessed, self.centre[1], hidden.weights, *temperatures, "none")
        return _Answers(class_losses, patch_losses, features, seen, guessed)

    def _hide(self, whole: Tensor, seed: int) -> _Hidden:
        """Choose the patches that the student does not see in (N, 3, H, W)."""
        patches = self._masks(whole, len(whole), seed)
        shares = self.settings.mask_min, self.settings.mask_max
        total = sum(count_hidden(len(whole), patches.shape[1], shares))  # known here: the device need not be asked
        return _Hidden.of(patches, total)

    def _masks(self, whole: Tensor, count: int, seed: int) -> Tensor:
        """Draw which patches are hidden in `count` views of the size of `whole`: bool (count, L)."""
        embed: Any = self.student.backbone.get_submodule("patch_embed")
        shares = self.settings.mask_min, self.settings.mask_max
        rng = torch.Generator(whole.device).manual_seed(seed)
        return block_masks(count, embed.dynamic_feat_size(whole.shape[2:]), shares, rng, whole.device)

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
