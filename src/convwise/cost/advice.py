"""Where a network spends, and what the papers' substitutions would save there."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from .report import CostReport, LayerCost
from .rewriting import alternatives

POOLING = "global average pooling first"


@dataclass(frozen=True)
class Substitution:
    """Another way to write a layer, whose input and output keep their shapes.

    Attributes:
        kind: that of an `Alternative`, or "global average pooling first".
        name: the kind; of several 3x3 how many, as "two 3x3".
        macs_saved, params_saved: exactly; params may be negative.
        ratio: of the macs that remain to those of the layer.
        formula: of the macs that remain, with the numbers in it.
    """

    kind: str
    name: str
    macs_saved: int
    params_saved: int
    ratio: float
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


@dataclass(frozen=True)
class Rewritten:
    """The network with one substitution made in every layer where it saves.

    Attributes:
        kind: of the substitution.
        layers: how many that are.
        macs, params: of the whole network then.
        ratio: of these macs to those that it has.
    """

    kind: str
    layers: int
    macs: int
    params: int
    ratio: float


def advise(report: CostReport, most: int = 5) -> tuple[Advice, ...]:
    """The layers that are most expensive in macs or in params, most macs first, and what would save there.

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
    chosen = {id(a): a for a in by_macs + by_params}
    return tuple(sorted(chosen.values(), key=lambda a: (-a.layer.macs, -a.layer.params)))


def rewrite(report: CostReport) -> tuple[Rewritten, ...]:
    """What each substitution comes to for the whole network, fewest macs first."""
    found: dict[str, list[Substitution]] = {}
    for layer in report.layers:
        for substitution in _substitutions(layer):
            found.setdefault(substitution.kind, []).append(substitution)
    return tuple(sorted((_rewritten(report, kind, made) for kind, made in found.items()), key=lambda r: r.macs))


def _rewritten(report: CostReport, kind: str, made: list[Substitution]) -> Rewritten:
    macs = report.macs - sum(s.macs_saved for s in made)
    return Rewritten(kind, len(made), macs, report.params - sum(s.params_saved for s in made), macs / report.macs)


def _substitutions(layer: LayerCost) -> tuple[Substitution, ...]:
    """Those that save macs, most first."""
    saving = [s for s in _possible(layer) if s.macs_saved > 0]
    return tuple(sorted(saving, key=lambda s: -s.macs_saved))


def _possible(layer: LayerCost) -> Iterator[Substitution]:
    yield from _pooled(layer)
    if layer.convolution is None:
        return
    for a in alternatives(layer.convolution)[1:]:
        saved = layer.params - a.params if layer.params else 0  # a layer that runs again shares what stands there too
        yield Substitution(a.kind, a.name, layer.macs - a.macs, saved, a.ratio, a.macs_formula)


def _pooled(layer: LayerCost) -> Iterator[Substitution]:
    """Global average pooling before a linear layer that reads a flattened map: one weight a channel, not a pixel."""
    if len(layer.source_shape) != 3 or len(layer.output_shape) != 1:
        return
    channels, numbers, outputs = layer.source_shape[0], math.prod(layer.source_shape), layer.output_shape[0]
    if numbers == channels or layer.input_shape != (numbers,) or layer.macs != numbers * outputs:
        return
    saved = (numbers - channels) * outputs
    left = f"{channels:,} x {outputs:,} = {channels * outputs:,}"
    yield Substitution(POOLING, POOLING, saved, saved, channels / numbers, left)
