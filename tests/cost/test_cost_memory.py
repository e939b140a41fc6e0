"""Peak of the activations: by hand on small graphs, and beside a planner that lays an arena out."""

from collections.abc import Iterable

import pytest
import torch
from torch import Tensor, nn

from convwise import networks
from convwise.cost import Lifetime, analyze, sketch
from convwise.cost.lifetimes import Step, lifetimes, peak_bytes

FLOAT = 4  # bytes


def test_peak_of_a_chain_by_hand() -> None:
    chain = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 16, 10),
    )  # fmt: skip
    report = analyze(chain, (3, 8, 8))
    image, first, pooled, second, logits = 3 * 64, 8 * 64, 8 * 16, 16 * 16, 10
    # Norm and ReLU work in place, dropout is nothing, flattening is a view; so two tensors at a time:
    pairs = [image + first, first + pooled, pooled + second, second + logits]
    assert pairs == [704, 640, 384, 266]
    assert report.peak_activation_bytes == FLOAT * 704
    assert report.activation_bytes == FLOAT * (first + pooled + second + logits)
    assert report.tensors == (
        Lifetime(FLOAT * image, 0, 0),
        Lifetime(FLOAT * first, 0, 3),  # convolution, norm, ReLU, pool
        Lifetime(FLOAT * pooled, 3, 4),
        Lifetime(FLOAT * second, 4, 6),  # convolution, ReLU, linear layer
        Lifetime(FLOAT * logits, 6, 6),
    )


class Residual(nn.Module):
    """relu(branch(x) + x), the branch narrow in its middle."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(16, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 16, 3, padding=1), nn.BatchNorm2d(16)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.branch(x) + x)


def test_peak_of_a_residual_block_by_hand() -> None:
    report = analyze(Residual(), (16, 8, 8))
    x, narrow, wide = 16 * 64, 4 * 64, 16 * 64
    # The input waits for the sum, which is written over the branch, so that the sum itself costs x + wide.
    assert report.peak_activation_bytes == FLOAT * (x + narrow + wide) == FLOAT * 2304
    assert report.activation_bytes == FLOAT * (narrow + wide)


def test_a_tensor_that_is_needed_later_is_not_overwritten() -> None:
    class Both(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(x) + x  # the ReLU needs memory of its own; the sum takes the place of either

    assert analyze(Both(), (10,)).peak_activation_bytes == FLOAT * 2 * 10


class Inception(nn.Module):
    """Module 3a of GoogLeNet, 192 x 28 x 28 -> 256 x 28 x 28 (facts: GOOG_T)."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(192, 64, 1)
        self.three = nn.Sequential(nn.Conv2d(192, 96, 1), nn.ReLU(), nn.Conv2d(96, 128, 3, padding=1))
        self.five = nn.Sequential(nn.Conv2d(192, 16, 1), nn.ReLU(), nn.Conv2d(16, 32, 5, padding=2))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(192, 32, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in (self.one, self.three, self.five, self.pool)], 1).relu()


def test_peak_of_an_inception_block_by_hand() -> None:
    report = analyze(Inception(), (192, 28, 28))
    # Channels that are needed at each operator, ReLUs in place; all maps have 28 x 28 pixels.
    needed = [
        192 + 64,  # 1x1
        192 + 64 + 96,  # 3x3, reduced
        192 + 64 + 96 + 128,  # 3x3
        192 + 64 + 128 + 16,  # 5x5, reduced
        192 + 64 + 128 + 16 + 32,  # 5x5
        192 + 64 + 128 + 32 + 192,  # pool
        64 + 128 + 32 + 192 + 32,  # 1x1 on what was pooled; the input is not needed any more
        64 + 128 + 32 + 32 + 256,  # concatenation
    ]
    assert max(needed) == 608
    assert report.peak_activation_bytes == FLOAT * 608 * 28 * 28


def test_a_module_that_does_nothing_needs_its_input() -> None:
    assert analyze(nn.Identity(), (3, 4, 4)).peak_activation_bytes == FLOAT * 48


