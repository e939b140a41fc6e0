"""A network's modules -> ONNX operators, one each, at one resolution.

torch.fx gives the order of the calls; batch norm is folded into the convolution before it; what depends on the
resolution (TensorFlow's "SAME" padding, adaptive pooling) becomes constants. A layer or call that is not in the tables
of layers.py and calls.py raises `UnsupportedLayerError`, and the caller takes torch.onnx instead.
"""

from torch import Tensor, nn

from .calls import CALLS
from .emitter import Emission, Emitter, UnsupportedLayerError
from .layers import LAYERS

__all__ = ["LAYERS", "Emission", "UnsupportedLayerError", "emit_part"]


def emit_part(emission: Emission, name: str, module: nn.Module, source: str, example: Tensor) -> Tensor:
    """Append a module's operators to a graph; its output is called `name`.

    Args:
        emission: what is already there.
        name: of the module's output, and the beginning of its operators' names.
        module: in evaluation mode.
        source: ONNX name of its input.
        example: an input, (B, ...), at the resolution that the graph is for.

    Returns:
        What the module makes of `example`.

    Raises:
        UnsupportedLayerError: the module has a layer kind or call for which there is no direct emission.
    """
    emitter = Emitter(emission, name, module, source, layers=LAYERS, calls=CALLS)
    before = len(emission.nodes)
    value: Tensor = emitter.run(example)
    emitter.write_convolutions()
    if emitter.result == source:
        emission.node("Identity", [source], name)
        return value
    for node in emission.nodes[before:]:
        for names in (node.input, node.output):
            names[:] = [name if n == emitter.result else n for n in names]
    return value
