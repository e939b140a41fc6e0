"""ResNet and its plain twin: counts, sizes, shortcuts by hand, and what a shortcut is for."""

import inspect
import re
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from convwise import networks
from convwise.errors import UsageError
from convwise.networks import resnet as module
from convwise.networks.blocks import ConvNet, ConvNormAct
from convwise.networks.resnet import Block, ZeroPad, resnet, resnet_cifar

# What option B's four projections add to a bottleneck network: in and out channels, side of the map that they write.
PROJECTIONS = ((64, 256, 56), (256, 512, 28), (512, 1024, 14), (1024, 2048, 7))
PROJECTION_PARAMS = sum(i * o + 2 * o for i, o, _ in PROJECTIONS)  # a weight matrix and a batch norm each
PROJECTION_MACS = sum(i * o * side**2 for i, o, side in PROJECTIONS)

# fmt: off
# params, MACs of one image: torchvision 0.29.1, with the stride where the paper has it; plain twins and options A and C
# of modules written after the paper alone; the plain bottleneck twins are the residual networks less their projections
NAMED = {
    "resnet18":  (11_689_512,  1_814_073_344),
    "resnet34":  (21_797_672,  3_663_761_408),
    "resnet50":  (25_557_032,  3_857_973_248),
    "resnet101": (44_549_160,  7_570_194_432),
    "resnet152": (60_192_808, 11_282_415_616),
    "plain18":   (11_515_688,  1_794_805_760),
    "plain34":   (21_623_848,  3_644_493_824),
    "plain50":   (25_557_032 - PROJECTION_PARAMS,  3_857_973_248 - PROJECTION_MACS),
    "plain101":  (44_549_160 - PROJECTION_PARAMS,  7_570_194_432 - PROJECTION_MACS),
    "plain152":  (60_192_808 - PROJECTION_PARAMS, 11_282_415_616 - PROJECTION_MACS),
    **{f"{twin}{depth}": counts for twin in ("resnet", "plain") for depth, counts in {
        20:    (269_722,  40_551_040),
        32:    (464_154,  68_862_592),
        44:    (658_586,  97_174_144),
        56:    (853_018, 125_485_696),
        110: (1_727_962, 252_887_680),
    }.items()},
}
VARIANTS = {
    "resnet18 A":     (partial(resnet, depth=18, shortcut="A"), 224, 11_515_688, 1_794_805_760),
    "resnet18 C":     (partial(resnet, depth=18, shortcut="C"), 224, 12_043_816, 1_878_298_624),
    "resnet34 A":     (partial(resnet, depth=34, shortcut="A"), 224, 21_623_848, 3_644_493_824),
    "resnet34 C":     (partial(resnet, depth=34, shortcut="C"), 224, 22_716_840, 3_830_747_136),
    "resnet50 v1.5":  (partial(resnet, depth=50, v1_5=True), 224, 25_557_032, 4_089_184_256),
    "resnet101 v1.5": (partial(resnet, depth=101, v1_5=True), 224, 44_549_160, 7_801_405_440),
    "resnet152 v1.5": (partial(resnet, depth=152, v1_5=True), 224, 60_192_808, 11_513_626_624),
    "resnet20 B":     (partial(resnet_cifar, depth=20, shortcut="B"), 32, 272_474, 40_813_184),
    "resnet110 B":    (partial(resnet_cifar, depth=110, shortcut="B"), 32, 1_730_714, 253_149_824),
    "resnet1202 A":   (partial(resnet_cifar, depth=1202), 32, 19_421_274, 2_829_238_912),
}
# fmt: on
Builder = Callable[..., ConvNet]
each_name = pytest.mark.parametrize("name", NAMED)


def count(network: nn.Module, side: int) -> tuple[int, int]:
    """Params and MACs of a network on the meta device."""
    with FlopCounterMode(display=False) as counter:
        network.eval()(torch.empty(1, 3, side, side, device="meta"))
    return sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 2


def block_of(network: ConvNet, name: str) -> Block:
    """The block that stands at `name` in `network.stages`."""
    block = network.stages.get_submodule(name)
    assert isinstance(block, Block)
    return block


def last_norm(block: Block) -> nn.BatchNorm2d:
    """The batch norm that ends the branch."""
    norm = block.branch[-1].get_submodule("norm")
    assert isinstance(norm, nn.BatchNorm2d)
    return norm


