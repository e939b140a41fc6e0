"""A linear layer put on a graph's `features`, without torch."""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


def with_head(body: bytes, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> bytes:
    """Return the graph of a classifier; its outputs are `logits` and `feature_map`.

    Args:
        body: a serialised graph whose two outputs are the last cut before `features`, and `features`.
        weight: (K, width of `features`).
        bias: (K,).
    """
    model = onnx.load_model_from_string(body)
    graph = model.graph
    feature_map, features = (output.name for output in graph.output)
    graph.initializer.extend(
        [numpy_helper.from_array(weight, "head.weight"), numpy_helper.from_array(bias, "head.bias")]
    )
    inputs = [features, "head.weight", "head.bias"]
    graph.node.append(helper.make_node("Gemm", inputs, ["logits"], name="logits", transB=1))
    graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", len(bias)]))
    name_outputs(model, {"logits": "logits", feature_map: "feature_map"})
    serialised: bytes = model.SerializeToString(deterministic=True)
    return serialised


def name_outputs(model: onnx.ModelProto, names: dict[str, str]) -> None:
    """Keep the outputs named by the keys, in their order, under the names that are the values."""
    for node in model.graph.node:
        for values in (node.input, node.output):
            values[:] = [names.get(value, value) for value in values]
    declared = {output.name: output for output in model.graph.output}
    for old, new in names.items():
        declared[old].name = new
    kept = [onnx.ValueInfoProto.FromString(declared[old].SerializeToString()) for old in names]
    del model.graph.output[:]
    model.graph.output.extend(kept)
