"""GoogLeNet: counts of each module, sizes, branches, and its auxiliary heads."""

import inspect
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from convwise import networks
from convwise.networks import googlenet as module
from convwise.networks.blocks import ConvNormAct
from convwise.networks.googlenet import GoogLeNet, Inception, googlenet, googlenet_bn

Builder = Callable[..., GoogLeNet]
torchvision_form = partial(googlenet_bn, torchvision=True)
each_form = pytest.mark.parametrize("build", [googlenet, googlenet_bn, torchvision_form], ids=["lrn", "bn", "tv"])

# fmt: off
# params, MACs, and both with auxiliary heads; BVLC's replica of the paper has the first, torchvision 0.29.1 the last; a
# batch norm has one number a channel more than a bias: 7,280 channels in the trunk, 2 x 128 in the auxiliary heads
COUNTS = [
    (googlenet,         6_998_552, 1_582_671_872, 13_378_280, 1_591_044_096),
    (googlenet_bn,      7_005_832, 1_582_671_872, 13_385_816, 1_591_044_096),
    (torchvision_form,  6_624_904, 1_498_376_192, 13_004_888, 1_506_748_416),
]
# Table 1: where the module stands, input channels, side, the four branches, params with biases and MACs by the formula
# of a convolution, M multiply-adds as printed
MODULES = {
    "3a": ("1.0",   192, 28, ( 64, 128,  32,  32),   163_696, 128_049_152, 128),
    "3b": ("1.1.0", 256, 28, (128, 192,  96,  64),   388_736, 304_267_264, 304),
    "4a": ("2.0",   480, 14, (192, 208,  48,  64),   376_176,  73_608_192,  73),
    "4b": ("2.1",   512, 14, (160, 224,  64,  64),   449_160,  87_908_352,  88),
    "4c": ("2.2",   512, 14, (128, 256,  64,  64),   510_104,  99_850_240, 100),
    "4d": ("2.3",   512, 14, (112, 288,  64,  64),   605_376, 118_515_712, 119),
    "4e": ("2.4.0", 528, 14, (256, 320, 128, 128),   868_352, 169_996_288, 170),
    "5a": ("3.0",   832,  7, (256, 320, 128, 128), 1_043_456,  51_079_168,  54),
    "5b": ("3.1",   832,  7, (384, 384, 128, 128), 1_444_080,  70_697_984,  71),
}
# fmt: on


def count(network: nn.Module, forward: Callable[[Tensor], object], channels: int, side: int) -> tuple[int, int]:
    """Params and MACs of a module on the meta device."""
    with FlopCounterMode(display=False) as counter:
        forward(torch.empty(1, channels, side, side, device="meta"))
    return sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 2


@pytest.mark.parametrize(("build", "params", "macs", "params_aux", "macs_aux"), COUNTS, ids=["lrn", "bn", "tv"])
def test_counts_match_the_publication(build: Builder, params: int, macs: int, params_aux: int, macs_aux: int) -> None:
    with torch.device("meta"):
        alone, with_aux = build().eval(), build(aux=True).eval()
    assert count(alone, alone, 3, 224) == (params, macs)
    assert count(with_aux, with_aux, 3, 224) == (params_aux, macs)
    assert count(with_aux, with_aux.forward_aux, 3, 224) == (params_aux, macs_aux)


@pytest.mark.parametrize(("name", "counts"), [("googlenet", COUNTS[0]), ("googlenet_bn", COUNTS[1])])
def test_the_entry_has_the_counts_without_auxiliary_heads(name: str, counts: tuple[Builder, int, int]) -> None:
    entry = networks.describe(name)
    assert (entry.params, entry.macs) == counts[1:3]
    first, *others = inspect.signature(getattr(module, entry.builder)).parameters
    assert (first, others) == ("num_classes", list(entry.arguments))


@pytest.mark.parametrize(
    ("name", "channels", "side", "branches", "params", "macs", "printed"), MODULES.values(), ids=MODULES
)
def test_a_module_has_the_filters_and_the_cost_of_its_row_in_table_1(
    name: str, channels: int, side: int, branches: tuple[int, ...], params: int, macs: int, printed: int
) -> None:
    with torch.device("meta"):
        inception = googlenet().stages.get_submodule(name)
    assert isinstance(inception, Inception)
    assert count(inception, inception, channels, side) == (params, macs)
    x = torch.empty(1, channels, side, side, device="meta")
    assert [branch(x).shape for branch in inception.branches] == [(1, width, side, side) for width in branches]
    assert inception(x).shape == (1, sum(branches), side, side)
    if name != "3.0":  # the paper's 54 M of module 5a do not follow from its filters
        assert macs / 1e6 == pytest.approx(printed, rel=0.01)


