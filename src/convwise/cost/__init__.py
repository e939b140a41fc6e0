"""What a network costs, counted exactly: params, macs and bytes, by layer and by stage, for any nn.Module.

Importing this package does not import torch, and what counts comes with its first use: a classifier that only predicts
needs no more than `Totals`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .totals import Totals

if TYPE_CHECKING:
    import torch
    from torch import nn

    from .advice import Advice, Rewritten, Substitution, advise, rewrite
    from .errors import NeedsValuesError
    from .geometry import Convolution, convolution
    from .lifetimes import Lifetime
    from .report import CostReport, LayerCost, StageCost, Uncounted
    from .rewriting import Alternative, alternatives, unfit

__all__ = [
    "Advice", "Alternative", "Convolution", "CostReport", "LayerCost", "Lifetime", "NeedsValuesError", "Rewritten",
    "StageCost", "Substitution", "Totals", "Uncounted", "advise", "alternatives", "analyze", "convolution", "rewrite",
    "sketch", "unfit",
]  # fmt: skip

_HOME = {
    "Advice": "advice", "Rewritten": "advice", "Substitution": "advice", "advise": "advice", "rewrite": "advice",
    "Alternative": "rewriting", "alternatives": "rewriting", "unfit": "rewriting",
    "Convolution": "geometry", "convolution": "geometry",
    "Lifetime": "lifetimes",
    "NeedsValuesError": "errors",
    "CostReport": "report", "LayerCost": "report", "StageCost": "report", "Uncounted": "report",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name where it is first used (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def analyze(module: "nn.Module", input_shape: Sequence[int], *, device: "str | torch.device" = "meta") -> "CostReport":
    """Count a module on one image, in evaluation mode; the module stays as it was.

    On the meta device nothing is computed and no weight is copied, wherever the module's own are. Multiply-accumulates
    are those of torch's registry of formulas (torch.utils.flop_counter), halved; operators without a formula are in
    `CostReport.uncounted`. What torch.compile made is counted as it was written. A module that draws its path at random
    draws it from torch's generator: seed it for the same path each time. Threads are served one after another.

    Args:
        module: any network.
        input_shape: (C, H, W) of one image; other ranks for other modules.
        device: "meta", or "cpu" to run the module once on zeros, for one that must see values.

    Raises:
        NeedsValuesError: a UsageError; the module cannot run on shapes alone, and device="cpu" may do.
        UsageError: the module cannot take this input; no module, no shape, no such device.
    """
    from .analysis import report

    return report(module, input_shape, device)


@contextmanager
def sketch() -> Iterator[None]:
    """Build modules inside: their weights have shapes and no memory, and initialisers do nothing.

    As `torch.device("meta")`, in half the time, and without torch's compiler, which its initialisers would import.
    """
    import torch

    from .sketching import Sketching

    with torch.device("meta"), Sketching():
        yield
