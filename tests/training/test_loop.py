import inspect
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convwise.data.preprocessing import Preprocessing
from convwise.errors import DataError, UsageError
from convwise.metrics import fit_temperature
from convwise.training.batches import Batch, Images, InMemory, batch_sizes
from convwise.training.judging import Judge
from convwise.training.loop import epochs, finish_epoch, normaliser, pieces, train, train_epoch
from convwise.training.loss import loss_of
from convwise.training.optimizers import average, make_optimizer
from convwise.training.recipe import Recipe
from convwise.training.state import Setting, State

from .helpers import COLOUR, GREY, bits, builder, figures, go, noise

T = TypeVar("T")


def test_eight_images_are_learnt_by_heart() -> None:
    images = noise(8, 4)
    trained = go(Recipe(epochs=60, batch=4), images)
    assert (trained.probs.argmax(axis=1) == images.labels.numpy()).all()
    assert trained.history[-1].train_loss < 0.05
    assert not trained.network.training
    assert trained.stopped == ""


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(epochs=60, batch=4, optimizer="adamw", lr=3e-3, schedule="cosine", clip=1.0, decay_all=False),
        Recipe(epochs=60, batch=4, optimizer="rmsprop", lr=1e-3, momentum=0.5),
        Recipe(epochs=80, batch=4, ema=0.9),
        Recipe(epochs=60, batch=8, accumulate=3),
    ],
)
def test_every_way_of_stepping_learns_eight_images_by_heart(recipe: Recipe) -> None:
    images = noise(8, 4)
    assert (go(recipe, images).probs.argmax(axis=1) == images.labels.numpy()).all()


def test_the_same_seed_gives_the_same_weights_whatever_was_drawn_before() -> None:
    images = noise(20, 4)
    first = go(Recipe(epochs=2, seed=3), images)
    torch.rand(17)
    second = go(Recipe(epochs=2, seed=3), images)
    assert bits(first) == bits(second)
    assert bits(first) != bits(go(Recipe(epochs=2, seed=4), images))


def test_torch_is_left_as_it_was() -> None:
    threads = torch.get_num_threads()
    other = 1 if threads > 1 else 2
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    seen = []

    def build() -> nn.Module:
        seen.append(torch.get_num_threads())
        return builder()()

    go(Recipe(epochs=1), noise(8, 4), build=build, setting=Setting(other))
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads
    assert seen == [other]


def test_torch_is_left_as_it_was_after_an_error() -> None:
    threads = torch.get_num_threads()

    def build() -> nn.Module:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go(Recipe(epochs=1), noise(8, 4), build=build, setting=Setting(threads + 1))
    assert torch.get_num_threads() == threads


def test_the_epoch_with_the_lowest_nll_counts() -> None:
    # what chooses has other labels: learning by heart soon makes its NLL rise
    fit, choose = noise(16, 4), noise(16, 4)._replace(labels=(torch.arange(16) + 1) % 4)
    trained = go(Recipe(epochs=25, batch=4), fit, choose)
    best = min(trained.history, key=lambda row: row.choice_nll)
    assert trained.best_epoch == best.epoch
    assert best.choice_nll < trained.history[-1].choice_nll - 0.1
    assert fit_temperature(choose.labels.numpy(), trained.probs).nll == pytest.approx(best.choice_nll, rel=1e-4)
    top1 = (trained.probs.argmax(axis=1) == choose.labels.numpy()).mean()
    assert top1 == pytest.approx(best.choice_top1)
    with torch.no_grad():
        x = ((choose.pixels.float() - 127.5) / 127.5).permute(0, 3, 1, 2)
        assert np.allclose(trained.network(x).softmax(dim=1).numpy(), trained.probs, atol=1e-5)


def test_the_history_has_a_row_an_epoch() -> None:
    history = go(Recipe(epochs=3, batch=4, warm_up=0.0), noise(8, 4)).history
    assert [row.epoch for row in history] == [1, 2, 3]
    assert [row.seconds for row in history] == sorted(row.seconds for row in history)
    # linear, 6 steps: the last of each epoch has 5/6, 3/6, 1/6 of the peak
    assert [row.lr for row in history] == pytest.approx([0.02 * left / 6 for left in (5, 3, 1)])
    assert all(row.images_per_second > 0 and 0 <= row.waiting <= 1 for row in history)


def test_patience_counts_epochs_without_a_lower_nll() -> None:
    fit, choose = noise(16, 4), noise(16, 4)._replace(labels=(torch.arange(16) + 1) % 4)
    trained = go(Recipe(epochs=25, batch=4, patience=3), fit, choose)
    assert len(trained.history) == trained.best_epoch + 3 < 25
    assert trained.stopped == "the NLL has not fallen for 3 epochs"
    assert not trained.diverged


