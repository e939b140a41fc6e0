"""What is known of the networks of `networks/nin.py`."""

from .entry import IN_CHANNELS, PROBABILITY, Accuracy, Argument, Entry, Paper, Printed

PAPER = Paper(
    title="Network In Network",
    authors="M. Lin, Q. Chen, S. Yan",
    venue="ICLR",
    year=2014,
    url="https://arxiv.org/abs/1312.4400",
)
ZOO = "readme of nin_imagenet in the Caffe model zoo, read in a copy; not in the paper"

ENTRIES = {
    "nin_cifar10": Entry(
        module="nin", builder="nin_cifar10",
        arguments={
            "in_channels": IN_CHANNELS,
            "dropout": Argument(
                float, 0.5, "probability after each mlpconv layer but the last, in training", PROBABILITY
            ),
        },
        resolution=32, smallest=4, num_classes=10, paper=PAPER,
        idea="1x1 convolutions as a small network at each pixel, and the mean of a map as the score of its class",
        params=966_986, macs=222_486_528,
        accuracy=Accuracy(
            "91.19", "CIFAR-10 test set, one network, shifts and mirrors in training (without them 89.59 %)",
            "Table 1, read in a secondary source; also in ResNet (https://arxiv.org/abs/1512.03385), Table 6",
        ),
    ),
    "nin_imagenet": Entry(
        module="nin", builder="nin_imagenet",
        arguments={
            "in_channels": IN_CHANNELS,
            "dropout": Argument(float, 0.5, "probability before the last mlpconv layer, in training", PROBABILITY),
        },
        smallest=39, paper=PAPER,
        idea="Network in Network at the size of ImageNet: no linear layer, an eighth of AlexNet's params",
        params=7_595_176, macs=1_100_188_800,
        printed=Printed("29 MB as float32", None, ZOO),
        difference="29 MB is a file of 4 bytes a number, in MB of 1,048,576 bytes: params make 28.97 of them",
        accuracy=Accuracy("59.36", "ImageNet validation, one network; the readme does not tell the crops", ZOO),
    ),
}  # fmt: skip
