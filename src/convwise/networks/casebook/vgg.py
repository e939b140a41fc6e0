"""What is known of the networks of `networks/vgg.py`."""

from .entry import HIDDEN_DROPOUT, IN_CHANNELS, Accuracy, Entry, Paper, Printed

PAPER = Paper(
    title="Very Deep Convolutional Networks for Large-Scale Image Recognition",
    authors="K. Simonyan, A. Zisserman",
    venue="ICLR",
    year=2015,
    url="https://arxiv.org/abs/1409.1556",
)
RESNET = "ResNet (https://arxiv.org/abs/1512.03385), section 4.1"
IDEA = "nothing but 3x3 convolutions, and more of them"
IDEA_BN = "VGG with batch norm between each convolution and its ReLU; not in the paper"
DENSE = "ImageNet validation, one network run densely over image and mirror image, shorter side "
ONE_CROP = "ImageNet validation, shorter side 256 px, one centre crop of 224, one network"
TORCHVISION = "torchvision, weights IMAGENET1K_V1"
ARGUMENTS = {"in_channels": IN_CHANNELS, "dropout": HIDDEN_DROPOUT}

ENTRIES = {
    "vgg11": Entry(
        module="vgg", builder="vgg", fixed={"depth": 11, "batch_norm": False}, arguments=ARGUMENTS, smallest=32,
        paper=PAPER, idea=IDEA, params=132_863_336, macs=7_609_090_048,
        printed=Printed("133 M", None, "Table 2"),
        accuracy=Accuracy("70.4", f"{DENSE}256 px", "Table 3"),
    ),
    "vgg11_bn": Entry(
        module="vgg", builder="vgg", fixed={"depth": 11, "batch_norm": True}, arguments=ARGUMENTS, smallest=32,
        paper=PAPER, idea=IDEA_BN, params=132_868_840, macs=7_609_090_048,
        printed=Printed("132,868,840", "7.609 G", TORCHVISION),
        accuracy=Accuracy("70.370", ONE_CROP, TORCHVISION),
    ),
    "vgg13": Entry(
        module="vgg", builder="vgg", fixed={"depth": 13, "batch_norm": False}, arguments=ARGUMENTS, smallest=32,
        paper=PAPER, idea=IDEA, params=133_047_848, macs=11_308_466_176,
        printed=Printed("133 M", None, "Table 2"),
        accuracy=Accuracy("71.8", f"{DENSE}224, 256 and 288 px averaged", "Table 4"),
    ),
    "vgg13_bn": Entry(
        module="vgg", builder="vgg", fixed={"depth": 13, "batch_norm": True}, arguments=ARGUMENTS, smallest=32,
        paper=PAPER, idea=IDEA_BN, params=133_053_736, macs=11_308_466_176,
        printed=Printed("133,053,736", "11.308 G", TORCHVISION),
        accuracy=Accuracy("71.586", ONE_CROP, TORCHVISION),
    ),
    "vgg16": Entry(
        module="vgg", builder="vgg", fixed={"depth": 16, "batch_norm": False}, arguments=ARGUMENTS, smallest=32,
        paper=PAPER, idea=IDEA, params=138_357_544, macs=15_470_264_320,
        printed=Printed("138 M", "15.3 G", f"params: Table 2; multiply-adds: not in it, {RESNET}"),
        difference="15.3 G is what the convolutions alone come to (15,346,630,656)",
        accuracy=Accuracy("75.2", f"{DENSE}256, 384 and 512 px averaged", "Table 4"),
    ),
    "vgg16_bn": Entry(
        module="vgg", builder="vgg", fixed={"depth": 16, "batch_norm": True}, arguments=ARGUMENTS, smallest=32,
        paper=PAPER, idea=IDEA_BN, params=138_365_992, macs=15_470_264_320,
        printed=Printed("138,365,992", "15.47 G", TORCHVISION),
        accuracy=Accuracy("73.360", ONE_CROP, TORCHVISION),
    ),
    "vgg19": Entry(
        module="vgg", builder="vgg", fixed={"depth": 19, "batch_norm": False}, arguments=ARGUMENTS, smallest=32,
        paper=PAPER, idea=IDEA, params=143_667_240, macs=19_632_062_464,
        printed=Printed("144 M", "19.6 G", f"params: Table 2; multiply-adds: not in it, {RESNET}"),
        accuracy=Accuracy("75.2", f"{DENSE}256, 384 and 512 px averaged", "Table 4"),
    ),
    "vgg19_bn": Entry(
        module="vgg", builder="vgg", fixed={"depth": 19, "batch_norm": True}, arguments=ARGUMENTS, smallest=32,
        paper=PAPER, idea=IDEA_BN, params=143_678_248, macs=19_632_062_464,
        printed=Printed("143,678,248", "19.632 G", TORCHVISION),
        accuracy=Accuracy("74.218", ONE_CROP, TORCHVISION),
    ),
}  # fmt: skip
