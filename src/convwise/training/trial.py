"""A few steps before the first: how this machine computes this training fastest, and how long an epoch will take."""

import gc
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from ..cost import analyze, sketch
from .batches import Batch, Batches, Inputs
from .judging import judged_at_once
from .loop import check_batch, normaliser, torch_as_it_was, train_epoch
from .recipe import Recipe
from .state import Setting, State

ROUNDS = 5  # of one step each, in every setting; the first warms up
MARGIN = 1.25  # how much faster than the usual setting another one must be: noise must not choose
WORTHWHILE = 1e9  # multiply-accumulates a step; below, little is to be gained and nothing told from noise
SHORT = 1e8  # multiply-accumulates a step; below, threads wait for each other about as long as they work


class Took(NamedTuple):
    """Seconds of a step; the processor's choose the setting, since the clock also counts what others do meanwhile.

    Of a GPU both are the clock's. A step whose loss is not `finite` ends early.
    """

    wall: float
    cpu: float
    finite: bool = True


class Trial(NamedTuple):
    """What a trial found.

    Attributes:
        precision, channels_last, threads: the setting that was chosen.
        seconds_per_epoch: of the steps, in that setting.
        images_per_second: of every setting that was tried, by its name.
        judged: images that are judged at once.
    """

    precision: str
    channels_last: bool
    threads: int
    seconds_per_epoch: float
    images_per_second: dict[str, float]
    judged: int = 1


def try_out(
    build: Callable[[], nn.Module], recipe: Recipe, inputs: Inputs, fit: Batches, usual: Setting
) -> Trial:  # fmt: skip
    """Take a few steps in every setting that the recipe leaves open; the shortest of each counts.

    The settings come one after the other, since memory is counted for one, and the first comes once more at the end:
    what others do meanwhile cannot pass for its slowness. One whose loss is not finite is left out. A training of
    small steps tries nothing, so that it always comes out alike; one of short steps takes one thread.

    Raises:
        UsageError: batches that batch norm cannot train on.
    """
    settings = [
        usual._replace(precision=precision, channels_last=channels_last)
        for precision in (("float32", "bfloat16") if recipe.precision == "auto" else (recipe.precision,))
        for channels_last in ((True, False) if recipe.channels_last is None else (recipe.channels_last,))
    ]
    batch = next(iter(fit.epoch(0, 0)))
    with sketch():
        network = build()
        check_batch(network, recipe)
        height, width, channels = inputs.shape
        counted = analyze(network, (channels, height, width))
    macs = counted.macs * len(batch.labels)
    if macs < WORTHWHILE:
        settings = [settings[0]._replace(threads=1 if macs < SHORT else usual.threads)]
    took: dict[Setting, Took] = {}
    with torch_as_it_was(settings[0]):
        for setting in [*settings, *(settings[:1] if len(settings) > 1 else [])]:
            steps = _steps(build, recipe, setting, batch, inputs)
            took[setting] = _shortest([*steps, took[setting]] if setting in took else steps)
            gc.collect()  # a recorded network holds itself, and its memory on the GPU
    left = [setting for setting in settings if took[setting].finite] or settings[:1]
    best = min(left, key=lambda setting: took[setting].cpu)
    chosen = best if took[best].cpu * MARGIN < took[left[0]].cpu else left[0]
    images = len(batch.labels)
    return Trial(
        chosen.precision, chosen.channels_last, chosen.threads, took[chosen].wall / images * sum(fit.sizes),
        {_name(setting): images / took[setting].wall for setting in left},
        judged_at_once(counted.peak_activation_bytes, recipe),
    )  # fmt: skip


def _steps(
    build: Callable[[], nn.Module], recipe: Recipe, setting: Setting, batch: Batch, inputs: Inputs
) -> list[Took]:  # fmt: skip
    """Take a few steps; what they need of memory is free again after that."""
    state = State.begin(build(), recipe, setting)
    return [_step(state, recipe, batch, inputs) for _ in range(ROUNDS)]


def _shortest(steps: list[Took]) -> Took:
    """The shortest by each clock."""
    return Took(
        min(step.wall for step in steps), min(step.cpu for step in steps), all(step.finite for step in steps)
    )  # fmt: skip


def _step(state: State, recipe: Recipe, batch: Batch, inputs: Inputs) -> Took:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in train_epoch(state, recipe, [batch], 1, normaliser(inputs, state.setting)):
        pass
    finite = not state.stopped
    state.step, state.stopped = 0, ""
    if state.setting.device == "cuda":
        torch.cuda.synchronize()
        return Took(time.perf_counter() - wall, time.perf_counter() - wall, finite)
    return Took(time.perf_counter() - wall, time.process_time() - cpu, finite)


def _name(setting: Setting) -> str:
    return f"{setting.precision} {'channels_last' if setting.channels_last else 'channels_first'}"