def test_peak_counts_the_bytes_of_the_type() -> None:
    network = nn.Conv2d(3, 8, 1)
    full = analyze(network, (3, 4, 4)).peak_activation_bytes
    assert analyze(network.half(), (3, 4, 4)).peak_activation_bytes * 2 == full


def test_indices_of_a_pool_that_nobody_reads_need_no_memory() -> None:
    assert analyze(nn.MaxPool2d(2), (8, 4, 4)).tensors == (Lifetime(4 * 128, 0, 0), Lifetime(4 * 32, 0, 0))


def test_lifetimes_of_a_graph_by_hand() -> None:
    steps = [
        Step(0, {0: 8}, [1]),
        Step(0, {1: 8}, [2], in_place=True),  # 1 is read again: 2 needs its own memory
        Step(0, {1: 8, 2: 8}, [3], in_place=True),  # takes the place of 1
        Step(0, {3: 8}, [4, 5]),  # nobody needs 5
        Step(0, {4: 4}, [6], in_place=True),  # twice as large: does not fit over 4
    ]
    sizes = [8, 8, 8, 8, 4, 16, 8]
    assert lifetimes(sizes, steps, {6, 3}) == (
        Lifetime(8, 0, 0), Lifetime(8, 0, 4), Lifetime(8, 1, 2), Lifetime(4, 3, 4), Lifetime(8, 4, 4)
    )  # fmt: skip
    assert peak_bytes(lifetimes(sizes, steps, {6, 3})) == 8 + 4 + 8


def arena(tensors: Iterable[Lifetime]) -> int:
    """Bytes of an arena laid out greedily by size: the largest first, each at the lowest offset that is free.

    Source: Pisarchyk and Lee 2020, section 5.2 (https://arxiv.org/abs/2001.03288), as TensorFlow Lite does it.
    """
    placed: list[tuple[int, Lifetime]] = []
    for tensor in sorted(tensors, key=lambda t: -t.bytes):
        offset = 0
        for start, other in sorted(placed):
            meet = other.first <= tensor.last and tensor.first <= other.last
            if meet and start < offset + tensor.bytes and offset < start + other.bytes:
                offset = start + other.bytes
        placed.append((offset, tensor))
    return max(offset + tensor.bytes for offset, tensor in placed)


def from_both_ends(tensors: Iterable[Lifetime], size: int) -> bool:
    """Whether the tensors of a chain fit into `size` bytes when they lie at its two ends in turn."""
    placed: list[tuple[int, Lifetime]] = []
    for i, tensor in enumerate(tensors):
        start = 0 if i % 2 else size - tensor.bytes
        if start < 0:
            return False
        for other_start, other in placed:
            meet = other.first <= tensor.last and tensor.first <= other.last
            if meet and start < other_start + other.bytes and other_start < start + tensor.bytes:
                return False
        placed.append((start, tensor))
    return True


BY_SIZE_LEAVES_A_GAP = ("plain50", "plain101", "plain152")


@pytest.mark.parametrize("name", networks.names())
def test_the_peak_is_within_a_tenth_of_a_planners_arena(name: str) -> None:
    with sketch():
        network = networks.create(name)
    report = analyze(network, networks.input_shape(name))
    laid_out = arena(report.tensors)
    assert report.peak_activation_bytes <= laid_out
    if name not in BY_SIZE_LEAVES_A_GAP:
        assert laid_out <= 1.1 * report.peak_activation_bytes
        return
    # Wide, narrow, narrow, wide: by size all wide maps lie at offset 0 and the two narrow ones behind, where they meet.
    # The peak suffices all the same, with neighbours at opposite ends.
    wide, narrow = FLOAT * 256 * 56 * 56, FLOAT * 64 * 56 * 56
    assert (laid_out, report.peak_activation_bytes) == (wide + 2 * narrow, wide + narrow)
    assert from_both_ends(report.tensors, report.peak_activation_bytes)
