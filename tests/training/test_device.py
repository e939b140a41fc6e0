"""Training on a GPU: the same guarantees as on a processor. What needs one is marked gpu."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from convwise.data.augmentation import Augmentation
from convwise.errors import CheckpointError, UsageError
from convwise.training.batches import InMemory
from convwise.training.device import Recorded, choose_device
from convwise.training.loop import Trained, backward, normaliser
from convwise.training.recipe import Recipe
from convwise.training.state import Setting, State
from convwise.training.trial import try_out

from . import test_checkpoint
from .helpers import COLOUR, GREY, bits, builder, figures, go, noise, quiet, stop_after

CASES = test_checkpoint.CASES | {
    "response norm, pooling to a side": ("alexnet", {"lr": 1e-3}, {}),
}
INPUTS = {"lenet5": GREY, "alexnet": replace(COLOUR, resolution=67)}  # the others take 32 pixels


def test_auto_takes_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (choose_device("auto"), choose_device("cuda"), choose_device("cpu")) == ("cuda", "cuda", "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert (choose_device("auto"), choose_device("cpu")) == ("cpu", "cpu")
    with pytest.raises(UsageError, match=r"^device 'cuda': torch sees no GPU here; take 'cpu', or install a torch"):
        choose_device("cuda")


def train_on_gpu(case: str, folder: Path | None = None, stop: int | None = None):  # type: ignore[no-untyped-def]
    network, recipe, setting = CASES[case]
    preprocessing = INPUTS.get(network, COLOUR)
    images = noise(22, 4, preprocessing=preprocessing)  # the last batch of an epoch is smaller
    return go(
        Recipe(**{"epochs": 3, "batch": 8, **recipe}), images, setting=Setting(1, **setting, device="cuda"),
        build=builder(network, arguments=test_checkpoint.ARGUMENTS.get(network)), folder=folder,
        preprocessing=preprocessing,
        track=quiet if stop is None else stop_after(stop),
    )  # fmt: skip


@pytest.mark.gpu
@pytest.mark.parametrize("case", CASES)
def test_on_a_gpu_an_interrupted_training_ends_in_the_same_bits(case: str, tmp_path: Path) -> None:
    whole = train_on_gpu(case)
    for stop in (1, 2, 1, 3, 2):  # of 9 steps; behind two of them the next batch is the small one
        with pytest.raises(KeyboardInterrupt):
            train_on_gpu(case, tmp_path, stop)
    resumed = train_on_gpu(case, tmp_path)
    assert bits(resumed) == bits(whole)
    assert figures(resumed) == figures(whole)


@pytest.mark.gpu
def test_a_replayed_step_gives_the_gradients_and_the_statistics_of_one_that_runs_as_it_is() -> None:
    images, recipe = noise(8, 4, preprocessing=COLOUR), Recipe(batch=8)
    setting = Setting(1, device="cuda")
    torch.manual_seed(0)
    recorded = State.begin(builder("resnet20")(), recipe, setting)
    plain = State.begin(copy.deepcopy(recorded.network), recipe, setting)
    plain.forward = plain.network
    assert isinstance(recorded.forward, Recorded)
    batch = next(InMemory(images, 8, 0).epoch(0, 0)).to("cuda")
    for _ in range(2):
        for state in (recorded, plain):
            state.optimizer.zero_grad()
            backward(state, recipe, batch, 8, normaliser(COLOUR, setting))
            state.optimizer.step()
    for (name, mine), theirs in zip(
        recorded.network.state_dict().items(), plain.network.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.gpu
def test_images_that_change_and_mix_give_the_same_bits_on_a_gpu_and_learn_as_on_a_processor() -> None:
    images = noise(22, 4, preprocessing=COLOUR)
    recipe = Recipe(epochs=3, batch=8, augmentation=Augmentation(mirror=0.5, shift=0.125, mixup=1.0, cutmix=1.0))

    def train(device: str, threads: int) -> Trained:
        setting = Setting(1, device=device)
        return go(
            recipe, images, build=builder("resnet20"), setting=setting, preprocessing=COLOUR, threads=threads
        )  # fmt: skip

    first, second, expected = train("cuda", 1), train("cuda", 3), train("cpu", 1)
    assert bits(first) == bits(second)
    for mine, theirs in zip(first.history, expected.history, strict=True):
        assert mine.train_loss == pytest.approx(theirs.train_loss, rel=0.02)


@pytest.mark.gpu
def test_a_gpu_learns_eight_images_by_heart_and_hands_the_network_back() -> None:
    images = noise(8, 4)
    trained = go(Recipe(epochs=60, batch=4), images, setting=Setting(1, device="cuda"))
    assert (trained.probs.argmax(axis=1) == images.labels.numpy()).all()
    assert {parameter.device.type for parameter in trained.network.parameters()} == {"cpu"}


@pytest.mark.gpu
def test_a_checkpoint_of_a_gpu_is_refused_on_a_processor(tmp_path: Path) -> None:
    recipe, images = Recipe(epochs=2, batch=4), noise(16, 4)
    with pytest.raises(KeyboardInterrupt):
        go(recipe, images, setting=Setting(1, device="cuda"), folder=tmp_path, track=stop_after(2))
    with pytest.raises(CheckpointError, match=r"is of a training with device '.+', now 'cpu'"):
        go(recipe, images, folder=tmp_path)


@pytest.mark.gpu
def test_a_trial_on_a_gpu_tries_all_settings() -> None:
    images = noise(64, 4, preprocessing=COLOUR)
    found = try_out(builder("resnet20"), Recipe(batch=64), COLOUR, InMemory(images, 64, 0), Setting(1, device="cuda"))
    assert len(found.images_per_second) == 4


@pytest.mark.gpu
def test_a_training_in_pieces_comes_out_alike_on_a_gpu() -> None:
    images, recipe = noise(8, 4, preprocessing=COLOUR), Recipe(epochs=2, batch=8, accumulate=2)
    setting = Setting(1, device="cuda")
    first, second = (
        go(recipe, images, build=builder("resnet20"), setting=setting, preprocessing=COLOUR) for _ in range(2)
    )
    assert bits(first) == bits(second)
