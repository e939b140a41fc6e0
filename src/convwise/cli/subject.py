"""What a command is asked about: a network of the casebook, a saved classifier, or a module of the user's."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ..data.text import counted

if TYPE_CHECKING:
    from torch import nn

WORDS = {"true": True, "false": False, "none": None}  # of values that are neither numbers nor text


@dataclass(frozen=True)
class Subject:
    """A network that can be built.

    Attributes:
        name: as the user gave it.
        network: its name in the casebook, or module:builder.
        arguments: of its builder, but for `num_classes`.
        num_classes: None where the builder of a module was not told.
        input_shape: (C, H, W) of one image.
        build: builds it, with random weights where it is a network of the casebook.
        casebook: whether it is one, which can do without memory for its weights.
    """

    name: str
    network: str
    arguments: Mapping[str, object]
    num_classes: int | None
    input_shape: tuple[int, int, int]
    build: "Callable[[], nn.Module]"
    casebook: bool

    @property
    def title(self) -> str:
        """What it is in full: "runs/1: mobilenet_v2, width=0.5, 7 classes"."""
        told = [f"{name}={_written(value)}" for name, value in self.arguments.items()]
        if self.num_classes is not None:
            told.append(counted(self.num_classes, "class", "classes"))
        network = self.network if self.name == self.network else f"{self.name}: {self.network}"
        return ", ".join([network, *told])

    def guarded(self) -> AbstractContextManager[None]:
        """Around building and running it, where it is code of the user's."""
        from ..guest import guarding

        return nullcontext() if self.casebook else guarding(self.name)

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
        name: of the casebook; folder of a run or classifier; or `module:builder`, a function that gives an nn.Module.
        resolution: side of the input, pixels; None for the usual one.
        num_classes: of a builder; None for as many as the paper has, or as the user's own has by default.
        arguments: NAME=VALUE, of a builder. A whole number, a decimal one, true, false and none are taken as such,
            anything else as text.
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
    if folder and (num_classes is not None or arguments):
        raise UsageError(f"num-classes and argument have no effect on {name!r}; a classifier is costed as it was saved")
    if channels is not None and not foreign:
        raise UsageError(
            f"channels has no effect on {name!r}; a network of the casebook takes --argument in_channels=N"
        )
    if folder and not os.path.isdir(name):
        raise DataError(f"there is no folder {name!r}; give a run, a name of `convwise networks`, or module:builder")
    if folder:
        saved = classifier.load(name)
        side = resolution or saved.preprocessing.resolution
        if saved.rear is not None:
            shape = networks.input_shape(saved.network, saved.arguments, side)
            title = f"{saved.network} with the rear {saved.rear}"
            return Subject(name, title, saved.arguments, len(saved.classes), shape, saved.to_torch, casebook=False)
        return _of_casebook(name, saved.network, side, len(saved.classes), saved.arguments)
    given = _parsed(arguments)
    if foreign:
        return _of_user(name, (channels or 3, resolution or 224, resolution or 224), num_classes, given)
    return _of_casebook(name, name, resolution, num_classes, given)


def _of_casebook(
    name: str, network: str, resolution: int | None, num_classes: int | None, arguments: Mapping[str, object]
) -> Subject:
    from .. import networks

    classes = networks.describe(network).num_classes if num_classes is None else num_classes
    built = arguments if resolution is None else networks.fitted_to(network, resolution, arguments)
    shape = networks.input_shape(network, built, resolution)
    build = partial(networks.create, network, classes, built)
    return Subject(name, network, arguments, classes, shape, build, casebook=True)


def _of_user(
    spec: str, input_shape: tuple[int, int, int], num_classes: int | None, arguments: Mapping[str, object]
) -> Subject:
    from ..errors import UsageError
    from ..guest import find_builder

    if num_classes is not None and "num_classes" in arguments:
        raise UsageError("num_classes is given twice, as an option and as an argument; leave one of them out")
    keywords = dict(arguments) if num_classes is None else {**arguments, "num_classes": num_classes}
    build = partial(_drawn_alike, find_builder(spec, keywords))
    return Subject(spec, spec, arguments, num_classes, input_shape, build, casebook=False)


def _drawn_alike(build: "Callable[[], nn.Module]") -> "nn.Module":
    """Build with the same random weights each time: where a path depends on values, it is the same one."""
    import torch

    torch.manual_seed(0)
    return build()


def _parsed(arguments: Sequence[str]) -> dict[str, object]:
    """Names and values of NAME=VALUE."""
    from ..errors import UsageError

    found: dict[str, object] = {}
    for argument in arguments:
        name, separator, value = argument.partition("=")
        if not name or not separator:
            raise UsageError(f"argument must be NAME=VALUE, got {argument!r}")
        if name in found:
            raise UsageError(f"argument {name!r} is given twice; leave one of them out")
        found[name] = _value(value)
    return found


def _value(text: str) -> object:
    """A number, true, false or none where it reads as one; else the text itself."""
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _written(value: object) -> str:
    """A value as it is given on the command line."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
