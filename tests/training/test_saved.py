"""What the backward pass needs of each image, counted on the meta device."""

import pytest
import torch
from torch import nn

from convwise import networks
from convwise.cost import sketch
from convwise.training.saved import bytes_per_image


def test_what_autograd_keeps_counts_once_and_the_largest_twice_more() -> None:
    with sketch():
        network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 5 * 5, 4))
    # kept: the convolution's input, 3 x 5 x 5, and what leaves the ReLU, 8 x 5 x 5, which the linear layer reads too
    assert bytes_per_image(network, (3, 5, 5)) == 4 * (75 + 200 + 2 * 200)


def test_nothing_is_computed_and_the_side_counts_squared() -> None:
    with sketch():
        network = networks.create("resnet20", 2)
    small = bytes_per_image(network, (3, 1_000, 1_000))
    assert bytes_per_image(network, (3, 100_000, 100_000)) / small == pytest.approx(1e4, rel=1e-3)
    assert all(p.is_meta for p in network.parameters())


def test_statistics_of_batch_norm_stay() -> None:
    with torch.device("meta"):
        network = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.BatchNorm2d(2))
    # the input, 1 x 4 x 4, what the norm reads, 2 x 4 x 4, and mean and deviation of its channels for both images
    assert bytes_per_image(network, (1, 4, 4)) == 4 * (16 + 32 + 2 * 32) + 4 * (2 + 2) // 2
