"""Training a network from pixels: one plain loop."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import DivergedError, UsageError
from ..progress import Track
from .batches import Batch, Batches, Images, Inputs, epoch_seed
from .checkpoint import Checkpoints
from .device import on_device, reproducible
from .judging import Judge, Normalise
from .loss import loss_of
from .optimizers import average
from .precision import products_in
from .recipe import Recipe
from .schedule import rate
from .state import Epoch, Setting, State


class Trained(NamedTuple):
    """The network with the weights of its best epoch, its probabilities (m, K) on what chose, and how it came about.

    Attributes:
        network, probs, history: as said.
        best_epoch: from 1.
        stopped: why training ended before its time; empty where it did not.
        diverged: whether that is because its last epoch came to no number.
        notes: what else a user should know.
    """

    network: nn.Module
    probs: NDArray[np.float32]
    history: tuple[Epoch, ...]
    best_epoch: int
    stopped: str
    diverged: bool
    notes: tuple[str, ...]


def train(
    build: Callable[[], nn.Module], recipe: Recipe, setting: Setting, inputs: Inputs,
    *, fit: Batches, choose: Images, track: Track, checkpoints: Checkpoints | None = None,
) -> Trained:  # fmt: skip
    """Train a network; of all epochs the one with the lowest NLL on `choose` counts.

    Args:
        build: makes the network, drawing its weights from torch's generator.
        recipe: how.
        setting: how this machine computes; another one gives slightly other weights.
        inputs: gives mean and std, by which the pixels are normalised.
        fit: what the weights learn from.
        choose: what chooses the epoch.
        track: shows progress over the steps.
        checkpoints: where an interrupted training goes on; None keeps nothing.

    Raises:
        DivergedError: the loss is not a number in the first epoch already.
        UsageError: batches that batch norm cannot train on.
        MachineError: a checkpoint cannot be written; the one before it is kept.
    """
    normalise = normaliser(inputs, setting)
    judge = Judge(choose, normalise, max(recipe.piece, setting.judged))
    with torch_as_it_was(setting):
        torch.manual_seed(recipe.seed)
        state = State.begin(build(), recipe, setting)
        check_batch(state.network, recipe)
        notes = checkpoints.restore(state) if checkpoints else ()
        steps = recipe.epochs * len(fit.sizes)
        for _ in track(epochs(state, recipe, fit, judge, normalise), steps - state.step, "steps"):
            if checkpoints and checkpoints.due():
                checkpoints.save(state)
        if checkpoints:
            checkpoints.finish(state)
        if not state.best:
            raise DivergedError(
                f"{state.stopped}; try a lower lr than {recipe.lr:g}, and `convwise scan` on the images"
            )
        network = state.judged
        network.load_state_dict(state.best)
        probs = judge.probs(network).numpy()
    history, diverged = tuple(state.history), not math.isfinite(state.history[-1].choice_nll)
    return Trained(network.cpu().eval(), probs, history, state.best_epoch, state.stopped, diverged, notes)


def epochs(
    state: State, recipe: Recipe, fit: Batches, judge: Judge, normalise: Normalise
) -> Iterator[State]:  # fmt: skip
    """Train to the end, yielding after each step; what is yielded is always the same state, fit to be kept."""
    steps = state.epoch_steps = len(fit.sizes)
    while state.epoch < recipe.epochs and not state.stopped:
        done = state.step - state.epoch * steps
        if done == 0:
            torch.manual_seed(epoch_seed(recipe.seed, state.epoch))  # dropout follows from seed and epoch alone
        yield from train_epoch(state, recipe, fit.epoch(state.epoch, done), steps, normalise)
        finish_epoch(state, recipe, recipe.lr * rate(recipe, state.step - 1, steps), judge)


def train_epoch(
    state: State, recipe: Recipe, batches: Iterable[Batch], steps: int, normalise: Normalise
) -> Iterator[State]:
    """Take one step a batch, yielding after each; `steps` is their number in a whole epoch.

    A loss that is not a number ends it before that step, so that the weights stay those of the step before.
    """
    network, optimizer = state.network.train(), state.optimizer
    for batch in state.timed(on_device(batches, state.setting.device)):
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr * rate(recipe, state.step, steps) * group["scale"]
        optimizer.zero_grad()
        loss = sum(backward(state, recipe, piece, len(batch.labels), normalise) for piece in pieces(batch, recipe))
        if not math.isfinite(loss):
            state.stopped = f"training diverged in epoch {state.epoch + 1}: the loss is {loss}"
            return
        if recipe.clip is not None:
            nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
        optimizer.step()
        state.step += 1
        if state.ema is not None and recipe.ema is not None:
            average(state.ema, network, recipe.ema, state.step)
        state.loss, state.images = state.loss + loss * len(batch.labels), state.images + len(batch.labels)
        yield state


def pieces(batch: Batch, recipe: Recipe) -> Iterator[Batch]:
    """The parts of a batch that go through the network at once; of two images or more where the batch has them."""
    count = max(1, min(recipe.accumulate, len(batch.labels) // 2))
    return (Batch(*parts) for parts in zip(*(tensor.tensor_split(count) for tensor in batch), strict=True))


def backward(state: State, recipe: Recipe, piece: Batch, whole: int, normalise: Normalise) -> float:
    """Add to the gradients what a piece gives of the mean loss over a batch of `whole` images; returns that part."""
    with products_in(state.setting.precision, state.setting.device):
        loss = loss_of(state.forward, recipe, piece._replace(pixels=normalise(piece.pixels)))
    loss = loss * (len(piece.labels) / whole)
    loss.backward()
    return loss.item()


def finish_epoch(state: State, recipe: Recipe, lr: float, judge: Judge) -> None:
    """Judge the epoch, keep its weights if it is the best, and decide whether to stop."""
    speed, waiting = state.speed
    nll, top1 = (math.nan, math.nan) if state.stopped else judge.score(state.judged)
    if not math.isfinite(nll):
        state.stopped = state.stopped or f"training diverged in epoch {state.epoch + 1}: the NLL is {nll}"
    elif nll < state.best_nll:
        state.best = {name: tensor.clone() for name, tensor in state.judged.state_dict().items()}
    loss = state.loss / state.images if state.images and math.isfinite(nll) else math.nan
    row = Epoch(state.epoch + 1, loss, nll, top1, lr, speed, waiting, state.seconds)
    state.history.append(row)
    state.loss, state.images, state.waited = 0.0, 0, 0.0
    if state.stopped or state.epoch == recipe.epochs:
        return
    if recipe.patience is not None and state.epoch - state.best_epoch >= recipe.patience:
        state.stopped = f"the NLL has not fallen for {recipe.patience} epochs"
    elif recipe.time_limit is not None and row.seconds > recipe.time_limit:
        state.stopped = f"the time limit of {recipe.time_limit:g} s is over"


def normaliser(inputs: Inputs, setting: Setting) -> Normalise:
    """What turns pixels, or what a frozen part made of them, into the input of a network."""
    mean, std = (torch.tensor(levels, device=setting.device) for levels in (inputs.mean, inputs.std))
    order = torch.channels_last if setting.channels_last else torch.contiguous_format

    def normalise(pixels: Tensor) -> Tensor:
        """(B, H, W, C) in levels of 0..255 -> (B, C, H, W)."""
        return ((pixels.to(mean.device).float() - mean) / std).permute(0, 3, 1, 2).contiguous(memory_format=order)

    return normalise


def check_batch(network: nn.Module, recipe: Recipe) -> None:
    """Check that batch norm gets two images or more at once, where it learns from them; leaves training mode on.

    Raises:
        UsageError: it does not.
    """
    norms = (module for module in network.train().modules() if isinstance(module, nn.modules.batchnorm._BatchNorm))
    normed = any(norm.training for norm in norms)  # one that keeps its statistics never is
    if normed and recipe.batch < 2 * recipe.accumulate:
        raise UsageError(
            f"batch norm learns from two images or more at once, got batch {recipe.batch} in {recipe.accumulate} "
            "piece(s); raise batch or lower accumulate"
        )


@contextmanager
def torch_as_it_was(setting: Setting) -> Iterator[None]:
    """Compute as the setting says inside, and leave torch's threads and generator as they were."""
    before = torch.get_num_threads()
    torch.set_num_threads(setting.threads)
    try:
        with torch.random.fork_rng(range(setting.device == "cuda")), reproducible(setting.device):
            yield
    finally:
        torch.set_num_threads(before)
