"""What a command is asked about: a network of the casebook, a saved classifier, or a module of the user's."""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Subject:
    """A network that can be built.

    Attributes:
        name: as the user gave it.
        input_shape: (C, H, W) of one image.
        build: builds it, with random weights where it is a network of the casebook.
        casebook: whether it is one, which can do without memory for its weights.
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
    name: str, resolution: int | None = None, num_classes: int | None = None, arguments: Sequence[str] = (),
    *, channels: int | None = None,
) -> Subject:  # fmt: skip
    """Find what `name` stands for.

    Args:
        name: of the casebook; folder of a run or classifier; or `module:builder`, a function without arguments.
        resolution: side of the input, pixels; None for the usual one.
        num_classes: None for as many as the paper has; for a network of the casebook alone.
        arguments: NAME=VALUE, of the casebook's builder.
        channels: of the input, for `module:builder` alone; None for 3.

    Raises:
        UsageError: there is no such thing, or an option that has no effect on it.
        DataError: the classifier cannot be read.
    """
    from .. import classifier, networks
    from ..errors import DataError, UsageError

    known = name in networks.names()
    folder = not known and (os.path.isdir(name) or any(separator in name for separator in "/\\"))
    foreign = not known and not folder and ":" in name
    for option, value in (("resolution", resolution), ("channels", channels)):
        if value is not None and value < 1:
            raise UsageError(f"{option} must be at least 1, got {value}")
    if (foreign or folder) and (num_classes is not None or arguments):
        raise UsageError(f"num-classes and argument have no effect on {name!r}; they are for networks of the casebook")
    if channels is not None and not foreign:
        raise UsageError(
            f"channels has no effect on {name!r}; a network of the casebook takes --argument in_channels=N"
        )
    if folder and not os.path.isdir(name):
        raise DataError(f"there is no folder {name!r}; give a run, a name of `convwise networks`, or module:builder")
    if folder:
        saved = classifier.load(name)
        side = resolution or saved.preprocessing.resolution
        return _of_casebook(name, saved.network, side, len(saved.classes), saved.arguments)
    if foreign:
        return _of_user(name, (channels or 3, resolution or 224, resolution or 224))
    return _of_casebook(name, name, resolution, num_classes, dict(_parsed(argument) for argument in arguments))


def _of_casebook(
    name: str, network: str, resolution: int | None, num_classes: int | None, arguments: Mapping[str, object]
) -> Subject:
    from .. import networks

    if resolution is not None:
        arguments = networks.fitted_to(network, resolution, arguments)
    shape = networks.input_shape(network, arguments, resolution)
    return Subject(name, shape, lambda: networks.create(network, num_classes, arguments), casebook=True)


def _of_user(spec: str, input_shape: tuple[int, int, int]) -> Subject:
    from torch import nn

    from ..errors import UsageError

    builder = _builder(spec)

    def build() -> nn.Module:
        try:
            module = builder()
        except Exception as error:  # the user's own code may raise anything
            raise UsageError(f"builder {spec!r} raised {type(error).__name__}: {error}") from error
        if not isinstance(module, nn.Module):
            raise UsageError(f"builder {spec!r} must return an nn.Module, got {type(module).__name__}")
        return module

    return Subject(spec, input_shape, build, casebook=False)


def _builder(spec: str) -> "Callable[[], Any]":
    """The function that `module:function` names."""
    from ..errors import UsageError

    module_name, _, function = spec.partition(":")
    if not module_name or not function:
        raise UsageError(f"a builder must be module:function, got {spec!r}")
    sys.path.insert(0, os.getcwd())  # as `python -m` does: the user's own modules stand where the command is given
    try:
        module = import_module(module_name)
    except Exception as error:  # a module that is not there, or whatever the user's own raises
        reason = f"{type(error).__name__}: {error}"
        raise UsageError(f"builder {spec!r}: module {module_name!r} cannot be imported: {reason}") from error
    build: Callable[[], Any] | None = getattr(module, function, None)
    if not callable(build):
        raise UsageError(f"builder {spec!r}: module {module_name!r} has no function {function!r}")
    return build


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