@each_form
def test_the_maps_have_the_sizes_of_table_1(build: Builder) -> None:
    sizes: list[tuple[int, ...]] = []
    with torch.device("meta"):
        network = build().eval()
    for part in network.modules():
        if isinstance(part, Inception) or part is network.stem or part is network.stages[0]:
            part.register_forward_hook(lambda _module, _inputs, output: sizes.append(tuple(output.shape[1:])))
    assert isinstance(network.stem, nn.Sequential)
    x = torch.empty(1, 3, 224, 224, device="meta")
    assert network.stem[0](x).shape == (1, 64, 112, 112)
    map_ = network.stages(network.stem(x))
    inceptions = [
        (256, 28, 28), (480, 28, 28),
        (512, 14, 14), (512, 14, 14), (512, 14, 14), (528, 14, 14), (832, 14, 14),
        (832, 7, 7), (1024, 7, 7),
    ]  # fmt: skip
    assert sizes == [(64, 56, 56), (192, 28, 28), *inceptions]
    assert network.head[:-1](map_).shape == (1, 1024)


def test_an_inception_module_joins_its_branches_in_the_order_of_the_table() -> None:
    torch.manual_seed(0)
    inception = googlenet().stages.get_submodule("1.0")
    assert isinstance(inception, Inception)
    one, three, five, pool = inception.branches
    x = torch.randn(1, 192, 5, 6)
    y = inception(x)
    assert torch.equal(y[:, :64], one(x))
    assert torch.equal(y[:, 64:192], three(x))
    assert torch.equal(y[:, 192:224], five(x))
    assert torch.equal(y[:, 224:], pool(x))
    torch.testing.assert_close(pool(x), pool.get_submodule("1")(F.max_pool2d(x, 3, 1, 1)))


@pytest.mark.parametrize(
    ("build", "kernel", "pools", "norms", "eps", "dropout"),
    [
        (googlenet, 5, [3, 3, 3, 3], 2, set(), 0.4),
        (googlenet_bn, 5, [3, 3, 3, 3], 0, {1e-5}, 0.4),
        (torchvision_form, 3, [3, 3, 3, 2], 0, {1e-3}, 0.2),
    ],
    ids=["lrn", "bn", "tv"],
)
def test_the_forms_differ_where_they_say(
    build: Builder, kernel: int, pools: list[int], norms: int, eps: set[float], dropout: float
) -> None:
    with torch.device("meta"):
        network = build(aux=True)
    modules = list(network.modules())
    inceptions = [m for m in modules if isinstance(m, Inception)]
    assert {m.branches.get_submodule("2.1.conv").kernel_size for m in inceptions} == {(kernel, kernel)}
    trunk_pools = [m for m in modules if isinstance(m, nn.MaxPool2d) and m.stride == 2]
    assert [m.kernel_size for m in trunk_pools] == pools
    assert len([m for m in modules if isinstance(m, nn.LocalResponseNorm)]) == norms
    assert {m.eps for m in modules if isinstance(m, nn.BatchNorm2d)} == eps
    convs = [m for m in modules if isinstance(m, nn.Conv2d)]
    assert len(convs) == 59  # 57 of the trunk, one in each auxiliary head
    assert {conv.bias is None for conv in convs} == {build is not googlenet}
    assert [m.p for m in modules if isinstance(m, nn.Dropout)] == [dropout, 0.7, 0.7]


def test_the_local_response_norm_has_the_constants_of_alexnet() -> None:
    torch.manual_seed(0)
    norm = next(m for m in googlenet().modules() if isinstance(m, nn.LocalResponseNorm))
    x = 50 * torch.rand(1, 8, 2, 2)
    expected = torch.empty_like(x)
    for c in range(8):
        total = x[:, max(c - 2, 0) : c + 3].square().sum(1)  # n = 5 adjacent channels
        expected[:, c] = x[:, c] / (2 + 1e-4 * total) ** 0.75
    torch.testing.assert_close(norm(x), expected)


def test_the_names_of_the_auxiliary_heads_are_cuts() -> None:
    with torch.device("meta"):
        network = googlenet(aux=True)
    assert list(network.aux) == ["stage3.block1", "stage3.block4"]  # behind 4a and 4d
    assert set(network.aux) < set(networks.cuts(network))
    assert networks.cuts(network) == (
        "stem", "stage1.block1", "stage2.block1", "stage2.block2",
        *(f"stage3.block{i}" for i in range(1, 6)), "stage4.block1", "stage4.block2", "features",
    )  # fmt: skip
    assert networks.feature_width(network) == 1024


@each_form
def test_an_auxiliary_head_sees_the_map_at_its_cut(build: Builder) -> None:
    torch.manual_seed(0)
    network, x = build(7, aux=True).eval(), torch.randn(2, 3, 64, 64)
    maps: dict[str, Tensor] = {}
    y = x
    for cut, part in networks.parts(network):
        y = part(y)
        maps[cut] = y
    with torch.no_grad():
        logits, others = network.forward_aux(x)
        assert torch.equal(logits, network(x))
        assert len(others) == 2
        for cut, other in zip(("stage3.block1", "stage3.block4"), others, strict=True):
            assert other.shape == (2, 7)
            assert torch.equal(other, network.aux[cut](maps[cut]))


