"""What every network promises."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from convwise import networks
from convwise.data.preprocessing import Preprocessing
from convwise.errors import UsageError
from convwise.runtime.graph import PixelNetwork, export_graph
from convwise.runtime.session import FrozenNetwork

from .helpers import meta_network, on_meta

# Each takes some seconds for what a smaller one of its family tells too.
SLOW = {
    "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn", "resnet101", "resnet152", "plain50",
    "plain101", "plain152", "plain110", "efficientnet_b2", "efficientnet_b3", "efficientnet_b4", "efficientnet_b5",
    "efficientnet_b6", "efficientnet_b7", "efficientnet_lite3", "efficientnet_lite4",
}  # fmt: skip


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


@pytest.mark.parametrize("name", ["lenet5", "lenet5_1998", "resnet20", "efficientnet_lite0"])
def test_a_seed_gives_the_same_network(name: str) -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(networks.create(name, 5).state_dict())
    assert all(torch.equal(tensor, states[1][key]) for key, tensor in states[0].items())
