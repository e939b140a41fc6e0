"""What `analyze` found out."""

from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

from .geometry import Convolution
from .lifetimes import Lifetime, peak_bytes
from .totals import Totals

Shape = tuple[int, ...]


class Uncounted(NamedTuple):
    """An operator that ran and whose arithmetic is not in `macs`."""

    operator: str  # as torch names it, such as "aten.relu"
    calls: int
    elements: int  # numbers in its outputs, over all calls


@dataclass(frozen=True)
class LayerCost:
    """One run of a module that did something itself; a module that runs twice has two.

    Attributes:
        name: path of the module in the words of cuts, such as "stage3.block2.branch.expand.conv"; for what the whole
            does itself, its class in parentheses, such as "(ResNet)".
        stage: "stem", "stage3", "head"; for a module without stages its top-level child; the name for the whole.
        kind: class of the module.
        input_shape, output_shape: what its first operator reads and its last one hands on, without the batch.
        source_shape: of the tensor that the input is a view of; (C, H, W) where the input is a flattened map.
        params: learnable numbers that it is the first to read, so that shared weights count once.
        macs: multiply-accumulates.
        weight_bytes: of `params`, as stored.
        activation_bytes: of the tensors that it makes and somebody needs; element-wise operators in place make none.
        moved_bytes: it reads and writes when it runs alone: all its weights, its inputs and its outputs.
        convolution: its geometry, where the layer is one two-dimensional convolution.
        own: whether it is what the whole does itself.
    """

    name: str
    stage: str
    kind: str
    input_shape: Shape
    output_shape: Shape
    source_shape: Shape
    params: int
    macs: int
    weight_bytes: int
    activation_bytes: int
    moved_bytes: int
    convolution: Convolution | None
    own: bool

    @property
    def intensity(self) -> float:
        """Arithmetic intensity: macs a byte moved; low where memory is the limit, high where arithmetic is."""
        return _intensity(self.macs, self.moved_bytes)


@dataclass(frozen=True)
class StageCost:
    """Sums over the layers of a stage; the attributes are those of `LayerCost`.

    Attributes:
        layers: how many.
        output_shape: of its last layer.
    """

    name: str
    layers: int
    output_shape: Shape
    params: int
    macs: int
    weight_bytes: int
    activation_bytes: int
    moved_bytes: int
    own: bool

    @property
    def intensity(self) -> float:
        """Macs a byte moved, each layer moving its own."""
        return _intensity(self.macs, self.moved_bytes)


@dataclass(frozen=True)
class CostReport:
    """What one image costs at inference.

    Attributes:
        input_shape: of one image.
        layers: in the order in which they run.
        tensors: activations, the input among them, with the operators between which each is needed.
        idle_params: learnable numbers that inference never reads, such as those of auxiliary heads; not in `params`.
        uncounted: operators that ran and are not in `macs`, most elements first.
        notes: sentences on how it was counted, where that is not the usual way.
    """

    input_shape: Shape
    layers: tuple[LayerCost, ...]
    tensors: tuple[Lifetime, ...]
    idle_params: int
    uncounted: tuple[Uncounted, ...]
    notes: tuple[str, ...]

    @property
    def params(self) -> int:
        """Learnable numbers that inference reads, buffers excluded."""
        return self.totals.params

    @property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and matrix products."""
        return self.totals.macs

    @property
    def weight_bytes(self) -> int:
        """Of `params`, as stored."""
        return self.totals.weight_bytes

    @property
    def activation_bytes(self) -> int:
        """Of all tensors between the layers and of the result, the input excluded."""
        return sum(layer.activation_bytes for layer in self.layers)

    @cached_property
    def totals(self) -> Totals:
        """Params, macs and weight bytes."""
        return Totals(*(sum(getattr(layer, name) for layer in self.layers) for name in Totals._fields))

    @cached_property
    def peak_activation_bytes(self) -> int:
        """Over the operators in their order, the largest sum of tensors still needed.

        Input and output of the running operator both count. Element-wise operators and batch norm (at inference a
        scale and a shift a channel) work in place where their input dies; views cost nothing.
        """
        return peak_bytes(self.tensors)

    @cached_property
    def stages(self) -> tuple[StageCost, ...]:
        """Sums by stage, in the order in which stages first run."""
        order = {name: i for i, name in enumerate(dict.fromkeys(layer.stage for layer in self.layers))}
        by_stage = groupby(sorted(self.layers, key=lambda layer: order[layer.stage]), key=lambda layer: layer.stage)
        return tuple(_stage(name, tuple(layers)) for name, layers in by_stage)


def _stage(name: str, layers: tuple[LayerCost, ...]) -> StageCost:
    return StageCost(
        name=name,
        layers=len(layers),
        output_shape=layers[-1].output_shape,
        params=sum(layer.params for layer in layers),
        macs=sum(layer.macs for layer in layers),
        weight_bytes=sum(layer.weight_bytes for layer in layers),
        activation_bytes=sum(layer.activation_bytes for layer in layers),
        moved_bytes=sum(layer.moved_bytes for layer in layers),
        own=layers[0].own,
    )


def _intensity(macs: int, moved_bytes: int) -> float:
    return macs / moved_bytes if moved_bytes else 0.0
