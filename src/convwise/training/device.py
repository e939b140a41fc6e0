"""Where a training runs: on the processor, or on a GPU by CUDA, its kernels recorded once and replayed at each step."""

import os
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from .. import machine
from ..errors import UsageError
from .batches import Batch

# What torch says of the threads and streams of a graph's backward pass; both cost a wait at the first step alone.
HARMLESS = ("Attempting to run cuBLAS, but there was no current CUDA context", "The AccumulateGrad node's stream")


def choose_device(name: str) -> str:
    """Choose "cpu" or "cuda"; "auto" takes a GPU where torch sees one.

    Raises:
        UsageError: "cuda", and torch sees no GPU.
    """
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise UsageError("device 'cuda': torch sees no GPU here; take 'cpu', or install a torch build for your GPU")
    return "cuda" if found and name != "cpu" else "cpu"


def device_name(device: str) -> str:
    """What it is called, where that decides bits: a GPU's model; a processor is not told apart."""
    return torch.cuda.get_device_name() if device == "cuda" else device


def device_memory(device: str) -> int | None:
    """Bytes that a training may use at most: free ones of a GPU, all of the machine; None where that is not known."""
    return torch.cuda.mem_get_info()[0] if device == "cuda" else machine.machine_memory()


@contextmanager
def reproducible(device: str) -> Iterator[None]:
    """Take the kernels that give the same bits each time; of a GPU alone, a processor's all do.

    Where there is no such kernel, torch warns; no network of the casebook needs one, see networks/repeatable.py.
    """
    if device == "cpu":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS asks for
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark, torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic
    filled, memory.fill_uninitialized_memory = memory.fill_uninitialized_memory, False
    cudnn.deterministic, cudnn.benchmark = True, False
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings():
            for harmless in HARMLESS:
                warnings.filterwarnings("ignore", harmless, UserWarning)
            yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before[:2]
        torch.use_deterministic_algorithms(before[2])
        memory.fill_uninitialized_memory = filled


def on_device(batches: Iterable[Batch], device: str) -> Iterator[Batch]:
    """Yield the batches where the network is; to a GPU the next one is on its way while the present one is in use."""
    if device == "cpu":
        yield from batches
        return
    source, stream = iter(batches), torch.cuda.Stream()

    def fetch() -> Batch | None:
        with torch.cuda.stream(stream):
            batch = next(source, None)
            moved = None if batch is None else batch.to(device)
            stream.synchronize()
        return moved

    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(fetch)
        while (batch := coming.result()) is not None:
            coming = thread.submit(fetch)
            for tensor in batch:
                tensor.record_stream(torch.cuda.current_stream())  # its memory was taken on the other stream
            yield batch


class Recorded:
    """A network in training on a GPU: a batch of the usual size replays a CUDA graph, any other runs as it is.

    The kernels of a small network are shorter than the time Python takes to start them; a graph starts all at once.
    """

    def __init__(self, network: nn.Module, batch: int) -> None:
        self.network, self.batch = network, batch
        self._replay: nn.Module | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, K); the gradients of a replay lie where the next one writes: step between them."""
        if len(x) != self.batch:
            return cast("Tensor", self.network(x))
        if self._replay is None:
            self._replay = self._record(x)
        return cast("Tensor", self._replay(x))

    def _record(self, x: Tensor) -> nn.Module:
        """Record; the passes that this takes must not show in the statistics of batch norm, or in dropout."""
        before = [buffer.clone() for buffer in self.network.buffers()]
        generator = torch.cuda.get_rng_state()
        enabled = torch.is_autocast_enabled("cuda")
        with torch.autocast("cuda", torch.bfloat16, enabled=enabled, cache_enabled=False):
            replay = torch.cuda.make_graphed_callables(_Call(self.network), (x.clone(),))
        for buffer, old in zip(self.network.buffers(), before, strict=True):
            buffer.copy_(old)
        torch.cuda.set_rng_state(generator)
        return cast("nn.Module", replay)


class _Call(nn.Module):
    """Stands before a network, since recording changes the `forward` of the module that it is given."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """As the network's."""
        return cast("Tensor", self.network(x))
