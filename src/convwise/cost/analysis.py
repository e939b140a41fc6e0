"""From a module to its report."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from ..errors import ConvwiseError, UsageError
from .geometry import times
from .lifetimes import Lifetime, lifetimes
from .record import Record, Run
from .report import CostReport, LayerCost, Uncounted
from .shapes import META, DoesNotFitError
from .tracer import NeedsValuesError, Tracer

Shape = tuple[int, ...]
# What torch and modules raise at an input that they cannot take; anything else is a fault of the module.
MISFITS = (
    DoesNotFitError, NeedsValuesError, RuntimeError, ValueError, TypeError, IndexError, AssertionError,
)  # fmt: skip


def report(module: nn.Module, input_shape: Sequence[int], *, meta: bool) -> CostReport:
    """See `convwise.cost.analyze`."""
    shape = tuple(input_shape)
    if not shape or min(shape) < 1:
        raise UsageError(f"input_shape must have sizes of at least 1, got {times(shape) or 'none'}")
    parameters = list(module.parameters())
    if any(is_lazy(p) for p in parameters):
        raise UsageError("lazy layers have no shapes yet; run the module once on an image before it is analyzed")
    if not meta and any(p.is_meta for p in parameters):
        raise UsageError("device='cpu' needs a module with weights, got one without memory; build it outside sketch()")
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
    )


def _trace(module: nn.Module, parameters: Sequence[nn.Parameter], shape: Shape, *, meta: bool) -> Record:
    """Run the module once on one image of zeros."""
    like = next((p for p in parameters if p.is_floating_point()), torch.empty(0))
    x = torch.zeros(1, *shape, dtype=like.dtype, device=META if meta else like.device)
    tracer = Tracer(module, parameters, x, meta=meta)
    with ExitStack() as stack:
        for context in (torch.no_grad(), _evaluating(module), tracer.following_modules(), tracer):
            stack.enter_context(context)
        try:
            result = module(x)
        except ConvwiseError:
            raise
        except MISFITS as error:
            where = _where(module, tracer.raised_in(error))
            raise UsageError(_complaint(error, where, shape, meta=meta)) from error
    return tracer.finish(result)


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Every module in evaluation mode, and attention as the operators that it is made of, for a while."""
    training = [m for m in module.modules() if m.training]
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    for m in training:
        m.training = False
    try:
        yield
    finally:
        for m in training:
            m.training = True
        torch.backends.mha.set_fastpath_enabled(fast_path)


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
    names = run.path.split(".")
    if names[0] == "stages" and len(names) > 1 and isinstance(module.stages, nn.Sequential | nn.ModuleList):
        rest = names[2:]
        if rest and rest[0].isdigit():
            rest[0] = f"block{int(rest[0]) + 1}"
        names = [f"stage{int(names[1]) + 1}", *rest]
    name = ".".join(names) or run.kind
    return name, names[0] or run.kind


def _where(module: nn.Module, run: Run) -> str:
    return f"layer {_words(module, run)[0]!r} ({run.kind})" if run.path else run.kind


def _without_batch(shape: Shape) -> Shape:
    return shape[1:] if shape[:1] == (1,) else shape


def _complaint(error: Exception, where: str, shape: Shape, *, meta: bool) -> str:
    text = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".;")
    if isinstance(error, NeedsValuesError):
        return (
            f"{where} needs the values of tensors ({text}), and there are only shapes; "
            "analyze it with device='cpu', which runs it once on zeros"
        )
    hint = "give another resolution or number of channels"
    if meta and not isinstance(error, DoesNotFitError):
        hint += ", or device='cpu' where it must see values"
    return f"input of {times(shape)} cannot pass {where}: {text}; {hint}"
