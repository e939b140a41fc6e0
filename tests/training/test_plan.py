import math
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from convwise import networks
from convwise.errors import UsageError
from convwise.training import judging, plan, trial
from convwise.training.batches import InMemory
from convwise.training.plan import make_plan
from convwise.training.recipe import Recipe
from convwise.training.state import Setting, State
from convwise.training.trial import Took, Trial, try_out

from .helpers import COLOUR, GREY, builder, noise


def shortest(times: dict[tuple[str, bool], float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let steps take so many seconds instead of being measured."""
    monkeypatch.setattr(
        trial, "_step", lambda state, *_: Took(2 * times[state.setting[1:3]], times[state.setting[1:3]])
    )
    monkeypatch.setattr(trial, "WORTHWHILE", 0)


@pytest.mark.parametrize(
    ("times", "chosen"),
    [
        ((0.1, 0.1, 0.05, 0.3), ("bfloat16", True)),
        ((0.1, 0.1, 0.09, 0.3), ("float32", True)),  # not clearly faster
        ((0.1, 0.02, 0.05, 0.3), ("float32", False)),
    ],
)
def test_the_setting_that_is_clearly_faster_is_chosen(
    times: tuple[float, ...], chosen: tuple[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [(precision, last) for precision in ("float32", "bfloat16") for last in (True, False)]
    by_setting = dict(zip(settings, times, strict=True))
    shortest(by_setting, monkeypatch)
    found = try_out(builder(), Recipe(batch=8), GREY, InMemory(noise(24, 4), 8, 0), Setting(1))
    assert (found.precision, found.channels_last) == chosen
    assert found.seconds_per_epoch == pytest.approx(3 * 2 * by_setting[chosen])


def test_small_steps_are_always_computed_alike() -> None:
    # lenet5 has 416,520 multiply-accumulates an image (with 10 classes), far below 10^9 in a batch of 8
    found = try_out(builder(), Recipe(batch=8), GREY, InMemory(noise(8, 4), 8, 0), Setting(2))
    assert (found.precision, found.channels_last, found.threads) == ("float32", True, 1)
    assert found.images_per_second.keys() == {"float32 channels_last"}


@pytest.mark.parametrize(
    ("batch", "accumulate", "little", "judged"),
    [
        (1, 1, 10**8, 64),
        (8, 2, 10**8, 64),
        (128, 1, 10**8, 128),
        (4, 1, 1, 4),
        (4, 1, 23_520 * 5 - 1, 4),
        (4, 1, 23_520 * 9, 9),
    ],
)
def test_small_images_are_judged_64_at_once(
    batch: int, accumulate: int, little: int, judged: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # most of lenet5 at once: its first 6 maps of 28 x 28 and these pooled to 14 x 14, 4 bytes each, 23,520 an image
    monkeypatch.setattr(judging, "LITTLE", little)
    recipe = Recipe(batch=batch, accumulate=accumulate)
    assert try_out(builder(), recipe, GREY, InMemory(noise(8, 4), batch, 0), Setting(1)).judged == judged


@pytest.mark.parametrize(("images", "threads"), [(240, 1), (241, 2)])
def test_steps_as_short_as_the_wait_for_a_thread_take_one(
    images: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # lenet5 has 416,016 multiply-accumulates an image (with 4 classes): 10^8 lie between 240 and 241 images
    monkeypatch.setattr(trial, "_step", lambda *_: Took(0.1, 0.1))
    fit = InMemory(noise(images, 4), images, 0)
    found = try_out(builder(), Recipe(batch=images), GREY, fit, Setting(2))
    assert found.threads == threads
    assert found.images_per_second.keys() == {"float32 channels_last"}


def test_one_training_is_in_memory_at_a_time_and_the_first_is_tried_again_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alive: weakref.WeakSet[nn.Module] = weakref.WeakSet()
    order: list[tuple[str, bool]] = []

    def step(state: State, *_: object) -> Took:
        alive.add(state.network)
        assert len(alive) == 1
        if order[-1:] != [state.setting[1:3]]:
            order.append(state.setting[1:3])
        seconds = 1.0 if len(order) == 1 else 0.5  # what is tried first meets another program
        return Took(seconds, seconds)

    monkeypatch.setattr(trial, "_step", step)
    monkeypatch.setattr(trial, "WORTHWHILE", 0)
    found = try_out(builder(), Recipe(batch=8, precision="float32"), GREY, InMemory(noise(8, 4), 8, 0), Setting(1))
    assert order == [("float32", True), ("float32", False), ("float32", True)]
    assert found.channels_last
    assert found.images_per_second["float32 channels_last"] == 16


def test_a_setting_whose_loss_is_not_finite_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Overflows(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * math.inf if torch.is_autocast_enabled("cpu") else x

    monkeypatch.setattr(trial, "WORTHWHILE", 0)
    monkeypatch.setattr(trial, "MARGIN", 0)  # the fastest one is taken
    build = lambda: nn.Sequential(Overflows(), networks.create("lenet5", 4))  # noqa: E731
    found = try_out(build, Recipe(batch=8), GREY, InMemory(noise(8, 4), 8, 0), Setting(1))
    assert found.precision == "float32"
    assert found.images_per_second.keys() == {"float32 channels_last", "float32 channels_first"}


def test_where_no_loss_is_finite_the_usual_setting_stays_and_training_says_so() -> None:
    images = noise(8, 4)
    recipe = Recipe(batch=8, schedule="constant", warm_up=0, lr=1e30)
    found = try_out(builder(), recipe, GREY, InMemory(images, 8, 0), Setting(1))
    assert (found.precision, found.channels_last) == ("float32", True)
    assert math.isfinite(found.seconds_per_epoch)


def test_what_the_recipe_says_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    shortest({("bfloat16", False): 0.1}, monkeypatch)
    recipe = Recipe(batch=8, precision="bfloat16", channels_last=False)
    found = try_out(builder(), recipe, GREY, InMemory(noise(8, 4), 8, 0), Setting(1))
    assert found.images_per_second == {"bfloat16 channels_first": pytest.approx(40)}


def test_a_trial_leaves_torch_as_it_was_and_really_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    images = noise(8, 4, preprocessing=COLOUR)
    monkeypatch.setattr(trial, "WORTHWHILE", 0)
    found = try_out(builder("resnet20"), Recipe(batch=8), COLOUR, InMemory(images, 8, 0), Setting(1))
    assert len(found.images_per_second) == 4
    assert torch.equal(torch.rand(1), expected)
    assert all(speed > 0 for speed in found.images_per_second.values())


def test_a_plan_that_is_known_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, fit = Recipe(batch=8), InMemory(noise(8, 4), 8, 0)

    def make(known: dict[str, Any] | None) -> plan.Plan:
        return make_plan(builder(), recipe, GREY, fit, memory_bytes=123_456, usual=Setting(1), known=known)

    first = make(None)
    assert first.to_json()["memory_bytes"] == 123_456
    monkeypatch.setattr(plan, "try_out", None)
    assert make(first.to_json()) == first


@pytest.mark.parametrize(
    ("ends", "most"), [({}, ""), ({"time_limit": 60.0}, "at most "), ({"patience": 3}, "at most ")]
)
def test_a_plan_promises_no_more_epochs_than_may_be_run(ends: dict[str, Any], most: str) -> None:
    found = plan.Plan(Recipe(**ends), 123_456, Trial("float32", True, 1, 2.5, {}))
    assert found.words == f"{most}30 epochs of about 2.5 s, 123.5 kB of memory, float32"


def test_batch_norm_with_single_images_is_refused_before_a_step() -> None:
    images, recipe = noise(4, 4, preprocessing=COLOUR), Recipe(batch=1)
    with pytest.raises(UsageError, match=r"^batch norm learns from two images or more at once"):
        try_out(builder("resnet20"), recipe, COLOUR, InMemory(images, 1, 0), Setting(1))
