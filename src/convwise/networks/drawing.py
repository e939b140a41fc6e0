"""Networks whose random numbers are nobody's business."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def drawn_apart() -> Iterator[None]:
    """Draw from a seed of its own inside: the caller's generator decides nothing, and stays where it is."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # torch.manual_seed would move a GPU's, too
        yield
