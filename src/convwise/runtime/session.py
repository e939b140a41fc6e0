"""A frozen network, run by ONNX Runtime on a CPU.

One image a call, one thread a call, and a pool of threads around it: as measured, the fastest split on a few cores,
and the only one where an image's features cannot depend on what else was in its batch.
"""

import platform
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ..errors import DataError

onnxruntime.set_default_logger_severity(3)  # errors only: its warnings are about its own optimiser


# Largest difference that a graph may have to its source, relative to the output's largest value where that exceeds 1.
TOLERANCE = 1e-4


def relative_error(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """What is held to `TOLERANCE`; nan, which is within no tolerance, where one of the numbers is none."""
    return float(np.abs(found - expected).max()) / max(1.0, float(np.abs(expected).max()))


@cache
def cpu_name() -> str:
    """What the network runs on."""
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


class FrozenNetwork:
    """A graph with the input `pixels`, uint8 (B, H, W, C); `run` may be called from many threads at once."""

    def __init__(self, graph: bytes | Path, *, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads = threads
        options.inter_op_num_threads = 1
        source = graph if isinstance(graph, bytes) else str(graph)
        try:
            self.session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime raises its own types, none of which is public
            raise DataError(f"the network graph cannot be loaded: {str(error).splitlines()[0]}") from error

    def run(self, pixels: NDArray[np.uint8], outputs: Sequence[str]) -> list[NDArray[np.float32]]:
        """Run uint8 (B, H, W, C) and return one float32 array an output."""
        values: list[NDArray[np.float32]] = self.session.run(list(outputs), {"pixels": pixels})
        return values

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Names of the graph's outputs."""
        return tuple(output.name for output in self.session.get_outputs())

    @staticmethod
    def engine() -> str:
        """Engine, version, precision and processor, as part of a cache key: another one may round otherwise."""
        return f"onnxruntime-{onnxruntime.__version__}-cpu-float32-{cpu_name()}"
