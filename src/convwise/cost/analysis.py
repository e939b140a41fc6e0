"""From a module to its report."""

import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from ..errors import ConvwiseError, UsageError, one_of
from .complaints import MISFITS, checked_shape, complaint, in_one_line
from .lifetimes import Lifetime, lifetimes
from .record import Record, Run
from .recurrent import Unrolled
from .report import CostReport, LayerCost, Uncounted
from .shapes import META
from .tracer import Tracer

Shape = tuple[int, ...]
DEVICES = ("meta", "cpu")
ONE_AT_A_TIME = threading.RLock()  # a run touches switches of the module, and of torch; a module may analyze another


def report(module: nn.Module, input_shape: Sequence[int], device: str | torch.device) -> CostReport:
    """See `convwise.cost.analyze`."""
    if not isinstance(module, nn.Module):
        raise UsageError(f"module must be an nn.Module, got {in_one_line(repr(module))}")
    shape, meta = checked_shape(input_shape), str(device) == "meta"
    if str(device) not in DEVICES:
        raise one_of("device", str(device), DEVICES)
    parameters = list(module.parameters())
    if any(is_lazy(p) for p in parameters):
        raise UsageError("lazy layers have no shapes yet; run the module once on an image before it is analyzed")
    if not meta and any(p.is_meta for p in parameters):
        raise UsageError("device='cpu' needs a module with weights, got one without memory; build it outside sketch()")
    with ONE_AT_A_TIME:
        record = _trace(module, parameters, shape, meta=meta)
    pieces = lifetimes(record.sizes, record.steps, record.results)
    layers = _layers(module, record, pieces)
    uncounted = [Uncounted(name, calls, record.elements[name]) for name, calls in record.calls.items()]
    return CostReport(
        input_shape=shape,
        layers=layers,
        tensors=pieces,
        idle_params=sum(p.numel() for p in parameters if id(p) not in record.weights_read),
        uncounted=tuple(sorted(uncounted, key=lambda row: -row.elements)),
        notes=tuple(_notes(module, layers, meta=meta)),
    )


def _notes(module: nn.Module, layers: Sequence[LayerCost], *, meta: bool) -> Iterator[str]:
    if not layers:
        yield f"there is nothing to count: {type(module).__name__} computes nothing from its input or its weights"
    if not meta:
        yield "counted in one run on zeros; where values decide what the module does, another image may cost otherwise"


def _trace(module: nn.Module, parameters: Sequence[nn.Parameter], shape: Shape, *, meta: bool) -> Record:
    """Run the module once on one image of zeros."""
    like = next((p for p in parameters if p.is_floating_point()), torch.empty(0))
    x = torch.zeros(1, *shape, dtype=like.dtype, device=META if meta else like.device)
    tracer = Tracer(module, parameters, x, meta=meta)
    with ExitStack() as stack:
        modes = (Unrolled(tracer.without_memory, meta=meta), tracer)
        for context in (torch.no_grad(), _evaluating(module), _eager(), tracer.following_modules(), *modes):
            stack.enter_context(context)
        try:
            result = module(x)
        except ConvwiseError:
            raise
        except MISFITS as error:
            where = _where(module, tracer.raised_in(error))
            raise complaint(error, where, module, shape, meta=meta) from error
    return tracer.finish(result)


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Every module in evaluation mode, for a while."""
    training = [m for m in module.modules() if m.training]
    for m in training:
        m.training = False
    try:
        yield
    finally:
        for m in training:
            m.training = True


@contextmanager
def _eager() -> Iterator[None]:
    """What torch.compile made runs as it was written, for a while."""
    if "torch._dynamo" not in sys.modules:  # nothing was compiled
        yield
        return
    with warnings.catch_warnings(), torch.compiler.set_stance("force_eager"):
        warnings.filterwarnings("ignore", "Using `torch.compile")  # it calls global hooks twice: they know it
        yield


def _layers(module: nn.Module, record: Record, pieces: Sequence[Lifetime]) -> tuple[LayerCost, ...]:
    moved = _moved_bytes(record)
    made = [0] * len(record.runs)
    for piece in pieces[1:]:  # the first is the input's
        made[record.steps[piece.first].layer] += piece.bytes
    layers = []
    for i, run in enumerate(record.runs):
        if not (run.works or run.leaf):
            continue
        name, stage = _words(module, run)
        layer = LayerCost(
            name=name,
            stage=stage,
            kind=run.kind,
            input_shape=_without_batch(run.input_shape or ()),
            output_shape=_without_batch(run.output_shape),
            source_shape=_without_batch(run.source_shape),
            params=sum(p.numel() for p in run.new_weights),
            macs=run.macs,
            weight_bytes=sum(p.numel() * p.element_size() for p in run.new_weights),
            activation_bytes=made[i],
            moved_bytes=moved[i],
            convolution=run.convolutions[0] if len(run.convolutions) == 1 else None,
            own=not run.path,
        )
        layers.append(layer)
    return tuple(layers)


def _moved_bytes(record: Record) -> list[int]:
    """By run: weights and tensors of others that it reads, and those of its tensors that others need."""
    maker = {number: step.layer for step in record.steps for number in step.makes}
    outside: list[dict[int, int]] = [{} for _ in record.runs]
    for step in record.steps:
        for number, size in step.reads.items():
            if maker.get(number) != step.layer:
                outside[step.layer][number] = max(size, outside[step.layer].get(number, 0))
    needed = record.results.union(*outside)
    moved = [
        sum(run.weights.values()) + run.rewritten_bytes + sum(read.values())
        for run, read in zip(record.runs, outside, strict=True)
    ]
    for number in needed & maker.keys():
        moved[maker[number]] += record.sizes[number]
    return moved


def _words(module: nn.Module, run: Run) -> tuple[str, str]:
    """Name and stage of a layer in the words of cuts: `stages.2.1.conv` is `stage3.block2.conv`, in `stage3`."""
    if not run.path:
        return f"({run.kind})", f"({run.kind})"
    names = run.path.split(".")
    if names[0] == "stages" and len(names) > 1 and isinstance(module.stages, nn.Sequential | nn.ModuleList):
        rest = names[2:]
        if rest and rest[0].isdigit():
            rest[0] = f"block{int(rest[0]) + 1}"
        names = [f"stage{int(names[1]) + 1}", *rest]
    return ".".join(names), names[0]


def _where(module: nn.Module, run: Run) -> str:
    return f"layer {_words(module, run)[0]!r} ({run.kind})" if run.path else run.kind


def _without_batch(shape: Shape) -> Shape:
    return shape[1:] if shape[:1] == (1,) else shape