def test_forward_gives_the_logits_alone_in_training_too() -> None:
    logits = googlenet_bn(5, aux=True).train()(torch.randn(2, 3, 64, 64))
    assert isinstance(logits, Tensor)
    assert logits.shape == (2, 5)


def test_without_auxiliary_heads_there_are_none_to_see() -> None:
    network = googlenet(5).eval()
    assert dict(network.aux) == {}
    assert not any("aux" in key for key in network.state_dict())
    x = torch.randn(1, 3, 64, 64)
    logits, others = network.forward_aux(x)
    assert torch.equal(logits, network(x))
    assert others == ()


def test_an_auxiliary_head_pools_5x5_by_3_at_14x14_and_takes_other_sides_too() -> None:
    head = googlenet(5, aux=True).eval().aux["stage3.block1"]
    x = torch.randn(1, 512, 14, 14)
    assert torch.equal(head[0](x), F.avg_pool2d(x, 5, 3))
    assert head[0](x).shape == (1, 512, 4, 4)
    for side in (1, 4, 18):
        assert head(torch.randn(2, 512, side, side + 1)).shape == (2, 5)


def test_an_auxiliary_head_in_the_form_of_torchvision_pools_adaptively() -> None:
    head = googlenet_bn(5, aux=True, torchvision=True).aux["stage3.block4"]
    x = torch.randn(1, 528, 14, 14)
    # the first of four bins of 14 pixels ends at the next whole pixel behind 14 / 4
    torch.testing.assert_close(head[0](x)[..., 0, 0], x[..., :4, :4].mean((2, 3)))
    assert isinstance(head[1], ConvNormAct)


def test_a_new_number_of_classes_replaces_the_last_layer_of_each_head_alone() -> None:
    network = googlenet(5, aux=True)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    networks.replace_head(network, 3)
    after = network.state_dict()
    assert list(after) == list(before)
    changed = {key.rsplit(".", 1)[0] for key, tensor in before.items() if not torch.equal(tensor, after[key])}
    assert changed == {"head.3", "aux_heads.stage3_block1.6", "aux_heads.stage3_block4.6"}
    logits, others = network.eval().forward_aux(torch.randn(2, 3, 32, 32))
    assert [y.shape for y in (logits, *others)] == [(2, 3)] * 3


def test_only_the_last_layer_of_each_head_knows_the_number_of_classes() -> None:
    with torch.device("meta"):
        few, many = googlenet(5, aux=True).state_dict(), googlenet(7, aux=True).state_dict()
    differ = {key.rsplit(".", 1)[0] for key in few if few[key].shape != many[key].shape}
    assert differ == {"head.3", "aux_heads.stage3_block1.6", "aux_heads.stage3_block4.6"}


def test_weights_with_auxiliary_heads_fit_the_trunk_without() -> None:
    torch.manual_seed(0)
    trained, network = googlenet_bn(5, aux=True).eval(), googlenet_bn(5).eval()
    missing, unexpected = network.load_state_dict(trained.state_dict(), strict=False)
    assert missing == []
    assert {key.split(".")[0] for key in unexpected} == {"aux_heads"}
    x = torch.randn(1, 3, 32, 32)
    assert torch.equal(network(x), trained(x))


def test_every_last_layer_starts_with_all_classes_alike() -> None:
    torch.manual_seed(0)
    network = googlenet(500, aux=True)
    for head in (network.head, *network.aux.values()):
        last = head[-1]
        assert isinstance(last, nn.Linear)
        assert last.weight.std().item() == pytest.approx(0.01, rel=0.02)
        assert not last.bias.any()
    hidden = network.aux["stage3.block1"][3]
    assert isinstance(hidden, nn.Linear)
    assert hidden.weight.std().item() == pytest.approx((2 / 2048) ** 0.5, rel=0.02)


@each_form
def test_every_parameter_gets_a_gradient(build: Builder) -> None:
    torch.manual_seed(0)
    network = build(5, aux=True)
    logits, others = network.forward_aux(torch.randn(4, 3, 64, 64))
    labels = torch.tensor([0, 1, 2, 3])
    loss = F.cross_entropy(logits, labels) + 0.3 * sum(F.cross_entropy(other, labels) for other in others)
    torch.autograd.backward(loss)
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("name", ["googlenet", "googlenet_bn"])
def test_the_smallest_image_is_that_of_the_entry(name: str) -> None:
    network, smallest = networks.create(name, 5).eval(), networks.describe(name).smallest
    assert network(torch.randn(1, 3, smallest, smallest)).shape == (1, 5)
    with pytest.raises(RuntimeError, match="Output size is too small"):
        network(torch.randn(1, 3, smallest - 1, smallest - 1))


def test_grey_images_are_taken() -> None:
    assert googlenet(3, 1).eval()(torch.randn(2, 1, 40, 33)).shape == (2, 3)
