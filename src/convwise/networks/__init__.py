"""A paper -> nn.Module, by name: what there is, how it is built, and where it can be cut.

Every network is `stem`, `stages`, `head`, and `head[-1]` alone knows the number of classes; the tools use only that.
Importing this package, and asking what it has, does not import torch.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, cast

from ..errors import UsageError, one_of

if TYPE_CHECKING:
    from torch import nn


class Entry(NamedTuple):
    """What is known about a network before it is built."""

    module: str  # file in this package
    builder: str  # function in that file; its first argument is num_classes
    arguments: tuple[str, ...]  # the builder's other arguments
    channels: int  # of the default input
    resolution: int  # side of the default input, pixels
    year: int
    paper: str
    url: str
    idea: str


ENTRIES = {
    "lenet5": Entry(
        module="lenet",
        builder="lenet5",
        arguments=("in_channels", "resolution"),
        channels=1,
        resolution=28,
        year=1998,
        paper="Gradient-Based Learning Applied to Document Recognition",
        url="https://doi.org/10.1109/5.726791",
        idea="convolution, pooling and shared weights, trained end to end from pixels to classes",
    ),
    "efficientnet_lite0": Entry(
        module="efficientnet",
        builder="efficientnet_lite0",
        arguments=("dropout", "stochastic_depth"),
        channels=3,
        resolution=224,
        year=2020,
        paper="EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
        url="https://arxiv.org/abs/1905.11946",
        idea="a searched table of inverted residuals, with only operations that phones quantise well",
    ),
}


def names() -> tuple[str, ...]:
    """Names that `create` knows, oldest paper first."""
    return tuple(ENTRIES)


def describe(name: str) -> Entry:
    """What is known about the network `name`.

    Raises:
        UsageError: there is no such network.
    """
    if name not in ENTRIES:
        raise one_of("network", name, names())
    return ENTRIES[name]


def create(name: str, num_classes: int = 1000, arguments: Mapping[str, object] | None = None) -> "nn.Module":
    """Build the network `name`, freshly initialised from torch's random generator.

    Args:
        name: one of `names()`.
        num_classes: length of the logits.
        arguments: further arguments of the builder; `describe(name).arguments` lists them.

    Raises:
        UsageError: no such network or argument, or a value that the builder cannot use.
    """
    entry = describe(name)
    for argument in arguments or {}:
        if argument not in entry.arguments:
            raise one_of(f"argument of {name}", argument, entry.arguments)
    _check_classes(num_classes)
    build = getattr(import_module(f".{entry.module}", __name__), entry.builder)
    return cast("nn.Module", build(num_classes=num_classes, **(arguments or {})))


def parts(network: "nn.Module") -> "tuple[tuple[str, nn.Module], ...]":
    """The network in pieces that follow one another, each with the name of the cut behind it; the last is `logits`.

    `stem` (unless the paper has none), `stage1.block1`, `stage1.block2`, ..., `features`, `logits`.

    Raises:
        UsageError: the module is not made of stem, stages and head.
    """
    from torch import nn

    stem, stages, head = _parts(network)
    pieces = [] if isinstance(stem, nn.Identity) else [("stem", stem)]
    for i, stage in enumerate(stages, 1):
        pieces += [(f"stage{i}.block{j}", block) for j, block in enumerate(stage.children(), 1)]
    return (*pieces, ("features", head[:-1]), ("logits", head[-1]))


def cuts(network: "nn.Module") -> tuple[str, ...]:
    """Points at which `network` can be cut, in the order of the data: the names in `parts` but `logits`.

    Raises:
        UsageError: the module is not made of stem, stages and head.
    """
    return tuple(name for name, _ in parts(network)[:-1])


def canonical_cut(network: "nn.Module", cut: str) -> str:
    """The name of a cut as `cuts` has it; `stage3` is another name for the last block of stage 3.

    Raises:
        UsageError: the network has no such cut.
    """
    points = cuts(network)
    aliases = {point.split(".")[0]: point for point in points}  # a later block replaces an earlier one
    if cut not in points and cut not in aliases:
        raise one_of("cut", cut, points)
    return cut if cut in points else aliases[cut]


def feature_width(network: "nn.Module") -> int:
    """Numbers that one image has at `features`.

    Raises:
        UsageError: the network does not end in a linear layer.
    """
    return _last_layer(network).in_features


def replace_head(network: "nn.Module", num_classes: int) -> None:
    """Replace `head[-1]`, and it alone, by a fresh layer of the same kind for `num_classes`, in place.

    Raises:
        UsageError: the network does not end in a linear layer, or `num_classes` is below 1.
    """
    from torch import nn

    from .blocks import init_last_layer

    _check_classes(num_classes)
    old = _last_layer(network)
    place = {"device": old.weight.device, "dtype": old.weight.dtype}
    fresh = nn.Linear(old.in_features, num_classes, bias=old.bias is not None, **place)
    init_last_layer(fresh)
    _parts(network)[2][-1] = fresh.train(old.training)


def _check_classes(num_classes: int) -> None:
    if num_classes < 1:
        raise UsageError(f"num_classes must be at least 1, got {num_classes}")


def _parts(network: "nn.Module") -> tuple["nn.Module", "nn.Sequential", "nn.Sequential"]:
    """Stem, stages and head of a module that keeps the contract."""
    from torch import nn

    stem, stages, head = (getattr(network, part, None) for part in ("stem", "stages", "head"))
    if isinstance(stem, nn.Module) and isinstance(stages, nn.Sequential) and isinstance(head, nn.Sequential):
        return stem, stages, head
    raise UsageError(
        f"network must have a stem, and stages and head as nn.Sequential, got {type(network).__name__}; "
        f"convwise.networks.create builds {', '.join(names())}"
    )


def _last_layer(network: "nn.Module") -> "nn.Linear":
    """`head[-1]`, which every network of today has as a linear layer."""
    from torch import nn

    last = _parts(network)[2][-1]
    if not isinstance(last, nn.Linear):
        raise UsageError(f"head of a network must end in nn.Linear, got {type(last).__name__}")
    return last
