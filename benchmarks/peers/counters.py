"""Counters that people use today, and by how much each differs from multiply-accumulates, rule by rule.

The rules were read in the sources of fvcore 0.1.5, torchinfo 1.8.0, ptflops 0.7.5 and thop 0.1.1.
"""

import contextlib
import io
import logging
import math
import warnings
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

import torch
from torch import nn

from convwise.cost import CostReport, LayerCost

Shape = tuple[int, ...]
Terms = dict[str, int]
POOLS = ("MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d")


class Counter(NamedTuple):
    """A counter, and what explains its difference from the macs."""

    name: str
    macs: Callable[[nn.Module, Shape], int]
    differences: Callable[[CostReport], Terms]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings and prints of the counters."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def fvcore(network: nn.Module, shape: Shape) -> int:
    """All that fvcore counts."""
    with quiet(), torch.no_grad():
        from fvcore.nn import FlopCountAnalysis  # warns as it is imported

        return int(FlopCountAnalysis(network, torch.zeros(1, *shape)).total())


def torchinfo(network: nn.Module, shape: Shape) -> int:
    """All that torchinfo counts."""
    import torchinfo as package

    with quiet():
        return int(package.summary(network, (1, *shape), verbose=0, mode="eval").total_mult_adds)


def ptflops(network: nn.Module, shape: Shape, backend: str) -> int:
    """All that one of ptflops' two ways counts."""
    from ptflops import get_model_complexity_info

    with quiet():
        macs, _ = get_model_complexity_info(
            network, shape, as_strings=False, print_per_layer_stat=False, verbose=False, backend=backend
        )
    return int(macs)


def thop(network: nn.Module, shape: Shape) -> int:
    """All that thop counts."""
    import thop as package

    with quiet():
        return int(package.profile(network, (torch.zeros(1, *shape),), verbose=False)[0])


def _fvcore(report: CostReport) -> Terms:
    return {
        "2 an output of a batch norm": 2 * _outputs(report, ["BatchNorm2d"]),
        "1 an input of an adaptive pool": _inputs(report, ["AdaptiveAvgPool2d"]),
    }


def _torchinfo(report: CostReport) -> Terms:
    norms = sum(layer.params for layer in report.layers if layer.kind == "BatchNorm2d")
    return {"1 an output that has a bias": _biases(report.layers), "1 a param of a batch norm": norms}


def _ptflops_aten(report: CostReport) -> Terms:
    return {"1 an output that has a bias": _biases(report.layers)}


def _ptflops_pytorch(report: CostReport) -> Terms:
    return {
        **_subclasses(report),
        "1 an output that has a bias": _biases([layer for layer in report.layers if _recognised(layer)]),
        "2 an output of a batch norm": 2 * _outputs(report, ["BatchNorm2d"]),
        "2 an output of a ReLU (layer and function are both counted)": 2 * _outputs(report, ["ReLU"]),
        "1 an output of a ReLU6 or SiLU": _outputs(report, ["ReLU6", "SiLU"]),
        "2 an input of a pool (layer and function are both counted)": 2 * _inputs(report, POOLS),
        "4 an input of a local response norm, its additions": 4 * _inputs(report, ["LocalResponseNorm"]),
    }


def _thop(report: CostReport) -> Terms:
    return {
        **_subclasses(report),
        "4 an output of a batch norm": 4 * _outputs(report, ["BatchNorm2d"]),
        "1 an input and 1 an output of an adaptive pool": _inputs(report, ["AdaptiveAvgPool2d"])
        + _outputs(report, ["AdaptiveAvgPool2d"]),
    }


def _subclasses(report: CostReport) -> Terms:
    """Convolutions that are not nn.Conv2d but a subclass count for nothing: the class is looked up in a table."""
    return {"0 a subclass of nn.Conv2d": -sum(layer.macs for layer in report.layers if not _recognised(layer))}


def _recognised(layer: LayerCost) -> bool:
    return layer.convolution is None or layer.kind == "Conv2d"


def _biases(layers: Collection[LayerCost]) -> int:
    """Outputs of convolutions and linear layers that have a bias."""
    convolutions = sum(math.prod(la.output_shape) for la in layers if la.convolution and la.convolution.bias)
    linear = sum(la.params - la.macs for la in layers if la.kind == "Linear")
    return convolutions + linear


def _outputs(report: CostReport, kinds: Collection[str]) -> int:
    return sum(math.prod(layer.output_shape) for layer in report.layers if layer.kind in kinds)


def _inputs(report: CostReport, kinds: Collection[str]) -> int:
    return sum(math.prod(layer.input_shape) for layer in report.layers if layer.kind in kinds)


COUNTERS = (
    Counter("fvcore", fvcore, _fvcore),
    Counter("torchinfo", torchinfo, _torchinfo),
    Counter("ptflops, aten", lambda network, shape: ptflops(network, shape, "aten"), _ptflops_aten),
    Counter("ptflops, pytorch", lambda network, shape: ptflops(network, shape, "pytorch"), _ptflops_pytorch),
    Counter("thop", thop, _thop),
)
