"""What the tests of weights compare networks by."""

import torch
from torch import Tensor, nn

V1 = "torchvision/IMAGENET1K_V1"


def image(channels: int = 3, side: int = 64) -> Tensor:
    return torch.randn(1, channels, side, side, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def same(ours: nn.Module, theirs: nn.Module, x: Tensor | None = None) -> bool:
    x = image() if x is None else x
    return torch.allclose(ours(x), theirs(x), rtol=1e-5, atol=1e-5)
