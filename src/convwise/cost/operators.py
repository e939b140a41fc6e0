"""What is known about an operator of torch: whether it is counted, in place, a view."""

import builtins
import importlib.util
import logging
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple, cast

import torch

aten = torch.ops.aten
Formula = Callable[..., int]

# Element-wise at inference, and not tagged as such.
ELEMENT_WISE = {
    aten.native_batch_norm, aten._native_batch_norm_legit_no_training, aten.cudnn_batch_norm, aten.hardswish,
    aten.hardswish_, aten._prelu_kernel, aten.masked_fill, aten.rsub,
}  # fmt: skip
COPIES = {aten.clone, aten._to_copy}  # tagged as element-wise, but they may change the layout
# Tensors made from a shape alone, whatever tensor they take it from.
FACTORIES = ("arange", "empty", "eye", "full", "linspace", "new_", "ones", "rand", "scalar_tensor", "zeros")


class Operator(NamedTuple):
    """What is known about an operator.

    Attributes:
        name: such as "aten.relu".
        formula: its multiplications and additions, from torch's registry; None where it has none.
        composite: it is written in terms of others, which do the work.
        pointwise: torch says that it is element-wise.
        in_place: its output may take the place of an input.
        mutable: it writes into its arguments.
        factory: it makes a tensor and reads none.
        data_dependent: it gives a number back, not a tensor.
        convolution: whether it is one.
    """

    name: str
    formula: Formula | None
    composite: bool
    pointwise: bool
    in_place: bool
    mutable: bool
    factory: bool
    data_dependent: bool
    convolution: bool


@cache
def known(operator: Any) -> Operator:
    """Look an operator up."""
    packet = operator.overloadpacket
    name = packet.__name__
    pointwise = torch.Tag.pointwise in operator.tags and packet not in COPIES
    composite = torch._C._dispatch_has_kernel_for_dispatch_key(operator.name(), "CompositeImplicitAutograd")
    formula = _formulas().get(packet)
    return Operator(
        name=f"{operator.namespace}.{name}",
        formula=formula,
        composite=composite and formula is None,
        pointwise=pointwise,
        in_place=pointwise or packet in ELEMENT_WISE,
        mutable=operator._schema.is_mutable and torch.Tag.inplace_view not in operator.tags,
        factory=name.startswith(FACTORIES) or name.endswith("_like"),
        data_dependent=torch.Tag.data_dependent_output in operator.tags,
        convolution=packet is aten.convolution,
    )


@cache
def _formulas() -> Mapping[Any, Formula]:
    """torch's, and matrix products that it lacks, by formulas that it has."""
    formulas = _registry()
    mm = formulas[aten.mm]
    return {
        **formulas,
        aten._scaled_dot_product_flash_attention_for_cpu: formulas[aten._scaled_dot_product_flash_attention],
        aten.mv: lambda matrix, vector, **_: mm(matrix, vector.unsqueeze(1)),
        aten.addmv: lambda _bias, matrix, vector, **_: mm(matrix, vector.unsqueeze(1)),
        aten.dot: lambda left, right, **_: mm(left.unsqueeze(0), right.unsqueeze(1)),
    }


def _registry() -> Mapping[Any, Formula]:
    """The registry of torch.utils.flop_counter.

    That module imports triton where it is installed, 76 MB and a tenth of a second, to know a type that no operator
    here has. So, unless somebody has imported it already, it is loaded as a module of our own that finds no triton.
    """
    name = "torch.utils.flop_counter"
    if name in sys.modules:
        return cast("Mapping[Any, Formula]", sys.modules[name].flop_registry)
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    module.__dict__["__builtins__"] = vars(builtins) | {"__import__": _import_but_triton}
    log = logging.getLogger(name)
    log.disabled = True  # it would say that triton is missing
    try:
        spec.loader.exec_module(module)
    finally:
        log.disabled = False
    return cast("Mapping[Any, Formula]", module.flop_registry)


def _import_but_triton(name: str, *how: Any) -> Any:
    if name.partition(".")[0] == "triton":
        raise ImportError(name)
    return builtins.__import__(name, *how)
