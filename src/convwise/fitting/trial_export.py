"""Whether layers of the user's can be exported, found out before they are trained."""

from typing import TYPE_CHECKING

from ..data.preprocessing import Preprocessing
from ..errors import ConvwiseError, UsageError
from ..guest import guarding

if TYPE_CHECKING:
    from torch import nn


def check_export(spec: str, network: "nn.Module", preprocessing: Preprocessing) -> None:
    """Export a network that ends in the layers of `spec` as it will be kept.

    Raises:
        UsageError: it cannot be exported, its graph gives other numbers than torch, or what it gives is no number.
    """
    import torch

    from ..runtime.graph import classifier_graph

    height, width, channels = preprocessing.shape
    with guarding(spec), torch.no_grad():
        finite = bool(network.eval()(torch.zeros(1, channels, height, width)).isfinite().all())
    if not finite:
        raise UsageError(f"rear {spec!r} gives logits that are no finite numbers, before anything is learnt")
    try:
        with guarding(spec):
            classifier_graph(network, preprocessing)
    except ConvwiseError as error:
        raise UsageError(
            f"rear {spec!r} cannot be exported to the graph that `predict` runs: {_reason(error)}; write it with "
            "layers and functions of torch that ONNX has"
        ) from error


def _reason(error: BaseException) -> str:
    """What was raised first, in one line: an exporter wraps it in pages of its own."""
    from ..cost.complaints import in_one_line  # which imports torch

    while error.__cause__ is not None:
        error = error.__cause__
    text = in_one_line(next((line for line in str(error).splitlines() if line.strip()), ""))
    return text if isinstance(error, ConvwiseError) else f"{type(error).__name__}: {text}".rstrip(": ")
