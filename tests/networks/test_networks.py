"""What every network promises, and what can be asked of all of them by name."""

import inspect
import re
import subprocess
import sys
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from convwise import networks
from convwise.data.preprocessing import Preprocessing
from convwise.errors import UsageError
from convwise.networks.blocks import ConvNet, LastLayer
from convwise.networks.casebook import shared
from convwise.networks.lenet import lenet5
from convwise.runtime.graph import PixelNetwork, export_graph
from convwise.runtime.session import FrozenNetwork

# Each takes some seconds for what a smaller one of its family tells too.
SLOW = {
    "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn", "resnet101", "resnet152", "plain50",
    "plain101", "plain152", "plain110", "efficientnet_b2", "efficientnet_b3", "efficientnet_b4", "efficientnet_b5",
    "efficientnet_b6", "efficientnet_b7", "efficientnet_lite3", "efficientnet_lite4",
}  # fmt: skip
meta_network = pytest.mark.parametrize("name", networks.names())


def _sized(name: str) -> object:
    return pytest.param(name, marks=pytest.mark.slow if name in SLOW else ())


@pytest.fixture(scope="module", params=[_sized(name) for name in networks.names()])
def built(request: pytest.FixtureRequest) -> tuple[str, nn.Module]:
    """One network after the other, with five classes; a test leaves it as it was."""
    torch.manual_seed(0)
    return request.param, networks.create(request.param, 5)


def side(name: str) -> int:
    """A side that is quick and still leaves every stage something to see."""
    entry = networks.describe(name)
    return min(entry.resolution, max(entry.smallest, 64))


