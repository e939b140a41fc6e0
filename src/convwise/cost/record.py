"""What one forward pass did, operator by operator."""

from collections import Counter
from dataclasses import dataclass, field

from torch import Tensor

from .geometry import Convolution
from .lifetimes import Step

Shape = tuple[int, ...]


@dataclass(eq=False, slots=True)
class Run:
    """One run of a module: what its own operators did, those of its children left out.

    Attributes:
        path: of the module, "" for the whole.
        kind: class of the module.
        leaf: whether it has no children.
        layer: index in `Record.runs`; None before its first operator.
        works: whether it did more than look at a tensor in another shape.
        input_shape: of the first activations that it read; None before.
        source_shape: that these had when they were made.
        output_shape: of what its last operator gave.
        macs: multiply-accumulates.
        new_weights: parameters that it was the first to read.
        weights: bytes of the parameters that it read, by id.
        makes: numbers of the tensors that it made.
        rewritten_bytes: that it wrote into tensors of others.
        convolutions: geometry of each; None for one that is transposed or not two-dimensional.
    """

    path: str
    kind: str
    leaf: bool
    layer: int | None = None
    works: bool = False
    input_shape: Shape | None = None
    source_shape: Shape = ()
    output_shape: Shape = ()
    macs: int = 0
    new_weights: list[Tensor] = field(default_factory=list)
    weights: dict[int, int] = field(default_factory=dict)
    makes: set[int] = field(default_factory=set)
    rewritten_bytes: int = 0
    convolutions: list[Convolution | None] = field(default_factory=list)


@dataclass(eq=False)
class Record:
    """What was seen.

    Attributes:
        runs: in the order of their first operators.
        steps: operators but views; `Step.layer` is an index into `runs`.
        shapes, sizes: and bytes, of each tensor of activations; number 0 is the input.
        results: numbers of the tensors that the module gave back.
        weights_read: ids of the parameters that an operator read.
        calls, elements: of operators without a formula, by name.
    """

    runs: list[Run] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    results: set[int] = field(default_factory=set)
    weights_read: set[int] = field(default_factory=set)
    calls: Counter[str] = field(default_factory=Counter)
    elements: Counter[str] = field(default_factory=Counter)
