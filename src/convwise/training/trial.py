"""A few steps before the first: how this machine computes this training fastest, and how long an epoch will take."""

import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from ..cost import analyze, sketch
from ..data.preprocessing import Preprocessing
from .batches import Batch, Batches
from .loop import check_batch, normaliser, torch_as_it_was, train_epoch
from .recipe import Recipe
from .state import Setting, State

ROUNDS = 5  # of one step each, the settings in turn; the first warms up
MARGIN = 1.25  # how much faster than the usual setting another one must be: noise must not choose
WORTHWHILE = 1e9  # multiply-accumulates a step; below, little is to be gained and nothing told from noise


class Took(NamedTuple):
    """Seconds of a step; the processor's choose the setting, since the clock also counts what others do meanwhile.

    Of a GPU both are the clock's.
    """

    wall: float
    cpu: float


class Trial(NamedTuple):
    """What a trial found.

    Attributes:
        precision, channels_last, threads: the setting that was chosen.
        seconds_per_epoch: of the steps, in that setting.
        images_per_second: of every setting that was tried, by its name.
    """

    precision: str
    channels_last: bool
    threads: int
    seconds_per_epoch: float
    images_per_second: dict[str, float]


def try_out(
    build: Callable[[], nn.Module], recipe: Recipe, preprocessing: Preprocessing, fit: Batches, usual: Setting
) -> Trial:  # fmt: skip
    """Take a few steps in every setting that the recipe leaves open; the shortest of each counts.

    A training of small steps tries nothing, so that it always comes out alike, and takes one thread: more would wait
    for each other longer than they work. On a CPU the settings take turns, so that what others do meets all of them;
    on a GPU one comes after the other, for its memory.

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
        height, width, channels = preprocessing.shape
        macs = analyze(build(), (channels, height, width)).macs * len(batch.labels)
    if macs < WORTHWHILE:
        settings = [settings[0]._replace(threads=1)]
    with torch_as_it_was(settings[0]):
        took: dict[Setting, Took] = {}
        for group in [settings] if usual.device == "cpu" else [[setting] for setting in settings]:
            states = {setting: State.begin(build(), recipe, setting) for setting in group}
            check_batch(states[group[0]].network, recipe)
            took |= _shortest(states, recipe, batch, preprocessing)
    best = min(took, key=lambda setting: took[setting].cpu)
    chosen = best if took[best].cpu * MARGIN < took[settings[0]].cpu else settings[0]
    images = len(batch.labels)
    return Trial(
        chosen.precision, chosen.channels_last, chosen.threads, took[chosen].wall / images * sum(fit.sizes),
        {_name(setting): images / seconds.wall for setting, seconds in took.items()},
    )  # fmt: skip


def _shortest(
    states: dict[Setting, State], recipe: Recipe, batch: Batch, preprocessing: Preprocessing
) -> dict[Setting, Took]:  # fmt: skip
    """The shortest step in each setting, by each clock."""
    rounds = [
        [_step(state, recipe, batch, preprocessing) for state in states.values()] for _ in range(ROUNDS)
    ]  # fmt: skip
    return {
        setting: Took(min(step.wall for step in steps), min(step.cpu for step in steps))
        for setting, steps in zip(states, zip(*rounds, strict=True), strict=True)
    }


def _step(state: State, recipe: Recipe, batch: Batch, preprocessing: Preprocessing) -> Took:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in train_epoch(state, recipe, [batch], 1, normaliser(preprocessing, state.setting)):
        pass
    state.step, state.stopped = 0, ""
    if state.setting.device == "cuda":
        torch.cuda.synchronize()
        return Took(time.perf_counter() - wall, time.perf_counter() - wall)
    return Took(time.perf_counter() - wall, time.process_time() - cpu)


def _name(setting: Setting) -> str:
    return f"{setting.precision} {'channels_last' if setting.channels_last else 'channels_first'}"
