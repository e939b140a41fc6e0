"""What torchvision publishes of our networks: torchvision 0.29.1, `torchvision.models.get_model_weights`.

VGG-16 IMAGENET1K_FEATURES is left out: it has no classifier.
"""

from typing import NamedTuple

from ..data.preprocessing import Preprocessing
from .published import IMAGENET_TERMS, Published
from .store import Hosted

BASE = "https://download.pytorch.org/models/"
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # 0.485, ... and 0.229, ... of 1, in levels
HALF = (127.5, 127.5, 127.5)
SYMMETRIC: dict[str, object] = {"same": False, "eps": 1e-5}


class Row(NamedTuple):
    """One file."""

    network: str  # ours
    version: int  # V1: its first recipe; V2: its later one, with longer training and stronger augmentation
    file: str  # with the first eight digits of its SHA-256
    top1: float  # per cent
    resize: int  # of the shorter side, pixels
    crop: int  # of the centre square, pixels
    interpolation: str


# fmt: off
ROWS = (
    Row("alexnet_owt",     1, "alexnet-owt-7be5be79.pth",               56.522, 256, 224, "bilinear"),
    Row("vgg11",           1, "vgg11-8a719046.pth",                     69.020, 256, 224, "bilinear"),
    Row("vgg11_bn",        1, "vgg11_bn-6002323d.pth",                  70.370, 256, 224, "bilinear"),
    Row("vgg13",           1, "vgg13-19584684.pth",                     69.928, 256, 224, "bilinear"),
    Row("vgg13_bn",        1, "vgg13_bn-abd245e5.pth",                  71.586, 256, 224, "bilinear"),
    Row("vgg16",           1, "vgg16-397923af.pth",                     71.592, 256, 224, "bilinear"),
    Row("vgg16_bn",        1, "vgg16_bn-6c64b313.pth",                  73.360, 256, 224, "bilinear"),
    Row("vgg19",           1, "vgg19-dcbb9e9d.pth",                     72.376, 256, 224, "bilinear"),
    Row("vgg19_bn",        1, "vgg19_bn-c79401a0.pth",                  74.218, 256, 224, "bilinear"),
    Row("resnet18",        1, "resnet18-f37072fd.pth",                  69.758, 256, 224, "bilinear"),
    Row("resnet34",        1, "resnet34-b627a593.pth",                  73.314, 256, 224, "bilinear"),
    Row("resnet50",        1, "resnet50-0676ba61.pth",                  76.130, 256, 224, "bilinear"),
    Row("resnet50",        2, "resnet50-11ad3fa6.pth",                  80.858, 232, 224, "bilinear"),
    Row("resnet101",       1, "resnet101-63fe2227.pth",                 77.374, 256, 224, "bilinear"),
    Row("resnet101",       2, "resnet101-cd907fc2.pth",                 81.886, 232, 224, "bilinear"),
    Row("resnet152",       1, "resnet152-394f9c45.pth",                 78.312, 256, 224, "bilinear"),
    Row("resnet152",       2, "resnet152-f82ba261.pth",                 82.284, 232, 224, "bilinear"),
    Row("googlenet_bn",    1, "googlenet-1378be20.pth",                 69.778, 256, 224, "bilinear"),
    Row("mobilenet_v2",    1, "mobilenet_v2-b0353104.pth",              71.878, 256, 224, "bilinear"),
    Row("mobilenet_v2",    2, "mobilenet_v2-7ebf99e0.pth",              72.154, 232, 224, "bilinear"),
    Row("efficientnet_b0", 1, "efficientnet_b0_rwightman-7f5810bc.pth", 77.692, 256, 224, "bicubic"),
    Row("efficientnet_b1", 1, "efficientnet_b1_rwightman-bac287d4.pth", 78.642, 256, 240, "bicubic"),
    Row("efficientnet_b1", 2, "efficientnet_b1-c27df63c.pth",           79.838, 255, 240, "bilinear"),
    Row("efficientnet_b2", 1, "efficientnet_b2_rwightman-c35c1473.pth", 80.608, 288, 288, "bicubic"),
    Row("efficientnet_b3", 1, "efficientnet_b3_rwightman-b3899882.pth", 82.008, 320, 300, "bicubic"),
    Row("efficientnet_b4", 1, "efficientnet_b4_rwightman-23ab8bcd.pth", 83.384, 384, 380, "bicubic"),
    Row("efficientnet_b5", 1, "efficientnet_b5_lukemelas-1a07897c.pth", 83.444, 456, 456, "bicubic"),
    Row("efficientnet_b6", 1, "efficientnet_b6_lukemelas-24a108a5.pth", 84.008, 528, 528, "bicubic"),
    Row("efficientnet_b7", 1, "efficientnet_b7_lukemelas-c5b4e57e.pth", 84.122, 600, 600, "bicubic"),
)
# fmt: on

# What the weights need where our defaults are the paper's.
ARGUMENTS: dict[str, dict[str, object]] = {
    **{f"resnet{depth}": {"v1_5": True} for depth in (50, 101, 152)},
    "googlenet_bn": {"torchvision": True},
    **{f"efficientnet_b{number}": SYMMETRIC for number in range(5)},
    **{f"efficientnet_b{number}": SYMMETRIC | {"eps": 1e-3} for number in range(5, 8)},
}


def _published(row: Row) -> Published:
    # torchvision's GoogLeNet takes images normalised as all its networks do, and rescales them to mean and deviation
    # of a half by itself; ours takes those at once
    mean, std = (HALF, HALF) if row.network == "googlenet_bn" else (MEAN, STD)
    return Published(
        network=row.network,
        id=f"torchvision/IMAGENET1K_V{row.version}",
        arguments=ARGUMENTS.get(row.network, {}),
        publisher="torchvision",
        source="https://pytorch.org/vision/stable/models.html",
        licence="BSD-3-Clause",
        terms=IMAGENET_TERMS,
        origin=Hosted(BASE + row.file, row.file),
        sha256=row.file.removesuffix(".pth")[-8:],
        preprocessing=Preprocessing(
            resolution=row.crop, crop=row.crop / row.resize, interpolation=row.interpolation, mean=mean, std=std
        ),
        top1=round(row.top1 / 100, 5),
        protocol=f"ImageNet validation, 50,000 images, shorter side {row.resize} px, {row.interpolation}, one centre "
        f"crop of {row.crop} px, one scale, one network; torchvision's figure",
    )


PUBLISHED = tuple(_published(row) for row in ROWS)
