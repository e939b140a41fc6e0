"""What a user is told of a module or an input that cannot be analyzed, in one line."""

import inspect
import math
import operator
import textwrap
from collections.abc import Sequence

from torch import nn

from ..errors import UsageError
from .geometry import times
from .shapes import DoesNotFitError
from .tracer import NeedsValuesError

Shape = tuple[int, ...]
# What torch and modules raise at an input that they cannot take; anything else is a fault of the module.
MISFITS = (
    DoesNotFitError, NeedsValuesError, RuntimeError, ValueError, TypeError, IndexError, AssertionError,
)  # fmt: skip
MOST_NUMBERS = 2**48  # of an input; torch counts bytes in 63 bits
WITHOUT_VALUES = ("meta", "unallocated storage")  # how torch speaks of tensors that have none
ON_ZEROS = "analyze it with device='cpu', which runs it once on zeros"


def checked_shape(input_shape: Sequence[int]) -> Shape:
    """The shape as a tuple.

    Raises:
        UsageError: it is no shape of one image.
    """
    try:
        shape = tuple(operator.index(size) for size in input_shape)
    except TypeError:
        wanted = "input_shape must be whole numbers such as (3, 224, 224)"
        raise UsageError(f"{wanted}, got {in_one_line(repr(input_shape))}") from None
    if not shape or min(shape) < 1:
        raise UsageError(f"input_shape must have sizes of at least 1, got {times(shape) or 'none'}")
    if math.prod(shape) > MOST_NUMBERS:
        raise UsageError(f"input_shape must have at most {MOST_NUMBERS:,} numbers, got {times(shape)}")
    return shape


def complaint(error: Exception, where: str, module: nn.Module, shape: Shape, *, meta: bool) -> str:
    """What `error` means.

    Args:
        error: one of `MISFITS`.
        where: layer that raised it.
        module: that was to be analyzed.
        shape: of the input.
        meta: whether it ran without values.
    """
    if isinstance(error, NeedsValuesError):
        return f"{where} needs the values of tensors ({error}), and there are only shapes; {ON_ZEROS}"
    if isinstance(error, TypeError) and (names := _needs_more(module)) is not None:
        kind = type(module).__name__
        hint = "wrap it in a module whose forward takes the image alone"
        return f"{kind} must take one tensor, got forward({names}); {hint}"
    text = in_one_line(str(error).strip().rstrip(".;"))
    if not isinstance(error, DoesNotFitError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    said = f"input of {times(shape)} cannot pass {where}: {text}"
    if meta and any(word in text for word in WITHOUT_VALUES):
        return f"{said}; {ON_ZEROS}"
    if type(error) in (DoesNotFitError, RuntimeError):  # torch's own; a module says itself what it wants
        return f"{said}; give another resolution or number of channels"
    return said


def in_one_line(text: str) -> str:
    """The beginning of a text that others wrote."""
    return textwrap.shorten(text, 300, placeholder=" ...")


def _needs_more(module: nn.Module) -> str | None:
    """The arguments of `forward`, if one tensor will not do."""
    try:
        signature = inspect.signature(module.forward)
    except (TypeError, ValueError):  # a function that is not written in Python
        return None
    try:
        signature.bind(None)
    except TypeError:
        return ", ".join(signature.parameters)
    return None
