"""A classifier's way back to torch: its network as a module, to train on or to look into."""

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from .. import networks
from ..errors import DataError, UsageError
from ..runtime.session import TOLERANCE, relative_error
from .predicting import Classifier


def build(classifier: Classifier) -> nn.Module:
    """As `Classifier.build`."""
    if classifier.rear is None or classifier.cut is None:
        return networks.create(classifier.network, len(classifier.classes), classifier.arguments)
    from ..guest import build_rear
    from ..networks.cutting import shape_at, with_rear

    network = networks.create(classifier.network, 2, classifier.arguments)
    height, width, channels = classifier.preprocessing.shape
    shape = shape_at(network, classifier.cut, (channels, height, width))
    try:
        rear = build_rear(classifier.rear, shape, len(classifier.classes))
    except UsageError as error:
        raise UsageError(
            f"classifier {str(classifier.folder)!r} ends in layers of its own, which torch needs and `predict` does "
            f"not: {error}"
        ) from error
    return with_rear(network, classifier.cut, rear)


def with_weights(classifier: Classifier) -> nn.Module:
    """As `Classifier.to_torch`."""
    network, state = classifier.build().eval(), load_file(classifier.folder / "weights.safetensors")
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    same = classifier.rear is None or shapes == {name: tensor.shape for name, tensor in state.items()}
    if same:
        network.load_state_dict(state)
    if not same or (classifier.rear is not None and not _agrees(classifier, network)):
        raise DataError(
            f"classifier {str(classifier.folder)!r} was trained with other layers than {classifier.rear!r} builds now; "
            "restore that module, or fit again"
        )
    return network


def _agrees(classifier: Classifier, network: nn.Module) -> bool:
    """Whether a network gives what the graph gives of an image of noise, which layers of the user's may not."""
    record = classifier.preprocessing
    pixels = np.random.default_rng(0).integers(0, 256, (1, *record.shape), np.uint8)
    expected = classifier.logits(pixels)
    mean, std = (torch.tensor(levels) for levels in (record.mean, record.std))
    with classifier.guarded(), torch.no_grad():
        got = network(((torch.from_numpy(pixels).float() - mean) / std).permute(0, 3, 1, 2)).numpy()
    return relative_error(got, expected) <= TOLERANCE
