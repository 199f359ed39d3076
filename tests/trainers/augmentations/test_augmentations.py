"""Augmentation: each operation equals its per-image reference, and each image has its own random numbers."""

import dataclasses
import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as reference

from trainers.augmentations import AugmentConfig, ViewSpec, augment, augment_alike, transform, two_views
from trainers.augmentations.colour import blur, blur_some, colour_matrices
from trainers.augmentations.draws import DRAWS, Draws, draw
from trainers.augmentations.geometry import crop_boxes, resample

RECORDED = [[-0.62715, -0.47205, -0.18535], [0.72994, 0.8757, 1.09403]]
NOTHING = AugmentConfig(crop_min=1, aspect=1, flip=0, jitter=0, grey=0, blur=(0, 0), solarize=(0, 0))


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int = 8, side: int = 16) -> Tensor:
    """Smooth random pictures, uint8 (count, 3, side, side)."""
    coarse = torch.rand(count, 3, 4, 4, generator=rng(9))
    return (torch.nn.functional.interpolate(coarse, size=side, mode="bilinear") * 255).to(torch.uint8)


def view(config: AugmentConfig, images: Tensor, size: int = 16, seed: int = 0) -> Tensor:
    return transform(
        images, ViewSpec(size, config.blur[0], config.solarize[0], config), Draws(draw(len(images), rng(seed)))
    )


def draws(count: int) -> Draws:
    return Draws(draw(count, rng()))


def with_only(**changes: object) -> AugmentConfig:
    return dataclasses.replace(NOTHING, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "expected", "within"),
    [
        ({}, lambda x: x, 1e-5),
        ({"flip": 1}, lambda x: x.flip(3), 1e-5),
        ({"grey": 1}, lambda x: reference.rgb_to_grayscale(x, num_output_channels=3), 2e-3),
        ({"solarize": (1.0, 0.0)}, lambda x: reference.solarize(x, 0.5), 1e-4),
    ],
)
def test_a_view_with_one_operation_equals_its_reference(
    changes: dict[str, object], expected: Callable[[Tensor], Tensor], within: float
) -> None:
    images = pictures()
    torch.testing.assert_close(view(with_only(**changes), images), expected(images / 255), atol=within, rtol=0)


def test_random_numbers_and_views_are_those_of_earlier_versions() -> None:
    """Or a resumed training would see other views."""
    x = (torch.arange(2 * 3 * 20 * 20).view(2, 3, 20, 20) * 7 % 256).to(torch.uint8)
    made = augment(x, ViewSpec(16, 1.0, 0.5, AugmentConfig(rotate=20.0)), rng(3))
    torch.testing.assert_close(made.mean(dim=(2, 3)), torch.tensor(RECORDED), atol=1e-3, rtol=0)


def test_a_view_is_floats_between_0_and_1_of_the_given_size() -> None:
    out = view(AugmentConfig(solarize=(0.5, 0), rotate=20), pictures(32, 20), size=12)
    assert out.shape == (32, 3, 12, 12)
    assert out.dtype == torch.float32
    assert out.min() >= 0
    assert out.max() <= 1


def test_every_image_of_a_batch_has_draws_of_its_own() -> None:
    same = pictures(1).expand(16, -1, -1, -1)
    out = view(AugmentConfig(flip=0, grey=0, jitter=1), same)
    gaps = torch.cdist(out.flatten(1), out.flatten(1)) + torch.eye(16)
    assert gaps.min() > 1e-3


def test_angles_are_uniform_up_to_the_given_one() -> None:
    boxes = crop_boxes(with_only(rotate=30.0), draws(2000))
    angles = torch.rad2deg(torch.atan2(boxes[:, 1, 0], boxes[:, 0, 0]))
    assert angles.abs().max() <= 30.001
    assert abs(float(angles.mean())) < 1.5
    assert float(angles.std()) == pytest.approx(60 / math.sqrt(12), rel=0.05)


