"""The layout of an image in its vector."""

import pytest
import torch
import torch.nn.functional as F

from trainers.models.backbones import Conv4, make_backbone
from trainers.models.readout import WithLayout, cells, with_layout


@pytest.mark.parametrize(("name", "size"), [("test_resnet", 32), ("test_efficientnet", 64), ("conv4", 32)])
def test_the_output_comes_first_and_the_cells_of_two_maps_after_it(name: str, size: int) -> None:
    network = make_backbone(name, size)[0].eval()
    wide = with_layout(network, size)
    assert wide is not None
    x = torch.randn(3, 3, size, size)
    vectors, output = wide(x), F.normalize(network(x), dim=1)
    assert vectors.shape == (3, wide.num_features)
    torch.testing.assert_close(vectors[:, : output.shape[1]], output)
    layout = vectors[:, output.shape[1] :]
    torch.testing.assert_close(layout.norm(dim=1), torch.full((3,), 2**0.5))  # of two parts of unit length


@pytest.mark.parametrize(("side", "count"), [(2, 2), (8, 2), (7, 2), (4, 3), (8, 3), (9, 3)])
def test_cells_cover_a_map_and_are_equally_large(side: int, count: int) -> None:
    layout = torch.randn(2, 5, side, side)
    stride = side // count
    width = side - (count - 1) * stride
    starts = range(0, side - width + 1, stride)
    expected = [layout[:, :, i : i + width, j : j + width].mean(dim=(2, 3)) for i in starts for j in starts]
    torch.testing.assert_close(cells(layout, count), torch.stack(expected, dim=2).flatten(1))
    assert len(expected) == count**2


def test_it_tells_apart_what_a_mean_over_positions_does_not() -> None:
    network = Conv4().eval()
    wide = with_layout(network, 32)
    assert isinstance(wide, WithLayout)
    x = torch.zeros(2, 3, 32, 32)
    x[0, :, :16, :16] = 1
    x[1, :, 16:, 16:] = 1
    last = network.layers(x)
    expected = torch.stack([F.normalize(m.flatten(), dim=0) for m in last])  # the last map has 2 x 2 positions here
    torch.testing.assert_close(wide(x)[:, 256 : 5 * 256], expected)
    assert (wide(x)[0] - wide(x)[1]).norm() > (
        F.normalize(network(x), dim=1)[0] - F.normalize(network(x), dim=1)[1]
    ).norm()


@pytest.mark.parametrize(("name", "size"), [("test_vit", 32), ("conv4", 16)])
def test_networks_without_a_larger_map_have_none(name: str, size: int) -> None:
    assert with_layout(make_backbone(name, size)[0], size) is None


def test_maps_that_are_too_small_for_a_grid_have_fewer_cells() -> None:
    """With the stem as published, the last map is a single position at 32 px."""
    found = with_layout(make_backbone("test_resnet", 32, published_stem=True)[0], 32)
    assert found is not None
    assert found.grid == (0, 2)


def test_vectors_that_would_be_too_long_for_a_whitening_have_fewer_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    network, lengths = Conv4(), []
    for _ in range(3):
        found = with_layout(network, 32)
        assert found is not None
        lengths.append(found.num_features)
        monkeypatch.setattr("trainers.models.readout.MOST_DIM", found.num_features - 1)
    assert lengths == [256 + 4 * 256 + 9 * 128, 256 + 4 * 256 + 4 * 128, 256 + 4 * 128]
    assert with_layout(network, 32) is None


def test_a_network_on_another_device_is_tried_there() -> None:
    found = with_layout(Conv4().to("meta"), 32)
    assert found is not None
    assert found.num_features == 256 + 4 * 256 + 9 * 128
