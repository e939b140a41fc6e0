"""What the casebook says of each network, held to what is published of it."""

import re

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from convwise import networks
from convwise.networks.casebook import shared

each_network = pytest.mark.parametrize("name", networks.names())


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
        ("alexnet_owt", "56.522 %"), ("mobilenet_v2", "72.0 %"), ("efficientnet_b6", "84.0 %"), ("vgg16", "75.2 %"),
        ("vgg11_bn", "70.370 %"), ("resnet50", "77.15 %"), ("googlenet_bn", "*69.778 %"), ("resnet18", "*72.12 %"),
    ],
)  # fmt: skip
def test_a_top1_is_written_as_it_is_published_with_a_mark_if_it_is_of_another_form(name: str, text: str) -> None:
    accuracy = networks.describe(name).accuracy
    assert accuracy is not None
    assert accuracy.percent() == text


@each_network
def test_a_top1_in_a_note_is_written_in_per_cent_as_in_the_table(name: str) -> None:
    shares = [share for note in networks.describe(name).notes() for share in re.findall(r"\b0\.\d+\b(?! [BGM])", note)]
    assert shares == []


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
