import numpy as np
import pytest

from convwise import networks
from convwise.data.preprocessing import Preprocessing
from convwise.runtime.graph import export_graph
from convwise.runtime.latency import measure_latency
from convwise.runtime.onnx_head import with_head
from convwise.runtime.session import FrozenNetwork, cpu_name

GREY = Preprocessing(channels=1, resolution=28, mean=(90.0,), std=(70.0,))


@pytest.fixture(scope="module")
def body() -> bytes:
    """LeNet-5 up to its features, 84 wide."""
    graph = export_graph(networks.create("lenet5", 7).eval(), GREY, ["stage2.block1", "features"])
    serialised: bytes = graph.SerializeToString()
    return serialised


def test_a_head_on_a_body_equals_numpy(body: bytes) -> None:
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(5, 84)).astype(np.float32), rng.normal(size=5).astype(np.float32)
    pixels = rng.integers(0, 256, (3, *GREY.shape), np.uint8)
    whole = FrozenNetwork(with_head(body, weight, bias))
    assert whole.outputs == ("logits", "feature_map")
    logits, feature_map = whole.run(pixels, whole.outputs)
    expected_map, features = FrozenNetwork(body).run(pixels, ["stage2.block1", "features"])
    assert np.allclose(logits, features @ weight.T + bias, atol=1e-4)
    assert np.array_equal(feature_map, expected_map)


def test_the_same_head_gives_the_same_bytes(body: bytes) -> None:
    weight, bias = np.ones((2, 84), np.float32), np.zeros(2, np.float32)
    assert with_head(body, weight, bias) == with_head(body, weight, bias)


def test_latency_is_measured_of_any_graph(body: bytes) -> None:
    found = measure_latency(FrozenNetwork(body, threads=2), np.zeros(GREY.shape, np.uint8), n=5, warm_up=1)
    assert 0 < found.latency_ms <= found.latency_p95_ms
    assert (found.n, found.threads, found.device) == (5, 2, cpu_name())
    assert found.device != ""
