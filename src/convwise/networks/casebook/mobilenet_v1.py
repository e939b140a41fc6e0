"""What is known of the networks of `networks/mobilenet_v1.py`."""

from .entry import EPS, IN_CHANNELS, SAME, WIDTHS, Accuracy, Argument, Entry, Paper, Printed

PAPER = Paper(
    title="MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
    authors="A. G. Howard, M. Zhu, B. Chen, D. Kalenichenko, W. Wang, T. Weyand, M. Andreetto, H. Adam",
    venue="arXiv",
    year=2017,
    url="https://arxiv.org/abs/1704.04861",
)
PROTOCOL = "ImageNet at 224 px, one network; split and crops are not stated"
ARGUMENTS = {
    "in_channels": IN_CHANNELS,
    "width": Argument(float, 1.0, "times the channels of every layer; 0.25 to 1 in the paper", WIDTHS),
    "relu6": Argument(bool, False, "ReLU6, with which weights are published, in place of the paper's ReLU"),
    "same": SAME,
    "eps": EPS,
}

ENTRIES = {
    "mobilenet_v1": Entry(
        module="mobilenet_v1", builder="mobilenet_v1", fixed={"separable": True, "shallow": False},
        arguments=ARGUMENTS, paper=PAPER,
        idea="depthwise-separable convolutions: filter each channel by itself, then mix channels by 1x1",
        params=4_231_976, macs=568_740_352,
        printed=Printed("4.2 M", "569 M", "Table 4"),
        accuracy=Accuracy("70.6", PROTOCOL, "Table 4"),
    ),
    "mobilenet_v1_conv": Entry(
        module="mobilenet_v1", builder="mobilenet_v1", fixed={"separable": False, "shallow": False},
        arguments=ARGUMENTS, paper=PAPER,
        idea="the twin with full convolutions, which shows what the separable ones save",
        params=29_294_088, macs=4_867_293_184,
        printed=Printed("29.3 M", "4866 M", "Table 4"),
        difference="4866 M is the convolutions alone, 4,866,269,184; the linear layer adds 1,024,000",
        accuracy=Accuracy("71.7", PROTOCOL, "Table 4"),
    ),
    "mobilenet_v1_shallow": Entry(
        module="mobilenet_v1", builder="mobilenet_v1", fixed={"separable": True, "shallow": True},
        arguments=ARGUMENTS, paper=PAPER,
        idea="the twin with five blocks less, which shows that thinner networks beat shallower ones",
        params=2_887_976, macs=307_323_392,
        printed=Printed("2.9 M", "307 M", "Table 5"),
        accuracy=Accuracy("65.3", PROTOCOL, "Table 5"),
    ),
}  # fmt: skip
