"""Network in Network: mlpconv layers, pools in ceil mode, and a map a class whose mean is the logit."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from convwise import networks
from convwise.networks.blocks import ConvNet
from convwise.networks.nin import MEAN, ClassMaps, nin_cifar10, nin_imagenet

from .helpers import image, outputs

# side, params, MACs; facts: ref/nin_cifar10@32, ref/nin_imagenet@224
COUNTS = {"nin_cifar10": (32, 966_986, 222_486_528), "nin_imagenet": (224, 7_595_176, 1_100_188_800)}
# shapes that the convolutions give, a line for each mlpconv; facts: nin.layer_table_cifar10 and layer_table_imagenet
MAPS = {
    "nin_cifar10": [
        (192, 32, 32), (160, 32, 32), (96, 32, 32),
        (192, 16, 16), (192, 16, 16), (192, 16, 16),
        (192, 8, 8), (192, 8, 8), (10, 8, 8),
    ],
    "nin_imagenet": [
        (96, 54, 54), (96, 54, 54), (96, 54, 54),
        (256, 27, 27), (256, 27, 27), (256, 27, 27),
        (384, 13, 13), (384, 13, 13), (384, 13, 13),
        (1024, 6, 6), (1024, 6, 6), (1000, 6, 6),
    ],
}  # fmt: skip
Builder = Callable[..., ConvNet]
each_form = pytest.mark.parametrize("name", COUNTS)


def on_meta(name: str, *, classes: int | None = None) -> nn.Module:
    with torch.device("meta"):
        return networks.create(name, classes).eval()


@each_form
def test_counts_match_the_authors_definition_and_the_casebook(name: str) -> None:
    side, params, macs = COUNTS[name]
    network, entry = on_meta(name), networks.describe(name)
    with FlopCounterMode(display=False) as counter:
        network(image(side))
    assert (sum(p.numel() for p in network.parameters()), counter.get_total_flops()) == (params, 2 * macs)
    assert (entry.resolution, entry.params, entry.macs) == (side, params, macs)


def test_the_imagenet_form_is_as_large_as_its_published_file() -> None:
    printed = networks.describe("nin_imagenet").printed
    assert printed is not None
    assert printed.params == f"{round(7_595_176 * 4 / 2**20)} MB as float32"


@each_form
def test_every_map_has_its_size(name: str) -> None:
    assert outputs(on_meta(name), image(COUNTS[name][0]), nn.Conv2d) == MAPS[name]


@each_form
def test_an_mlpconv_is_a_convolution_and_two_of_1x1_each_activated(name: str) -> None:
    network = on_meta(name)
    blocks = [module for module in network.modules() if hasattr(module, "mlp1")]
    assert len(blocks) == len(MAPS[name]) // 3
    for block in blocks:
        parts = [block.get_submodule(part) for part in ("conv", "mlp1", "mlp2")]
        assert [[name for name, _ in part.named_children()] for part in parts] == [["conv", "act"]] * 3
        assert all(isinstance(part.get_submodule("act"), nn.ReLU) for part in parts)
        assert [part.get_submodule("conv").kernel_size == (1, 1) for part in parts] == [False, True, True]


def test_pools_and_dropout_stand_where_the_definitions_have_them() -> None:
    def after(name: str) -> list[list[str]]:
        stages = on_meta(name).get_submodule("stages")
        return [
            [type(m).__name__ for m in list(stage.get_submodule("0").children())[3:]] for stage in stages.children()
        ]

    assert after("nin_cifar10") == [["MaxPool2d", "Dropout"], ["AvgPool2d", "Dropout"]]
    assert after("nin_imagenet") == [["MaxPool2d"], ["MaxPool2d"], ["MaxPool2d", "Dropout"]]


@pytest.mark.parametrize("build", [nin_cifar10, nin_imagenet])
def test_dropout_is_as_given(build: Builder) -> None:
    with torch.device("meta"):
        found = [[m.p for m in net.modules() if isinstance(m, nn.Dropout)] for net in (build(), build(dropout=0.3))]
    assert set(found[0]) == {0.5}
    assert set(found[1]) == {0.3}


def test_a_pool_s_last_window_counts_only_what_is_on_the_map() -> None:
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    # columns 0..2 and 2..3, rows alike: means of 9, 6, 6 and 4 numbers
    assert MEAN()(x).tolist() == [[[[5, 6.5], [11, 12.5]]]]


def test_a_logit_is_the_mean_of_its_class_s_map() -> None:
    torch.manual_seed(0)
    network = nin_cifar10(5).eval()
    last = network.head[-1]
    assert isinstance(last, ClassMaps)
    x = torch.randn(2, 3, 20, 20)
    with torch.no_grad():
        maps = network.stages(x)
        for part in ("conv", "mlp1", "mlp2"):
            maps = last.get_submodule(part)(maps)
        assert maps.shape == (2, 5, 5, 5)
        torch.testing.assert_close(network(x), maps.mean((2, 3)))


@each_form
def test_the_features_are_the_map_before_the_last_mlpconv(name: str) -> None:
    network = on_meta(name)
    pieces = dict(networks.parts(network))
    assert len(list(network.get_submodule("head").children())) == 1
    x = image(COUNTS[name][0])
    for cut in networks.cuts(network):
        x = pieces[cut](x)
    assert x.shape == {"nin_cifar10": (1, 192, 8, 8), "nin_imagenet": (1, 384, 6, 6)}[name]


def test_a_new_number_of_classes_draws_the_last_mlpconv_anew_and_nothing_else() -> None:
    torch.manual_seed(0)
    network = nin_cifar10(5).double()
    before = {name: p.clone() for name, p in network.named_parameters()}
    networks.replace_head(network, 3)
    after = dict(network.named_parameters())
    assert list(after) == list(before)
    weights = [name for name in before if name.endswith("weight")]
    fresh = [name for name in weights if not torch.equal(before[name], after[name])]
    assert fresh == [name for name in weights if name.startswith("head.0.")]
    assert {p.dtype for p in network.parameters()} == {torch.float64}
    # as at the start: variance 2 over fan-in, biases zero
    assert after["head.0.conv.conv.weight"].std().item() == pytest.approx((2 / (9 * 192)) ** 0.5, rel=0.02)
    assert not after["head.0.conv.conv.bias"].any()
    assert network(torch.randn(2, 3, 8, 8, dtype=torch.float64)).shape == (2, 3)


def test_a_new_last_layer_stays_on_its_device() -> None:
    network = on_meta("nin_imagenet")
    networks.replace_head(network, 3)
    assert {p.device.type for p in network.parameters()} == {"meta"}
    assert network(image(64)).shape == (1, 3)


@pytest.mark.parametrize(("name", "smallest"), [("nin_cifar10", 4), ("nin_imagenet", 39)])
def test_any_side_from_the_smallest_on_will_do(name: str, smallest: int) -> None:
    network = on_meta(name, classes=7)
    assert networks.describe(name).smallest == smallest
    for side in (smallest, 45, 100):
        assert network(image(side)).shape == (1, 7)
    with pytest.raises(RuntimeError):
        network(image(smallest - 1))


def test_every_parameter_gets_a_gradient() -> None:
    torch.manual_seed(0)
    for network, side in ((nin_cifar10(5, 2), 16), (nin_imagenet(5, 2), 75)):
        torch.autograd.backward(F.cross_entropy(network(torch.randn(4, 2, side, side)), torch.tensor([0, 1, 2, 3])))
        assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []
