import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from convwise.data.augmentation import OPERATIONS, Augmentation, Draw, draw, hashing
from convwise.data.augmentation.drawing import STREAMS

EVERYTHING = Augmentation.usual(*(name for name in OPERATIONS if name not in ("zoom", "shift")))
N = 60_000

Floats = NDArray[np.float32]


def uniforms(seed: int, epoch: int, stream: str, n: int = N) -> Floats:
    """Three numbers a sample, (3, n)."""
    return np.stack(hashing.uniforms(hashing.word(hashing.states(seed, epoch, np.arange(n)), STREAMS[stream])))


def same(a: Draw, b: Draw) -> bool:
    values: Any = zip(a, b, strict=True)
    return all(np.array_equal(x, y) for x, y in values)


def test_the_words_are_splitmix64_s() -> None:
    # the generator's published first outputs from the state 1234567
    state = np.array([1234567], np.uint64)
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert [int(hashing.word(state, k)[0]) for k in range(4)] == expected


@pytest.mark.parametrize("stream", ["mirror", "pca", "mixed place"])
def test_numbers_are_uniform(stream: str) -> None:
    for numbers in uniforms(0, 0, stream):
        counts = np.bincount((numbers * 100).astype(int), minlength=100)
        chi2 = ((counts - N / 100) ** 2 / (N / 100)).sum() / 99
        assert 0.6 < chi2 < 1.5  # five standard deviations of chi2 / df with 99 degrees of freedom are 0.71
        assert numbers.min() > 0
        assert numbers.max() < 1


def test_numbers_of_operations_epochs_seeds_and_samples_are_unrelated() -> None:
    rows = [uniforms(0, 0, stream) for stream in STREAMS]
    rows += [uniforms(0, epoch, "mirror") for epoch in (1, 2, 1000)]
    rows += [uniforms(seed, 0, "mirror") for seed in (1, 2, -1)]
    rows += [np.roll(rows[0], lag, axis=1) for lag in (1, 2, 128)]
    correlations: Any = np.corrcoef(np.concatenate(rows))
    most = np.abs(correlations - np.eye(len(correlations))).max()
    assert most < 5.5 / np.sqrt(N)  # of some 2,000 pairs; the standard deviation of one is 1 / sqrt(N)


def test_every_bit_of_seed_epoch_and_sample_counts() -> None:
    words = {int(hashing.states(0, 0, np.array([0]))[0])}
    for bit in range(63):
        words |= {int(hashing.states(*place, np.array([sample]))[0]) for place, sample in (
            ((1 << bit, 0), 0), ((0, 1 << bit), 0), ((0, 0), 1 << bit)
        )}  # fmt: skip
    assert len(words) == 1 + 3 * 63
    flips = [bin(a ^ b).count("1") for a in words for b in words if a < b]
    assert 31.5 < np.mean(flips) < 32.5  # half of 64 bits differ


def test_a_sample_is_drawn_alike_in_any_company_and_order() -> None:
    alone = [draw(EVERYTHING, 3, 5, [sample])[0] for sample in range(70)]
    together = list(draw(EVERYTHING, 3, 5, range(70)))
    backwards = list(draw(EVERYTHING, 3, 5, range(1000, -1, -1)))[::-1]
    for sample in range(70):
        assert same(alone[sample], together[sample])
        assert same(alone[sample], backwards[sample])
        assert same(alone[sample], draw(EVERYTHING, 3, 5, range(70))[sample])


def test_another_seed_epoch_or_sample_is_drawn_otherwise() -> None:
    first = draw(EVERYTHING, 0, 0, [0])[0]
    for seed, epoch, sample in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
        assert not same(first, draw(EVERYTHING, seed, epoch, [sample])[0])


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in ("zoom", "shift")])
def test_an_operation_turned_on_leaves_the_others_as_they_were(name: str) -> None:
    others = Augmentation.usual(*(other for other in OPERATIONS if other not in (name, "zoom", "shift")))
    fields = {  # what an operation may change
        "mirror": {"turn"}, "rotation": {"turn"}, "shear": {"turn"}, "area": {"size", "place"}, "warp": {"grid"},
        "erasing": {"erased"}, "mixup": {"mixed", "share"}, "cutmix": {"mixed", "share"},
    }.get(name, {"colour", "contrast"})  # fmt: skip
    for with_it, without in zip(draw(EVERYTHING, 0, 0, range(50)), draw(others, 0, 0, range(50)), strict=True):
        for field in Draw._fields:
            equal = np.array_equal(getattr(with_it, field), getattr(without, field))
            assert equal or field in fields, field


