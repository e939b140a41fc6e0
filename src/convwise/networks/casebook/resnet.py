"""What is known of the networks of `networks/resnet.py`."""

from .entry import IN_CHANNELS, Accuracy, Argument, Entry, Paper, Printed

PAPER = Paper(
    title="Deep Residual Learning for Image Recognition",
    authors="K. He, X. Zhang, S. Ren, J. Sun",
    venue="CVPR",
    year=2016,
    url="https://arxiv.org/abs/1512.03385",
)
RESIDUAL = "each block adds to its input instead of replacing it, so that depth helps"
PLAIN = "the control of the experiment: the same layers without the shortcuts"
TEN_CROP = "ImageNet validation, 10 crops at 224 px, one network"
CIFAR_TEST = "CIFAR-10 test set, one view at 32 px, one network"

# Depth -> params and MACs of the residual network and of its plain twin, multiply-adds as Table 1 prints them.
# fmt: off
IMAGENET = {
    18:  (11_689_512,  1_814_073_344, 11_515_688,  1_794_805_760, "1.8 G"),
    34:  (21_797_672,  3_663_761_408, 21_623_848,  3_644_493_824, "3.6 G"),
    50:  (25_557_032,  3_857_973_248, 22_780_456,  3_498_311_680, "3.8 G"),
    101: (44_549_160,  7_570_194_432, 41_772_584,  7_210_532_864, "7.6 G"),
    152: (60_192_808, 11_282_415_616, 57_416_232, 10_922_754_048, "11.3 G"),
}
# Depth -> params and MACs of either twin, params and top-1 as Table 6 prints them.
CIFAR = {
    20:    (269_722,  40_551_040, "0.27 M", "91.25"),
    32:    (464_154,  68_862_592, "0.46 M", "92.49"),
    44:    (658_586,  97_174_144, "0.66 M", "92.83"),
    56:    (853_018, 125_485_696, "0.85 M", "93.03"),
    110: (1_727_962, 252_887_680, "1.7 M",  "93.57"),
}
# fmt: on
ACCURACY = {
    "resnet18": Accuracy(
        "72.12", TEN_CROP, "Table 2", form="the form shortcut=A (11,515,688 params, 1,794,805,760 MACs)"
    ),
    "resnet34": Accuracy("75.48", TEN_CROP, "Table 3"),
    "resnet50": Accuracy("77.15", TEN_CROP, "Table 3"),
    "resnet101": Accuracy("78.25", TEN_CROP, "Table 3"),
    "resnet152": Accuracy("78.57", TEN_CROP, "Table 3"),
    "plain18": Accuracy("72.06", TEN_CROP, "Table 2"),
    "plain34": Accuracy("71.46", TEN_CROP, "Table 2"),
    **{f"resnet{depth}": Accuracy(top1, CIFAR_TEST, "Table 6") for depth, (*_, top1) in CIFAR.items()},
    "resnet110": Accuracy(CIFAR[110][3], f"{CIFAR_TEST}, the best of five (their mean is 93.39 %)", "Table 6"),
}
DIFFERENCE = {
    "resnet34": "the printed MACs are those of the plain twin; the three projections of option B come on top",
    "resnet50": "MACs would round to 3.9 G; the paper does not say what it leaves out",
}
SHORTCUT = Argument(str, "B", "A pads with zeros where the shape changes, B projects there, C projects everywhere")
V1_5 = Argument(bool, False, "stride 2 in a bottleneck's 3x3 convolution, not its first 1x1, as published weights need")


def _imagenet(depth: int, *, plain: bool) -> Entry:
    residual_params, residual_macs, plain_params, plain_macs, printed = IMAGENET[depth]
    bottleneck = depth >= 50
    fixed: dict[str, object] = {"depth": depth, "plain": plain}
    arguments = {"in_channels": IN_CHANNELS}
    # an argument that would change nothing is not offered
    if plain:
        fixed["shortcut"] = "B"
    else:
        arguments["shortcut"] = SHORTCUT
    if bottleneck:
        arguments["v1_5"] = V1_5
    else:
        fixed["v1_5"] = False
    name = f"plain{depth}" if plain else f"resnet{depth}"
    return Entry(
        module="resnet", builder="resnet", fixed=fixed, arguments=arguments,
        paper=PAPER, idea=PLAIN if plain else RESIDUAL,
        params=plain_params if plain else residual_params, macs=plain_macs if plain else residual_macs,
        printed=None if plain and bottleneck else Printed(None, printed, "Table 1, FLOPs that are multiply-adds"),
        difference=DIFFERENCE.get(name, ""),
        accuracy=ACCURACY.get(name),
    )  # fmt: skip


def _cifar(depth: int, *, plain: bool) -> Entry:
    params, macs, printed, _ = CIFAR[depth]
    fixed = {"depth": depth, "plain": plain, **({"shortcut": "A"} if plain else {})}
    return Entry(
        module="resnet", builder="resnet_cifar", fixed=fixed,
        arguments={"in_channels": IN_CHANNELS, **({} if plain else {"shortcut": SHORTCUT._replace(default="A")})},
        resolution=32, num_classes=10, paper=PAPER, idea=PLAIN if plain else RESIDUAL,
        params=params, macs=macs,
        printed=None if plain else Printed(printed, None, "Table 6"),
        accuracy=None if plain else ACCURACY[f"resnet{depth}"],
    )  # fmt: skip


ENTRIES = {
    **{f"resnet{depth}": _imagenet(depth, plain=False) for depth in IMAGENET},
    **{f"plain{depth}": _imagenet(depth, plain=True) for depth in IMAGENET},
    **{f"resnet{depth}": _cifar(depth, plain=False) for depth in CIFAR},
    **{f"plain{depth}": _cifar(depth, plain=True) for depth in CIFAR},
}
