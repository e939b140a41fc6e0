"""A softmax layer on the frozen features of published weights."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .. import networks
from ..cost import Totals, sketch
from ..data.reduction import Reduction
from ..data.samples import Listing
from ..errors import DataError, GateError
from ..machine import has_memory, too_little_memory
from ..metrics import softmax, wilson
from ..progress import Track
from ..runtime.body import Body, find_body, prepare_body
from ..runtime.jobs import Job, features_job
from ..runtime.prepared import prepared_job
from ..runtime.session import TOLERANCE, FrozenNetwork, relative_error
from ..training.recipe import UNCHANGED, Recipe
from ..transfer.design import Design
from ..transfer.examples import with_views
from ..transfer.head import choose_l2, fit_head
from ..transfer.pieces import Piece
from ..weights import Used, serialise
from .draft import Draft
from .options import Options
from .task import Fitted, Floats, Judged, Step, Task, sketched_cost


class HeadCandidate:
    """A softmax layer on the frozen features of published weights."""

    transfer = "head"

    def __init__(self, network: str, options: Options) -> None:
        published = options.published(network)
        assert published is not None
        self.network, self.published = network, published
        size = options.resolution or published.preprocessing.resolution
        networks.input_shape(network, published.arguments, size)  # says so where it is too small
        self.preprocessing = replace(published.preprocessing, resolution=size)
        self._offline = options.offline
        self._recipe = options.recipe_of(network, "head") if options.augment else Recipe()
        self._body = find_body(published, self.preprocessing)

    def prepare(self, track: Track) -> None:
        """Load the weights and make the body where the cache does not have it."""
        if self._body is None:
            self._body = prepare_body(self.published, self.preprocessing, offline=self._offline, track=track)

    def check_memory(self, images: int, _num_classes: int) -> None:
        """Refuse views that have no room together, or a graph that cannot be made here at this resolution.

        Args:
            images: of the data.

        Raises:
            MachineError: there is not the memory.
        """
        self._check_views(images)
        self._check_graph()

    def _check_views(self, images: int) -> None:
        """Features and views are there as they are kept, all in one array, and standardised."""
        if self._recipe.augmentation == UNCHANGED:
            return
        views = self._recipe.views
        needed = 3 * (views + 1) * images * self._width * np.dtype(np.float32).itemsize
        if not has_memory(needed):
            what = f"a softmax layer on {views} views of {images:,} images"
            raise too_little_memory(what, needed, "take fewer images, fewer views in the recipe, or no --augment")

    @property
    def _width(self) -> int:
        """Numbers that one image has at `features`."""
        if self._body is not None:
            return self._body.width
        with sketch():
            return networks.feature_width(networks.create(self.network, 2, self.published.arguments))

    def _check_graph(self) -> None:
        """The graph is made and held to torch on two images, once."""
        if self._body is not None:
            return
        report = sketched_cost(self.network, 2, self.published.arguments, self.preprocessing)
        # measured: VGG-16 at 224 px took 3.3 GB of the 4.4 counted so, ResNet-50 at 800 px 0.9 of 1.1
        needed = 4 * report.peak_activation_bytes + 8 * report.weight_bytes
        if not has_memory(needed):
            what = f"{self.network} at {self.preprocessing.resolution} px"
            raise too_little_memory(what, needed, "lower --resolution")

    @property
    def body(self) -> Body:
        """The network without its last layer."""
        assert self._body is not None, "prepare() comes first"
        return self._body

    @property
    def weights(self) -> Used:
        """The weights, and the file that they were read from."""
        return self.published.used(self.body.file_sha256)

    def frozen(self) -> FrozenNetwork:
        """The body."""
        return self.body.frozen

    def jobs(self, listing: Listing) -> list[Job]:
        """Features; and whole images, where the layer sees other views of them."""
        jobs = [features_job(self.frozen(), self.body.graph_sha256, "features", self.body.width, self.preprocessing)]
        if self._recipe.augmentation != UNCHANGED:
            jobs.append(prepared_job(listing, Reduction.for_training(self.preprocessing, self._recipe.augmentation)))
        return jobs

    def cost(self, num_classes: int) -> Totals:
        """The body and a linear layer of (width + 1) x K; counted without weights while they are not here."""
        if self._body is None:
            return sketched_cost(self.network, num_classes, self.published.arguments, self.preprocessing).totals
        params = self.body.params + (self.body.width + 1) * num_classes
        return Totals(params, self.body.macs + self.body.width * num_classes, 4 * params)

    def within(self, seconds: float) -> "HeadCandidate":  # noqa: ARG002
        """It is fitted to the minimum, which takes a second."""
        return self

    def fit(
        self, rows: Sequence[Any], task: Task, draft: Draft, *, threads: int, track: Track  # noqa: ARG002
    ) -> Fitted:  # fmt: skip
        """Choose the penalty, then fit on all of `train`."""
        from threadpoolctl import threadpool_limits

        start, features = time.monotonic(), rows[0]
        views, notes = self._views(rows, task, threads, track)
        if not np.isfinite(features).all():
            raise DataError("cached features are damaged (not finite); clear them with `convwise cache --clear`")
        with threadpool_limits(1):  # the rows are shared out among our own threads, which do not spin while they wait
            fitted = self._fit(features, views, task, start, threads)
        return replace(fitted, notes=tuple(f"{self.network}: {note}" for note in notes))

    def _views(
        self, rows: Sequence[Any], task: Task, threads: int, track: Track
    ) -> tuple[list[Floats], tuple[str, ...]]:
        """Features of augmented views of the images that the layer learns from, (images, width) each."""
        recipe = self._recipe
        if recipe.augmentation == UNCHANGED:
            return [], ()
        from ..transfer.prefix import Prefix  # OpenCV is imported where images are changed
        from .views import Views

        body = self.body
        prefix = Prefix(
            self.frozen(), body.graph_sha256, "features", (body.width, 1, 1), self.preprocessing, precision="float32"
        )
        views = Views.of(
            rows, task, task.train, self.preprocessing, augmentation=recipe.augmentation, count=recipe.views
        )
        prefix = prefix.reserve([], views.contents, views.augmentation, views.count, threads=threads)
        seen = views.through(prefix, threads=threads, track=track)
        return [view.reshape(-1, body.width) for view in seen], views.notes

    def _fit(self, rows: Floats, views: Sequence[Floats], task: Task, start: float, threads: int) -> Fitted:
        used = task.train | task.val
        by_val = bool(task.val.any())
        fold_of = np.where(task.val, 0, -1) if by_val else task.folds
        labels = task.labels[used]
        left_out = fold_of[used] >= 0
        seen = with_views(rows if used.all() else rows[used], labels, fold_of[used], task.train[used], views)
        design = Design(seen.rows, seen.learn, threads)
        choice = choose_l2(design, seen.labels, task.num_classes, seen.folds, balance=task.balance, judged=seen.judged)
        choice = replace(choice, probs=choice.probs[: len(labels)])
        head = fit_head(design, seen.labels, task.num_classes, choice.l2, balance=task.balance, start=choice.start)
        count = len(np.unique(task.folds[task.folds >= 0]))
        right = int((choice.probs.argmax(axis=1) == labels).sum())
        short = "" if head.converged else "; stopped before the minimum"
        on = f", fitted on {len(views)} augmented views of each image too" if views else ""
        judge = "the `val` split" if by_val else f"{count}-fold cross-validation inside `train`"
        history = tuple(Step(l2=l2, choice_nll=nll) for l2, nll in choice.path)
        return Fitted(
            choice_probs=choice.probs[task.compare[used]],
            judged=Judged(judge, labels[left_out], choice.probs[left_out]),
            how_chosen=f"L2 strength {choice.l2:.2g} by {judge}{on}{short}",
            cross_validation=None if by_val else wilson(right, len(labels)),
            history=history,
            arguments=dict(self.published.arguments),
            preprocessing=self.preprocessing,
            probs=lambda measured: softmax(head.logits(measured)),
            fitted_on=task.train,
            artefacts=lambda: self._artefacts(head.weight, head.bias),
            seconds=time.monotonic() - start,
            pieces=self._pieces(task.num_classes),
        )

    def _pieces(self, num_classes: int) -> tuple[Piece, ...]:
        whole, body = self.cost(num_classes), self.body
        return (
            Piece("all up to the features", 0, "frozen", body.params, body.macs),
            Piece("softmax layer", 1, "new", whole.params - body.params, whole.macs - body.macs),
        )

    def _artefacts(self, weight: Floats, bias: Floats) -> tuple[bytes, bytes]:
        from ..runtime.onnx_head import with_head

        last = self.body.last_layer
        state = self.body.weights() | {f"{last}.weight": weight, f"{last}.bias": bias}
        graph = with_head(self.body.graph, weight, bias)
        self._hold_to_layer(graph, weight, bias)
        return serialise(state, self.network, self.published.arguments), graph

    def _hold_to_layer(self, graph: bytes, weight: Floats, bias: Floats) -> None:
        """Run the graph that users get beside the layer that was measured.

        Raises:
            GateError: they differ.
        """
        pixels = np.random.default_rng(0).integers(0, 256, (1, *self.preprocessing.shape), np.uint8)
        expected = self.frozen().run(pixels, ["features"])[0] @ weight.T + bias
        error = relative_error(FrozenNetwork(graph).run(pixels, ["logits"])[0], expected)
        if not error <= TOLERANCE:
            raise GateError(f"the classifier's graph differs from the layer that was measured: {error:.2g}")
