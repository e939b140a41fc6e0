"""How timm names the layers of each network, by the file in `convwise.networks`."""

from collections.abc import Sequence

from .naming import Naming, each
from .torchvision_names import resnet, vgg_features

ENDS = {"stem.conv": "conv_stem", "stem.norm": "bn1", "head.3": "classifier"}
LAST = {"conv": "conv_head", "norm": "bn2"}  # the convolution before the pooling
SEPARABLE = {
    "depthwise.conv": "conv_dw", "depthwise.norm": "bn1", "pointwise.conv": "conv_pw", "pointwise.norm": "bn2"
}  # fmt: skip
GATE = {"gate.share.squeeze": "se.conv_reduce", "gate.share.excite": "se.conv_expand"}
FIRST = {  # blocks that do not expand
    "depthwise.conv": "conv_dw", "depthwise.norm": "bn1", **GATE, "project.conv": "conv_pw", "project.norm": "bn2",
}  # fmt: skip
INVERTED = {
    "expand.conv": "conv_pw", "expand.norm": "bn1", "depthwise.conv": "conv_dw", "depthwise.norm": "bn2", **GATE,
    "project.conv": "conv_pwl", "project.norm": "bn3",
}  # fmt: skip


def vgg(layers: Sequence[str]) -> dict[str, str]:
    """The hidden layers are convolutions, as the paper has them at test time."""
    return vgg_features(layers) | {"head.2": "pre_logits.fc1", "head.5": "pre_logits.fc2", "head.8": "head.fc"}


def mobilenet_v1(parts: list[str]) -> str | None:
    """Their stages begin at each stride of 2: rows 1, 3, 5 and 7 of our table begin one, row 2, 4, 6 and 8 go on."""
    match parts:
        case ["stages", row, block, part, kind]:
            stage, begun = divmod(int(row) + 1, 2)
            number = int(block) + (begun if stage else 0)
            return f"blocks.{stage}.{number}.{SEPARABLE[f'{part}.{kind}']}"
    return ENDS.get(".".join(parts))


def inverted_residuals(parts: list[str]) -> str | None:
    """MobileNetV2 and the EfficientNets."""
    match parts:
        case ["stages", stage, block, "branch", *layer]:
            return f"blocks.{stage}.{block}.{(INVERTED if stage != '0' else FIRST)['.'.join(layer)]}"
        case ["stages", _, _, kind]:
            return LAST[kind]
    return ENDS.get(".".join(parts))


TIMM = {
    "vgg": Naming(vgg, kernels={"pre_logits.fc1": 7, "pre_logits.fc2": 1}),
    "resnet": Naming(each(resnet)),
    "mobilenet_v1": Naming(each(mobilenet_v1)),
    "mobilenet_v2": Naming(each(inverted_residuals)),
    "efficientnet": Naming(each(inverted_residuals)),
}
