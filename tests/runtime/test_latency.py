"""Milliseconds in all and by stage."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from convwise import machine, networks
from convwise.cost import analyze, sketch
from convwise.data.preprocessing import Preprocessing
from convwise.errors import MachineError
from convwise.machine import in_bytes
from convwise.runtime import latency
from convwise.runtime.graph import export_graph
from convwise.runtime.latency import Latency, check_measurable, measure_by_stage, measure_in_turn, measure_latency
from convwise.runtime.session import FrozenNetwork

PREPROCESSING = Preprocessing(resolution=32)


def test_every_stage_is_measured_on_what_the_stage_before_it_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call gives what the network's own stage gives."""
    torch.manual_seed(0)
    network = networks.create("resnet20", 5).eval()
    pixels = np.random.default_rng(0).integers(0, 256, PREPROCESSING.shape, np.uint8)
    results, measure = [], latency._measure

    def watched(call: Callable[[], Any], threads: int, n: int, warm_up: int) -> Latency:
        results.append(call()[0])
        return measure(call, threads, n, warm_up)

    monkeypatch.setattr(latency, "_measure", watched)
    found = measure_by_stage(export_graph(network, PREPROCESSING), pixels, n=2, warm_up=1)
    assert list(found) == ["total", "stem", "stage1", "stage2", "stage3", "head"]
    x = ((torch.from_numpy(pixels) - 127.0) / 128.0).permute(2, 0, 1)[None]
    names = ["stem", "stages.0", "stages.1", "stages.2", "head"]
    with torch.no_grad():
        expected = [network(x), *(x := network.get_submodule(name)(x) for name in names)]
    for got, reference in zip(results, expected, strict=True):
        np.testing.assert_allclose(got, reference, atol=1e-4 * max(1.0, float(reference.abs().max())))
    assert {(row.n, row.warm_up, row.threads) for row in found.values()} == {(2, 1, 1)}
    assert all(0 < row.latency_ms <= row.latency_p95_ms for row in found.values())


def test_a_module_without_stages_is_measured_as_a_whole() -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten()).eval()
    found = measure_by_stage(export_graph(module, PREPROCESSING), np.zeros(PREPROCESSING.shape, np.uint8), n=1)
    assert list(found) == ["total"]


@pytest.mark.parametrize(("name", "side"), [("vgg16", 20_000), ("resnet18", 10_000)])
def test_a_network_that_memory_cannot_hold_is_not_measured(
    name: str, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sketch():
        report = analyze(networks.create(name), (3, side, side))
    needed = 2 * (report.activation_bytes + report.peak_activation_bytes) + 4 * report.weight_bytes
    monkeypatch.setattr(machine, "machine_memory", lambda: needed)
    check_measurable(report, name)
    monkeypatch.setattr(machine, "machine_memory", lambda: needed - 1)
    text = f"measuring {name} needs about {in_bytes(needed)} of memory, and there are {in_bytes(needed - 1)}; "
    with pytest.raises(MachineError, match=f"^{re.escape(text)}lower --resolution, or leave --measure out$"):
        check_measurable(report, name)


def test_the_median_and_p95_are_of_the_calls_after_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 9.0, *(t for i in range(20) for t in (10.0 + i, 10.0 + i + 0.001 * (i + 1)))])
    network = FrozenNetwork(export_graph(nn.Flatten(), PREPROCESSING).SerializeToString())
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    found = measure_latency(network, np.zeros(PREPROCESSING.shape, np.uint8), n=20, warm_up=1)
    assert found.latency_ms == pytest.approx(10.5)
    assert found.latency_p95_ms == pytest.approx(19.05)


def test_networks_that_are_compared_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    class Told(FrozenNetwork):
        def __init__(self, name: str) -> None:
            self.name, self.threads = name, 1

        outputs = ("logits",)

        def run(self, pixels: Any, outputs: Any) -> list[Any]:
            assert pixels.shape == (1, 8, 8, 3)
            assert outputs == ("logits",)
            calls.append(self.name)
            return []

    pixels = np.zeros((8, 8, 3), np.uint8)
    taken = [9, 9, 9, 9, 1, 5, 2, 7, 4, 6, 8, 9]  # milliseconds of a, b, a, b, ...; the first two rounds do not count
    clock = iter([0.001 * tick for ms in taken for tick in (0, ms)])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    found = measure_in_turn([(Told("a"), pixels), (Told("b"), pixels)], n=4, warm_up=2)
    assert calls == ["a", "b"] * 6
    assert [tuple(one) for one in found] == [pytest.approx((3, 1)), pytest.approx((6.5, 5))]
