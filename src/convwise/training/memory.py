"""How much memory a training will take, counted before it begins."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from torch import Tensor, nn

from ..cost import analyze
from ..machine import too_little_memory
from .device import device_memory
from .judging import judged_at_once
from .loop import check_batch
from .recipe import Recipe
from .saved import bytes_per_image

OPTIMIZER_COPIES = {"sgd": 1, "adamw": 2, "rmsprop": 2}  # numbers kept for each weight, momentum 0 aside


class Memory(NamedTuple):
    """Bytes that a training needs at once, beyond the program.

    Attributes:
        images: their pixels, as gathered and as torch has them.
        weights: and statistics.
        copies: of them: gradients, the optimiser's state, the average, the best epoch's.
        activations: what the backward pass reads of a forward pass of one piece, its input and its largest gradients
            included, in float32; or, where these are more, what judging needs.
    """

    images: int
    weights: int
    copies: int
    activations: int

    def on(self, device: str) -> int:
        """Bytes on the device that trains, "cpu" or "cuda"; the images of a GPU stay in the machine's memory."""
        return sum(self) - (self.images if device == "cuda" else 0)


Count = Callable[[Recipe, int], Memory]  # of a recipe, at a resolution


def training_memory(
    network: nn.Module, recipe: Recipe, input_shape: tuple[int, int, int], images: int,
    *, held: int | None = None,
) -> Memory:  # fmt: skip
    """Count the memory of a training.

    Not counted: what the libraries take for themselves, and bfloat16, which halves some of it.

    Args:
        network: as it is trained, on the meta device; it is left in training mode.
        recipe: how.
        input_shape: (C, H, W).
        images: that are gathered.
        held: bytes of what lies in memory of all images; None: each input twice, as gathered and as torch has it.

    Raises:
        UsageError: batches that batch norm cannot train on.
    """
    check_batch(network, recipe)
    weights = sum(_bytes(t) for t in network.state_dict().values())
    learnt = sum(_bytes(p) for p in network.parameters() if p.requires_grad)
    optimizer = OPTIMIZER_COPIES[recipe.optimizer] * learnt
    copies = learnt + optimizer + weights * (1 if recipe.ema is None else 2)
    channels, height, width = input_shape
    pixels = 2 * images * channels * height * width if held is None else held
    training = bytes_per_image(network, input_shape) * min(images, recipe.piece)
    each = analyze(network, input_shape).peak_activation_bytes
    judging = each * min(images, judged_at_once(each, recipe))
    return Memory(pixels, weights, copies, max(training, judging))


def check_memory(
    count: Count, recipe: Recipe, resolution: int, smaller: Iterable[int], *, what: str, device: str
) -> None:  # fmt: skip
    """Refuse a training that does not fit into the machine, or into its GPU, and say which would.

    Args:
        count: the memory.
        recipe: how.
        resolution: side of the input, pixels.
        smaller: resolutions that can be had, falling.
        what: is trained, for people.
        device: "cpu" or "cuda".

    Raises:
        MachineError: it does not fit.
        UsageError: what `count` refuses, also where nobody knows how much memory there is.
    """
    limit, needed = device_memory(device), count(recipe, resolution).on(device)
    if limit is None or needed <= limit:
        return

    def fits(recipe: Recipe, resolution: int) -> bool:
        return count(recipe, resolution).on(device) <= limit

    would = []
    if (side := next((side for side in smaller if fits(recipe, side)), None)) is not None:
        would.append(f"--resolution {side}")
    if (fitting := next((r for r in _in_more_pieces(recipe) if fits(r, resolution)), None)) is not None:
        would.append(
            f"accumulate = {fitting.accumulate} in the recipe ({fitting.piece} of its {fitting.batch} images at once)"
        )
    instead = f"{' or '.join(would)} would fit" if would else "take another network"
    where = " on the GPU" if device == "cuda" else ""
    training = f"training {what} at {resolution} px{where}"
    raise too_little_memory(training, needed, instead, limit)


def _in_more_pieces(recipe: Recipe) -> Iterator[Recipe]:
    """The recipe with twice as many pieces, four times as many and so on, down to pieces of two images."""
    most = recipe.batch // 2
    while recipe.accumulate < most:
        recipe = replace(recipe, accumulate=min(most, 2 * recipe.accumulate))
        yield recipe


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
