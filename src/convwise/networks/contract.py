"""What tools may ask of any network, since it is stem, stages and head: its parts, its cuts, another last layer.

Importing this does not import torch.
"""

from typing import TYPE_CHECKING

from ..errors import UsageError, one_of

if TYPE_CHECKING:
    from torch import nn

MOST_CLASSES = 10_000_000  # beyond it the last layer alone fills a machine


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


def canonical_cut(network: "nn.Module", cut: str, what: str = "cut") -> str:
    """The name of a cut as `cuts` has it; `stage3` is another name for the last block of stage 3.

    Args:
        network: that is cut.
        cut: where.
        what: names it, where an option or a field has another name.

    Raises:
        UsageError: the network has no such cut.
    """
    points = cuts(network)
    aliases = {point.split(".")[0]: point for point in points}  # a later block replaces an earlier one
    if cut not in points and cut not in aliases:
        raise one_of(what, cut, dict.fromkeys([*aliases, *points]))
    return cut if cut in points else aliases[cut]


def feature_width(network: "nn.Module") -> int:
    """Numbers that one image has at `features`.

    Raises:
        UsageError: the network does not end in a linear layer.
    """
    return _last_layer(network).in_features


def replace_head(network: "nn.Module", num_classes: int) -> None:
    """Replace `head[-1]`, and it alone, by a fresh layer of the same kind for `num_classes`, in place.

    The last layers of auxiliary heads, which know the number of classes too, are replaced with it.

    Raises:
        UsageError: `head[-1]` is of a kind that this does not know, or `num_classes` cannot be had.
    """
    check_classes(num_classes)
    for head in (_parts(network)[2], *getattr(network, "aux", {}).values()):
        head[-1] = _fresh_like(head[-1], num_classes).train(head[-1].training)


def check_classes(num_classes: int) -> None:
    """Hold a number of classes to what a network can have.

    Raises:
        UsageError: it is no whole number, or out of range.
    """
    if type(num_classes) is not int or not 1 <= num_classes <= MOST_CLASSES:
        raise UsageError(f"num_classes must be a whole number from 1 to {MOST_CLASSES:,}, got {num_classes!r}")


def _fresh_like(last: "nn.Module", num_classes: int) -> "nn.Module":
    """Build a last layer like `last` for another number of classes."""
    from torch import nn

    from .blocks import LastLayer, init_last_layer

    if isinstance(last, LastLayer):
        return last.for_classes(num_classes)
    if not isinstance(last, nn.Linear):
        raise UsageError(
            f"head of a network must end in nn.Linear, or in a layer with for_classes(), got {type(last).__name__}"
        )
    place = {"device": last.weight.device, "dtype": last.weight.dtype}
    fresh = nn.Linear(last.in_features, num_classes, bias=last.bias is not None, **place)
    init_last_layer(fresh)
    return fresh


def _parts(network: "nn.Module") -> tuple["nn.Module", "nn.Sequential", "nn.Sequential"]:
    """Stem, stages and head of a module that keeps the contract."""
    from torch import nn

    stem, stages, head = (getattr(network, part, None) for part in ("stem", "stages", "head"))
    if isinstance(stem, nn.Module) and isinstance(stages, nn.Sequential) and isinstance(head, nn.Sequential):
        return stem, stages, head
    raise UsageError(
        f"network must have a stem, and stages and head as nn.Sequential, got {type(network).__name__}; "
        "convwise.networks.create builds such networks"
    )


def _last_layer(network: "nn.Module") -> "nn.Linear":
    """`head[-1]`, where it is a linear layer on a vector of features."""
    from torch import nn

    last = _parts(network)[2][-1]
    if not isinstance(last, nn.Linear):
        raise UsageError(f"head of a network must end in nn.Linear, got {type(last).__name__}")
    return last
