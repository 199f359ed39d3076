"""Losses: functions of tensors, without state, device or process group.

Shapes: N images of the whole batch, D dimensions, P prototypes, Q queue, V views.
"""

from collections.abc import Callable
from functools import wraps
from typing import Literal, ParamSpec

import torch
import torch.nn.functional as F
from torch import Tensor

P = ParamSpec("P")
Reduction = Literal["mean", "none"]  # over the images, in the words of torch; none: one number an image, (N,)


def in_float32(loss: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Compute outside autocast, which would round products to bfloat16: an error of 0.06 in a logit at a temperature of 0.07."""

    @wraps(loss)
    def exact(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        device = next(a.device.type for a in args if isinstance(a, Tensor))
        with torch.autocast(device, enabled=False):
            return loss(*args, **kwargs)

    return exact


@in_float32
def nt_xent(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """NT-Xent: the cross-entropy of finding the other view among 2N - 1 candidates, mean over all 2N views.

    A form of InfoNCE. z1, z2: projections of the two views, (N, D), of any length. Chen et al. 2020 (SimCLR), section 2.1, equation 1.
    The authors' code gives twice this value: it adds the means of the two directions.
    """
    z = F.normalize(torch.cat([z1, z2]).float(), dim=1)  # (2N, D)
    n = len(z1)
    logits = z @ z.T / temperature  # (2N, 2N)
    logits = logits.masked_fill(torch.eye(2 * n, dtype=torch.bool, device=z.device), float("-inf"))
    positive = torch.arange(2 * n, device=z.device).roll(n)
    return F.cross_entropy(logits, positive)


@in_float32
def info_nce_queue(
    queries: Tensor,
    keys: Tensor,
    queue: Tensor,
    temperature: float,
    same: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """InfoNCE against a queue: the cross-entropy of finding a query's own key among this key and the whole queue.

    queries, keys: (N, D), of any length; keys get no gradient; queue: (Q, D), unit length; same: bool (N, Q), keys of the query's own image,
    which do not count. He et al. 2020 (MoCo), equation 1.
    """
    q = F.normalize(queries.float(), dim=1)
    k = F.normalize(keys.detach().float(), dim=1)
    own = (q * k).sum(dim=1, keepdim=True)  # (N, 1)
    others = q @ queue.T
    if same is not None:
        others = others.masked_fill(same, float("-inf"))
    logits = torch.cat([own, others], dim=1) / temperature  # (N, 1 + Q)
    return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long, device=q.device), reduction=reduction)


@in_float32
def info_nce_batch(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """InfoNCE within the batch: the mean cross-entropy of finding a query's own key among all keys, times 2T.

    queries, keys: (N, D), of any length; keys get no gradient. Chen et al. 2021 (MoCo v3), section 3. The factor 2T is from the
    authors' code, and their learning rates are for this scale.
    """
    q = F.normalize(queries.float(), dim=1)
    k = F.normalize(keys.detach().float(), dim=1)
    return 2 * temperature * F.cross_entropy(q @ k.T / temperature, torch.arange(len(q), device=q.device))


@in_float32
def negative_cosine(prediction: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
    """BYOL's regression: the squared difference of the unit vectors, 2 - 2 cos; `target` gets no gradient.

    prediction, target: (N, D). Grill et al. 2020 (BYOL), section 3.1, equation 2.
    """
    p = F.normalize(prediction.float(), dim=1)
    t = F.normalize(target.detach().float(), dim=1)
    return _reduced(2 - 2 * (p * t).sum(dim=1), reduction)


@in_float32
def self_distillation(
    student: Tensor,
    teacher: Tensor,
    centre: Tensor,
    student_temperature: float,
    teacher_temperature: float,
    reduction: Reduction = "mean",
) -> Tensor:
    """DINO: the cross-entropy of each student view with each teacher view except its own, mean over these pairs.

    student: logits of all V views, (V, N, P); teacher: logits of the first G views in the same order, (G, N, P), get no
    gradient; centre: (P,). Caron et al. 2021 (DINO), section 3.1, equation 1 and algorithm 1.
    """
    targets = F.softmax((teacher.detach().float() - centre) / teacher_temperature, dim=2)  # (G, N, P)
    log_odds = F.log_softmax(student.float() / student_temperature, dim=2)  # (V, N, P)
    entropy = -torch.einsum("gnp,vnp->ngv", targets, log_odds)
    pairs = entropy[0].numel() - len(teacher)
    own = entropy.diagonal(dim1=1, dim2=2)  # (N, G); with a mask the processor would wait for the device
    return _reduced((entropy.sum(dim=(1, 2)) - own.sum(dim=1)) / pairs, reduction)


@in_float32
def masked_distillation(
    student: Tensor,
    teacher: Tensor,
    centre: Tensor,
    weights: Tensor,
    student_temperature: float,
    teacher_temperature: float,
    reduction: Literal["sum", "none"] = "sum",
) -> Tensor:
    """iBOT: the cross-entropy of what the student says about hidden patches with what the teacher says, which sees them; weighted.

    student, teacher: logits of M hidden patches, (M, P), the teacher's get no gradient; centre: (P,); weights: (M,), 1 / (hidden patches
    of the image) / (images), whose sum is a mean over images; reduction: over patches, none: (M,). Zhou et al. 2022 (iBOT), section 3.1.
    """
    targets = F.softmax((teacher.detach().float() - centre) / teacher_temperature, dim=1)  # (M, P)
    log_odds = F.log_softmax(student.float() / student_temperature, dim=1)  # (M, P)
    entropy = -(targets * log_odds).sum(dim=1) * weights
    return entropy.sum() if reduction == "sum" else entropy


@in_float32
def koleo(z: Tensor) -> Tensor:
    """KoLeo: minus the mean logarithm of the distance of each row to its nearest other row, after scaling to unit length; low when they spread.

    z: (N, D), at least two rows. Sablayrolles et al. 2019; Oquab et al. 2023 (DINOv2), section 4.
    """
    z = F.normalize(z.float(), dim=1)
    with torch.no_grad():
        nearest = (z @ z.T).fill_diagonal_(-2).argmax(dim=1)
    # From the difference: a distance computed from cosines near 1 would be rounding errors.
    return -torch.log((z - z[nearest]).norm(dim=1) + 1e-8).mean()


@in_float32
def perplexity(logits: Tensor) -> Tensor:
    """Count the outputs that a batch uses: exp of the entropy of its mean softmax, between 1 and P. logits: (N, P)."""
    share = F.softmax(logits.float(), dim=1).mean(dim=0)
    return torch.exp(torch.special.entr(share).sum())


@in_float32
def masked_mse(prediction: Tensor, patches: Tensor, masked: Tensor, reduction: Reduction = "mean") -> Tensor:
    """MAE: the mean squared error on masked patches, each target patch normalised by its own mean and variance.

    prediction, patches: (N, L, pixels); masked: bool (N, L). The mean is over all masked patches. He et al. 2022 (MAE), section 3.
    """
    variance, mean = torch.var_mean(patches, dim=2, keepdim=True)
    target = (patches - mean) / (variance + 1e-6).sqrt()
    error = ((prediction.float() - target) ** 2).mean(dim=2)
    if reduction == "none":
        return (error * masked).sum(dim=1) / masked.sum(dim=1)
    return (error * masked).sum() / masked.sum()


@in_float32
def sigreg(z: Tensor, directions: Tensor, knots: int = 17, reach: float = 3.0) -> Tensor:
    """SIGReg: the Epps-Pulley statistic of the rows against a standard Gaussian, mean over random directions.

    z: (N, D); directions: (D, S), unit columns. The characteristic function of each projection is compared with that of N(0, 1) at
    `knots` points of [0, reach]; the squared gap is weighted by the latter and integrated by the trapezoid rule. Balestriero & LeCun 2025 (LeJEPA), section 4.
    """
    t = torch.linspace(0, reach, knots, device=z.device)
    gaussian = torch.exp(-(t**2) / 2)
    step = torch.full_like(t, 2 * reach / (knots - 1))  # both sides of zero
    step[0] = step[-1] = reach / (knots - 1)
    angles = (z.float() @ directions)[:, :, None] * t  # (N, S, knots)
    gap = (angles.cos().mean(dim=0) - gaussian) ** 2 + angles.sin().mean(dim=0) ** 2
    return (gap @ (step * gaussian)).mean() * len(z)


@in_float32
def spread_from_centre(z: Tensor, centre_views: int, reduction: Reduction = "mean") -> Tensor:
    """LeJEPA's prediction loss: the mean squared difference of every view from the mean of its image's first `centre_views` views.

    z: (V, N, D). Balestriero & LeCun 2025 (LeJEPA), section 5.
    """
    z = z.float()
    return _reduced((z - z[:centre_views].mean(dim=0)).square().mean(dim=(0, 2)), reduction)


def _reduced(losses: Tensor, reduction: Reduction) -> Tensor:
    """Take the mean of the losses of N images, or leave them: (N,)."""
    return losses.mean() if reduction == "mean" else losses
