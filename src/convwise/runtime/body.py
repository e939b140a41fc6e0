"""A published network without its last layer: graph, weights and costs, made once and kept in the cache.

Making one needs torch; using one from the cache does not.
"""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from .. import __version__, weights
from ..data.preprocessing import Preprocessing
from ..networks.drawing import drawn_apart
from ..places import cache_dir, disk_errors
from ..progress import Track, silent
from ..weights.build import load_with_hash
from .cache import key_of, temporary, touch
from .session import FrozenNetwork

EMITTER = 1  # raise it when emit/ or graph.py would write another graph for the same network


@dataclass(frozen=True, kw_only=True)
class Body:
    """A network up to `features`, frozen.

    Attributes:
        graph: ONNX, serialised.
        state: the weights by our names, without the last layer, as safetensors.
        graph_sha256, state_sha256: of the two.
        file_sha256: of the file that the weights were read from.
        last_layer: name of `head[-1]` in the state dict, such as "head.3".
        feature_map: name of the last cut before `features`; both are the graph's outputs.
        width: of `features`.
        params, macs: without the last layer, one image.
    """

    graph: bytes = field(repr=False)
    state: bytes = field(repr=False)
    graph_sha256: str
    state_sha256: str
    file_sha256: str
    last_layer: str
    feature_map: str
    width: int
    params: int
    macs: int

    @cached_property
    def frozen(self) -> FrozenNetwork:
        """The graph, ready to run."""
        return FrozenNetwork(self.graph)

    def weights(self) -> dict[str, NDArray[Any]]:
        """The weights, by our names, without the last layer."""
        return dict(safetensors.numpy.load(self.state))

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read a body from the cache; None when there is none or its files were damaged."""
        try:
            record = json.loads((folder / "body.json").read_text())
            graph, state = (folder / "network.onnx").read_bytes(), (folder / "weights.safetensors").read_bytes()
            body = cls(graph=graph, state=state, **record)
        except (OSError, ValueError, TypeError):
            return None
        sound = _sha256(graph) == body.graph_sha256 and _sha256(state) == body.state_sha256
        touch(folder)
        return body if sound else None

    def keep(self, folder: Path) -> None:
        """Write the body aside and rename it; what another process has made meanwhile is as good.

        Raises:
            MachineError: the disk gave out.
        """
        record = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("graph", "state")}
        files = {
            "network.onnx": self.graph,
            "weights.safetensors": self.state,
            "body.json": json.dumps(record).encode(),
        }
        with disk_errors("the network's graph"):
            folder.parent.mkdir(parents=True, exist_ok=True)
            aside = temporary(folder.parent)
            aside.mkdir()
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


def prepare_body(
    published: weights.Published, preprocessing: Preprocessing, *, offline: bool = False, track: Track = silent
) -> Body:
    """Get the body of a published network for a preprocessing, from the cache or made now.

    Args:
        published: the network's weights, which are downloaded where they are not there yet.
        preprocessing: gives the resolution.
        offline: load nothing from the web.
        track: shows the download.

    Raises:
        DataError: the weights are missing or damaged.
        MachineError: the network or the disk gave out.
    """
    body = find_body(published, preprocessing)
    if body is None:
        body = _make(published, preprocessing, offline=offline, track=track)
        body.keep(_folder(published, preprocessing))
    return body


def find_body(published: weights.Published, preprocessing: Preprocessing) -> Body | None:
    """The body of a published network for a preprocessing, where the cache has it."""
    return Body.read(_folder(published, preprocessing))


def _folder(published: weights.Published, preprocessing: Preprocessing) -> Path:
    key = key_of(
        {
            "network": published.network,
            "arguments": dict(published.arguments),
            "weights": [published.id, published.fingerprint()],
            "preprocessing": preprocessing.to_json(),
            "convwise": __version__,
            "emitter": EMITTER,
        }
    )
    return cache_dir() / "graphs" / key


def _make(published: weights.Published, preprocessing: Preprocessing, *, offline: bool, track: Track) -> Body:
    from .. import cost, networks
    from .graph import export_graph

    with drawn_apart():
        network = networks.create(published.network, published.num_classes, published.arguments)
    loaded = load_with_hash(published, offline=offline, track=track)
    network.load_state_dict(loaded.state)
    network.eval()
    feature_map = networks.cuts(network)[-2]
    graph = export_graph(network, preprocessing, [feature_map, "features"]).SerializeToString(deterministic=True)
    last = networks.parts(network)[-1][1]
    last_layer = next(name for name, module in network.named_modules() if module is last)
    tensors = {
        name: np.asarray(tensor.numpy(), order="C")  # safetensors writes memory as it lies
        for name, tensor in network.state_dict().items()
        if not name.startswith(f"{last_layer}.")
    }
    state = safetensors.numpy.save(tensors)
    total = cost.analyze(network, (preprocessing.channels, *preprocessing.shape[:2]))
    width = networks.feature_width(network)
    return Body(
        graph=graph,
        state=state,
        graph_sha256=_sha256(graph),
        state_sha256=_sha256(state),
        file_sha256=loaded.sha256,
        last_layer=last_layer,
        feature_map=feature_map,
        width=width,
        params=total.params - sum(p.numel() for p in last.parameters()),
        macs=total.macs - width * published.num_classes,
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
