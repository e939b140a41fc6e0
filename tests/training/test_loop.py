import math
import re
import time
from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convwise import networks
from convwise.data.preprocessing import Preprocessing
from convwise.errors import DataError
from convwise.progress import T, silent
from convwise.training import loop
from convwise.training.loop import Images, Recipe, Trained, batches, train, triangle

GREY = Preprocessing(channels=1, resolution=28, crop=1.0, mean=(127.5,), std=(127.5,))


def noise(n: int, num_classes: int, seed: int = 0) -> Images:
    """Images of noise: what they are can only be learnt by heart."""
    rng = np.random.default_rng(seed)
    pixels = torch.from_numpy(rng.integers(0, 256, (n, *GREY.shape), np.uint8))
    return Images(pixels, torch.arange(n) % num_classes, torch.ones(n))


def lenet(num_classes: int = 4) -> Callable[[], nn.Module]:
    return lambda: networks.create("lenet5", num_classes)


def go(recipe: Recipe, fit: Images, choose: Images | None = None, build: Callable[[], nn.Module] | None = None,
       threads: int = 1) -> Trained:  # fmt: skip
    return train(build or lenet(), recipe, GREY, fit, choose or fit, threads=threads, track=silent)


def bits(trained: Trained) -> bytes:
    return b"".join(t.numpy().tobytes() for t in trained.network.state_dict().values())


def test_eight_images_are_learnt_by_heart() -> None:
    images = noise(8, 4)
    trained = go(Recipe(epochs=60, batch=4), images)
    assert (trained.probs.argmax(axis=1) == images.labels.numpy()).all()
    assert trained.history[-1].train_nll < 0.05
    assert not trained.network.training


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
        return lenet()()

    go(Recipe(epochs=1), noise(8, 4), build=build, threads=other)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads
    assert seen == [other]


def test_torch_is_left_as_it_was_after_an_error() -> None:
    threads = torch.get_num_threads()

    def build() -> nn.Module:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go(Recipe(epochs=1), noise(8, 4), build=build, threads=threads + 1)
    assert torch.get_num_threads() == threads


def test_the_epoch_with_the_lowest_nll_counts() -> None:
    # what chooses has other labels: learning by heart soon makes its NLL rise
    fit, choose = noise(16, 4), noise(16, 4)._replace(labels=(torch.arange(16) + 1) % 4)
    trained = go(Recipe(epochs=25, batch=4), fit, choose)
    best = min(trained.history, key=lambda row: row.choice_nll)
    assert best.choice_nll < trained.history[-1].choice_nll - 0.1
    nll = -np.log(trained.probs[np.arange(16), choose.labels.numpy()]).mean()
    assert nll == pytest.approx(best.choice_nll, rel=1e-4)
    top1 = (trained.probs.argmax(axis=1) == choose.labels.numpy()).mean()
    assert top1 == pytest.approx(best.choice_top1)
    with torch.no_grad():
        x = ((choose.pixels.float() - 127.5) / 127.5).permute(0, 3, 1, 2)
        assert np.allclose(trained.network(x).softmax(dim=1).numpy(), trained.probs, atol=1e-5)


def test_the_history_has_a_row_an_epoch() -> None:
    history = go(Recipe(epochs=3), noise(8, 4)).history
    assert [row.epoch for row in history] == [1, 2, 3]
    assert [row.seconds for row in history] == sorted(row.seconds for row in history)


def test_the_epoch_under_way_is_the_last_when_time_is_up() -> None:
    assert len(go(Recipe(epochs=50, time_limit=1e-9), noise(8, 4)).history) == 1
    assert len(go(Recipe(epochs=3, time_limit=1e9), noise(8, 4)).history) == 3


