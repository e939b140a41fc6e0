"""Training on images that change in every epoch: what is fed, what the loss makes of it, and always the same bits."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convwise.data.augmentation import OPERATIONS, Augmentation
from convwise.data.augmentation.batches import Epoch
from convwise.training.batches import Batch, CachedViews, Images
from convwise.training.loss import loss_of
from convwise.training.recipe import Recipe

from .helpers import GREY, Fixed, augmented, bits, go, noise, stop_after

EVERYTHING = Augmentation.usual(*(name for name in OPERATIONS if name not in ("zoom", "shift")))
MIXED = Augmentation(mixup=1.0, cutmix=1.0)


def fed(recipe: Recipe, images: Images, *, epoch: int = 0, first: int = 0, threads: int = 1) -> list[Batch]:
    return list(augmented(recipe, images, threads).epoch(epoch, first))


def joined(batches: list[Batch]) -> Batch:
    return Batch(*(torch.cat(parts) for parts in zip(*batches, strict=True)))


def order(recipe: Recipe, n: int, epoch: int = 0) -> list[int]:
    """Which image is where."""
    found: list[int] = Epoch.shuffled(recipe.seed, epoch, [n]).order.tolist()
    return found


def test_strengths_of_0_leave_the_images_as_they_are() -> None:
    images, recipe = noise(23, 4), Recipe(batch=5)
    for epoch in range(2):
        batches = fed(recipe, images, epoch=epoch)
        assert [len(batch.labels) for batch in batches] == [5, 5, 5, 5, 3]
        found, places = joined(batches), order(recipe, 23, epoch)
        assert sorted(places) == list(range(23))
        assert torch.equal(found.pixels, images.pixels[places])
        assert torch.equal(found.labels, images.labels[places])
    assert order(recipe, 23, 0) != order(recipe, 23, 1)


def test_images_keep_their_labels_and_weights_when_they_are_changed() -> None:
    images = noise(12, 4)._replace(weights=torch.arange(12.0))
    recipe = Recipe(batch=4, augmentation=Augmentation(mirror=1.0, shift=0.25))
    found, places = joined(fed(recipe, images)), order(recipe, 12)
    assert torch.equal(found.labels, images.labels[places])
    assert torch.equal(found.weights, images.weights[places])
    assert not torch.equal(found.pixels, images.pixels[places])
    mirrored = replace(recipe, augmentation=Augmentation(mirror=1.0))
    assert torch.equal(joined(fed(mirrored, images)).pixels, images.pixels[places].flip(2))


@pytest.mark.parametrize("threads", [0, 2, 3])
def test_batches_are_the_same_in_any_number_of_threads_and_from_any_one_on(threads: int) -> None:
    images, recipe = noise(26, 4), Recipe(batch=4, seed=7, augmentation=EVERYTHING)
    expected = fed(recipe, images, epoch=3)
    for first in (0, 2, 6):
        found = fed(recipe, images, epoch=3, first=first, threads=threads)
        assert len(found) == len(expected) - first
        for one, other in zip(found, expected[first:], strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_a_mixture_is_that_of_both_labels_by_their_shares(smoothing: float) -> None:
    images = noise(9, 4)._replace(weights=torch.linspace(0.5, 1.5, 9))
    recipe = Recipe(batch=9, label_smoothing=smoothing, augmentation=Augmentation(mixup=1.0))
    (batch,) = fed(recipe, images)
    places = order(recipe, 9)
    partners = [*places[1:], places[0]]  # the next in the order, of the last one the first
    # the share of each image, from its pixels: mixture = share x own + (1 - share) x partner's
    own, other = images.pixels[places].double(), images.pixels[partners].double()
    mixed = batch.pixels.double()
    share = ((mixed - other) * (own - other)).sum((1, 2, 3)) / ((own - other) ** 2).sum((1, 2, 3))
    assert share.min() < 0.3 < 0.7 < share.max()
    logits = torch.randn(9, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    losses = torch.zeros(9, dtype=torch.float64)
    for part, rows in ((share, places), (1 - share, partners)):
        nll = F.cross_entropy(logits, images.labels[rows], reduction="none", label_smoothing=smoothing)
        losses += part * images.weights[rows] * nll
    assert loss_of(Fixed(logits), recipe, batch).item() == pytest.approx(losses.mean().item(), rel=1e-3)


def test_shares_of_a_mixture_add_up() -> None:
    (batch,) = fed(Recipe(batch=24, augmentation=MIXED), noise(24, 4))
    assert batch.labels.shape == (24, 4)
    assert torch.allclose(batch.labels.sum(dim=1), torch.ones(24))
    assert torch.allclose(batch.weights, torch.ones(24))
    assert ((batch.labels > 0.02).sum(dim=1) == 2).any()


def test_eight_images_are_learnt_by_heart_while_they_move() -> None:
    images = noise(8, 4)
    recipe = Recipe(epochs=100, batch=4, augmentation=Augmentation(shift=1 / 28))
    assert (go(recipe, images, threads=1).probs.argmax(axis=1) == images.labels.numpy()).all()


@pytest.mark.parametrize("augmentation", [EVERYTHING, MIXED, Augmentation(mirror=0.5, shift=0.125)])
def test_training_that_is_stopped_goes_on_with_other_threads_to_the_same_bits(
    tmp_path: Path, augmentation: Augmentation
) -> None:
    images = noise(22, 4)
    recipe = Recipe(epochs=3, batch=4, ema=0.9, augmentation=augmentation)  # 6 steps an epoch
    expected = bits(go(recipe, images, threads=1))
    for steps, threads in ((2, 2), (1, 3), (5, 1), (4, 4)):  # within epochs, and at their ends
        with pytest.raises(KeyboardInterrupt):
            go(recipe, images, folder=tmp_path, track=stop_after(steps), threads=threads)
    resumed = go(recipe, images, folder=tmp_path, threads=2)
    assert bits(resumed) == expected
    assert bits(resumed) != bits(go(replace(recipe, augmentation=Augmentation()), images, threads=1))
    assert resumed.probs.shape == (22, 4)


def test_what_chooses_is_not_changed() -> None:
    images, judged = noise(8, 4), noise(6, 4, seed=1)
    seen = []

    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(28 * 28, 4)

        def forward(self, pixels: Tensor) -> Tensor:
            if not self.training:
                seen.append(pixels)
            found: Tensor = self.layer(pixels.flatten(1))
            return found

    go(Recipe(epochs=1, batch=4, augmentation=EVERYTHING), images, judged, build=Watched, threads=1)
    mean, std = GREY.mean[0], GREY.std[0]
    expected = (judged.pixels[..., 0].float() - mean) / std
    looks = torch.cat(seen).split(len(expected))
    assert len(looks) == 2  # once the epoch, once the best
    assert all(torch.allclose(x[:, 0], expected) for x in looks)


def test_epoch_e_learns_from_view_e_modulo_their_number() -> None:
    views = [torch.full((5, 2, 2, 3), float(number), dtype=torch.float16) for number in range(3)]
    cached = CachedViews(views, torch.arange(5), torch.ones(5), batch=2, seed=0)
    assert cached.sizes == [2, 3]
    seen = [{float(batch.pixels.unique()) for batch in cached.epoch(epoch, 0)} for epoch in range(7)]
    assert seen == [{0.0}, {1.0}, {2.0}, {0.0}, {1.0}, {2.0}, {0.0}]
    first, second = (torch.cat([b.labels for b in cached.epoch(epoch, 0)]) for epoch in (0, 3))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(5))
    assert first.tolist() != second.tolist()  # the order is another one each time