def test_the_epoch_under_way_is_the_last_when_time_is_up() -> None:
    trained = go(Recipe(epochs=50, time_limit=1e-9), noise(8, 4))
    assert len(trained.history) == 1
    assert trained.stopped == "the time limit of 1e-09 s is over"
    assert len(go(Recipe(epochs=3, time_limit=1e9), noise(8, 4)).history) == 3


def test_the_time_left_is_never_less_than_the_epoch_under_way_takes() -> None:
    told = []

    def watch(items: Iterable[T], total: int, what: str) -> Iterable[T]:
        assert (total, what) == (4, "steps")
        for item in items:
            yield item
            told.append(cast("State", item).seconds_left)

    trained = go(Recipe(epochs=1, batch=4, time_limit=1e-9), noise(16, 4), track=watch)
    assert len(trained.history) == 1
    assert len(told) == 4
    assert min(cast("list[float]", told[:3])) > 0
    assert told[3] == 0


class Watching(nn.Module):
    """Notes how many images it is given, in training and in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = builder()()
        self.seen: dict[bool, set[int]] = {True: set(), False: set()}

    def forward(self, x: Tensor) -> Tensor:
        self.seen[self.training].add(len(x))
        logits: Tensor = self.inner(x)
        return logits


@pytest.mark.parametrize(("accumulate", "piece"), [(1, 4), (2, 2)])
@pytest.mark.parametrize("judged", [1, 3, 64])
def test_a_piece_is_trained_on_at_once_and_as_many_or_more_are_judged(accumulate: int, piece: int, judged: int) -> None:
    network = Watching()
    recipe = Recipe(epochs=1, batch=4, accumulate=accumulate)
    go(recipe, noise(8, 4), noise(192, 4), build=lambda: network, setting=Setting(1, judged=judged))
    assert network.seen == {True: {piece}, False: {max(piece, judged)}}


def test_waiting_for_images_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def slow() -> Iterator[int]:
        for item in range(2):
            clock[0] += 3.0  # the image comes
            yield item

    training = State(nn.Identity(), make_optimizer(nn.Linear(1, 1), Recipe()), None, Setting(1), started=0.0)
    for _ in training.timed(slow()):
        clock[0] += 1.0  # the step
        training.images += 4
    assert training.speed == (8 / 8, 6 / 8)
    assert training.progress == "1 images/s, 75% waiting for data"


class Exploding(nn.Module):
    """Gives finite logits `good` times, then none."""

    def __init__(self, good: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4))
        self.calls, self.good = 0, good

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.weight.expand(len(x), 4) * (1.0 if self.calls <= self.good else math.nan)


def test_a_loss_that_is_no_number_from_the_start_is_an_error() -> None:
    text = (
        "training diverged in epoch 1: the loss is nan; try a lower lr than 0.02, and `convwise scan` on the images"
    )  # fmt: skip
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        go(Recipe(epochs=3), noise(8, 4), build=lambda: Exploding(0))


def test_a_loss_that_is_no_number_later_keeps_the_best_epoch() -> None:
    exploding = Exploding(4)  # two epochs of one step and one look
    trained = go(Recipe(epochs=9), noise(8, 4), build=lambda: exploding)
    assert trained.stopped == "training diverged in epoch 3: the loss is nan"
    assert trained.diverged
    assert len(trained.history) == 3
    assert trained.best_epoch < 3
    assert math.isnan(trained.history[-1].train_loss)
    assert math.isnan(trained.history[-1].choice_nll)
    assert all(torch.isfinite(t).all() for t in trained.network.state_dict().values())


def test_a_rate_that_is_far_too_high_diverges_in_words() -> None:
    with pytest.raises(DataError, match=r"^training diverged in epoch 1: the (loss|NLL) is (nan|inf); try a lower lr"):
        go(Recipe(epochs=3, batch=2, lr=1e6, warm_up=0.0), noise(16, 4))


def test_every_image_is_seen_once_an_epoch() -> None:
    images = Images(torch.arange(10).reshape(10, 1, 1, 1), torch.arange(10), torch.arange(10).float())
    orders = []
    for epoch in (0, 1, 0):
        seen = [int(label) for batch in InMemory(images, 4, 7).epoch(epoch, 0) for label in batch.labels]
        assert sorted(seen) == list(range(10))
        orders.append(seen)
    assert orders[0] == orders[2] != orders[1]
    rest = [int(label) for batch in InMemory(images, 4, 7).epoch(0, 2) for label in batch.labels]
    assert rest == orders[0][8:]
    assert orders[0] != [int(label) for batch in InMemory(images, 4, 8).epoch(0, 0) for label in batch.labels]


@pytest.mark.parametrize(
    ("n", "size", "sizes"), [(10, 4, [4, 4, 2]), (9, 4, [4, 5]), (1, 4, [1]), (3, 1, [1, 1, 1]), (8, 4, [4, 4])]
)
def test_no_batch_of_one_is_left(n: int, size: int, sizes: list[int]) -> None:
    assert batch_sizes(n, size) == sizes


@pytest.mark.parametrize("channels_last", [True, False])
def test_pixels_are_normalised_into_the_order_that_was_chosen(channels_last: bool) -> None:
    preprocessing = Preprocessing(mean=(1.0, 2.0, 3.0), std=(2.0, 4.0, 8.0))
    x = normaliser(preprocessing, Setting(1, "float32", channels_last))(torch.full((2, 4, 5, 3), 9, dtype=torch.uint8))
    assert x.shape == (2, 3, 4, 5)
    assert x[1, :, 3, 4].tolist() == [(9 - 1) / 2, (9 - 2) / 4, (9 - 3) / 8]
    assert x.is_contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def test_weights_of_the_images_count_in_the_loss() -> None:
    images = noise(8, 2)._replace(weights=torch.tensor([2.0, 0.0] * 4))  # only class 0 counts
    trained = go(Recipe(epochs=20, batch=4), images, build=builder(num_classes=2))
    assert trained.probs[:, 0].min() > 0.5


def test_label_smoothing_is_in_the_loss_and_not_in_the_choice() -> None:
    network = nn.Flatten()  # its input is the logits
    x = torch.tensor([[[[2.0]], [[0.0]]]])
    # -log p = log(1 + e^-2) for class 0, 2 more for class 1; smoothing 0.2 puts 0.1 on class 1
    nll = math.log(1 + math.exp(-2))
    batch = Batch(x, torch.tensor([0]), torch.ones(1))
    assert loss_of(network, Recipe(), batch).item() == pytest.approx(nll)
    assert loss_of(network, Recipe(label_smoothing=0.2), batch).item() == pytest.approx(nll + 0.1 * 2)
    shares = batch._replace(labels=torch.tensor([[0.5, 0.5]]))  # as mixing two images gives
    assert loss_of(network, Recipe(), shares).item() == pytest.approx(nll + 0.5 * 2)


def test_auxiliary_losses_count_with_their_weight_and_reach_their_heads() -> None:
    torch.manual_seed(0)
    network = builder("googlenet_bn", 4, {"aux": True})().eval()
    batch = Batch(torch.rand(2, 3, 64, 64), torch.tensor([1, 2]), torch.ones(2))
    with torch.no_grad():
        logits, others = network.forward_aux(batch.pixels)  # type: ignore[operator]
        main, first, second = (nn.functional.cross_entropy(x, batch.labels).item() for x in (logits, *others))
        got = loss_of(network, Recipe(aux_weight=0.25), batch).item()
    assert got == pytest.approx(main + 0.25 * (first + second), rel=1e-5)
    loss_of(network, Recipe(), batch).backward()
    assert all(p.grad is not None for p in network.parameters())
    network.zero_grad()
    loss_of(network, Recipe(aux_weight=0.0), batch).backward()
    silent = {name for name, p in network.named_parameters() if p.grad is None}
    assert silent
    assert all(name.startswith("aux_heads.") for name in silent)


def test_a_batch_in_pieces_gives_the_gradient_of_the_whole() -> None:
    batch = Batch(torch.rand(7, 28, 28, 1) * 255, torch.arange(7) % 4, torch.rand(7))
    gradients = []
    for accumulate in (1, 3):
        torch.manual_seed(0)
        recipe = Recipe(accumulate=accumulate, batch=7, warm_up=0.0, momentum=0.0, nesterov=True, lr=1e-30)
        training = State.begin(builder()(), recipe, Setting(1))
        for _ in train_epoch(training, recipe, [batch], 1, normaliser(GREY, Setting(1))):
            gradients.append([p.grad.clone() for p in training.network.parameters() if p.grad is not None])
            losses = training.loss
    assert losses > 0
    for whole, parts in zip(*gradients, strict=True):
        assert torch.allclose(whole, parts, atol=1e-5)


@pytest.mark.parametrize(
    ("images", "accumulate", "sizes"), [(7, 3, [3, 2, 2]), (3, 8, [3]), (1, 2, [1]), (5, 2, [3, 2])]
)
def test_pieces_have_two_images_or_more(images: int, accumulate: int, sizes: list[int]) -> None:
    batch = Batch(torch.zeros(images, 1, 1, 1), torch.zeros(images), torch.ones(images))
    assert [len(piece.labels) for piece in pieces(batch, Recipe(accumulate=accumulate))] == sizes


def test_clipping_shortens_the_gradient_to_its_norm() -> None:
    torch.manual_seed(0)
    recipe = Recipe(clip=1e-3, warm_up=0.0)
    training = State.begin(builder()(), recipe, Setting(1))
    for _ in train_epoch(training, recipe, InMemory(noise(8, 4), 8, 0).epoch(0, 0), 1, normaliser(GREY, Setting(1))):
        norm = math.sqrt(sum(float((p.grad**2).sum()) for p in training.network.parameters() if p.grad is not None))
    assert norm == pytest.approx(1e-3, rel=1e-3)


def test_decay_spares_biases_and_norms_where_it_is_told_to() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    for optimizer in ("sgd", "adamw", "rmsprop"):
        groups = make_optimizer(network, Recipe(optimizer=optimizer, weight_decay=0.5, decay_all=False)).param_groups
        assert [(len(g["params"]), g["weight_decay"]) for g in groups] == [(1, 0.5), (3, 0.0)]
        groups = make_optimizer(network, Recipe(optimizer=optimizer, weight_decay=0.5)).param_groups
        assert [(len(g["params"]), g["weight_decay"]) for g in groups] == [(4, 0.5)]


def test_the_average_moves_by_its_decay_and_faster_at_first() -> None:
    ema, network = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    for now, steps, share in ((4.0, 0, 0.9), (1.0, 1, 9 / 11), (1.0, 10_000, 0.1)):
        nn.init.zeros_(ema.weight)
        nn.init.constant_(network.weight, now)
        average(ema, network, 0.9, steps)  # the decay is min(0.9, (1 + steps) / (10 + steps))
        assert ema.weight.item() == pytest.approx(now * share)


def test_the_average_of_batch_norm_has_averaged_statistics_and_the_present_count() -> None:
    ema, network = nn.BatchNorm2d(2), nn.BatchNorm2d(2)  # means 0, variances 1, none counted
    assert network.running_mean is not None
    assert network.running_var is not None
    assert network.num_batches_tracked is not None
    network.running_mean.copy_(torch.tensor([8.0, -4.0]))
    network.running_var.fill_(5.0)
    network.num_batches_tracked.fill_(7)
    average(ema, network, 0.75, 10_000)
    assert ema.running_mean is not None
    assert ema.running_var is not None
    assert ema.running_mean.tolist() == [2.0, -1.0]
    assert ema.running_var.tolist() == [2.0, 2.0]
    assert ema.num_batches_tracked == 7


def test_averaged_weights_are_what_is_judged_and_kept() -> None:
    images = noise(16, 4)
    with_average, without = (go(Recipe(epochs=4, batch=4, ema=ema), images) for ema in (0.999, None))
    assert [row.train_loss for row in with_average.history] == [row.train_loss for row in without.history]
    assert [row.choice_nll for row in with_average.history] != [row.choice_nll for row in without.history]
    assert bits(with_average) != bits(without)


def test_bfloat16_steps_and_keeps_float32_weights() -> None:
    images, build = noise(16, 4, preprocessing=COLOUR), builder("resnet20")
    recipe = Recipe(epochs=2, batch=8)
    rounded = go(recipe, images, build=build, setting=Setting(1, "bfloat16"), preprocessing=COLOUR)
    exact = go(recipe, images, build=build, setting=Setting(1), preprocessing=COLOUR)
    assert {t.dtype for t in rounded.network.parameters()} == {torch.float32}
    assert bits(rounded) != bits(exact)
    for a, b in zip(figures(rounded), figures(exact), strict=True):
        assert a[1] == pytest.approx(b[1], rel=0.1)


@pytest.mark.parametrize(
    ("recipe", "text"),
    [(Recipe(epochs=1, batch=1), "batch 1 in 1"), (Recipe(epochs=1, batch=4, accumulate=3), "batch 4 in 3")],
)
def test_batch_norm_gets_two_images_or_more(recipe: Recipe, text: str) -> None:
    sentence = (
        f"batch norm learns from two images or more at once, got {text} piece(s); raise batch or lower accumulate"
    )  # fmt: skip
    images = noise(8, 4, preprocessing=COLOUR)
    with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
        go(recipe, images, build=builder("resnet20"), preprocessing=COLOUR)
    assert len(go(recipe, noise(4, 4)).history) == 1  # no batch norm, no harm


def test_an_nll_that_is_no_number_stops_too() -> None:
    training = State(Exploding(0), make_optimizer(nn.Linear(1, 1), Recipe()), None, Setting(1))
    finish_epoch(training, Recipe(), 0.1, Judge(noise(4, 4), normaliser(GREY, Setting(1)), 4))
    assert training.stopped == "training diverged in epoch 1: the NLL is nan"
    assert training.best == {}


def test_the_loop_fits_a_screen() -> None:
    def body(function: Callable[..., object]) -> int:
        """Lines behind the docstring."""
        return len(inspect.getsource(function).rpartition('"""')[2].strip().splitlines())

    assert body(train_epoch) <= 25
    assert body(train) + body(epochs) <= 40