def shortcuts(network: ConvNet) -> list[type | None]:
    """What each block adds, in the order of the data."""
    blocks = [m for m in network.modules() if isinstance(m, Block)]
    return [None if block.shortcut is None else type(block.shortcut) for block in blocks]


@each_name
def test_a_named_network_has_the_counts_of_its_entry_and_of_the_publication(name: str) -> None:
    entry = networks.describe(name)
    with torch.device("meta"):
        network = networks.create(name)
    assert count(network, entry.resolution) == NAMED[name] == (entry.params, entry.macs)


@pytest.mark.parametrize(("build", "side", "params", "macs"), VARIANTS.values(), ids=VARIANTS)
def test_a_variant_has_the_published_counts(build: Builder, side: int, params: int, macs: int) -> None:
    with torch.device("meta"):
        network = build()
    assert count(network, side) == (params, macs)


@each_name
def test_an_entry_offers_only_arguments_that_change_something(name: str) -> None:
    entry = networks.describe(name)
    first, *others = inspect.signature(getattr(module, entry.builder)).parameters
    assert first == "num_classes"
    assert [argument for argument in others if argument not in entry.fixed] == list(entry.arguments)
    assert ("shortcut" in entry.arguments) == name.startswith("resnet")
    assert ("v1_5" in entry.arguments) == (name.removeprefix("plain").removeprefix("resnet") in {"50", "101", "152"})


@pytest.mark.parametrize(
    ("name", "top1"),
    # Tables 2, 3 and 6 of the paper, errors in per cent; it has no figure for the other plain networks
    [
        ("plain18", 27.94), ("resnet18", 27.88), ("plain34", 28.54), ("resnet34", 24.52), ("resnet50", 22.85),
        ("resnet101", 21.75), ("resnet152", 21.43), ("resnet20", 8.75), ("resnet32", 7.51), ("resnet44", 7.17),
        ("resnet56", 6.97), ("resnet110", 6.43), ("plain50", None), ("plain20", None), ("plain110", None),
    ],
)  # fmt: skip
def test_the_accuracy_is_that_of_the_paper(name: str, top1: float | None) -> None:
    accuracy = networks.describe(name).accuracy
    assert (accuracy and accuracy.top1) == (None if top1 is None else pytest.approx(1 - top1 / 100))


@pytest.mark.parametrize(("name", "expansion"), [("resnet18", 1), ("plain34", 1), ("resnet50", 4), ("plain101", 4)])
def test_the_maps_have_the_sizes_of_table_1(name: str, expansion: int) -> None:
    with torch.device("meta"):
        network = networks.create(name).eval()
    assert isinstance(network, ConvNet)
    assert isinstance(network.stem, nn.Sequential)
    x, found = torch.empty(1, 3, 224, 224, device="meta"), []
    for part in (*network.stem, *network.stages, network.head[:-1]):
        x = part(x)
        found.append(tuple(x.shape[1:]))
    stages = [(width * expansion, side, side) for width, side in [(64, 56), (128, 28), (256, 14), (512, 7)]]
    assert found == [(64, 112, 112), (64, 56, 56), *stages, (512 * expansion,)]


@pytest.mark.parametrize("name", ["resnet20", "plain56"])
def test_the_maps_of_the_cifar_family_have_the_sizes_of_section_4_2(name: str) -> None:
    with torch.device("meta"):
        network = networks.create(name).eval()
    assert isinstance(network, ConvNet)
    x, found = torch.empty(1, 3, 32, 32, device="meta"), []
    for part in (network.stem, *network.stages, network.head[:-1]):
        x = part(x)
        found.append(tuple(x.shape[1:]))
    assert found == [(16, 32, 32), (16, 32, 32), (32, 16, 16), (64, 8, 8), (64,)]


@pytest.mark.parametrize(("depth", "blocks"), [(8, 1), (20, 3), (110, 18)])
def test_the_cifar_family_has_6n_plus_2_layers_with_weights(depth: int, blocks: int) -> None:
    with torch.device("meta"):
        network = resnet_cifar(depth=depth)
    assert [len(list(stage.children())) for stage in network.stages] == [blocks] * 3
    assert len([m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]) == depth


