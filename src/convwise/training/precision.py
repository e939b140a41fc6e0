"""bfloat16 where it pays: in products, but not in weights and statistics."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from .stand_ins import StandIns


@contextmanager
def products_in(precision: str, device: str) -> Iterator[None]:
    """Run a forward pass in "float32" or "bfloat16"; once a pass, since inside torch keeps copies of weights."""
    with ExitStack() as stack:
        stack.enter_context(torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"))
        if device == "cpu":
            stack.enter_context(StandIns())
        yield
