"""What is said while work goes on."""

from types import SimpleNamespace

import pytest
from torch import nn

from convwise.cli import output
from convwise.training.recipe import Recipe
from convwise.training.state import Setting, State


@pytest.mark.parametrize(
    ("limit", "left"), [(None, "9 s left"), (5.0, "5 s left"), (20.0, "9 s left"), (0.0, "0 s left")]
)
def test_the_time_that_is_left_is_no_more_than_the_time_limit_leaves(
    limit: float | None, left: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 1.0, *[1.0] * 9])
    monkeypatch.setattr("convwise.cli.output.time.monotonic", lambda: next(clock))
    steps = [SimpleNamespace(progress="fast", seconds_left=limit)] * 10
    assert len(list(output._lines(steps, 10, "steps", every=0.5))) == 10
    assert capsys.readouterr().err == f"steps: 10\nsteps: 1 of 10, fast, {left}\n"


def test_minutes_are_said_as_such() -> None:
    assert output._left(object(), 99.4) == "99 s left"
    assert output._left(object(), 605.0) == "10 min 5 s left"


def test_a_training_knows_what_its_time_limit_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    network, setting = nn.Linear(2, 2), Setting(1, channels_last=False)
    assert State.begin(network, Recipe(), setting).seconds_left is None
    state = State.begin(network, Recipe(time_limit=60.0), setting)
    state.epoch_steps, state.step = 10, 9
    monkeypatch.setattr("convwise.training.state.time.monotonic", lambda: state.started + 45.0)
    assert state.seconds_left == 15.0  # the last step of the epoch takes 5 s, and there is time for more
    state.step = 5
    assert state.seconds_left == 45.0  # the epoch ends as slowly as it began
    monkeypatch.setattr("convwise.training.state.time.monotonic", lambda: state.started + 75.0)
    assert state.seconds_left == 75.0
    state.step = 10
    assert state.seconds_left == 0.0
