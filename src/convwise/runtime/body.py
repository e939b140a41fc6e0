"""A published network without its last layer: graph, weights and costs, made once and kept in the cache.

Making one needs torch; using one from the cache does not.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from .. import weights
from ..data.preprocessing import Preprocessing
from .cache import cache_dir, disk_errors, key_of
from .session import FrozenNetwork

EMITTER = 1  # raise it when emit.py or graph.py would write another graph for the same network


@dataclass(frozen=True, kw_only=True)
class Body:
    """A network up to `features`, frozen.

    Attributes:
        folder: where `network.onnx` and `weights.safetensors` (without the last layer) are.
        graph_sha256, weights_sha256: of the two files.
        last_layer: name of `head[-1]` in the state dict, such as "head.3".
        feature_map: name of the last cut before `features`; both are the graph's outputs.
        width: of `features`.
        params, macs: without the last layer, one image.
    """

    folder: Path
    graph_sha256: str
    weights_sha256: str
    last_layer: str
    feature_map: str
    width: int
    params: int
    macs: int

    def frozen(self) -> FrozenNetwork:
        """Load the graph."""
        return FrozenNetwork(self.graph())

    def graph(self) -> bytes:
        """The ONNX graph, serialised."""
        return (self.folder / "network.onnx").read_bytes()

    def weights(self) -> dict[str, NDArray[Any]]:
        """The weights, by our names, without the last layer."""
        return dict(safetensors.numpy.load_file(self.folder / "weights.safetensors"))

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read a body from the cache; None when there is none or its files were damaged."""
        try:
            record = json.loads((folder / "body.json").read_text())
            body = cls(folder=folder, **record)
            for name, sha256 in (("network.onnx", body.graph_sha256), ("weights.safetensors", body.weights_sha256)):
                if hashlib.sha256((folder / name).read_bytes()).hexdigest() != sha256:
                    return None
            os.utime(folder)
        except (OSError, ValueError, TypeError):
            return None
        return body


def prepare_body(published: weights.Published, preprocessing: Preprocessing) -> Body:
    """Get the body of a published network for a preprocessing, from the cache or made now.

    Raises:
        DataError: the weights are missing or damaged.
        MachineError: the disk gave out.
    """
    key = key_of(
        {
            "network": published.network,
            "arguments": dict(published.arguments),
            "weights": published.sha256,
            "preprocessing": preprocessing.to_json(),
            "emitter": EMITTER,
        }
    )
    folder = cache_dir() / "graphs" / key
    return Body.read(folder) or _make(published, preprocessing, folder)


def _make(published: weights.Published, preprocessing: Preprocessing, folder: Path) -> Body:
    from .. import cost, networks
    from .graph import export_graph

    network = networks.create(published.network, published.num_classes, published.arguments)
    network.load_state_dict(weights.load(published))
    network.eval()
    feature_map = networks.cuts(network)[-2]
    graph = export_graph(network, preprocessing, [feature_map, "features"]).SerializeToString(deterministic=True)
    last = networks.parts(network)[-1][1]
    last_layer = next(name for name, module in network.named_modules() if module is last)
    state = {
        name: np.ascontiguousarray(tensor.numpy())
        for name, tensor in network.state_dict().items()
        if not name.startswith(f"{last_layer}.")
    }
    blob = safetensors.numpy.save(state)
    total = cost.analyze(network, (preprocessing.channels, *preprocessing.shape[:2]))
    width = networks.feature_width(network)
    body = Body(
        folder=folder,
        graph_sha256=hashlib.sha256(graph).hexdigest(),
        weights_sha256=hashlib.sha256(blob).hexdigest(),
        last_layer=last_layer,
        feature_map=feature_map,
        width=width,
        params=total.params - sum(p.numel() for p in last.parameters()),
        macs=total.macs - width * published.num_classes,
    )
    record = {name: value for name, value in asdict(body).items() if name != "folder"}
    _keep(folder, {"network.onnx": graph, "weights.safetensors": blob, "body.json": json.dumps(record).encode()})
    return body


def _keep(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder aside and rename it; one that another process has made meanwhile is as good."""
    with disk_errors("the network's graph"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".tmp-", dir=folder.parent))
        try:
            for name, data in files.items():
                (aside / name).write_bytes(data)
            shutil.rmtree(folder, ignore_errors=True)  # what stood here was damaged
            os.replace(aside, folder)
        except OSError:
            if Body.read(folder) is None:
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
