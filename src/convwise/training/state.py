"""Everything that a training is between two steps: what a checkpoint holds and the loop moves on."""

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from .device import Recorded
from .optimizers import make_optimizer
from .recipe import Recipe

T = TypeVar("T")


class Setting(NamedTuple):
    """How this machine computes: what changes the last bits of the weights, and the speed, and nothing else.

    Attributes:
        threads: of torch.
        precision: "float32", or "bfloat16" for the products, as `precision.py` has it.
        channels_last: order of the activations in memory.
        device: "cpu" or "cuda".
        judged: images that are judged at once, where not more train at once.
    """

    threads: int
    precision: str = "float32"
    channels_last: bool = True
    device: str = "cpu"
    judged: int = 1


class Epoch(NamedTuple):
    """One row of the history.

    Attributes:
        epoch: from 1.
        train_loss: mean of what the steps minimised, in nats: weighted, smoothed, auxiliary losses included.
        choice_nll, choice_top1: on what chooses, in nats at the temperature that suits it, and as a share; nan where
            nothing could be judged.
        lr: of the last step.
        images_per_second: trained on.
        waiting: share of the time in which the loop waited for images.
        seconds: since the start, interruptions left out.
    """

    epoch: int
    train_loss: float
    choice_nll: float
    choice_top1: float
    lr: float
    images_per_second: float
    waiting: float
    seconds: float


@dataclass
class State:
    """A training between two steps.

    Attributes:
        network: with the weights of the last step.
        optimizer: of its parameters.
        ema: a copy with averaged weights, where the recipe wants one.
        setting: how the steps are computed.
        best: weights and statistics of the best epoch; empty before the first.
        step: steps done, over all epochs.
        history: rows of the epochs that are finished.
        loss, images, waited: sums over the epoch under way; waited in seconds.
        limit: seconds after which the epoch under way is the last one; None: no limit.
        epoch_steps: of a whole epoch.
        stopped: why training ends before its time; empty otherwise.
        started: `time.monotonic()` of the start, moved on by interruptions.
        forward: the network as it is trained, on a GPU a recording of it.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    ema: nn.Module | None
    setting: Setting
    best: dict[str, Tensor] = field(default_factory=dict)
    step: int = 0
    history: list[Epoch] = field(default_factory=list)
    loss: float = 0.0
    images: int = 0
    waited: float = 0.0
    limit: float | None = None
    epoch_steps: int = 0
    stopped: str = ""
    started: float = field(default_factory=time.monotonic)
    forward: Callable[[Tensor], Tensor] = field(init=False)

    def __post_init__(self) -> None:
        """Train the network as it is, unless `begin` says otherwise."""
        self.forward = self.network

    @classmethod
    def begin(cls, network: nn.Module, recipe: Recipe, setting: Setting) -> "State":
        """Begin with the weights that `network` has."""
        network.to(setting.device)
        if setting.channels_last:
            network.to(memory_format=torch.channels_last)
        ema = copy.deepcopy(network).requires_grad_(False) if recipe.ema is not None else None
        state = cls(network, make_optimizer(network, recipe), ema, setting, limit=recipe.time_limit)
        if setting.device == "cuda" and recipe.accumulate == 1 and not getattr(network, "aux", None):
            state.forward = Recorded(network, recipe.batch)
        return state

    @property
    def epoch(self) -> int:
        """Number of the epoch under way, from 0."""
        return len(self.history)

    @property
    def judged(self) -> nn.Module:
        """The network that is chosen among and kept: the averaged one where there is one."""
        return self.network if self.ema is None else self.ema

    @property
    def seconds(self) -> float:
        """Of training so far."""
        return time.monotonic() - self.started

    @property
    def seconds_left(self) -> float | None:
        """Until the time limit, or until the epoch under way ends where that is later; None without a limit."""
        if self.limit is None:
            return None
        done = self.step - self.epoch * self.epoch_steps
        rest = self._spent * (self.epoch_steps - done) / max(1, done)
        return max(self.limit - self.seconds, rest)

    @property
    def best_nll(self) -> float:
        """The lowest on what chooses."""
        return min((row.choice_nll for row in self.history if math.isfinite(row.choice_nll)), default=math.inf)

    @property
    def best_epoch(self) -> int:
        """From 1; 0 where none could be judged."""
        return next((row.epoch for row in self.history if row.choice_nll == self.best_nll), 0)

    @property
    def _spent(self) -> float:
        """Seconds in the epoch under way."""
        return max(1e-9, self.seconds - (self.history[-1].seconds if self.history else 0.0))

    @property
    def speed(self) -> tuple[float, float]:
        """Images a second in the epoch under way, and the share of its time spent waiting for them."""
        spent = self._spent
        return self.images / spent, min(1.0, self.waited / spent)

    @property
    def progress(self) -> str:
        """For people."""
        speed, waiting = self.speed
        return f"{speed:,.0f} images/s, {waiting:.0%} waiting for data"

    def timed(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items and add up how long each took to come."""
        begun = time.monotonic()
        for item in items:
            self.waited += time.monotonic() - begun
            yield item
            begun = time.monotonic()
