"""Learning shares of classes in place of labels: what is fed, and what the loss makes of it."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from convwise.data.augmentation import Augmentation
from convwise.training.batches import Batch, CachedViews, Images, InMemory
from convwise.training.loop import pieces
from convwise.training.loss import loss_of
from convwise.training.recipe import Recipe

from .helpers import Fixed, augmented, bits, go, noise, stop_after

MIXED = Augmentation(mixup=1.0, cutmix=1.0)


def said(n: int, num_classes: int = 4, seed: int = 0) -> Tensor:
    """Shares of classes for each image (n, K)."""
    return torch.rand(n, num_classes, generator=torch.Generator().manual_seed(seed)).softmax(dim=1)


def test_the_loss_is_the_cross_entropy_against_the_shares() -> None:
    # probabilities 1/4 and 3/4, and 1/2 each; weights 1.5 and 0.5
    network = Fixed(torch.tensor([[0.0, math.log(3)], [2.0, 2.0]]))
    batch = Batch(torch.zeros(2, 1, 1, 1), torch.tensor([[0.4, 0.6], [0.9, 0.1]]), torch.tensor([1.5, 0.5]))
    first, second = -0.4 * math.log(0.25) - 0.6 * math.log(0.75), math.log(2)
    assert loss_of(network, Recipe(), batch).item() == pytest.approx((1.5 * first + 0.5 * second) / 2, rel=1e-6)
    # a tenth of each share is spread over both classes
    first = -0.41 * math.log(0.25) - 0.59 * math.log(0.75)
    smoothed = loss_of(network, Recipe(label_smoothing=0.1), batch).item()
    assert smoothed == pytest.approx((1.5 * first + 0.5 * second) / 2, rel=1e-6)


def test_shares_of_one_class_alone_are_its_label() -> None:
    images, recipe = noise(12, 4), Recipe(batch=4, epochs=2)
    shares = nn.functional.one_hot(images.labels, 4).float()
    by_labels, by_shares = go(recipe, images), go(recipe, images._replace(labels=shares), choose=images)
    for label, share in zip(by_labels.network.parameters(), by_shares.network.parameters(), strict=True):
        torch.testing.assert_close(label, share, rtol=1e-4, atol=1e-6)
    mixed = Recipe(batch=4, augmentation=MIXED)
    for one, other in zip(
        augmented(mixed, images).epoch(0, 0), augmented(mixed, images._replace(labels=shares)).epoch(0, 0), strict=True
    ):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_every_way_of_feeding_keeps_the_shares_with_their_images() -> None:
    images = noise(11, 4)._replace(labels=said(11))
    recipe = Recipe(batch=4, augmentation=Augmentation(shift=0.0))
    views = CachedViews([images.pixels, images.pixels], images.labels, images.weights, 4, 0)
    for fed in (InMemory(images, 4, 0), views, augmented(recipe, images)):
        for epoch in range(3):
            batches = list(fed.epoch(epoch, 0))
            pixels, shares, _ = (torch.cat(parts) for parts in zip(*batches, strict=True))
            places = [int((images.pixels == image).flatten(1).all(dim=1).nonzero()) for image in pixels]
            assert sorted(places) == list(range(11))
            assert torch.equal(shares, images.labels[places])
    assert [len(piece.labels) for piece in pieces(batches[0], Recipe(batch=4, accumulate=2))] == [2, 2]


def test_a_mixture_has_the_shares_of_both_by_weight_and_by_how_much_of_each_is_in_it() -> None:
    images = Images(noise(2, 2).pixels, said(2, 2), torch.tensor([1.5, 0.5]))
    recipe = Recipe(batch=2, augmentation=Augmentation(mixup=1.0))
    fed = augmented(recipe, images)
    (batch,) = fed.epoch(0, 0)
    own, other = images.pixels.double()
    for pixels, shares, weight in zip(batch.pixels.double(), batch.labels, batch.weights, strict=True):
        part = (((pixels - other) * (own - other)).sum() / ((own - other) ** 2).sum()).item()  # of image 0
        assert weight.item() == pytest.approx(1.5 * part + 0.5 * (1 - part), rel=1e-2)
        expected = (1.5 * part * images.labels[0] + 0.5 * (1 - part) * images.labels[1]) / weight
        torch.testing.assert_close(shares, expected, rtol=0, atol=1e-2)


def test_a_training_on_shares_that_is_stopped_ends_in_the_same_bits(tmp_path: Path) -> None:
    images, chosen = noise(20, 4)._replace(labels=said(20)), noise(6, 4, seed=1)
    recipe = Recipe(batch=4, epochs=3, augmentation=MIXED)
    whole = go(recipe, images, chosen, threads=1)
    with pytest.raises(KeyboardInterrupt):
        go(recipe, images, chosen, threads=1, folder=tmp_path, track=stop_after(7))
    assert bits(go(recipe, images, chosen, threads=2, folder=tmp_path)) == bits(whole)
