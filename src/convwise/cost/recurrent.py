"""Recurrent layers as the operators that they are made of."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

RECURRENT = {torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu}


class Unrolled(TorchFunctionMode):
    """Lets recurrent layers run on any device, step by step.

    torch refuses weights that are not where the input is before it comes to an operator; and on a CPU it has one
    operator for a whole LSTM, whose matrix products nobody would see. As long as there is such a mode, torch also takes
    attention as the operators that it is made of.
    """

    def __init__(self, prepare: Callable[[Any], Any], *, meta: bool) -> None:
        """Take what brings arguments, lists among them, to the device of the input, and whether that is meta."""
        super().__init__()
        self._prepare, self._meta = prepare, meta

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one function of torch."""
        kwargs = kwargs or {}
        if func not in RECURRENT:
            return func(*args, **kwargs)
        with nullcontext() if self._meta else _without_mkldnn():
            return func(*self._prepare(args), **kwargs)


@contextmanager
def _without_mkldnn() -> Iterator[None]:
    """Switch it off in the whole process, for a while; torch's own `mkldnn.flags` sets TF32 too, and warns of it."""
    enabled = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(enabled)
