"""AlexNet on two GPUs and in one tower: the sizes that a lecture draws, and what the two halves share."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convwise import networks
from convwise.networks.alexnet import alexnet, alexnet_owt
from convwise.networks.blocks import ConvNet

from .helpers import image, outputs

Builder = Callable[..., ConvNet]


class Form(NamedTuple):
    """One of the networks, with the numbers that it must have."""

    build: Builder
    side: int
    params: int
    macs: int
    channels: tuple[int, ...]  # of the convolutions


# facts: ref/alexnet2012_grouped@227, ref/alexnet2012_ungrouped@227, tv/alexnet@224; stages_2012, stages_owt
FORMS = {
    "two GPUs": Form(alexnet, 227, 60_965_224, 724_406_816, (96, 256, 384, 384, 256)),
    "ungrouped": Form(partial(alexnet, groups=1), 227, 62_378_344, 1_135_256_096, (96, 256, 384, 384, 256)),
    "one tower": Form(alexnet_owt, 224, 61_100_840, 714_188_480, (64, 192, 384, 256, 256)),
}
each_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


def on_meta(build: Builder, *arguments: int) -> ConvNet:
    with torch.device("meta"):
        return build(*arguments).eval()


@each_form
def test_counts_match_the_publication(form: Form) -> None:
    network = on_meta(form.build)
    with FlopCounterMode(display=False) as counter:
        assert network(image(form.side)).shape == (1, 1000)
    assert sum(p.numel() for p in network.parameters()) == form.params
    assert counter.get_total_flops() == 2 * form.macs


@pytest.mark.parametrize(("name", "form"), [("alexnet", "two GPUs"), ("alexnet_owt", "one tower")])
def test_the_casebook_has_these_counts(name: str, form: str) -> None:
    entry = networks.describe(name)
    assert (entry.resolution, entry.params, entry.macs) == FORMS[form][1:4]


@each_form
def test_the_maps_are_55_27_13_and_6_pixels_a_side(form: Form) -> None:
    network, (first, second, *_) = on_meta(form.build), form.channels
    convolved = [(channels, side, side) for channels, side in zip(form.channels, (55, 27, 13, 13, 13), strict=True)]
    assert outputs(network, image(form.side), nn.Conv2d) == convolved
    assert outputs(network, image(form.side), nn.MaxPool2d) == [(first, 27, 27), (second, 13, 13), (256, 6, 6)]
    assert outputs(network, image(form.side), nn.Flatten) == [(9216,)]
    assert outputs(network, image(form.side), nn.Linear) == [(4096,), (4096,), (1000,)]


@each_form
def test_pools_overlap(form: Form) -> None:
    pools = [m for m in on_meta(form.build).modules() if isinstance(m, nn.MaxPool2d)]
    assert [(pool.kernel_size, pool.stride) for pool in pools] == [(3, 2)] * 3


def test_layers_2_4_and_5_are_split_between_the_gpus() -> None:
    def groups(network: ConvNet) -> list[int]:
        return [m.groups for m in network.modules() if isinstance(m, nn.Conv2d)]

    assert groups(on_meta(alexnet)) == [1, 2, 1, 2, 2]
    assert groups(on_meta(partial(alexnet, groups=1))) == [1] * 5
    assert groups(on_meta(alexnet_owt)) == [1] * 5


def test_layer_2_keeps_the_halves_apart_and_layer_3_joins_them() -> None:
    torch.manual_seed(0)
    # without linear layers, which cost half a second
    with torch.device("meta"):
        stages = alexnet().stages
    second, third = (stages[i].get_submodule("0.conv").to_empty(device="cpu") for i in (1, 2))
    for conv, inputs in ((second, 96), (third, 256)):
        for parameter in conv.parameters():
            nn.init.normal_(parameter)
        x = torch.randn(1, inputs, 5, 5)
        other = x.clone()
        other[:, : inputs // 2] += 1
        changed = (conv(x) != conv(other)).flatten(2).any(-1)[0].tolist()
        half = len(changed) // 2
        assert changed == ([True] * half + [False] * half if conv is second else [True] * 2 * half)


def test_response_normalisation_is_the_formula_of_the_paper() -> None:
    torch.manual_seed(0)
    norm = on_meta(alexnet).stages[0].get_submodule("0.norm")
    x = 30 * torch.randn(1, 9, 2, 2)
    expected = torch.empty_like(x)
    k, n, alpha, beta = 2, 5, 1e-4, 0.75  # section 3.3
    for i in range(9):
        near = x[:, max(0, i - n // 2) : i + n // 2 + 1]
        expected[:, i] = x[:, i] / (k + alpha * near.square().sum(1)) ** beta
    torch.testing.assert_close(norm(x), expected)
    assert (x / expected).max() > 1.1 * 2**0.75  # the sum matters in this test


def test_normalisation_follows_the_first_two_activations_of_2012_alone() -> None:
    def parts(network: ConvNet) -> list[list[str]]:
        return [[name for name, _ in stage.get_submodule("0").named_children()] for stage in network.stages]

    normed, pooled, plain = ["conv", "act", "norm", "pool"], ["conv", "act", "pool"], ["conv", "act"]
    assert parts(on_meta(alexnet)) == [normed, normed, plain, plain, pooled]
    assert parts(on_meta(alexnet_owt)) == [pooled, pooled, plain, plain, pooled]


@pytest.mark.parametrize("build", [alexnet, alexnet_owt])
def test_dropout_follows_each_hidden_layer(build: Builder) -> None:
    for given, expected in (({}, 0.5), ({"dropout": 0.2}, 0.2)):
        head = on_meta(partial(build, **given)).head
        kinds = [type(m).__name__ for m in head]
        assert kinds == ["AdaptiveAvgPool2d", "Flatten", *["Linear", "ReLU", "Dropout"] * 2, "Linear"]
        assert [m.p for m in head if isinstance(m, nn.Dropout)] == [expected] * 2


@pytest.mark.parametrize(("name", "smallest"), [("alexnet", 67), ("alexnet_owt", 63)])
def test_any_side_from_the_smallest_on_will_do(name: str, smallest: int) -> None:
    network = on_meta(partial(networks.create, name), 7)  # type: ignore[arg-type]
    assert networks.describe(name).smallest == smallest
    for side in (smallest, 160, 300):
        assert network(image(side)).shape == (1, 7)
    with pytest.raises(RuntimeError):
        network(image(smallest - 1))


@each_form
def test_every_parameter_is_reached_by_a_gradient(form: Form) -> None:
    network = on_meta(form.build, 5, 4).train()
    torch.autograd.backward(network(image(form.side, channels=4)).sum())
    assert [n for n, p in network.named_parameters() if p.grad is None] == []
