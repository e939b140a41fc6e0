"""What is known of the networks of `networks/googlenet.py`."""

from .entry import IN_CHANNELS, Accuracy, Argument, Entry, Paper, Printed

PAPER = Paper(
    title="Going Deeper with Convolutions",
    authors="C. Szegedy, W. Liu, Y. Jia, P. Sermanet, S. Reed, D. Anguelov, D. Erhan, V. Vanhoucke, A. Rabinovich",
    venue="CVPR",
    year=2015,
    url="https://arxiv.org/abs/1409.4842",
)
CAFFE = "https://github.com/BVLC/caffe/tree/master/models/bvlc_googlenet"
TORCHVISION = "https://docs.pytorch.org/vision/stable/models/generated/torchvision.models.googlenet.html"
AUX = Argument(bool, False, "with the two auxiliary heads of section 5, to train them")

ENTRIES = {
    "googlenet": Entry(
        module="googlenet", builder="googlenet", arguments={"in_channels": IN_CHANNELS, "aux": AUX},
        smallest=31, paper=PAPER,
        idea="filters of three sizes side by side, made affordable by 1x1 convolutions in front of them",
        params=6_998_552, macs=1_582_671_872,
        printed=Printed("6.8 M", "1.50 G", "sums of the rows of Table 1, 6,797.7 K and 1,502 M"),
        difference=(
            "Table 1 gives the first convolution 2.7 K params and 34 M MACs, where its 7x7 kernel has 9.4 K and 118 M; "
            "it leaves out biases, has 1,024 in a K, prints params of eight of its nine modules that do not follow "
            "exactly from their filters, and 54 M MACs for 5a, whose filters make 51.1 M"
        ),
        accuracy=Accuracy(
            "68.7", "ImageNet validation, one centre crop, a replica; the paper prints top-5 alone, 89.93 %", CAFFE
        ),
    ),
    "googlenet_bn": Entry(
        module="googlenet", builder="googlenet_bn",
        arguments={
            "in_channels": IN_CHANNELS, "aux": AUX,
            "torchvision": Argument(bool, False, "the form that torchvision's weights need, with 3x3 in place of 5x5"),
        },
        smallest=31, paper=PAPER,
        idea="GoogLeNet with the batch norm that came a year later",
        params=7_005_832, macs=1_582_671_872,
        accuracy=Accuracy(
            "69.778", "ImageNet validation, one centre crop at 224 px", TORCHVISION,
            form="the form torchvision=True (6,624,904 params, 1,498,376,192 MACs)",
        ),
    ),
}  # fmt: skip
