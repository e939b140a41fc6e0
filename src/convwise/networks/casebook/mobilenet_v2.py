"""What is known of the networks of `networks/mobilenet_v2.py`."""

from .entry import EPS, IN_CHANNELS, PROBABILITY, SAME, WIDTHS, Accuracy, Argument, Entry, Paper, Printed

PAPER = Paper(
    title="MobileNetV2: Inverted Residuals and Linear Bottlenecks",
    authors="M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen",
    venue="CVPR",
    year=2018,
    url="https://arxiv.org/abs/1801.04381",
)

ENTRIES = {
    "mobilenet_v2": Entry(
        module="mobilenet_v2", builder="mobilenet_v2",
        arguments={
            "in_channels": IN_CHANNELS,
            "width": Argument(float, 1.0, "times the channels of every layer; 0.35 to 1.4 in the paper", WIDTHS),
            "dropout": Argument(float, 0.2, "probability before the last linear layer, in training", PROBABILITY),
            "same": SAME, "eps": EPS,
        },
        paper=PAPER,
        idea="inverted residuals: shortcuts join thin linear bottlenecks, the depthwise layer is wide in between",
        params=3_504_872, macs=300_774_272,
        printed=Printed("3.4 M", "300 M", "Table 4"),
        difference=(
            "how the paper counts is not said: params without batch norm's are 3,470,760, and MACs would round to 301 M"
        ),
        accuracy=Accuracy(
            "72.0", "ImageNet at 224 px, one network; split and crops are not stated", "Table 4"
        ),
    ),
}  # fmt: skip