def test_crops_lie_inside_with_the_given_area_and_aspect() -> None:
    boxes = crop_boxes(with_only(crop_min=0.2, crop_max=0.6, aspect=4 / 3), draws(4000))
    width, height, x, y = boxes[:, 0, 0], boxes[:, 1, 1], boxes[:, 0, 2], boxes[:, 1, 2]
    area, aspect = width * height, width / height
    assert area.min() >= 0.199
    assert area.max() <= 0.601
    assert aspect.min() >= 3 / 4 - 1e-3
    assert aspect.max() <= 4 / 3 + 1e-3
    assert float(area.mean()) == pytest.approx(0.4, abs=0.01)
    assert float(aspect.log().mean()) == pytest.approx(0, abs=0.02)
    assert ((x.abs() + width) <= 1.0001).all()
    assert ((y.abs() + height) <= 1.0001).all()


def test_a_crop_that_never_fits_is_cut_to_the_image() -> None:
    boxes = crop_boxes(with_only(crop_min=1.0, aspect=4.0), draws(500))
    assert boxes[:, [0, 1], [0, 1]].max() <= 1


def test_a_crop_is_the_part_of_the_picture_that_its_box_names() -> None:
    images = pictures(1, 32).float() / 255
    quarter = torch.tensor([[[0.5, 0.0, -0.5], [0.0, 0.5, 0.5]]])  # left, lower
    torch.testing.assert_close(resample(images, quarter, 16), images[:, :, 16:, :16], atol=1e-5, rtol=0)


def yiq(x: Tensor, inverse: bool = False) -> Tensor:
    """RGB (3, H, W) to luma and the two axes of colour, or back."""
    matrix = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    return torch.einsum("ij,jhw->ihw", matrix.inverse() if inverse else matrix, x)


def naive_operation(x: Tensor, name: str, amount: float) -> Tensor:
    """One colour operation on one image (3, H, W), pixel by pixel and without clipping."""
    luma = yiq(x)[:1]
    match name:
        case "brightness":
            return x * amount
        case "contrast":
            return amount * x + (1 - amount) * luma.mean()
        case "saturation":
            return amount * x + (1 - amount) * luma
        case _:
            y, i, q = yiq(x)
            turned = torch.complex(i, q) * complex(math.cos(amount), math.sin(amount))
            return yiq(torch.stack([y, turned.real, turned.imag]), inverse=True)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_one_map_of_colours_is_the_four_operations_in_whatever_order(order: tuple[int, ...]) -> None:
    x = pictures(2) / 255
    factors = {"brightness": 0.7, "saturation": 1.3, "hue": 0.08, "contrast": 0.65}

    class Told(Draws):
        def uniform(self, low: float, high: float, times: int = 1) -> Tensor:
            return torch.full((self.count,), told.pop(0))

    told = [factors["brightness"], factors["saturation"], factors["contrast"], factors["hue"]]
    matrices = colour_matrices(x, with_only(jitter=1), Told(draw(len(x), rng())))
    ours = matrices[:, :, :3] @ x.flatten(2) + matrices[:, :, 3:]
    amounts = {**factors, "hue": 2 * math.pi * factors["hue"]}
    for image, changed in zip(x, ours.view_as(x), strict=True):
        for k in order:
            name = list(factors)[k]
            image = naive_operation(image, name, amounts[name])
        torch.testing.assert_close(changed, image, atol=1e-4, rtol=0)


def test_a_whole_view_has_the_moments_and_ranges_of_torchvisions() -> None:
    """With hue, which torchvision rotates in another plane, and with values clipped after each operation."""
    down, right = torch.meshgrid(torch.linspace(0, 1, 16), torch.linspace(0, 1, 16), indexing="ij")
    picture = torch.stack([0.3 + 0.4 * right, 0.35 + 0.3 * down, 0.6 - 0.3 * right * down])
    jitter = v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8)
    theirs_of = v2.Compose([
        v2.RandomResizedCrop(16, scale=(0.2, 1.0)), v2.RandomHorizontalFlip(), jitter, v2.RandomGrayscale(0.2)
    ])  # fmt: skip
    theirs = torch.stack([theirs_of(picture) for _ in range(300)])
    spec = ViewSpec(16, 0.0, 0.0, AugmentConfig())
    ours = transform((255 * picture).byte().expand(3000, -1, -1, -1), spec, draws(3000))

    def colourfulness(images: Tensor) -> Tensor:
        return (images.amax(dim=1) - images.amin(dim=1)).mean(dim=(1, 2))

    for figure in (lambda x: x.mean(dim=(2, 3)), lambda x: x.std(dim=(2, 3)), colourfulness, lambda x: x[:, :, 0, 0]):
        for moment in (torch.mean, torch.std):
            torch.testing.assert_close(moment(figure(ours), dim=0), moment(figure(theirs), dim=0), atol=0.03, rtol=0)
        for end in (0.05, 0.5, 0.95):
            torch.testing.assert_close(
                figure(ours).quantile(end, dim=0), figure(theirs).quantile(end, dim=0), atol=0.06, rtol=0
            )


