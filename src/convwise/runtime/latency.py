"""Milliseconds of a network on this machine, in all and by stage."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..machine import has_memory, too_little_memory
from .session import FrozenNetwork, cpu_name

if TYPE_CHECKING:
    import onnx

    from ..cost import CostReport


class Latency(NamedTuple):
    """One image a call, uint8 pixels to the graph's outputs; decoding not included."""

    latency_ms: float  # median
    latency_p95_ms: float
    n: int
    threads: int
    device: str
    warm_up: int = 3  # calls before the `n`, not counted


class Turn(NamedTuple):
    """One of several networks that were timed in turn, milliseconds a call: the median, and the quickest.

    Quickest calls compare networks on a busy machine: what else runs there has fallen on none of them.
    """

    median_ms: float
    quickest_ms: float


def check_measurable(report: "CostReport", what: str) -> None:
    """Refuse a measurement by stage that this machine has no memory for, before a graph is made.

    The graph with all its cuts is held to torch on two images, and its weights are in both, in its bytes and in a copy.

    Args:
        report: the network's costs.
        what: would be measured, for people.

    Raises:
        MachineError: it has not.
    """
    needed = 2 * (report.activation_bytes + report.peak_activation_bytes) + 4 * report.weight_bytes
    if not has_memory(needed):
        raise too_little_memory(f"measuring {what}", needed, "lower --resolution, or leave --measure out")


def measure_latency(network: FrozenNetwork, pixels: NDArray[np.uint8], *, n: int = 20, warm_up: int = 3) -> Latency:
    """Time `n` calls with one image, (H, W, C), after `warm_up` calls that are not counted."""
    return _measure(lambda: network.run(pixels[None], network.outputs), network.threads, n, warm_up)


def measure_in_turn(
    calls: Sequence[tuple[FrozenNetwork, NDArray[np.uint8]]], *, n: int = 20, warm_up: int = 3
) -> list[Turn]:
    """Time several networks, each with one image, (H, W, C), in turn: `n` calls after `warm_up` that do not count."""
    rounds = [[1000 * _seconds(*call) for call in calls] for _ in range(warm_up + n)][warm_up:]
    return [Turn(float(np.median(found)), min(found)) for found in zip(*rounds, strict=True)]


def _seconds(network: FrozenNetwork, pixels: NDArray[np.uint8]) -> float:
    start = time.perf_counter()
    network.run(pixels[None], network.outputs)
    return time.perf_counter() - start


def measure_by_stage(
    model: "onnx.ModelProto", pixels: NDArray[np.uint8], *, threads: int = 1, n: int = 20, warm_up: int = 3
) -> dict[str, Latency]:
    """Time the whole network, and every stage by itself on what the stage before it gives.

    Args:
        model: has every cut and the logits as outputs, in the order of the data, as `export_graph` makes it.
        pixels: one image, (H, W, C).
        threads: of one call.
        n: calls that are counted.
        warm_up: calls before them.

    Returns:
        `total`, and for a network of several stages each of them: `stem`, `stage1`, ..., `head`, the first one with
        the normalisation. They do not sum to the total: apart, they cannot share what ONNX Runtime would join, and
        each call has its own overhead.
    """
    from onnx.utils import Extractor

    ends = {_stage(output.name): output.name for output in model.graph.output}  # a later cut replaces an earlier one
    extractor = Extractor(model)
    steps = [("total", "pixels", model.graph.output[-1].name)]
    if len(ends) > 1:
        sources = ["pixels", *ends.values()]
        steps += [(stage, source, end) for (stage, end), source in zip(ends.items(), sources, strict=False)]
    latencies, values = {}, {"pixels": pixels[None]}
    for stage, source, end in steps:
        piece = FrozenNetwork(extractor.extract_model([source], [end]).SerializeToString(), threads=threads)
        run = partial(piece.session.run, None, {source: values[source]})
        latencies[stage] = _measure(run, threads, n, warm_up)
        values[end] = run()[0]
    return latencies


def _stage(cut: str) -> str:
    """The stage that a cut ends, or is in."""
    return "head" if cut in ("features", "logits") else cut.split(".")[0]


def _measure(call: Callable[[], object], threads: int, n: int, warm_up: int) -> Latency:
    seconds = []
    for _ in range(warm_up + n):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return _latency(np.array(seconds[warm_up:]), threads, warm_up)


def _latency(seconds: NDArray[np.float64], threads: int, warm_up: int) -> Latency:
    median, p95 = np.percentile(seconds * 1000, [50, 95])
    return Latency(round(float(median), 3), round(float(p95), 3), len(seconds), threads, cpu_name(), warm_up)
