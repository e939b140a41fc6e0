"""What came of a training: its classifier, and what is to be said of it."""

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ..metrics import softmax
from ..runtime.graph import classifier_graph
from ..runtime.session import FrozenNetwork
from ..training.loop import Trained
from ..weights import serialise
from .start import Start
from .task import Fitted, Floats, Judged, Step, Task
from .training_data import TrainingData


def fitted(trained: Trained, data: TrainingData, start: Start, task: Task, *, by: str | None) -> Fitted:
    """Collect it; its probabilities are those of the graph that users get, its seconds are still to be filled in.

    Args:
        trained: the training.
        data: what it was given.
        start: where it began.
        task: whose samples these are.
        by: the teacher, where there is one.
    """
    judge = "the `val` split" if task.val.any() else "a tenth of `train`, held out by hash"
    learnt = f"; it learnt the labels and what `{by}` says" if task.taught else ""
    network = start.whole(trained.network, task.num_classes)
    graph = classifier_graph(network, data.preprocessing).SerializeToString(deterministic=True)
    session = FrozenNetwork(graph)
    return Fitted(
        choice_probs=trained.probs[task.compare[data.choose]],
        judged=Judged(judge, task.labels[data.choose], trained.probs),
        how_chosen=f"epoch {trained.best_epoch} of {len(trained.history)} by {judge}{learnt}",
        cross_validation=None,
        history=tuple(Step(**row._asdict()) for row in trained.history),
        arguments=start.arguments,
        rear=start.rear,
        preprocessing=data.preprocessing,
        probs=lambda measured: _run(session, measured),
        fitted_on=data.learn,
        taught_by=task.taught.by if task.taught else (),
        artefacts=lambda: (_serialised(network, start), graph),
        pieces=start.pieces(task.num_classes),
        seconds=0.0,
        recipe=data.recipe,
        notes=(*data.notes, *trained.notes, *why_early(trained, data.recipe.epochs)),
    )


def why_early(trained: Trained, epochs: int) -> tuple[str, ...]:
    """Why training ended before its last epoch, where it did."""
    if not trained.stopped:
        return ()
    if trained.diverged:
        return (f"{trained.stopped}; the weights of epoch {trained.best_epoch} are kept, a lower lr would go further",)
    return (f"training stopped after {len(trained.history)} of {epochs} epochs: {trained.stopped}",)


def _serialised(network: nn.Module, start: Start) -> bytes:
    """The weights as safetensors; with a rear of the user's they are of no network that we have a name for."""
    state = network.state_dict()
    if start.rear is None:
        return serialise({name: t.numpy() for name, t in state.items()}, start.name, start.arguments)
    from safetensors.torch import save  # which knows types that numpy does not have

    blob: bytes = save({name: tensor.contiguous().clone() for name, tensor in state.items()})
    return blob


def _run(session: FrozenNetwork, pixels: NDArray[np.uint8]) -> Floats:
    """Probabilities (n, K) of prepared pixels."""
    chunks = [session.run(pixels[i : i + 64], ["logits"])[0] for i in range(0, len(pixels), 64)]
    return softmax(np.concatenate(chunks))
