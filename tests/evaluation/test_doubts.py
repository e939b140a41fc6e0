"""Doubts about labels: the noise model by hand, and labels that were flipped are found."""

import numpy as np
import pytest
from numpy.typing import NDArray

from convwise.evaluation.doubts import Doubts, find_doubts, wrong_labels

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


def clusters(n: int = 200, k: int = 4, share: float = 0.05, seed: int = 0) -> tuple[Floats, Ints, Ints]:
    """Features of k classes that stand well apart, labels of which a share is flipped, and which those are."""
    rng = np.random.default_rng(seed)
    true = np.arange(n) % k
    features = (4 * np.eye(k, 16)[true] + rng.standard_normal((n, 16))).astype(np.float32)
    flipped = rng.choice(n, round(share * n), replace=False)
    labels = true.copy()
    labels[flipped] = (true[flipped] + rng.integers(1, k, len(flipped))) % k
    return features, labels, np.sort(flipped)


def test_the_probability_of_a_wrong_label_is_that_of_the_noise_model() -> None:
    k, n = 3, 39
    probs = np.tile(np.array([0.9, 0.05, 0.05], np.float32), (n, 1))
    probs[0] = [0.7, 0.2, 0.1]
    labels = np.zeros(n, np.int64)
    labels[0] = 1  # not among the surest half, which all agree: 19 images, Jeffreys' estimate 0.5 / 20
    wrong, noise = wrong_labels(probs, labels, np.ones(n, bool))
    assert noise == pytest.approx(0.025)
    each = 0.025 / (k - 1)
    clean = (0.2 - each) / (1 - 0.025 - each)  # the inverse of 0.2 = (1 - e) clean + each (1 - clean)
    assert wrong[0] == pytest.approx(each * (1 - clean) / 0.2, rel=1e-5)
    assert (1 - 0.025) * clean + each * (1 - clean) == pytest.approx(0.2)


def test_a_label_less_likely_than_noise_alone_is_wrong_for_sure_and_one_that_is_certain_is_not() -> None:
    probs = np.array([[1, 0], [1e-9, 1], [0, 1], [1, 0]], np.float32)
    wrong, noise = wrong_labels(probs, np.array([0, 0, 1, 0]), np.ones(4, bool))
    assert wrong[1] == pytest.approx(1)
    assert (wrong[[0, 2, 3]] < 1e-6).all()
    assert 0 < noise <= 0.4


def test_flipped_labels_are_found_and_little_else() -> None:
    features, labels, flipped = clusters()
    found = find_doubts(features, labels, 4, np.arange(200) // 4 % 5, 0.01, threads=2)
    listed = found.listed
    assert len(np.intersect1d(listed, flipped)) >= 9  # of 10
    assert len(listed) <= 12
    assert (np.diff(found.wrong[listed]) <= 0).all()
    assert found.noise == pytest.approx(0.05, abs=0.03)
    true = np.arange(200) % 4
    assert (found.suggested(labels)[np.intersect1d(listed, flipped)] == true[np.intersect1d(listed, flipped)]).all()


def test_clean_labels_that_are_easy_are_not_doubted() -> None:
    features, labels, _ = clusters(share=0)
    assert len(find_doubts(features, labels, 4, np.arange(200) // 4 % 5, 0.01).listed) <= 1


def test_a_class_that_only_one_fold_has_is_not_doubted() -> None:
    features, labels, _ = clusters(n=60, k=3, share=0)
    labels = np.append(labels, 3)  # a class of one image: the layers that judge it have never seen the class
    features = np.concatenate([features, np.full((1, 16), 9, np.float32)])
    found = find_doubts(features, labels, 4, np.append(np.arange(60) // 3 % 5, 0), 0.01)
    assert found.probs[-1, 3] < 0.5
    assert found.wrong[-1] == 0
    assert 60 not in found.listed


def test_what_is_suggested_is_never_the_label_itself() -> None:
    doubts = Doubts(np.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]], np.float32), np.zeros(2, np.float32), 0.1)
    assert doubts.suggested(np.array([0, 1])).tolist() == [1, 0]
    assert doubts.listed.tolist() == []