@pytest.mark.parametrize(("depth", "name"), [(18, "0.1"), (50, "0.1"), (34, "3.2")])
@pytest.mark.parametrize("silenced", ["scale", "weights and biases"])
def test_a_silenced_residual_block_hands_its_input_on_and_its_plain_twin_does_not(
    depth: int, name: str, silenced: str
) -> None:
    torch.manual_seed(0)
    for plain in (False, True):
        block = block_of(resnet(depth=depth, plain=plain), name).eval()
        norm, conv = last_norm(block), block.branch[-1].get_submodule("conv")
        assert isinstance(conv, nn.Conv2d)
        if silenced == "scale":
            nn.init.zeros_(norm.weight)
        else:
            nn.init.zeros_(conv.weight)
            nn.init.normal_(norm.weight)
        nn.init.zeros_(norm.bias)
        first = block.branch[0].get_submodule("conv")
        assert isinstance(first, nn.Conv2d)
        x = torch.rand(2, first.in_channels, 5, 6)
        assert torch.equal(block(x), torch.zeros_like(x) if plain else x)


def test_a_residual_block_adds_its_input_before_the_last_activation() -> None:
    block = block_of(resnet_cifar(depth=8), "0.0").eval()
    x = torch.randn(2, 16, 4, 4)
    assert torch.equal(block(x), F.relu(block.branch(x) + x))


def test_the_twins_differ_by_the_shortcuts_alone() -> None:
    states = []
    for plain in (False, True):
        torch.manual_seed(0)
        states.append(resnet_cifar(depth=20, plain=plain).state_dict())
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(tensor, states[1][key]) for key, tensor in states[0].items())
    network, twin = resnet_cifar(depth=20).eval(), resnet_cifar(depth=20, plain=True).eval()
    twin.load_state_dict(network.state_dict())
    x = torch.randn(2, 3, 32, 32)
    assert not torch.allclose(network(x), twin(x))


def test_option_a_pads_and_option_b_projects_where_the_shape_changes_and_option_c_projects_everywhere() -> None:
    with torch.device("meta"):
        # 34 layers, Table 1: 3, 4, 6 and 3 blocks; the first of every row but the first changes the shape
        found = {option: shortcuts(resnet(depth=34, shortcut=option)) for option in "ABC"}
        plain = shortcuts(resnet(depth=34, plain=True))
        bottlenecks = shortcuts(resnet(depth=50, shortcut="A"))
    same = nn.Identity
    assert found["A"] == [same] * 3 + [ZeroPad, *[same] * 3] + [ZeroPad, *[same] * 5] + [ZeroPad, *[same] * 2]
    assert found["B"] == [ConvNormAct if kind is ZeroPad else kind for kind in found["A"]]
    assert found["C"] == [ConvNormAct] * 16
    assert plain == [None] * 16
    assert bottlenecks[:4] == [ZeroPad, same, same, ZeroPad]  # 64 -> 256 channels at stride 1 changes the shape too


def test_w_s_is_a_matrix_on_the_channels_of_every_second_pixel() -> None:
    torch.manual_seed(0)
    shortcut = block_of(resnet(depth=34), "2.0").shortcut  # from 128 to 256 channels
    assert isinstance(shortcut, ConvNormAct)
    w_s = shortcut.get_parameter("conv.weight")
    assert w_s.shape == (256, 128, 1, 1)
    x = torch.randn(2, 128, 4, 6)
    expected = torch.empty(2, 256, 2, 3)
    for b in range(2):
        for i in range(2):
            for j in range(3):
                expected[b, :, i, j] = w_s[:, :, 0, 0] @ x[b, :, 2 * i, 2 * j]
    torch.testing.assert_close(shortcut.get_submodule("conv")(x), expected)
    # a fresh batch norm at evaluation divides by the root of 1 + eps, and there is no activation behind it
    torch.testing.assert_close(shortcut.eval()(x), expected / (1 + 1e-5) ** 0.5)


def test_zero_padding_keeps_every_second_pixel_and_appends_channels_of_zeros() -> None:
    x = torch.tensor([[[[1.0, 2, 3], [4, 5, 6], [7, 8, 9]], [[-1, 0, -3], [0, 0, 0], [-7, 0, -9]]]])
    zeros = [[0, 0], [0, 0]]
    assert ZeroPad(2, 4, 2)(x).tolist() == [[[[1, 3], [7, 9]], [[-1, -3], [-7, -9]], zeros, zeros]]
    assert torch.equal(ZeroPad(2, 3, 1)(x), torch.cat([x, torch.zeros(1, 1, 3, 3)], 1))


