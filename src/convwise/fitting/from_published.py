"""A training that starts from published weights, of which a part may stay frozen."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .. import networks
from ..cost import analyze, sketch
from ..networks.drawing import drawn_apart
from ..progress import Track
from ..training.recipe import UNCHANGED
from ..transfer.pieces import Piece
from ..weights import Used
from .options import Options
from .task import Task

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..transfer.prefix import Prefix
    from ..transfer.tuning import Tuning
    from .training_data import TrainingData


class FromPublished:
    """Published weights: all are trained on, or those behind a cut, on what the frozen part makes of the images."""

    def __init__(self, network: str, options: Options, transfer: str) -> None:
        """Hold the options to the network.

        Raises:
            UsageError: a resolution that is too small, or a cut that cannot be had.
        """
        from ..transfer.tuning import check_order

        published = options.published(network)
        assert published is not None
        self.transfer, self.name, self.published = transfer, network, published
        size = options.resolution or published.preprocessing.resolution
        networks.input_shape(network, published.arguments, size)
        self.preprocessing = replace(published.preprocessing, resolution=size)
        self.arguments = dict(published.arguments)
        self.recipe = options.recipe_of(network, transfer)
        self._options = options
        self._state: dict[str, Tensor] = {}
        self._used: Used | None = None
        check_order(self._sketch(), options.freeze, options.reset_from)

    @property
    def weights(self) -> Used | None:
        """The published weights."""
        return self._used

    @property
    def rear(self) -> tuple[str, str] | None:
        """The user's own layers."""
        rear, cut = self._options.rear, self.tuning.freeze
        return (rear, cut) if rear and cut else None

    @cached_property
    def tuning(self) -> "Tuning":
        """What is frozen and drawn anew."""
        from ..transfer.tuning import Tuning, usual_freeze

        reset_from = self._options.reset_from
        if self.transfer == "full":
            return Tuning(reset_from=reset_from)
        freeze = self._options.freeze or reset_from
        if freeze is None:
            network = self._sketch()
            freeze = usual_freeze(network, analyze(network, self._image_shape(self.preprocessing.resolution)))
        return Tuning(freeze, reset_from, own_rear=self._options.rear is not None)

    def prepare(self, track: Track) -> None:
        """Load the weights."""
        from ..weights.build import load_with_hash

        loaded = load_with_hash(self.published, offline=self._options.offline, track=track)
        self._state, self._used = loaded.state, self.published.used(loaded.sha256)

    def network(self, num_classes: int, resolution: int | None = None) -> "nn.Module":
        """The network, with the user's own rear where there is one."""
        from ..guest import build_rear
        from ..networks.cutting import with_rear

        if self.rear is None:
            return networks.create(self.name, num_classes, self.arguments)
        spec, cut = self.rear
        own = networks.create(self.name, 2, self.arguments)
        shape = self.input_shape(own, resolution or self.preprocessing.resolution)
        return with_rear(own, cut, build_rear(spec, shape, num_classes))

    def sketched(self, num_classes: int, resolution: int | None = None) -> "nn.Module":
        """Without numbers; a rear of the user's may need some."""
        if self.rear is None:
            return self._sketch(num_classes)
        with drawn_apart():
            return self.network(num_classes, resolution)

    def _sketch(self, num_classes: int = 2) -> "nn.Module":
        """The network as published, without numbers."""
        with sketch():
            return networks.create(self.name, num_classes, self.arguments)

    def _image_shape(self, resolution: int) -> tuple[int, int, int]:
        return networks.input_shape(self.name, self.arguments, resolution)

    def _prefix(self, cut: str) -> "Prefix":
        """The frozen part."""
        from ..networks.cutting import shape_at
        from ..runtime.graph import export_graph
        from ..runtime.session import FrozenNetwork
        from ..transfer.prefix import Prefix
        from ..transfer.tuning import Tuning

        with drawn_apart():
            network = networks.create(self.name, 2, self.arguments)
        Tuning(cut).take_over(network, self._state)
        cut = networks.canonical_cut(network, cut)
        graph = export_graph(network, self.preprocessing, [cut]).SerializeToString(deterministic=True)
        shape = shape_at(network, cut, self._image_shape(self.preprocessing.resolution))
        return Prefix(FrozenNetwork(graph), hashlib.sha256(graph).hexdigest(), cut, shape, self.preprocessing)

    def begin(self, network: "nn.Module") -> None:
        """The published numbers, but where it begins anew."""
        self.tuning.take_over(network, self._state)

    def trained(self, network: "nn.Module") -> "nn.Module":
        """What lies behind the cut, or all."""
        return self.tuning.trained(network)

    def input_shape(self, network: "nn.Module", resolution: int) -> tuple[int, int, int]:
        """That at the cut, or of an image."""
        from ..networks.cutting import shape_at

        image, cut = self._image_shape(resolution), self.tuning.freeze
        return shape_at(network, cut, image) if cut else image

    def held(self, images: int, shape: tuple[int, int, int], resolution: int) -> int:
        """Each image twice; and each view of it, of two bytes a number, where a part is frozen."""
        pixels = 2 * images * math.prod(self._image_shape(resolution))
        if self.tuning.freeze is None:
            return pixels
        views = self.recipe.views + 1 if self.recipe.augmentation != UNCHANGED else 1
        return pixels + 2 * images * views * math.prod(shape)

    def data(self, rows: Sequence[Any], task: Task, *, threads: int, track: Track) -> "TrainingData":
        """Pixels, normalised as the weights expect it; or what the frozen part makes of them."""
        from .cached_data import cached_data
        from .training_data import training_data

        if self.tuning.freeze is None:
            return training_data(
                rows, task, self.recipe, self.preprocessing, threads=threads, levels_known=True
            )  # fmt: skip
        return cached_data(rows, task, self.recipe, self._prefix(self.tuning.freeze), threads=threads, track=track)

    def whole(self, trained: "nn.Module", num_classes: int) -> "nn.Module":
        """The published numbers, and those that were trained."""
        with drawn_apart():
            network = self.network(num_classes)
        self.begin(network)
        found = network.load_state_dict(trained.state_dict(), strict=False)
        assert not found.unexpected_keys
        return network.eval()

    def pieces(self, num_classes: int) -> tuple[Piece, ...]:
        """What happens to each part."""
        network = self.sketched(num_classes)
        report = analyze(network, self._image_shape(self.preprocessing.resolution))
        return self.tuning.pieces(network, report)