def image(name: str, batch: int = 2) -> Tensor:
    """Noise of the shape that the network takes."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, networks.describe(name).channels, side(name), side(name), generator=generator)


@cache
def on_meta(name: str, num_classes: int | None = None) -> nn.Module:
    """The network without memory for its weights; a test leaves it as it was."""
    with torch.device("meta"):
        return networks.create(name, num_classes).eval()


@meta_network
def test_counts_are_those_of_the_casebook(name: str) -> None:
    entry, network = networks.describe(name), on_meta(name)
    with FlopCounterMode(display=False) as counter:
        logits = network(torch.empty(1, *networks.input_shape(name), device="meta"))
    assert sum(p.numel() for p in network.parameters()) == entry.params
    assert counter.get_total_flops() == 2 * entry.macs
    assert logits.shape == (1, entry.num_classes)


def run_at(name: str, side: int) -> torch.Size:
    """The shape of what a network gives that is built for this side if it is built for one."""
    fitted = networks.fitted_to(name, side)
    with torch.device("meta"):
        network = networks.create(name, None, fitted).eval() if fitted else on_meta(name)
        logits: Tensor = network(torch.empty(1, networks.describe(name).channels, side, side))
    return logits.shape


@meta_network
def test_the_smallest_input_is_the_one_that_is_told(name: str) -> None:
    entry = networks.describe(name)
    smallest, less = entry.smallest, entry.smallest - 1
    shape = networks.input_shape(name, networks.fitted_to(name, smallest), smallest)
    assert shape == (entry.channels, smallest, smallest)
    assert run_at(name, smallest) == (1, entry.num_classes)
    sentence = f"resolution of {name} must be at least {smallest} pixels, got {less}"
    with pytest.raises(UsageError, match=f"^{sentence}$"):
        networks.input_shape(name, networks.fitted_to(name, less), less)
    if less:
        with pytest.raises((RuntimeError, UsageError)):
            run_at(name, less)


@pytest.mark.parametrize(("arguments", "built"), [({}, 28), ({"resolution": 40}, 40)])
def test_a_network_for_one_side_is_not_used_at_another(arguments: dict[str, object], built: int) -> None:
    assert networks.input_shape("lenet5", arguments) == (1, built, built)
    with pytest.raises(UsageError, match=f"^lenet5 cannot be built for {built} pixels and used at 20$"):
        networks.input_shape("lenet5", arguments, 20)


def test_evaluation_is_deterministic_and_each_image_stands_alone(built: tuple[str, nn.Module]) -> None:
    name, network = built
    network.eval()
    x = image(name)
    with torch.no_grad():
        both, again, first = network(x), network(x), network(x[:1])
    assert both.shape == (2, 5)
    assert torch.equal(both, again)
    torch.testing.assert_close(both[:1], first, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(both[0], both[1], rtol=1e-3, atol=0), "the image makes no difference"


def test_every_parameter_gets_a_gradient(built: tuple[str, nn.Module]) -> None:
    name, network = built
    network.train()
    logits = network(image(name, batch=4))
    torch.autograd.backward(F.cross_entropy(logits, torch.tensor([0, 1, 2, 3])))
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []
    network.zero_grad()


def test_a_network_is_stem_stages_and_head(built: tuple[str, nn.Module]) -> None:
    name, network = built
    stages, head, stem = network.stages, network.head, network.stem
    assert isinstance(stages, nn.Sequential)
    assert isinstance(head, nn.Sequential)
    assert isinstance(stem, nn.Module)
    assert all(isinstance(stage, nn.Sequential) for stage in stages)
    network.eval()
    x = image(name)
    with torch.no_grad():
        map_ = stages(stem(x))
        features = head[:-1](map_)
        assert map_.dim() == 4
        assert torch.equal(head[-1](features), network(x))


def test_the_graph_equals_eager_at_every_cut(built: tuple[str, nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    """Emitted directly: through torch.onnx it would take seconds."""
    name, network = built
    monkeypatch.setattr("convwise.runtime.graph._torch_onnx", lambda *_: pytest.fail("not emitted directly"))
    channels = networks.describe(name).channels
    preprocessing = Preprocessing(
        channels=channels, resolution=side(name), mean=(127.0,) * channels, std=(64.0,) * channels
    )
    frozen = FrozenNetwork(export_graph(network, preprocessing).SerializeToString())
    pixels = np.random.default_rng(3).integers(0, 256, (2, *preprocessing.shape), np.uint8)
    assert frozen.outputs == (*networks.cuts(network), "logits")
    with torch.no_grad():
        expected = PixelNetwork(network, preprocessing, frozen.outputs).eval()(torch.from_numpy(pixels))
    for cut, got, reference in zip(frozen.outputs, frozen.run(pixels, frozen.outputs), expected, strict=True):
        scale = max(1.0, float(reference.abs().max()))
        assert np.abs(got - reference.numpy()).max() <= 1e-4 * scale, cut


def test_a_new_number_of_classes_replaces_the_last_layer_alone(built: tuple[str, nn.Module]) -> None:
    name, network = built
    head = network.head
    assert isinstance(head, nn.Sequential)
    old, before = head[-1], {key: id(tensor) for key, tensor in network.state_dict(keep_vars=True).items()}
    networks.replace_head(network, 3)
    after = {key: id(tensor) for key, tensor in network.state_dict(keep_vars=True).items()}
    with torch.no_grad():
        assert network.eval()(image(name)).shape == (2, 3)
    head[-1] = old
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {key for key in before if key.startswith(f"head.{len(head) - 1}.")}
    assert changed
    assert list(after) == list(before)


@meta_network
def test_only_the_last_layer_knows_the_number_of_classes(name: str) -> None:
    few, many = on_meta(name, 5), on_meta(name, 7)
    shapes = {key: tensor.shape for key, tensor in many.state_dict().items()}
    differ = {".".join(key.split(".")[:2]) for key, tensor in few.state_dict().items() if tensor.shape != shapes[key]}
    assert differ == {f"head.{len(list(few.get_submodule('head').children())) - 1}"}


@meta_network
def test_cuts_name_every_block_once_in_order(name: str) -> None:
    network = on_meta(name)
    cuts, stages = networks.cuts(network), list(network.get_submodule("stages").children())
    blocks = [
        f"stage{i}.block{j}" for i, stage in enumerate(stages, 1) for j in range(1, len(list(stage.children())) + 1)
    ]
    stem = [] if isinstance(network.stem, nn.Identity) else ["stem"]
    assert list(cuts) == [*stem, *blocks, "features"]
    assert all(networks.canonical_cut(network, cut) == cut for cut in cuts)
    assert networks.canonical_cut(network, f"stage{len(stages)}") == blocks[-1]


@pytest.mark.parametrize("name", ["lenet5", "lenet5_1998", "resnet20", "efficientnet_lite0"])
def test_a_seed_gives_the_same_network(name: str) -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(networks.create(name, 5).state_dict())
    assert all(torch.equal(tensor, states[1][key]) for key, tensor in states[0].items())


def test_an_unknown_cut_names_the_nearest() -> None:
    with pytest.raises(
        UsageError,
        match=r"cut must be one of stage1\.block1, stage2\.block1, features, got 'feature'; did you mean 'features'\?",
    ):
        networks.canonical_cut(lenet5(), "feature")


@pytest.mark.parametrize(
    ("name", "width"),
    [("alexnet", 4096), ("vgg16", 4096), ("lenet5", 84), ("efficientnet_lite0", 1280), ("resnet50", 2048)],
)
def test_features_are_as_wide_as_the_last_layer_takes(name: str, width: int) -> None:
    assert networks.feature_width(on_meta(name)) == width


@pytest.mark.parametrize("name", ["nin_cifar10", "lenet5_1998"])
def test_a_last_layer_that_is_not_linear_makes_another_for_other_classes(name: str) -> None:
    last = networks.parts(on_meta(name, 10))[-1][1]
    assert type(last) is not nn.Linear
    assert isinstance(last, LastLayer)


def test_a_replaced_head_keeps_dtype_device_mode_and_whether_it_has_a_bias() -> None:
    head = nn.Sequential(nn.Flatten(), nn.Linear(4, 10, bias=False))
    network = ConvNet(nn.Identity(), nn.Sequential(), head).to(torch.float64).eval()
    networks.replace_head(network, 2)
    fresh = network.head[-1]
    assert isinstance(fresh, nn.Linear)
    assert fresh.weight.dtype == torch.float64
    assert "bias" not in fresh.state_dict()
    assert not fresh.training
    with torch.device("meta"):
        network = lenet5()
    networks.replace_head(network, 2)
    assert {p.device.type for p in network.parameters()} == {"meta"}


def test_a_fresh_head_starts_with_all_classes_alike() -> None:
    torch.manual_seed(0)
    network = networks.create("efficientnet_lite0", 1000)
    networks.replace_head(network, 100)
    weight = network.get_parameter("head.3.weight")
    assert weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert not network.get_parameter("head.3.bias").any()


def test_auxiliary_heads_learn_of_a_new_number_of_classes_too() -> None:
    with torch.device("meta"):
        network = networks.create("googlenet", 10, {"aux": True})
    networks.replace_head(network, 3)
    aux = network.aux
    assert len(aux) == 2  # type: ignore[arg-type]
    assert [head[-1].out_features for head in aux.values()] == [3, 3]  # type: ignore[operator]


@pytest.mark.parametrize(
    "ask", [networks.cuts, networks.feature_width, partial(networks.canonical_cut, cut="stem")], ids=repr
)
def test_a_module_of_another_shape_is_refused(ask: partial[object]) -> None:
    sentence = "network must have a stem, and stages and head as nn.Sequential, got Linear"
    with pytest.raises(UsageError, match=re.escape(sentence)):
        ask(nn.Linear(2, 2))


def test_a_head_without_a_last_linear_layer_is_refused() -> None:
    network = ConvNet(nn.Identity(), nn.Sequential(), nn.Sequential(nn.Flatten()))
    with pytest.raises(UsageError, match=r"^head of a network must end in nn\.Linear, got Flatten$"):
        networks.feature_width(network)
    sentence = "head of a network must end in nn.Linear, or in a layer with for_classes(), got Flatten"
    with pytest.raises(UsageError, match=re.escape(sentence)):
        networks.replace_head(network, 2)


def test_an_unknown_network_names_the_nearest() -> None:
    sentence = "network must be one of the {} that `convwise networks` lists, got {}; did you mean {}?"
    for got, near in (
        ("resnet5O", "'resnet56' or 'resnet50' or 'resnet152'"),
        ("lenet", "'lenet5' or 'alexnet' or 'googlenet'"),
    ):
        with pytest.raises(UsageError, match=re.escape(sentence.format(len(networks.names()), repr(got), near))):
            networks.create(got)
        with pytest.raises(UsageError, match=re.escape(near)):
            networks.describe(got)


def test_an_unknown_argument_names_the_allowed_ones() -> None:
    sentence = "argument of vgg16 must be one of in_channels, dropout, got 'depth'"
    with pytest.raises(UsageError, match=re.escape(sentence)):
        networks.create("vgg16", 10, {"depth": 3})


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("efficientnet", {"phi": "big"}, "phi of efficientnet must be a number, got 'big'"),
        ("efficientnet", {"phi": None}, "phi of efficientnet must be a number, got None"),
        ("mobilenet_v2", {"width": True}, "width of mobilenet_v2 must be a number, got True"),
        ("mobilenet_v2", {"in_channels": 1.0}, "in_channels of mobilenet_v2 must be a whole number, got 1.0"),
        ("efficientnet_b0", {"dropout": "0.1"}, "dropout of efficientnet_b0 must be a number or none, got '0.1'"),
        ("resnet50", {"v1_5": 1}, "v1_5 of resnet50 must be true or false, got 1"),
        ("lenet5", {"activation": 1}, "activation of lenet5 must be a word, got 1"),
    ],
)
def test_an_argument_of_another_kind_is_refused(name: str, arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
        networks.create(name, 10, arguments)
    with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
        networks.input_shape(name, arguments)


@pytest.mark.parametrize(("phi", "side"), [(0, 224), (0.5, 240), (1.0, 258)])  # 224 * 1.15 ** phi, rounded
def test_compound_scaling_moves_the_side_of_the_input(phi: float, side: int) -> None:
    assert networks.input_shape("efficientnet", {"phi": phi}) == (3, side, side)
    assert networks.input_shape("efficientnet", {"phi": phi, "in_channels": 1}) == (1, side, side)


@pytest.mark.parametrize("num_classes", [10**30, "10", 2.5, True])
def test_a_number_of_classes_that_nobody_has_is_refused(num_classes: Any) -> None:
    sentence = f"num_classes must be a whole number from 1 to 10,000,000, got {num_classes!r}"
    with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
        networks.create("lenet5", num_classes)


@pytest.mark.parametrize("num_classes", [0, -1])
def test_a_network_has_at_least_one_class(num_classes: int) -> None:
    with pytest.raises(UsageError, match=f"num_classes must be a whole number from 1 to 10,000,000, got {num_classes}"):
        networks.create("lenet5", num_classes)
    with pytest.raises(UsageError, match=f"num_classes must be a whole number from 1 to 10,000,000, got {num_classes}"):
        networks.replace_head(lenet5(), num_classes)


@meta_network
def test_the_entry_tells_what_the_builder_takes(name: str) -> None:
    entry = networks.describe(name)
    module = import_module(f"convwise.networks.{entry.module}")
    builder = getattr(module, entry.builder)
    parameters, hints = inspect.signature(builder).parameters, get_type_hints(builder)
    first, *others = parameters
    assert first == "num_classes"
    assert {*others} == {*entry.arguments, *entry.fixed}
    for key, argument in entry.arguments.items():
        none = {type(None)} if argument.default is None else set()
        assert {*(get_args(hints[key]) or (hints[key],))} == {argument.kind} | none, key
        assert argument.default == parameters[key].default, key
        assert argument.takes(argument.default), key
        assert argument.meaning.strip(), key
    assert not {*entry.arguments} & {*entry.fixed}
    assert "in_channels" in others
    assert module.__doc__ is not None
    assert "\nDeviations: " in module.__doc__
    assert entry.paper.url in module.__doc__


@meta_network
def test_a_network_takes_other_channels(name: str) -> None:
    entry = networks.describe(name)
    with torch.device("meta"):
        network = networks.create(name, 5, {"in_channels": 5}).eval()
        assert network(torch.empty(1, 5, entry.resolution, entry.resolution)).shape == (1, 5)
    assert networks.input_shape(name, {"in_channels": 5}) == (5, entry.resolution, entry.resolution)
    with pytest.raises(UsageError, match="in_channels must be at least 1, got 0"):
        networks.create(name, 5, {"in_channels": 0})


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "nin_cifar10", "mobilenet_v2", "efficientnet_lite0"])
@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_dropout_that_is_no_probability_is_refused(name: str, share: float) -> None:
    with (
        torch.device("meta"),
        pytest.raises(UsageError, match=f"dropout must be a probability from 0 to 1, got {share}"),
    ):
        networks.create(name, 5, {"dropout": share})


def test_names_stand_in_the_order_of_the_papers() -> None:
    years = [networks.describe(name).paper.year for name in networks.names()]
    assert years == sorted(years)


def test_every_number_has_its_source() -> None:
    for name in networks.names():
        entry = networks.describe(name)
        assert entry.idea, name
        assert entry.paper.url.startswith("https://"), name
        assert entry.printed is None or entry.printed.source, name
        assert entry.accuracy is None or (entry.accuracy.source and entry.accuracy.protocol), name


# As published: params, MACs, and top-1 in per cent, None where nobody prints one.
# fmt: off
PUBLISHED: dict[str, tuple[str | None, str | None, float | None]] = {
    "lenet5_1998": ("60,000", "340,908 connections", 100 - 0.95),  # section II.B; error without distortions
    "lenet5": (None, None, None),
    "alexnet": ("60 M", "720 M", 100 - 40.7),  # abstract; MobileNet, Table 9; one network, VGG, Table 7
    "alexnet_owt": ("61,100,840", "0.714 G", 56.522),  # torchvision
    "nin_cifar10": (None, None, 100 - 8.81),  # with augmentation; ResNet, Table 6
    "nin_imagenet": ("29 MB as float32", None, 59.36),  # Caffe's model zoo
    "vgg11": ("133 M", None, 100 - 29.6),  # Table 2, columns A, B, D, E; Table 3, row A
    "vgg13": ("133 M", None, 100 - 28.2),  # Table 4, row B
    "vgg16": ("138 M", "15.3 G", 100 - 24.8),  # MACs of 16 and 19: ResNet, section 4.1; Table 4, row D
    "vgg19": ("144 M", "19.6 G", 100 - 24.8),  # Table 4, row E
    "vgg11_bn": ("132,868,840", "7.609 G", 70.370),  # torchvision
    "vgg13_bn": ("133,053,736", "11.308 G", 71.586),
    "vgg16_bn": ("138,365,992", "15.47 G", 73.360),
    "vgg19_bn": ("143,678,248", "19.632 G", 74.218),
    "googlenet": ("6.8 M", "1.50 G", 68.7),  # sums of Table 1, 6,797.7 K and 1,502 M; Caffe's model zoo
    "googlenet_bn": (None, None, 69.778),  # torchvision
    "resnet18": (None, "1.8 G", 100 - 27.88),  # Table 1; Table 2, option A
    "resnet34": (None, "3.6 G", 100 - 24.52),  # Table 3, option B
    "resnet50": (None, "3.8 G", 100 - 22.85),
    "resnet101": (None, "7.6 G", 100 - 21.75),
    "resnet152": (None, "11.3 G", 100 - 21.43),
    "plain18": (None, "1.8 G", 100 - 27.94),  # Table 2
    "plain34": (None, "3.6 G", 100 - 28.54),
    "resnet20": ("0.27 M", None, 100 - 8.75),  # Table 6
    "resnet32": ("0.46 M", None, 100 - 7.51),
    "resnet44": ("0.66 M", None, 100 - 7.17),
    "resnet56": ("0.85 M", None, 100 - 6.97),
    "resnet110": ("1.7 M", None, 100 - 6.43),  # the best of five
    **{f"plain{depth}": (None, None, None) for depth in (50, 101, 152, 20, 32, 44, 56, 110)},
    "mobilenet_v1": ("4.2 M", "569 M", 70.6),  # Table 4
    "mobilenet_v1_conv": ("29.3 M", "4866 M", 71.7),
    "mobilenet_v1_shallow": ("2.9 M", "307 M", 65.3),  # Table 5
    "mobilenet_v2": ("3.4 M", "300 M", 72.0),  # Table 4
    "efficientnet_b0": ("5.3 M", "0.39 B", 77.1),  # Table 2, the last version
    "efficientnet_b1": ("7.8 M", "0.70 B", 79.1),
    "efficientnet_b2": ("9.2 M", "1.0 B", 80.1),
    "efficientnet_b3": ("12 M", "1.8 B", 81.6),
    "efficientnet_b4": ("19 M", "4.2 B", 82.9),
    "efficientnet_b5": ("30 M", "9.9 B", 83.6),
    "efficientnet_b6": ("43 M", "19 B", 84.0),
    "efficientnet_b7": ("66 M", "37 B", 84.3),
    "efficientnet": ("5.3 M", "0.39 B", 77.1),  # phi 0 is B0
    "efficientnet_lite0": ("4.7 M", "407 M", 75.1),  # the authors' README, float32
    "efficientnet_lite1": ("5.4 M", "631 M", 76.7),
    "efficientnet_lite2": ("6.1 M", "899 M", 77.6),
    "efficientnet_lite3": ("8.2 M", "1.44 B", 79.8),
    "efficientnet_lite4": ("13.0 M", "2.64 B", 81.5),
}
# fmt: on
PRINTED = [name for name, figures in PUBLISHED.items() if any(figures[:2])]


def test_printed_figures_and_top1_are_the_published_ones() -> None:
    found = {}
    for name in networks.names():
        printed, accuracy = networks.describe(name).printed, networks.describe(name).accuracy
        top1 = accuracy and round(100 * accuracy.top1, 3)
        found[name] = (printed and printed.params, printed and printed.macs, top1)
    assert found == {name: (params, macs, top1 and round(top1, 3)) for name, (params, macs, top1) in PUBLISHED.items()}


@pytest.mark.parametrize("name", PRINTED)
def test_an_entry_says_why_print_and_count_differ_where_they_do_beyond_rounding(name: str) -> None:
    entry, differ = networks.describe(name), []
    for what, printed, counted in zip(("params", "MACs"), PUBLISHED[name][:2], (entry.params, entry.macs), strict=True):
        number, _, unit = (printed or "").partition(" ")
        units = {"": 1, "M": 1_000_000, "G": 1_000_000_000, "B": 1_000_000_000}
        digits = len(number.partition(".")[2])
        if printed and (unit not in units or float(number.replace(",", "")) != round(counted / units[unit], digits)):
            differ.append((what, printed))
    assert all(what in entry.difference or printed in entry.difference for what, printed in differ)
    assert bool(entry.difference) is bool(differ)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("alexnet", (60_000_000, 720_000_000)),
        ("vgg16_bn", (138_365_992, 15_470_000_000)),
        ("efficientnet_b1", (7_800_000, 700_000_000)),
        ("resnet50", (None, 3_800_000_000)),
        ("lenet5_1998", (60_000, None)),  # connections are no MACs
        ("nin_imagenet", (None, None)),  # megabytes are no params
    ],
)
def test_a_printed_figure_is_a_number_too_where_it_counts_the_same(
    name: str, counts: tuple[int | None, int | None]
) -> None:
    printed = networks.describe(name).printed
    assert printed is not None
    assert printed.counts() == counts


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("alexnet_owt", "56.52 %"), ("mobilenet_v2", "72.00 %"), ("efficientnet_b6", "84.00 %"), ("vgg16", "75.20 %"),
        ("lenet5_1998", "99.05 %"), ("resnet50", "77.15 %"), ("googlenet_bn", "*69.78 %"), ("resnet18", "*72.12 %"),
    ],
)  # fmt: skip
def test_a_top1_is_written_with_two_decimals_and_a_mark_if_it_is_of_another_form(name: str, text: str) -> None:
    accuracy = networks.describe(name).accuracy
    assert accuracy is not None
    assert accuracy.percent() == text


@meta_network
def test_a_top1_in_a_note_is_written_as_in_the_table(name: str) -> None:
    shares = [share for note in networks.describe(name).notes() for share in re.findall(r"\b0\.\d+\b(?! [BGM])", note)]
    assert shares == []
    top1 = [found for note in networks.describe(name).notes() for found in re.findall(r"top-1: .*?\b([\d.]+) %", note)]
    assert all(len(found.partition(".")[2]) == 2 for found in top1)


@pytest.mark.parametrize(
    ("name", "arguments"), [("resnet18", {"shortcut": "A"}), ("googlenet_bn", {"torchvision": True})]
)
def test_a_top1_of_another_form_tells_the_counts_of_that_form(name: str, arguments: dict[str, object]) -> None:
    accuracy = networks.describe(name).accuracy
    assert accuracy is not None
    with torch.device("meta"):
        network = networks.create(name, None, arguments).eval()
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, 224, 224, device="meta"))
    params, macs = sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 2
    assert f"({params:,} params, {macs:,} MACs)" in accuracy.form
    assert [name for name in networks.names() if (a := networks.describe(name).accuracy) and a.form] == [
        "googlenet_bn", "resnet18",
    ]  # fmt: skip


def test_the_table_of_googlenet_follows_from_its_filters_as_its_entry_says() -> None:
    """Of each module: channels before it, its side, its filters, and what Table 1 has, params in K and MACs in M."""
    rows = [
        (192, 28, (64, 96, 128, 16, 32, 32), 159, 128), (256, 28, (128, 128, 192, 32, 96, 64), 380, 304),
        (480, 14, (192, 96, 208, 16, 48, 64), 364, 73), (512, 14, (160, 112, 224, 24, 64, 64), 437, 88),
        (512, 14, (128, 128, 256, 24, 64, 64), 463, 100), (512, 14, (112, 144, 288, 32, 64, 64), 580, 119),
        (528, 14, (256, 160, 320, 32, 128, 128), 840, 170), (832, 7, (256, 160, 320, 32, 128, 128), 1072, 54),
        (832, 7, (384, 192, 384, 48, 128, 128), 1388, 71),
    ]  # fmt: skip
    weights = [c * (a + b + d + p) + 9 * b * t + 25 * d * f for c, _, (a, b, t, d, f, p), _, _ in rows]
    macs = [w * side * side for w, (_, side, *_) in zip(weights, rows, strict=True)]
    assert [w // 1024 == printed for w, (*_, printed, _) in zip(weights, rows, strict=True)] == [True] + 8 * [False]
    assert [abs(m / 1e6 - row[-1]) < 1 for m, row in zip(macs, rows, strict=True)] == 7 * [True] + [False, True]
    assert (round(macs[7] / 1e6, 1), 49 * 64 * 3, 49 * 64 * 3 * 112 * 112) == (51.1, 9408, 118_013_952)
    difference = networks.describe("googlenet").difference
    assert all(part in difference for part in ("eight of its nine", "54 M MACs for 5a", "51.1 M", "9.4 K and 118 M"))


def test_notes_that_are_the_same_are_told_once_with_their_networks() -> None:
    notes = {"a": ["x.", "y."], "b": ["x."], "c": ["x.", "y."], "d": ["x.", "z."], "e": ["z."]}
    assert shared(notes, "`") == ["`a`, `b`, `c`, `d`: x.", "`a`, `c`: y.", "`d`, `e`: z."]
    assert shared({"a": ["x."], "b": ["x."]}) == ["x."]


def test_asking_what_there_is_does_not_import_torch() -> None:
    code = (
        "import sys; from convwise import networks; "
        "[networks.input_shape(n) for n in networks.names()]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_paper_is_one_file_of_networks_and_one_of_the_casebook() -> None:
    folder = Path(networks.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "blocks"}
    data = {path.stem for path in (folder / "casebook").glob("*.py")} - {"__init__", "entry"}
    assert files == data == {networks.describe(name).module for name in networks.names()}