@pytest.mark.parametrize("side", [1, 6, 7])
def test_zero_padding_and_projection_give_the_shape_of_the_branch_at_any_side(side: int) -> None:
    for option in ("A", "B"):
        block = block_of(resnet_cifar(depth=8, shortcut=option), "1.0").eval()
        assert block(torch.randn(1, 16, side, side)).shape == (1, 32, (side + 1) // 2, (side + 1) // 2)


def test_zero_padding_traces_to_a_slice_and_a_pad() -> None:
    network = resnet_cifar(depth=8).eval()
    traced = fx.symbolic_trace(network)
    functions = [node.target.__name__ for node in traced.graph.nodes if node.op == "call_function"]
    assert functions == ["add", "getitem", "pad", "add", "getitem", "pad", "add"]
    x = torch.randn(2, 3, 17, 20)
    assert torch.equal(traced(x), network(x))


@pytest.mark.parametrize(("v1_5", "strides"), [(False, [2, 1, 1]), (True, [1, 2, 1])])
def test_the_stride_of_a_bottleneck_stands_where_it_was_asked_for(v1_5: bool, strides: list[int]) -> None:
    for plain in (False, True):
        with torch.device("meta"):
            network = resnet(depth=50, plain=plain, v1_5=v1_5)
        for name in ("1.0", "2.0", "3.0"):
            convs = [m for m in block_of(network, name).branch.modules() if isinstance(m, nn.Conv2d)]
            assert [conv.stride[0] for conv in convs] == strides
            assert [conv.kernel_size[0] for conv in convs] == [1, 3, 1]


GRADIENTS = {
    **{f"resnet18 {option}": partial(resnet, depth=18, shortcut=option) for option in "ABC"},
    "plain18": partial(resnet, depth=18, plain=True),
    "resnet50 v1.5": partial(resnet, depth=50, v1_5=True),
    "resnet8 A": partial(resnet_cifar, depth=8),
    "plain8": partial(resnet_cifar, depth=8, plain=True),
}


@pytest.mark.parametrize("build", GRADIENTS.values(), ids=GRADIENTS)
def test_every_parameter_gets_a_gradient(build: Builder) -> None:
    torch.manual_seed(0)
    network = build(5)
    logits: Tensor = network(torch.randn(4, 3, 40, 40))
    assert logits.shape == (4, 5)
    torch.autograd.backward(F.cross_entropy(logits, torch.tensor([0, 1, 2, 3])))
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("build", [resnet, resnet_cifar])
def test_grey_images_of_one_pixel_are_taken(build: Builder) -> None:
    depth = 18 if build is resnet else 20
    assert build(3, 1, depth=depth).eval()(torch.randn(2, 1, 1, 1)).shape == (2, 3)


@pytest.mark.parametrize("build", [partial(resnet, depth=18), partial(resnet_cifar, depth=20)])
def test_an_unknown_shortcut_names_the_known_ones(build: Builder) -> None:
    with pytest.raises(UsageError, match=r"^shortcut must be one of A, B, C, got 'D'$"):
        build(shortcut="D")


def test_an_unknown_depth_names_the_known_ones() -> None:
    sentence = "depth of resnet must be one of 18, 34, 50, 101, 152, got '51'"
    with pytest.raises(UsageError, match=re.escape(sentence) + "$"):
        resnet(depth=51)


@pytest.mark.parametrize("depth", [-4, 2, 18, 21])
def test_a_depth_of_the_cifar_family_is_6n_plus_2(depth: int) -> None:
    sentence = f"depth of resnet_cifar must be 6n + 2 with n at least 1, such as 20 or 110, got {depth}"
    with pytest.raises(UsageError, match=re.escape(sentence)):
        resnet_cifar(depth=depth)


def test_a_plain_network_has_no_shortcut_to_choose() -> None:
    sentence = "argument of plain34 must be one of in_channels, got 'shortcut'"
    with pytest.raises(UsageError, match=re.escape(sentence)):
        networks.create("plain34", arguments={"shortcut": "C"})
