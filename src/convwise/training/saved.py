"""What a training step needs of memory for each image, counted without it."""

from typing import Any

import torch
from torch import Tensor, nn

from .loss import all_logits

IMAGES = 2  # that are counted; batch norm takes no single one


def bytes_per_image(network: nn.Module, input_shape: tuple[int, int, int]) -> int:
    """Count what the backward pass needs of one image, (C, H, W), in float32.

    Every tensor that autograd keeps counts once, and the largest one twice more, for the gradients on their way.

    Args:
        network: on the meta device, as `cost.sketch` builds it; it is left in training mode. Its auxiliary heads count.
        input_shape: of the image.
    """
    owned = {_storage(t) for t in (*network.parameters(), *network.buffers())}
    kept: dict[int, Tensor] = {}  # held, so that no storage is used twice

    def pack(tensor: Tensor) -> Tensor:
        if _storage(tensor) not in owned:
            kept[_storage(tensor)] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, _same):
        logits = all_logits(network.train(), torch.zeros(IMAGES, *input_shape, device="meta"))
    sizes = [t.untyped_storage().nbytes() for t in kept.values()]
    del logits  # until here it held the tensors
    return (sum(sizes) + 2 * max(sizes, default=0)) // IMAGES


def _storage(tensor: Tensor) -> int:
    number: int = tensor.untyped_storage()._cdata
    return number


def _same(value: Any) -> Any:
    return value
