"""What is known of the networks of `networks/lenet.py`."""

from .entry import IN_CHANNELS, Accuracy, Argument, Entry, Paper, Printed

PAPER = Paper(
    title="Gradient-Based Learning Applied to Document Recognition",
    authors="Y. LeCun, L. Bottou, Y. Bengio, P. Haffner",
    venue="Proceedings of the IEEE 86 (11)",
    year=1998,
    url="https://doi.org/10.1109/5.726791",
)

GREY = IN_CHANNELS._replace(default=1)
SIDE = Argument(int, 32, "side of the square image, pixels; the network is built for it alone", (1, 10_000))
ACTIVATION = "tanh as the paper scales it, sigmoid or relu"

ENTRIES = {
    "lenet5_1998": Entry(
        module="lenet", builder="lenet5_1998",
        arguments={
            "in_channels": GREY, "resolution": SIDE, "activation": Argument(str, "tanh", ACTIVATION),
        },
        channels=1, resolution=32, smallest=16, num_classes=10, paper=PAPER,
        idea="convolution, sub-sampling and shared weights, trained end to end from pixels to classes",
        params=60_000, macs=325_680,
        printed=Printed("60,000", "340,908 connections", "section II.B"),
        difference="connections are MACs, biases (6,508), sub-sampling (7,880) and radial basis units (840)",
        accuracy=Accuracy(
            "99.05", "MNIST test set, one network, trained without distortions (with them 99.2 %)",
            "section III.B and Figure 9, read in a transcription",
        ),
    ),
    "lenet5": Entry(
        module="lenet", builder="lenet5",
        arguments={
            "in_channels": GREY, "resolution": SIDE._replace(default=28),
            "activation": Argument(str, "relu", ACTIVATION),
        },
        channels=1, resolution=28, smallest=12, num_classes=10, paper=PAPER,
        idea="the same in today's parts: all maps connected, max pooling, ReLU, softmax",
        params=61_706, macs=416_520,
        difference=(
            "no publication prints this form; from lenet5_1998 it differs in C3, which sees all maps of S2 "
            "(+900 params, +90,000 MACs), the softmax layer, which is linear (+850, +840), and pooling without "
            "weights (-44)"
        ),
    ),
}  # fmt: skip
