"""Where a network spends, and what the papers' substitutions would save there."""

import math
from dataclasses import dataclass

from .report import CostReport, LayerCost
from .rewriting import alternatives


@dataclass(frozen=True)
class Substitution:
    """Another way to write a layer, whose input and output keep their shapes.

    Attributes:
        name: such as "depthwise-separable".
        macs_saved, params_saved: exactly; params may be negative.
        formula: of the macs that remain, with the numbers in it.
    """

    name: str
    macs_saved: int
    params_saved: int
    formula: str


@dataclass(frozen=True)
class Advice:
    """One of the most expensive layers.

    Attributes:
        layer: the layer.
        macs_share, params_share: of the network's, in [0, 1].
        substitutions: those that save, most macs first; empty where none fits.
    """

    layer: LayerCost
    macs_share: float
    params_share: float
    substitutions: tuple[Substitution, ...]


def advise(report: CostReport, most: int = 5) -> tuple[Advice, ...]:
    """The layers that are most expensive in macs or in params, the most expensive first, and what would save there.

    Args:
        report: of a network.
        most: how many by macs, and how many by params; a layer that is both comes once.
    """
    advice = [
        Advice(layer, layer.macs / max(report.macs, 1), layer.params / max(report.params, 1), _substitutions(layer))
        for layer in report.layers
    ]
    by_macs = sorted((a for a in advice if a.macs_share), key=lambda a: -a.macs_share)[:most]
    by_params = sorted((a for a in advice if a.params_share), key=lambda a: -a.params_share)[:most]
    chosen = dict.fromkeys(map(id, by_macs + by_params))
    return tuple(sorted((a for a in advice if id(a) in chosen), key=lambda a: -max(a.macs_share, a.params_share)))


def _substitutions(layer: LayerCost) -> tuple[Substitution, ...]:
    found = _pooled(layer)
    if layer.convolution is not None:
        found += [
            Substitution(a.name, layer.macs - a.macs, layer.params - a.params, a.macs_formula)
            for a in alternatives(layer.convolution)[1:]
        ]
    saving = [s for s in found if s.macs_saved > 0]
    return tuple(sorted(saving, key=lambda s: -s.macs_saved))


def _pooled(layer: LayerCost) -> list[Substitution]:
    """Global average pooling before a linear layer that reads a flattened map: one weight a channel, not a pixel."""
    if len(layer.source_shape) != 3 or len(layer.output_shape) != 1:
        return []
    channels, numbers, outputs = layer.source_shape[0], math.prod(layer.source_shape), layer.output_shape[0]
    if numbers == channels or layer.input_shape != (numbers,) or layer.macs != numbers * outputs:
        return []
    saved = (numbers - channels) * outputs
    left = f"{channels:,} x {outputs:,} = {channels * outputs:,}"
    return [Substitution("global average pooling first", saved, saved, left)]
