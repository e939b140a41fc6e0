"""What the tests of all networks share: each of them without memory for its weights."""

from functools import cache

import pytest
import torch
from torch import nn

from convwise import networks

meta_network = pytest.mark.parametrize("name", networks.names())


@cache
def on_meta(name: str, num_classes: int | None = None) -> nn.Module:
    """The network without memory for its weights; a test leaves it as it was."""
    with torch.device("meta"):
        return networks.create(name, num_classes).eval()
