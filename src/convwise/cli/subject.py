"""What a command is asked about: a network of the casebook, a saved classifier, or a module of the user's."""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Subject:
    """A network that can be built.

    Attributes:
        name: as the user gave it.
        input_shape: (C, H, W) of one image.
        build: builds it, with random weights where it is a network of the casebook.
        casebook: whether `build` follows torch's default device, so that it can do without memory for weights.
    """

    name: str
    input_shape: tuple[int, int, int]
    build: "Callable[[], nn.Module]"
    casebook: bool

    def to_analyze(self) -> "nn.Module":
        """Build it, without memory for its weights where that can be."""
        from ..cost import sketch

        if not self.casebook:
            return self.build()
        with sketch():
            return self.build()


def find_subject(
    name: str, resolution: int | None = None, num_classes: int | None = None, arguments: Sequence[str] = ()
) -> Subject:
    """Find what `name` stands for.

    Args:
        name: of the casebook; folder of a run or classifier; or `module:builder`, a function without arguments.
        resolution: side of the input, pixels; None for the usual one.
        num_classes: None for as many as the paper has; for a network of the casebook alone.
        arguments: NAME=VALUE, of the casebook's builder.

    Raises:
        UsageError: there is no such thing, or an option that has no effect on it.
        DataError: the classifier cannot be read.
    """
    from .. import classifier, networks
    from ..errors import UsageError

    foreign = ":" in name and name not in networks.names()
    if resolution is not None and resolution < 1:
        raise UsageError(f"resolution must be at least 1 pixel, got {resolution}")
    if (foreign or os.path.isdir(name)) and (num_classes is not None or arguments):
        raise UsageError(f"num-classes and argument have no effect on {name!r}; they are for networks of the casebook")
    if os.path.isdir(name) and name not in networks.names():
        saved = classifier.load(name)
        side = resolution or saved.preprocessing.resolution
        return _of_casebook(name, saved.network, side, len(saved.classes), saved.arguments)
    if foreign:
        return _of_user(name, resolution or 224)
    return _of_casebook(name, name, resolution, num_classes, dict(_parsed(argument) for argument in arguments))


def _of_casebook(
    name: str, network: str, resolution: int | None, num_classes: int | None, arguments: Mapping[str, object]
) -> Subject:
    from .. import networks

    if resolution is not None:
        arguments = networks.fitted_to(network, resolution, arguments)
    shape = networks.input_shape(network, arguments, resolution)
    return Subject(name, shape, lambda: networks.create(network, num_classes, arguments), casebook=True)


def _of_user(name: str, side: int) -> Subject:
    from torch import nn

    from .. import networks
    from ..errors import UsageError

    sys.path.insert(0, os.getcwd())  # as `python -m` does: the user's own modules stand where the command is given
    build = networks.user_builder(name)

    def checked() -> nn.Module:
        module = build()
        if not isinstance(module, nn.Module):
            raise UsageError(f"builder {name!r} must return an nn.Module, got {type(module).__name__}")
        return module

    return Subject(name, (3, side, side), checked, casebook=False)


def _parsed(argument: str) -> tuple[str, object]:
    """NAME=VALUE, the value a number, true or false where it reads as one."""
    from ..errors import UsageError

    name, separator, value = argument.partition("=")
    if not separator:
        raise UsageError(f"argument must be NAME=VALUE, got {argument!r}")
    try:
        return name, json.loads(value.lower())
    except ValueError:
        return name, value
