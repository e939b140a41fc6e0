"""VGG: the columns of Table 1, from 224 x 224 x 64 to 7 x 7 x 512, with batch norm and without."""

import re

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convwise import networks
from convwise.errors import UsageError
from convwise.networks.blocks import ConvNet
from convwise.networks.vgg import vgg

from .helpers import image, outputs

# fmt: off
# params, params with batch norm, MACs; facts: tv/vgg11@224, tv/vgg11_bn@224, ...
COUNTS = {
    11: (132_863_336, 132_868_840,  7_609_090_048),
    13: (133_047_848, 133_053_736, 11_308_466_176),
    16: (138_357_544, 138_365_992, 15_470_264_320),
    19: (143_667_240, 143_678_248, 19_632_062_464),
}
# Table 1 of the paper, columns A, B, D, E: channels of each convolution, "|" for a pool
TABLE_1 = {
    11: "64 | 128 | 256 256 | 512 512 | 512 512 |",
    13: "64 64 | 128 128 | 256 256 | 512 512 | 512 512 |",
    16: "64 64 | 128 128 | 256 256 256 | 512 512 512 | 512 512 512 |",
    19: "64 64 | 128 128 | 256 256 256 256 | 512 512 512 512 | 512 512 512 512 |",
}
# fmt: on
each_depth = pytest.mark.parametrize("depth", COUNTS)
with_and_without = pytest.mark.parametrize("batch_norm", [False, True])


def on_meta(num_classes: int = 1000, in_channels: int = 3, *, depth: int, batch_norm: bool = False) -> ConvNet:
    with torch.device("meta"):
        return vgg(num_classes, in_channels, depth=depth, batch_norm=batch_norm).eval()


@each_depth
@with_and_without
def test_counts_match_the_publication_and_the_casebook(depth: int, batch_norm: bool) -> None:
    network, (plain, normed, macs) = on_meta(depth=depth, batch_norm=batch_norm), COUNTS[depth]
    with FlopCounterMode(display=False) as counter:
        assert network(image(224)).shape == (1, 1000)
    found = (sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 2)
    assert found == (normed if batch_norm else plain, macs)
    entry = networks.describe(f"vgg{depth}_bn" if batch_norm else f"vgg{depth}")
    assert (entry.params, entry.macs) == found
    assert entry.fixed == {"depth": depth, "batch_norm": batch_norm}


@each_depth
@with_and_without
def test_convolutions_and_pools_stand_as_in_table_1(depth: int, batch_norm: bool) -> None:
    network = on_meta(depth=depth, batch_norm=batch_norm)
    row = [
        str(m.out_channels) if isinstance(m, nn.Conv2d) else "|"
        for m in network.stages.modules()
        if isinstance(m, (nn.Conv2d, nn.MaxPool2d))
    ]
    assert " ".join(row) == TABLE_1[depth]
    weighted = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(weighted) == depth


@each_depth
def test_every_convolution_is_3x3_and_keeps_the_side(depth: int) -> None:
    convs = [m for m in on_meta(depth=depth).modules() if isinstance(m, nn.Conv2d)]
    assert {(m.kernel_size, m.stride, m.padding, m.groups) for m in convs} == {((3, 3), (1, 1), (1, 1), 1)}


def test_vgg16_goes_from_224_x_224_x_64_to_7_x_7_x_512() -> None:
    network = on_meta(depth=16)
    assert outputs(network, image(224), nn.Conv2d, nn.MaxPool2d, nn.Flatten, nn.Linear) == [
        (64, 224, 224), (64, 224, 224), (64, 112, 112),
        (128, 112, 112), (128, 112, 112), (128, 56, 56),
        (256, 56, 56), (256, 56, 56), (256, 56, 56), (256, 28, 28),
        (512, 28, 28), (512, 28, 28), (512, 28, 28), (512, 14, 14),
        (512, 14, 14), (512, 14, 14), (512, 14, 14), (512, 7, 7),
        (25_088,), (4096,), (4096,), (1000,),
    ]  # fmt: skip


def test_batch_norm_stands_between_a_convolution_that_keeps_its_bias_and_its_activation() -> None:
    network = on_meta(depth=11, batch_norm=True)
    for stage in network.stages:
        *inner, last = ([name for name, _ in block.named_children()] for block in stage.children())
        assert inner == [["conv", "norm", "act"]] * len(inner)
        assert last == ["conv", "norm", "act", "pool"]
    assert all(m.bias is not None for m in network.modules() if isinstance(m, nn.Conv2d))
    assert not any(isinstance(m, nn.BatchNorm2d) for m in on_meta(depth=11).modules())


def test_dropout_follows_each_hidden_layer() -> None:
    with torch.device("meta"):
        heads = [(vgg().head, 0.5), (vgg(dropout=0.1).head, 0.1)]
    for head, dropout in heads:
        kinds = [type(m).__name__ for m in head]
        assert kinds == ["AdaptiveAvgPool2d", "Flatten", *["Linear", "ReLU", "Dropout"] * 2, "Linear"]
        assert [m.p for m in head if isinstance(m, nn.Dropout)] == [dropout] * 2


@pytest.mark.parametrize("name", [name for name in networks.names() if name.startswith("vgg")])
def test_any_side_from_32_pixels_on_will_do(name: str) -> None:
    with torch.device("meta"):
        network = networks.create(name, 7).eval()
    assert networks.describe(name).smallest == 32
    for side in (32, 100, 256):
        assert network(image(side)).shape == (1, 7)
    with pytest.raises(RuntimeError):
        network(image(31))


@each_depth
@with_and_without
def test_every_parameter_is_reached_by_a_gradient(depth: int, batch_norm: bool) -> None:
    network = on_meta(5, 4, depth=depth, batch_norm=batch_norm).train()
    torch.autograd.backward(network(image(64, channels=4).expand(2, -1, -1, -1)).sum())
    assert [n for n, p in network.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("depth", [0, 12, 17])
def test_a_depth_that_the_paper_does_not_have_is_refused(depth: int) -> None:
    sentence = f"depth of vgg must be one of 11, 13, 16, 19, got {depth}"
    with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
        vgg(depth=depth)
