import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from convwise.data.augmentation import OPERATIONS, Augmentation, draw
from convwise.data.augmentation.applying import apply
from convwise.data.augmentation.batches import Batch, Epoch, batches
from convwise.data.augmentation.mixing import mix
from convwise.data.preprocessing import Preprocessing

Pixels = NDArray[np.uint8]

EVERYTHING = Augmentation.usual(*(name for name in OPERATIONS if name not in ("zoom", "shift")))
SMALL = Preprocessing(resolution=24)


@dataclass
class Photos:
    """Noise of several sizes; remembers what was looked at, and by whom."""

    n: int
    seen: list[int] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)

    def __getitem__(self, sample: int) -> Pixels:
        self.seen.append(sample)
        self.threads.add(threading.current_thread().name)
        rng = np.random.default_rng(sample)
        return rng.integers(0, 256, (*rng.integers(20, 70, 2), 3), np.uint8)


def take(
    sizes: Sequence[int], *, threads: int, epoch: int = 0, first: int = 0, how: Augmentation = EVERYTHING
) -> list[Batch]:
    return list(batches(Photos(sum(sizes)), Epoch.shuffled(7, epoch, sizes), how, SMALL, threads=threads, first=first))


def digest(found: Sequence[Batch]) -> str:
    """Hash of everything in the batches, however they are divided."""
    return hashlib.sha256(b"".join(np.concatenate(part).tobytes() for part in zip(*found, strict=True))).hexdigest()


def test_the_bytes_are_the_same_at_any_number_of_threads_and_in_any_batches() -> None:
    expected = digest(take([16, 16, 16, 9], threads=0))
    for threads in (1, 2, 4):
        assert digest(take([16, 16, 16, 9], threads=threads)) == expected
    for sizes in ([57], [1] * 57, [50, 7], [3] * 19):
        assert digest(take(sizes, threads=2)) == expected


def test_an_epoch_goes_on_from_any_batch_with_the_same_bytes() -> None:
    sizes = [16, 16, 16, 9]
    whole = take(sizes, threads=2, epoch=3)
    for first in range(5):
        rest = take(sizes, threads=2, epoch=3, first=first)
        assert len(rest) == 4 - first
        if rest:
            assert digest(rest) == digest(whole[first:])


def test_batches_before_the_first_are_not_made() -> None:
    photos, epoch = Photos(40), Epoch.shuffled(0, 0, [20, 20])
    list(batches(photos, epoch, Augmentation(mirror=0.5), SMALL, threads=2, first=1))
    assert sorted(photos.seen) == sorted(epoch.order[20:].tolist())


def test_another_epoch_or_seed_has_other_bytes_and_another_order() -> None:
    one, two = take([30], threads=0, epoch=1)[0], take([30], threads=0, epoch=2)[0]
    assert one.samples.tolist() != two.samples.tolist()
    assert digest([one]) != digest([two])
    assert Epoch.shuffled(0, 0, [30]).order.tolist() != Epoch.shuffled(1, 0, [30]).order.tolist()


def test_every_sample_comes_once_an_epoch() -> None:
    for epoch in range(3):
        order = Epoch.shuffled(5, epoch, [10, 10, 3]).order
        assert sorted(order.tolist()) == list(range(23))
    places = np.array([Epoch.shuffled(0, epoch, [50]).order.tolist().index(0) for epoch in range(400)])
    assert places.mean() == pytest.approx(24.5, abs=3.7)  # five standard deviations


def test_each_image_is_what_its_draw_makes_of_it_and_its_partner_is_the_next_in_order() -> None:
    order = Epoch.shuffled(7, 2, [5, 4]).order
    found = take([5, 4], threads=2, epoch=2)
    draws = draw(EVERYTHING, 7, 2, order)
    views = [apply(Photos(9)[s], d, EVERYTHING, SMALL) for s, d in zip(order.tolist(), draws, strict=True)]
    for place in range(9):
        batch, row = (found[0], place) if place < 5 else (found[1], place - 5)
        expected = views[place].copy()
        share = mix(expected, views[(place + 1) % 9], draws[place])
        assert np.array_equal(batch.pixels[row], expected)
        assert batch.samples[row] == order[place]
        assert batch.partners[row] == order[(place + 1) % 9]
        assert batch.shares[row] == pytest.approx(share)


def test_without_mixing_each_is_its_own_partner() -> None:
    (batch,) = take([12], threads=2, how=Augmentation.usual("mirror", "erasing"))
    assert batch.partners.tolist() == batch.samples.tolist()
    assert batch.shares.tolist() == [1.0] * 12


def test_one_sample_alone_is_mixed_with_itself() -> None:
    (batch,) = take([1], threads=0, how=Augmentation(cutmix=1))
    assert batch.partners.tolist() == batch.samples.tolist() == [0]


def test_work_is_done_in_threads_or_where_it_is_asked_for() -> None:
    for threads, expected in ((0, 1), (3, 3)):
        photos = Photos(600)
        list(batches(photos, Epoch.shuffled(0, 0, [100] * 6), EVERYTHING, SMALL, threads=threads))
        assert len(photos.threads) == expected
        assert (threading.current_thread().name in photos.threads) == (threads == 0)


@pytest.mark.parametrize("threads", [1, 4])
def test_at_most_two_batches_are_made_ahead(threads: int) -> None:
    photos, large = Photos(1000), Preprocessing(resolution=160)  # 77 kB: a part is not too small with 3 of them
    running = batches(photos, Epoch.shuffled(0, 0, [20] * 50), Augmentation(mirror=1), large, threads=threads)
    for done in range(1, 6):
        next(running)
        assert len(photos.seen) <= 20 * (done + 2) + 20
    running.close()  # type: ignore[attr-defined]
    seen = len(photos.seen)
    assert seen < 200
    assert threading.active_count() < 20


@pytest.mark.parametrize("threads", [1, 2])
def test_of_small_images_at_most_four_parts_a_thread_are_made_ahead(threads: int) -> None:
    photos = Photos(1000)
    running = batches(photos, Epoch.shuffled(0, 0, [20] * 50), Augmentation(mirror=1), SMALL, threads=threads)
    for done in range(1, 6):
        next(running)
        assert len(photos.seen) <= 20 * (done + 4 * threads)  # a batch of 35 kB is one part
    running.close()  # type: ignore[attr-defined]


def test_an_image_that_fails_stops_the_batches_with_its_error() -> None:
    class Broken(Photos):
        def __getitem__(self, sample: int) -> Pixels:
            if sample == 17:
                raise OSError("gone")
            return super().__getitem__(sample)

    with pytest.raises(OSError, match=r"^gone$"):
        list(batches(Broken(40), Epoch.shuffled(0, 0, [10] * 4), EVERYTHING, SMALL, threads=2))


def test_opencv_s_own_threads_are_as_before_afterwards() -> None:
    before = cv2.getNumThreads()
    running = batches(Photos(8), Epoch.shuffled(0, 0, [4, 4]), EVERYTHING, SMALL, threads=2)
    next(running)
    assert cv2.getNumThreads() == 1
    list(running)
    assert cv2.getNumThreads() == before


def test_memory_is_flat_over_20_epochs() -> None:
    photos = [Photos(1)[sample] for sample in range(64)]
    process, resident = psutil.Process(), []
    for epoch in range(20):
        for batch in batches(photos, Epoch.shuffled(0, epoch, [32, 32]), EVERYTHING, Preprocessing(), threads=2):
            assert len(batch.samples) == 32
        resident.append(process.memory_info().rss / 1e6)
    # a batch takes 4.8 MB: one that stayed each epoch would make 80
    assert resident[-1] - resident[3] < 16
