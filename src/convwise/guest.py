"""Code of the user's: found, called and kept from doing harm."""

import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


@contextmanager
def guarding(spec: str) -> Iterator[None]:
    """Around code of the user's: what it prints goes to stderr, for stdout is the result's, and it cannot end us.

    Raises:
        UsageError: it raised anything but an error of ours, a lack of memory among them, or called sys.exit.
    """
    from .errors import ConvwiseError, UsageError
    from .machine import OUT_OF_MEMORY

    try:
        with redirect_stdout(sys.stderr):
            yield
    except (ConvwiseError, MemoryError):
        raise
    except SystemExit as error:
        raise UsageError(
            f"{spec} called sys.exit({error.code!r}), which would end convwise too; a script's own run belongs under "
            "`if __name__ == '__main__'`"
        ) from error
    except Exception as error:
        if any(words in str(error).lower() for words in OUT_OF_MEMORY):
            raise
        from .cost.complaints import in_one_line

        raise UsageError(f"{spec} raised {type(error).__name__}: {in_one_line(str(error))}") from error


def find_builder(
    spec: str, keywords: Mapping[str, object], instead: str = "--argument NAME=VALUE gives it an argument"
) -> "Callable[[], nn.Module]":
    """Find the function that `module:function` names; what is returned calls it with `keywords`.

    Args:
        spec: its name.
        keywords: of the call.
        instead: what to do where it takes others.

    Raises:
        UsageError: there is no such module or function, or it cannot be called so; when called: it gives no nn.Module.
    """
    import torch

    from .errors import UsageError

    module_name, _, function = spec.partition(":")
    if not module_name or not function:
        raise UsageError(f"a builder must be module:function, got {spec!r}")
    here = os.getcwd()  # as `python -m` does: the user's own modules stand where the command is given
    if here not in sys.path:
        sys.path.insert(0, here)
    with guarding(spec):
        try:
            module = import_module(module_name)
        except Exception as error:  # a module that is not there, or whatever the user's own raises
            reason = f"{type(error).__name__}: {error}"
            raise UsageError(f"builder {spec!r}: module {module_name!r} cannot be imported: {reason}") from error
        builder: Callable[..., Any] | None = getattr(module, function, None)
    if not callable(builder):
        raise UsageError(f"builder {spec!r}: module {module_name!r} has no function {function!r}")
    if isinstance(builder, torch.nn.Module):
        raise UsageError(f"builder {spec!r} must be a function or a class that gives an nn.Module, got one itself")
    try:
        inspect.signature(builder).bind(**keywords)
    except ValueError:
        pass  # it is written in C and has no signature to ask
    except TypeError as error:
        raise UsageError(f"builder {spec!r} cannot be called so: {error}; {instead}") from error
    return partial(_build, spec, builder, keywords)


def _build(spec: str, builder: "Callable[..., Any]", keywords: Mapping[str, object]) -> "nn.Module":
    import torch

    from .errors import UsageError

    module = builder(**keywords)
    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"builder {spec!r} must return an nn.Module, got {type(module).__name__}")
    return module


def build_rear(spec: str, shape: tuple[int, int, int], num_classes: int) -> "nn.Module":
    """Build the layers that `module:builder` gives, and hold them to what stands in front of them.

    Args:
        spec: of a function (in_channels, num_classes) -> nn.Module.
        shape: of what one image gives at the cut, (C, h, w).
        num_classes: length of the logits.

    Raises:
        UsageError: there is no such builder, it raises, or its module has nothing to train or does not give
            (B, num_classes) of such an input.
    """
    import torch

    from .errors import UsageError

    given = {"in_channels": shape[0], "num_classes": num_classes}
    build = find_builder(spec, given, "a rear is a function (in_channels, num_classes) -> nn.Module")
    with guarding(spec), torch.no_grad():
        module = build()
        before = module.training
        found = module.eval()(torch.zeros(2, *shape))
    module.train(before)
    got = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
    if got != (2, num_classes):
        raise UsageError(
            f"rear {spec!r} must give logits of shape {(2, num_classes)} for maps of shape {(2, *shape)} when "
            f"num_classes is {num_classes}, got {got}"
        )
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise UsageError(f"rear {spec!r} has no parameters that could be trained; give it a layer that has some")
    return module
