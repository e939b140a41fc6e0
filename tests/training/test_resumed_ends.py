"""What ends a training before its time ends it at the same epoch after an interruption."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import pytest
import torch

from convwise.progress import Track
from convwise.training.recipe import Recipe

from .helpers import bits, figures, go, noise, stop_after

T = TypeVar("T")


@pytest.mark.parametrize("stop", [1, 7, 8, 13])
def test_patience_counts_epochs_before_an_interruption(tmp_path: Path, stop: int) -> None:
    recipe = Recipe(epochs=25, batch=4, patience=3)
    fit, choose = noise(16, 4), noise(16, 4)._replace(labels=(torch.arange(16) + 1) % 4)  # learning raises its NLL
    whole = go(recipe, fit, choose)
    assert whole.best_epoch + 3 == len(whole.history)
    assert 4 * len(whole.history) > stop
    with pytest.raises(KeyboardInterrupt):
        go(recipe, fit, choose, folder=tmp_path, track=stop_after(stop))
    resumed = go(recipe, fit, choose, folder=tmp_path)
    assert resumed.stopped == whole.stopped == "the NLL has not fallen for 3 epochs"
    assert figures(resumed) == figures(whole)
    assert bits(resumed) == bits(whole)


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_time_limit_ends_a_resumed_training_where_it_would_have_ended(
    tmp_path: Path, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    recipe, images = Recipe(epochs=9, batch=4, time_limit=100), noise(8, 4)  # two steps an epoch

    def slow(stop: int) -> Track:
        class Slow:
            def __call__(self, items: Iterable[T], total: int, what: str) -> Iterable[T]:
                for item in stop_after(stop)(items, total, what):
                    clock[0] += 40  # seconds a step: the second epoch ends after 160
                    yield item

        return Slow()

    with pytest.raises(KeyboardInterrupt):
        go(recipe, images, folder=tmp_path, track=slow(stop))
    clock[0] += 1e6  # a night between
    resumed = go(recipe, images, folder=tmp_path, track=slow(99))
    assert len(resumed.history) == 2
    assert resumed.stopped == "the time limit of 100 s is over"
