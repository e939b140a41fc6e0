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
    "ask",
    [networks.cuts, networks.feature_width, partial(networks.canonical_cut, cut="stem")],
    ids=["cuts", "feature_width", "canonical_cut"],
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
        ("efficientnet", {"phi": "big"}, "phi of efficientnet must be a number from -10 to 10, got 'big'"),
        ("efficientnet", {"phi": None}, "phi of efficientnet must be a number from -10 to 10, got None"),
        ("mobilenet_v2", {"width": True}, "width of mobilenet_v2 must be a number from 0.03125 to 32, got True"),
        ("vgg16", {"in_channels": 1.0}, "in_channels of vgg16 must be a whole number from 1 to 10,000, got 1.0"),
        ("efficientnet", {"dropout": "1"}, "dropout of efficientnet must be a number from 0 to 1 or none, got '1'"),
        ("resnet50", {"v1_5": 1}, "v1_5 of resnet50 must be true or false, got 1"),
        ("lenet5", {"activation": 1}, "activation of lenet5 must be a word, got 1"),
    ],
)
def test_an_argument_of_another_kind_is_refused(name: str, arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
        networks.create(name, 10, arguments)
    with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
        networks.input_shape(name, arguments)


# Bounds of an argument, by hand, and a value right beyond either; the width's least is a stem of one channel of 32.
RANGES: dict[str, tuple[float, float, float, float, str]] = {
    "in_channels": (1, 10_000, 0, 10_001, "a whole number from 1 to 10,000"),
    "resolution": (16, 10_000, 0, 10_001, "a whole number from 1 to 10,000"),  # 16 leaves something of the image
    "groups": (1, 2, 0, 3, "a whole number from 1 to 2"),
    "dropout": (0, 1, -0.1, 1.1, "a number from 0 to 1"),
    "stochastic_depth": (0, 1, -0.1, 1.1, "a number from 0 to 1"),
    "width": (1 / 32, 32, 0.03, 32.1, "a number from 0.03125 to 32"),
    "eps": (1e-12, 1, 0, 1.1, "a number from 1e-12 to 1"),
    "phi": (-10, 10, -10.1, 10.1, "a number from -10 to 10"),
}


@meta_network
def test_a_number_among_the_arguments_has_a_range(name: str) -> None:
    entry = networks.describe(name)
    numbers = [key for key, argument in entry.arguments.items() if argument.kind in (int, float)]
    assert {*numbers} <= RANGES.keys()
    for key in numbers:
        none = " or none" if entry.arguments[key].default is None else ""
        least, most, *beyond, words = RANGES[key]
        for value in (*beyond, float("nan"), float("inf"), 10**400, -(10**400)):
            sentence = f"{key} of {name} must be {words}{none}, got {value!r}"
            with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
                networks.create(name, 5, {key: value})
        with torch.device("meta"):
            for value in (least, most):
                assert networks.create(name, 5, {key: value}).training


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


def test_asking_what_there_is_does_not_import_torch() -> None:
    code = (
        "import sys; from convwise import networks; "
        "[networks.input_shape(n) for n in networks.names()]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_paper_is_one_file_of_networks_and_one_of_the_casebook() -> None:
    folder = Path(networks.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "blocks", "contract", "cutting", "repeatable"}
    data = {path.stem for path in (folder / "casebook").glob("*.py")} - {"__init__", "entry"}
    assert files == data == {networks.describe(name).module for name in networks.names()}
