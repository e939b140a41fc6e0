"""A network as the feature maps that a lecture would draw: what flows from one layer or block to the next."""

import re
from typing import TYPE_CHECKING

from .boxes import TIMES, Volume
from .volumes import MOST, collapse, draw, merge
from .words import SPACE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from ..cost import CostReport

KINDS = {  # of volumes, by the classes of the layers that make them
    "conv": {"Conv2d", "ConvTranspose2d"}, "linear": {"Linear"},
    "pool": {"MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d", "AdaptiveMaxPool2d"},
}  # fmt: skip


def draw_network(network: "nn.Module", input_shape: tuple[int, int, int], title: str) -> str:
    """Draw a network as SVG.

    Chains are drawn layer by layer, and what branches, such as a residual block, as one volume; a network with more
    than `MOST` layers block by block. Blocks that are alike are drawn once, with their number. A module is called what
    its attribute `label` says, or what its class is called.

    Args:
        network: in the parts of the casebook, `stem`, `stages` and `head`; without memory for weights is enough.
        input_shape: (C, H, W) of one image.
        title: is printed above.

    Raises:
        UsageError: the network is not made of these parts.
    """
    layers = merge(_volumes(network, input_shape, by_layer=True))
    found = layers if len(layers) <= MOST else collapse(_volumes(network, input_shape, by_layer=False))
    return draw(found, title)


def draw_stages(report: "CostReport", title: str) -> str:
    """Draw any module as SVG from what was counted: a volume for what each of its children gives.

    They stand in the order in which they first run, whatever flows from where to where. Children that neither multiply
    nor change the shape, such as norms and activations, are left out, and what the module does itself between them.

    Args:
        report: of the module.
        title: is printed above.

    Raises:
        UsageError: a child gives what is neither a vector, nor a map, nor a list of vectors.
    """
    volumes = [_of_shape("input", report.input_shape, "input", "input")]
    children = [stage for stage in report.stages if not stage.own]
    for stage in children or report.stages:
        kinds = {layer.kind for layer in report.layers if layer.stage == stage.name}
        kind = next((kind for kind, names in KINDS.items() if kinds <= names), "block")
        volume = _of_shape(stage.name, stage.output_shape, stage.name, kind)
        if stage.macs or volume[:3] != volumes[-1][:3]:
            volumes.append(volume)
    return draw(collapse(volumes), title)


def _of_shape(where: str, shape: tuple[int, ...], label: str, kind: str) -> Volume:
    from ..errors import UsageError

    if len(shape) == 2:  # tokens: a column of vectors
        shape = (shape[1], shape[0], 1)
    if len(shape) not in (1, 3) or min(shape) < 1:
        sizes = " x ".join(map(str, shape)) or "a single number"
        raise UsageError(
            f"a picture shows vectors and maps of channels, height and width; {where!r} gives {sizes}; leave it out"
        )
    channels, height, width = (*shape, 1, 1)[:3]
    return Volume(channels, height, width, label, "", kind)


def _volumes(network: "nn.Module", input_shape: tuple[int, int, int], *, by_layer: bool) -> list[Volume]:
    import torch

    from .. import networks

    training = [module for module in network.modules() if module.training]
    device = next((p.device for p in network.parameters()), None)
    x = torch.zeros(1, *input_shape, device=device)
    volumes = [Volume(*input_shape, "input", "", "input")]
    network.eval()
    try:
        with torch.no_grad():
            for name, part in networks.parts(network):
                group = "head" if name in ("features", "logits") else name.split(".")[0].replace("stage", "stage ")
                for label, kind, y in _walk(part, x, by_layer=by_layer or ".block" not in name):
                    x = y
                    channels, height, width = (*x.shape[1:], 1, 1)[:3]
                    if kind:
                        volumes.append(Volume(channels, height, width, label, group, kind))
    finally:
        for module in training:
            module.training = True
    return volumes


def _walk(module: "nn.Module", x: "Tensor", *, by_layer: bool) -> "Iterator[tuple[str, str, Tensor]]":
    """Label, kind and output of each layer; the last output is the module's. The kind of what is not drawn is empty."""
    from torch import nn

    if not isinstance(module, nn.Sequential):
        y = module(x)
        yield *_words(module, x, y), y
        return
    steps = []
    for child in module:
        for label, kind, y in _walk(child, x, by_layer=True):
            x = y
            steps.append((label, kind, y))
    drawn = [step for step in steps if step[1]]
    if by_layer or len(drawn) < 2:
        yield from steps or [("", "", x)]
        return
    yield " + ".join(label for label, _, _ in drawn), drawn[0][1], x


def _words(module: "nn.Module", x: "Tensor", y: "Tensor") -> tuple[str, str]:
    """Label and kind of a layer; both empty for what a lecture does not draw."""
    from torch import nn

    if isinstance(module, nn.Conv2d):
        depthwise = module.groups == module.in_channels > 1
        split = f", {module.groups}{SPACE}groups" if module.groups > 1 and not depthwise else ""
        return f"{'depthwise' if depthwise else 'conv'}{SPACE}{_window(module)}{split}", "conv"
    if isinstance(module, nn.Linear):
        return "linear", "linear"
    if isinstance(module, nn.MaxPool2d | nn.AvgPool2d):
        return f"{'max' if isinstance(module, nn.MaxPool2d) else 'mean'} pool{SPACE}{_window(module)}", "pool"
    if isinstance(module, nn.AdaptiveAvgPool2d):
        return ("mean pool", "pool") if y.shape != x.shape else ("", "")
    if isinstance(module, nn.Flatten) or not any(True for _ in module.children()):
        return ("", "") if y.shape == x.shape or isinstance(module, nn.Flatten) else (_name(module), "linear")
    leaves = [leaf for leaf in module.modules() if not any(True for _ in leaf.children())]
    windows = {_window(leaf) if isinstance(leaf, nn.Conv2d) else "" for leaf in leaves}
    if len(windows) == 1 and "" not in windows:  # side by side, such as C3 of LeNet-5
        return f"conv{SPACE}{windows.pop()}", "conv"
    return _name(module), "pool" if y.shape[1] == x.shape[1] and y.shape[2] < x.shape[2] else "block"


def _window(layer: "nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d") -> str:
    """Kernel and stride as "3x3, stride 2"."""
    kernel, stride = (size if isinstance(size, tuple) else (size, size) for size in (layer.kernel_size, layer.stride))
    return f"{kernel[0]}{TIMES}{kernel[1]}" + (f", stride{SPACE}{stride[0]}" if stride[0] > 1 else "")


def _name(module: "nn.Module") -> str:
    """What a module is to be called; else its class in words, InvertedResidual is "inverted residual"."""
    if isinstance(label := getattr(module, "label", None), str):
        return label
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(module).__name__.removesuffix("2d")).lower()
