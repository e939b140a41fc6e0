"""Milliseconds of a network on this machine."""

import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .session import FrozenNetwork, cpu_name


class Latency(NamedTuple):
    """One image a call, uint8 pixels to the graph's outputs; decoding not included."""

    latency_ms: float  # median
    latency_p95_ms: float
    n: int
    threads: int
    device: str


def measure_latency(network: FrozenNetwork, pixels: NDArray[np.uint8], *, n: int = 20, warm_up: int = 3) -> Latency:
    """Time `n` calls with one image, (H, W, C), after `warm_up` calls that are not counted."""
    seconds = []
    for _ in range(warm_up + n):
        start = time.perf_counter()
        network.run(pixels[None], network.outputs)
        seconds.append(time.perf_counter() - start)
    median, p95 = np.percentile(np.array(seconds[warm_up:]) * 1000, [50, 95])
    return Latency(round(float(median), 3), round(float(p95), 3), n, network.threads, cpu_name())
