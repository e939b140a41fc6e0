"""What a user is told of a module or an input that cannot be analyzed, in one line."""

import inspect
import math
import operator
import re
from collections.abc import Sequence

from torch import nn

from ..errors import UsageError
from .errors import NeedsValuesError
from .geometry import times
from .shapes import DoesNotFitError
from .tracer import NoValuesError

Shape = tuple[int, ...]
# What torch and modules raise at an input that they cannot take; anything else is a fault of the module.
MISFITS = (DoesNotFitError, NoValuesError, RuntimeError, ValueError, TypeError, IndexError, AssertionError)
LONGEST = 300  # characters of a text that others wrote
MOST_NUMBERS = 2**48  # of an input; torch counts bytes in 63 bits
WITHOUT_VALUES = re.compile(r"\bmeta\b|unallocated storage", re.IGNORECASE)  # how torch speaks of tensors without any
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


def complaint(error: Exception, where: str, module: nn.Module, shape: Shape, *, meta: bool) -> UsageError:
    """What `error` means, for the user.

    Args:
        error: one of `MISFITS`.
        where: layer that raised it.
        module: that was to be analyzed.
        shape: of the input.
        meta: whether it ran without values.
    """
    if isinstance(error, NoValuesError):
        lacking = f"{where} needs the values of tensors ({error}), and there are only shapes"
        return NeedsValuesError(f"{lacking}; {ON_ZEROS}")
    if isinstance(error, TypeError) and (names := _needs_more(module)) is not None:
        kind = type(module).__name__
        hint = "wrap it in a module whose forward takes the image alone"
        return UsageError(f"{kind} must take one tensor, got forward({names}); {hint}")
    text = in_one_line(str(error).strip().rstrip(".;"))
    if not isinstance(error, DoesNotFitError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    said = f"input of {times(shape)} cannot pass {where}: {text}"
    if meta and WITHOUT_VALUES.search(text):
        return NeedsValuesError(f"{said}; {ON_ZEROS}")
    if type(error) in (DoesNotFitError, RuntimeError):  # torch's own; a module says itself what it wants
        return UsageError(f"{said}; give another resolution or number of channels")
    return UsageError(said)


def in_one_line(text: str) -> str:
    """The beginning of a text that others wrote."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."


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
