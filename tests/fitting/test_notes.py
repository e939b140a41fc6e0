"""Sentences that a user should read beside the figures."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from convwise.fitting import Options
from convwise.fitting.notes import say_few_choose, say_from_scratch, say_tie
from convwise.fitting.outcome import Tried
from convwise.fitting.task import Step, Task
from convwise.metrics import Paired, compare, wilson

EPOCHS = tuple(Step(epoch=number) for number in (1, 2))


def task(chosen: int, *, val: bool = False) -> Task:
    """A hundred samples, of which so many choose."""
    chooses = np.arange(100) < chosen
    nobody = np.zeros(100, bool)
    return cast("Task", SimpleNamespace(val=chooses if val else nobody, held_out=nobody if val else chooses))


def test_a_network_without_published_weights_has_no_ladder_and_a_note_says_so() -> None:
    both = Options(network=("efficientnet_lite0", "lenet5"), transfer="auto")
    assert say_from_scratch(both) == ("lenet5 was trained from scratch: transfer 'auto' needs published weights",)
    assert say_from_scratch(Options(network=("lenet5",))) == ()
    assert say_from_scratch(Options(transfer="auto")) == ()


@pytest.mark.parametrize("val", [False, True])
def test_fewer_than_thirty_images_that_choose_the_epoch_are_told(val: bool) -> None:
    text = (
        "the epoch was chosen by {}: an early one may win by chance; more images in `train`, or a `val` split, choose "
    )
    for n, images in ((1, "1 image"), (29, "29 images")):
        assert say_few_choose(task(n, val=val), EPOCHS) == (text.format(images) + "better",)
    assert say_few_choose(task(30, val=val), EPOCHS) == ()


def test_nothing_is_told_where_no_epoch_was_chosen() -> None:
    assert say_few_choose(task(3), EPOCHS[:1]) == ()
    assert say_few_choose(task(3), (Step(l2=0.1), Step(l2=1.0))) == ()


def tried(
    transfer: str, right: int, *, chosen: bool = False, network: str = "resnet18", gain: Paired | None = None
) -> Tried:
    found = SimpleNamespace(
        network=network, transfer=transfer, choice_top1=wilson(right, 100), chosen=chosen, gain=gain
    )  # fmt: skip
    return cast("Tried", found)


def gained(images: int) -> Paired:
    """So many of 100 images more than the rung below, which got 60 right."""
    return compare(np.arange(100) < 60 + images, np.arange(100) < 60)


def test_a_rung_that_is_kept_although_another_was_right_more_often_is_explained() -> None:
    rungs = (tried("head", 70), tried("partial", 80, chosen=True), tried("full", 81))
    text = (
        "resnet18: transfer 'partial' is kept, and not 'full', whose top-1 on the images held out is higher, but by no "
        "more than its noise"
    )
    assert say_tie(rungs) == (text,)
    assert say_tie((*rungs[:2], tried("full", 80), tried("none", 70, network="lenet5"))) == ()


def test_a_rung_that_is_kept_for_its_nll_is_explained() -> None:
    text = (
        "resnet18: transfer 'partial' is kept for its NLL, which is lower by more than twice its noise; top-1 on the "
        "images held out does not tell it from the rung below"
    )
    head = tried("head", 60)
    assert say_tie((head, tried("partial", 61, chosen=True, gain=gained(1)))) == (text,)
    assert say_tie((head, tried("partial", 70, chosen=True, gain=gained(10)))) == ()
    assert say_tie((tried("head", 60, chosen=True), tried("partial", 60, gain=gained(0)))) == ()