def test_what_is_off_is_as_if_nothing_were_drawn() -> None:
    for drawn in draw(Augmentation(), 0, 0, range(3)):
        assert drawn == Draw()


def test_mirror_has_its_probability() -> None:
    share = np.mean([drawn.turn[0] < 0 for drawn in draw(Augmentation(mirror=0.3), 0, 0, range(20_000))])
    assert share == pytest.approx(0.3, abs=0.013)  # four standard deviations


def test_crops_are_uniform_in_area_and_in_the_logarithm_of_their_ratio() -> None:
    sizes = np.array([drawn.size for drawn in draw(Augmentation.usual("area"), 0, 0, range(20_000))])
    area, ratio = sizes.prod(axis=1), np.log(sizes[:, 0] / sizes[:, 1])
    assert [area.min(), area.mean(), area.max()] == pytest.approx([0.08, 0.54, 1.0], abs=0.008)
    assert [ratio.min(), ratio.mean(), ratio.max()] == pytest.approx([np.log(3 / 4), 0, np.log(4 / 3)], abs=0.008)


def test_the_grid_is_uniform_within_its_strength() -> None:
    drawn: Any = [one.grid for one in draw(Augmentation(warp=0.04, warp_nodes=6), 0, 0, range(500))]
    grids = np.stack(drawn)
    assert grids.shape == (500, 6, 6, 2)
    assert [grids.min(), grids.mean(), grids.max()] == pytest.approx([-0.04, 0, 0.04], abs=0.001)
    flat = grids.reshape(500, -1)
    assert np.abs(np.corrcoef(flat.T) - np.eye(72)).max() < 0.25  # 5.5 / sqrt(500)


@pytest.mark.parametrize(("parameter", "variance"), [(0.2, 0.25 / 1.4), (1.0, 0.25 / 3), (3.0, 0.25 / 7)])
def test_shares_of_mixtures_have_beta_s_moments(parameter: float, variance: float) -> None:
    # the variance of Beta(a, a) is 1 / (4 (2 a + 1)), its mean 1/2
    shares = np.array([drawn.share for drawn in draw(Augmentation(mixup=parameter), 0, 0, range(20_000))])
    assert shares.mean() == pytest.approx(0.5, abs=0.012)
    assert shares.var() == pytest.approx(variance, rel=0.03)
    assert shares.min() >= 0
    assert shares.max() <= 1


def test_shares_follow_beta_s_distribution() -> None:
    # of Beta(2, 2): the probability of at most x is 3 x^2 - 2 x^3
    shares = np.array([drawn.share for drawn in draw(Augmentation(cutmix=2.0), 0, 0, range(20_000))])
    for x in (0.1, 0.3, 0.5, 0.8):
        assert (shares <= x).mean() == pytest.approx(3 * x**2 - 2 * x**3, abs=0.015)


def test_mixup_and_cutmix_share_the_images() -> None:
    drawn = list(draw(Augmentation(mixup=1, cutmix=1), 0, 0, range(20_000)))
    assert np.mean([d.mixed == "cutmix" for d in drawn]) == pytest.approx(0.5, abs=0.015)
    assert {d.mixed for d in drawn} == {"mixup", "cutmix"}
    assert {d.mixed for d in draw(Augmentation(cutmix=1), 0, 0, range(50))} == {"cutmix"}


def test_there_is_no_draw_beyond_the_samples() -> None:
    draws = draw(EVERYTHING, 0, 0, range(3))
    assert len(draws) == 3
    assert len(draw(EVERYTHING, 0, 0, [])) == 0
    for i in (-1, 3):
        with pytest.raises(IndexError, match=str(i)):
            draws[i]


def test_drawing_everything_costs_little_more_than_the_numbers_themselves() -> None:
    # 20 ms for 60,000 samples, as a multiple of what numpy needs for as many normal numbers on this machine
    samples, generator = np.arange(N), np.random.default_rng(0)

    def seconds(work: object) -> float:
        times = []
        for _ in range(5):
            begun = time.process_time()
            work()  # type: ignore[operator]
            times.append(time.process_time() - begun)
        return min(times)

    yardstick = seconds(lambda: generator.standard_normal((32, N)))  # about 16 ms where drawing takes 8
    assert seconds(lambda: draw(EVERYTHING, 0, 1, samples)) < yardstick