@pytest.mark.parametrize(("field", "probability"), [("flip", 0.3), ("grey", 0.2), ("jitter", 0.8)])
def test_probabilities_hold(field: str, probability: float) -> None:
    images = pictures(1).expand(3000, -1, -1, -1)
    out = view(with_only(**{field: probability}), images)
    changed = (out - images / 255).abs().amax(dim=(1, 2, 3)) > 1e-4
    assert float(changed.float().mean()) == pytest.approx(probability, abs=0.04)


def test_blur_equals_a_gaussian_of_the_drawn_width() -> None:
    x = pictures(4, 224)[:, :, :, :] / 255
    ours = blur(x, torch.full((len(x),), 1.3))
    theirs = reference.gaussian_blur(x, kernel_size=[13, 13], sigma=[1.3, 1.3])
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [96, 224])
def test_the_widest_blur_is_as_wide_as_it_says(size: int) -> None:
    sigma = 2.0 * size / 224
    point = torch.zeros(1, 3, size, size)
    point[:, :, size // 2, size // 2] = 1
    spread = blur(point, torch.tensor([sigma]))[0, 0].sum(dim=0)
    offsets = torch.arange(size) - size // 2
    assert float((spread * offsets**2).sum().sqrt()) == pytest.approx(sigma, rel=0.02)


def test_only_the_chosen_images_are_blurred() -> None:
    x, sigma = pictures(3, 224) / 255, torch.tensor([0.5, 1.0, 2.0])
    some = blur_some(x.clone(), torch.tensor([False, True, False]), sigma)
    assert torch.equal(some[[0, 2]], x[[0, 2]])
    torch.testing.assert_close(some[1], blur(x, sigma)[1])
    assert torch.equal(blur_some(x.clone(), torch.zeros(3, dtype=torch.bool), sigma), x)


def test_a_batch_in_pieces_is_the_batch() -> None:
    images, spec = pictures(7, 40), ViewSpec(32, 0.5, 0.5, AugmentConfig(rotate=10))
    whole = augment(images, spec, rng())
    pieces = augment(images, spec, rng(), cached=3 * 3 * 32**2)
    torch.testing.assert_close(pieces, whole, atol=1e-5, rtol=0)
    assert whole.is_contiguous(memory_format=torch.channels_last)


def test_the_same_view_of_all_images_is_that_of_each_alone() -> None:
    images, (spec, _) = pictures(5), two_views(AugmentConfig(rotate=20, solarize=(0.5, 0.5)), 12)
    for seed in range(4):
        together = augment_alike(images, spec, rng(seed))
        alone = [augment(image[None], spec, rng(seed)) for image in images]
        torch.testing.assert_close(together, torch.cat(alone))
    same = augment_alike(images[:1].repeat(3, 1, 1, 1), spec, rng())
    torch.testing.assert_close(same, same[:1].expand(3, -1, -1, -1))


def test_without_rotation_the_border_needs_no_mirror() -> None:
    boxes = crop_boxes(with_only(crop_min=0.9), draws(64))
    images = pictures(64) / 255
    torch.testing.assert_close(resample(images, boxes, 16, rotated=False), resample(images, boxes, 16))


def test_a_view_with_everything_uses_every_number() -> None:
    numbers = draws(8)
    transform(pictures(), ViewSpec(16, 0.5, 0.5, AugmentConfig()), numbers)
    assert numbers._used == DRAWS


def test_two_views_take_their_own_probabilities() -> None:
    first, second = two_views(AugmentConfig(blur=(1.0, 0.1), solarize=(0.0, 0.2)), 32)
    assert (first.blur, first.solarize, second.blur, second.solarize) == (1.0, 0.0, 0.1, 0.2)
    assert first.size == second.size == 32