@pytest.mark.parametrize(("limit", "what"), [(None, "epochs"), (1e-9, "epochs at most")])
def test_progress_promises_no_more_epochs_than_may_be_run(limit: float | None, what: str) -> None:
    said = []

    def track(items: Iterable[T], total: int, what: str) -> Iterable[T]:
        said.append((total, what))
        return items

    images = noise(8, 4)
    train(lenet(), Recipe(epochs=3, time_limit=limit), GREY, images, images, threads=1, track=track)
    assert said == [(3, what)]


def test_no_more_images_than_a_batch_are_looked_at_at_once() -> None:
    seen = []

    class Watching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = lenet()()

        def forward(self, x: Tensor) -> Tensor:
            seen.append(len(x))
            logits: Tensor = self.inner(x)
            return logits

    go(Recipe(epochs=1, batch=4), noise(8, 4), noise(300, 4), build=Watching)
    assert max(seen) == 4


def test_the_time_limit_counts_from_the_first_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    # start at 0; an epoch takes 10 (its row) and 10 (the question)
    assert len(go(Recipe(epochs=50, time_limit=35), noise(8, 4)).history) == 2


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
    text = "training diverged in epoch 1: the loss is nan; look at the images with `convwise scan`"
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        go(Recipe(epochs=3), noise(8, 4), build=lambda: Exploding(0))


def test_a_loss_that_is_no_number_later_keeps_the_best_epoch() -> None:
    trained = go(Recipe(epochs=9), noise(8, 4), build=lambda: Exploding(4))  # two epochs of one step and one look
    assert len(trained.history) == 3
    assert math.isnan(trained.history[-1].train_nll)
    assert np.isfinite(trained.probs).all()
    assert all(torch.isfinite(t).all() for t in trained.network.state_dict().values())


def test_the_rate_rises_over_a_tenth_and_falls_to_nothing() -> None:
    # 20 steps, 2 of them up; then 18 down: (20 - step) / 18
    rates = [triangle(step, 20) for step in range(21)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[3:] == pytest.approx([(20 - step) / 18 for step in range(3, 21)])
    assert rates[20] == 0


@pytest.mark.parametrize("steps", [1, 2, 5, 9, 11])
def test_short_trainings_have_a_rate_too(steps: int) -> None:
    rates = [triangle(step, steps) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)
    assert triangle(steps, steps) == 0


def test_every_image_is_seen_once_an_epoch_normalised() -> None:
    pixels = torch.arange(10, dtype=torch.uint8).reshape(10, 1, 1, 1).expand(10, 2, 3, 3)
    images = Images(pixels, torch.arange(10), torch.arange(10).float())
    normalise = loop._normaliser(Preprocessing(mean=(1.0, 2.0, 3.0), std=(2.0, 4.0, 8.0)))
    seen = []
    for x, labels, weights in batches(images, 4, normalise):
        assert x.shape[1:] == (3, 2, 3)
        for image, label, weight in zip(x, labels.tolist(), weights.tolist(), strict=True):
            assert weight == label
            expected = [(label - 1) / 2, (label - 2) / 4, (label - 3) / 8]
            assert image[:, 0, 0].tolist() == pytest.approx(expected)
            seen.append(label)
    assert sorted(seen) == list(range(10))
    assert seen != list(range(10))


def test_weights_of_the_images_count_in_the_loss() -> None:
    images = noise(8, 2)._replace(weights=torch.tensor([2.0, 0.0] * 4))  # only class 0 counts
    trained = go(Recipe(epochs=20, batch=4), images, build=lenet(2))
    assert trained.probs[:, 0].min() > 0.5


def test_an_epoch_learns_from_every_batch() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    nn.init.zeros_(network[1].weight)  # type: ignore[arg-type]
    nn.init.zeros_(network[1].bias)  # type: ignore[arg-type]
    optimizer = torch.optim.SGD(network.parameters(), 0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    data = [(torch.ones(n, 1, 2, 2), torch.zeros(n, dtype=torch.long), torch.ones(n)) for n in (3, 1)]
    assert loop.train_epoch(network, data, optimizer, schedule) == pytest.approx(math.log(2))
    assert schedule.last_epoch == 2
