"""A network in two at one of its cuts: what lies behind it, and another rear in its place."""

from collections import OrderedDict
from collections.abc import Container

import torch
from torch import Tensor, nn

from ..errors import UsageError
from . import canonical_cut, cuts, parts


class Joined(nn.Module):
    """A stem, stages and a head that exist already, as a network; unlike `ConvNet` it draws no number anew.

    Attributes:
        stem, stages, head: as of `ConvNet`.
    """

    def __init__(self, stem: nn.Module, stages: nn.Sequential, head: nn.Sequential) -> None:
        super().__init__()
        self.stem, self.stages, self.head = stem, stages, head

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, K)."""
        logits: Tensor = self.head(self.stages(self.stem(x)))
        return logits


def behind(network: nn.Module, cut: str) -> Joined:
    """What lies behind a cut: the same modules under the same names, so that its state dict is a part of the whole's.

    Raises:
        UsageError: there is no such cut, or nothing but the last layer lies behind it.
    """
    points, cut = cuts(network), canonical_cut(network, cut)
    if cut == "features":
        raise UsageError("behind the cut 'features' lies the softmax layer alone; take transfer 'head' for that")
    return Joined(nn.Identity(), _blocks(network, points[points.index(cut) + 1 :]), _head(network))


def with_rear(network: nn.Module, cut: str, rear: nn.Module) -> Joined:
    """The network up to a cut, and `rear`, which gives the logits, behind it.

    Raises:
        UsageError: there is no such cut, or it lies in the head.
    """
    points, cut = cuts(network), canonical_cut(network, cut)
    if cut == "features":
        raise UsageError("a rear of your own stands behind a stage, not behind the cut 'features'")
    front = points[: points.index(cut) + 1]
    stem = dict(parts(network)).get("stem", nn.Identity())
    return Joined(stem, _blocks(network, front), nn.Sequential(rear))


def shape_at(network: nn.Module, cut: str, input_shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Shape (C, h, w) of what one image gives at a cut; the network may be on the meta device.

    Raises:
        UsageError: there is no such cut.
    """
    cut, x = canonical_cut(network, cut), torch.zeros(1, *input_shape)
    x = x.to(next(network.parameters()).device)
    modes = {module: module.training for module in network.modules()}
    network.eval()
    with torch.no_grad():
        for name, part in parts(network):
            x = part(x)
            if name == cut:
                break
    for module, mode in modes.items():
        module.training = mode
    channels, height, width = x.shape[1:]
    return channels, height, width


def _blocks(network: nn.Module, kept: Container[str]) -> nn.Sequential:
    """The stages with those of their blocks whose cut is kept; stages without any are left out."""
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    for i, (name, stage) in enumerate(network.get_submodule("stages").named_children(), 1):
        blocks = OrderedDict(
            (inner, block) for j, (inner, block) in enumerate(stage.named_children(), 1) if f"stage{i}.block{j}" in kept
        )
        if blocks:
            stages[name] = nn.Sequential(blocks)
    return nn.Sequential(stages)


def _head(network: nn.Module) -> nn.Sequential:
    head = network.get_submodule("head")
    assert isinstance(head, nn.Sequential)  # as canonical_cut has found
    return head
