"""Code of the user's: found, called and kept from doing harm."""

import copy
import hashlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from functools import partial
from importlib import import_module
from pathlib import Path
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


@contextmanager
def _looking_here() -> Iterator[None]:
    """Find modules where the command is given too, last of all: a file there must not hide a library's module."""
    here = os.getcwd()
    if here in sys.path:
        yield
        return
    sys.path.append(here)
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)


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
    with guarding(spec), _looking_here():
        try:
            module = import_module(module_name)
        except Exception as error:  # a module that is not there, or whatever the user's own raises
            reason = f"{type(error).__name__}: {error}"
            raise UsageError(f"builder {spec!r}: module {module_name!r} cannot be imported: {reason}") from error
        known = hasattr(module, function)
        builder: Callable[..., Any] | None = getattr(module, function, None)
    if not known:
        raise UsageError(f"builder {spec!r}: module {module_name!r} has no function {function!r}")
    if not callable(builder):
        raise UsageError(
            f"builder {spec!r}: {function!r} of module {module_name!r} is not callable but of type "
            f"{type(builder).__name__}; it must be a function or a class that gives an nn.Module"
        )
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

    with _looking_here():  # it may import others of its own only now
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
        UsageError: there is no such builder, it raises, or its module has nothing to train, does not give
            (B, num_classes) of such an input in evaluation and in training, or cannot be counted.
    """
    import torch

    from .errors import UsageError

    given = {"in_channels": shape[0], "num_classes": num_classes}
    build = find_builder(
        spec, given, "a rear is a function whose arguments are called so: (in_channels, num_classes) -> nn.Module"
    )
    with guarding(spec), torch.no_grad():
        module = build()
        before = module.training
        found = module.eval()(torch.zeros(2, *shape))
    module.train(before)
    _check_logits(spec, found, shape, num_classes)
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise UsageError(f"rear {spec!r} has no parameters that could be trained; give it a layer that has some")
    with guarding(spec), torch.no_grad(), torch.random.fork_rng(devices=[]):  # neither numbers nor luck change
        found = copy.deepcopy(module).train()(torch.zeros(2, *shape))
    _check_logits(spec, found, shape, num_classes, " in training")
    _check_counted(spec, module, shape)
    return module


def _check_logits(
    spec: str, found: object, shape: tuple[int, int, int], num_classes: int, when: str = ""
) -> None:  # fmt: skip
    import torch

    from .errors import UsageError

    got = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
    if got != (2, num_classes):
        raise UsageError(
            f"rear {spec!r} must give logits of shape {(2, num_classes)} for maps of shape {(2, *shape)} when "
            f"num_classes is {num_classes}, got {got}{when}"
        )


def _check_counted(spec: str, module: "nn.Module", shape: tuple[int, int, int]) -> None:
    """Run what has run with numbers without any, as memory and cost are counted.

    Raises:
        UsageError: it needs them.
    """
    import torch

    from .cost import NeedsValuesError, analyze
    from .cost.complaints import in_one_line
    from .errors import UsageError

    try:
        with redirect_stdout(sys.stderr), torch.no_grad(), torch.random.fork_rng(devices=[]):
            copy.deepcopy(module).to("meta").train()(torch.zeros(2, *shape, device="meta"))
            analyze(module, shape)
    except Exception as error:
        loose = [
            f"{name}.{attribute}".removeprefix(".")
            for name, part in module.named_modules()
            for attribute, value in vars(part).items()
            if isinstance(value, torch.Tensor)
        ]
        instead = "make tensors on the device of the input, and let no value of theirs decide what is computed"
        if loose:
            instead = f"register tensors as buffers: {', '.join(loose)}"
        elif isinstance(error, NeedsValuesError) or "item()" in str(error):
            instead = "forward must not read the values of tensors, as .item() does: a graph cannot either"
        reason = in_one_line(str(error)).partition("; ")[0].rstrip(".")
        raise UsageError(
            f"rear {spec!r} cannot run without numbers, as memory and cost are counted ({type(error).__name__}: "
            f"{reason}); {instead}"
        ) from error


def code_of(spec: str, module: "nn.Module") -> str:
    """Hash of the code that `spec` and the layers of `module` come from, and of how they print themselves."""
    named = sys.modules.get(spec.partition(":")[0])
    files = {getattr(named, "__file__", None)}
    for part in module.modules():
        files.add(getattr(sys.modules.get(type(part).__module__), "__file__", None))
    digest = hashlib.sha256(f"{spec}\n{module!r}".encode())
    for content in sorted(Path(file).read_bytes() for file in files if file is not None and Path(file).is_file()):
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()
