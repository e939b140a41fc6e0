"""A paper -> nn.Module, by name: what there is, how it is built; and, of any network, where it can be cut.

Every network is `stem`, `stages`, `head`, and `head[-1]` alone knows the number of classes; the tools use only that.
Importing this package, and asking what it has, does not import torch.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, cast

from ..errors import UsageError, one_of
from .casebook import ENTRIES, Entry
from .contract import canonical_cut, check_classes, cuts, feature_width, parts, replace_head

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "canonical_cut", "check_classes", "checked_arguments", "create", "cuts", "describe", "feature_width", "fitted_to",
    "input_shape", "names", "parts", "replace_head",
]  # fmt: skip


def names() -> tuple[str, ...]:
    """Names that `create` knows, oldest paper first."""
    return tuple(ENTRIES)


def describe(name: str) -> Entry:
    """What is known about the network `name`.

    Raises:
        UsageError: there is no such network.
    """
    if not isinstance(name, str) or name not in ENTRIES:
        raise one_of("network", name, names(), listed_by="convwise networks")
    return ENTRIES[name]


def create(name: str, num_classes: int | None = None, arguments: Mapping[str, object] | None = None) -> "nn.Module":
    """Build the network `name`, freshly initialised from torch's random generator.

    Args:
        name: one of `names()`.
        num_classes: length of the logits; None for as many as the paper's data set has.
        arguments: further arguments of the builder; `describe(name).arguments` lists them.

    Raises:
        UsageError: no such network or argument, or a value that the builder cannot use.
    """
    entry = describe(name)
    num_classes = entry.num_classes if num_classes is None else num_classes
    check_classes(num_classes)
    given = checked_arguments(name, arguments)
    build = getattr(import_module(f".{entry.module}", __name__), entry.builder)
    return cast("nn.Module", build(num_classes=num_classes, **entry.fixed, **given))


def checked_arguments(name: str, arguments: Mapping[str, object] | None) -> dict[str, object]:
    """The arguments, which must have names, kinds and ranges that the entry has.

    Raises:
        UsageError: no such network, or one of them has not.
    """
    allowed = describe(name).arguments
    if not isinstance(arguments, Mapping | None):
        raise UsageError(f"arguments of {name} must be a mapping of names to values, got {arguments!r}")
    for argument, value in (arguments or {}).items():
        if argument not in allowed:
            raise one_of(f"argument of {name}", argument, allowed)
        if not allowed[argument].takes(value):
            raise UsageError(f"{argument} of {name} must be {allowed[argument].words()}, got {value!r}")
    return dict(arguments or {})


def input_shape(
    name: str, arguments: Mapping[str, object] | None = None, resolution: int | None = None
) -> tuple[int, int, int]:
    """Shape (C, H, W) of an image for the network `name` when built with `arguments`.

    Args:
        name: one of `names()`.
        arguments: as for `create`.
        resolution: side of the image, pixels; None for the one that the network is meant for.

    Raises:
        UsageError: no such network, an image that is too small for it or not the one that it is built for, or an
            argument that cannot be used.
    """
    entry, given = describe(name), checked_arguments(name, arguments)
    usual = given.get("resolution", entry.side(given) if entry.side else entry.resolution)
    side = cast("int", usual if resolution is None else resolution)
    if side < entry.smallest:
        raise UsageError(f"resolution of {name} must be at least {entry.smallest} pixels, got {side}")
    if "resolution" in entry.arguments and side != usual:
        raise _built_for_another(name, usual, side)
    return cast("int", given.get("in_channels", entry.channels)), side, side


def fitted_to(name: str, resolution: int, arguments: Mapping[str, object] | None = None) -> dict[str, object]:
    """`arguments`, and the resolution among them where the builder of `name` makes a network for one resolution.

    Raises:
        UsageError: there is no such network, or the arguments have another resolution already.
    """
    given = dict(arguments or {})
    if "resolution" not in describe(name).arguments:
        return given
    if given.get("resolution", resolution) != resolution:
        raise _built_for_another(name, given["resolution"], resolution)
    return {**given, "resolution": resolution}


def _built_for_another(name: str, built: object, used: int) -> UsageError:
    return UsageError(f"{name} cannot be built for {built} pixels and used at {used}")
