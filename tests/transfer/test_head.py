"""The softmax layer against scikit-learn's, and the choice of its penalty."""

import copy
import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from convwise.metrics import softmax
from convwise.transfer.design import LEAST, Design
from convwise.transfer.examples import with_views
from convwise.transfer.head import DEFAULT_L2, L2_GRID, Choice, choose_l2, fit_head, out_of_fold

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


def problem(n: int, d: int, num_classes: int, *, signal: float = 0.7, seed: int = 0) -> tuple[Floats, Ints]:
    """Features of unlike scale and offset, with a weak trace of the class; correlated, as features are."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % num_classes
    centres = rng.normal(size=(num_classes, d))
    raw = rng.normal(size=(n, d)) @ (np.eye(d) + 0.3 * rng.normal(size=(d, d)) / np.sqrt(d)) + signal * centres[labels]
    return (raw * rng.uniform(0.1, 5, d) + rng.uniform(-9, 9, d)).astype(np.float32), labels.astype(np.int64)


def reference(x: Floats, labels: Ints, l2: float, asked: Floats, **options: Any) -> NDArray[np.float64]:
    """Probabilities of scikit-learn: sum of nll + |W|^2 / (2 C) is ours times n at C = 1 / (n l2)."""
    scaler = StandardScaler().fit(x.astype(np.float64))
    scaler.scale_ = np.maximum(scaler.scale_, LEAST * np.sqrt(scaler.var_.mean()))
    model = LogisticRegression(C=1 / (len(x) * l2), tol=1e-10, max_iter=20_000, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(scaler.transform(x.astype(np.float64)), labels)
    probs: NDArray[np.float64] = model.predict_proba(scaler.transform(asked.astype(np.float64)))
    return probs


def reference_probs(x: Floats, labels: Ints, l2: float, asked: Floats, **options: Any) -> NDArray[np.float64]:
    """As `reference`; for two classes our penalty is on two rows, w / 2 and -w / 2, which halves it."""
    binary = len(np.unique(labels)) == 2
    return reference(x, labels, l2 / 2 if binary else l2, asked, **options)


@pytest.mark.parametrize("num_classes", [2, 5])
@pytest.mark.parametrize(("n", "d"), [(120, 12), (40, 90)])
@pytest.mark.parametrize("l2", [1.0, 0.01])
def test_probabilities_equal_those_of_scikit_learn(num_classes: int, n: int, d: int, l2: float) -> None:
    features, labels = problem(n + 50, d, num_classes)
    x, y, asked = features[:n], labels[:n], features[n:]
    head = fit_head(Design(x), y, num_classes, l2)
    assert head.converged
    assert head.weight.shape == (num_classes, d)
    assert np.abs(softmax(head.logits(asked)) - reference_probs(x, y, l2, asked)).max() < 1e-3


@pytest.mark.parametrize(("n", "d"), [(150, 8), (60, 80)])
def test_balance_weighs_all_classes_alike(n: int, d: int) -> None:
    features, labels = problem(n, d, 3)
    labels = np.where(np.arange(n) % 10 < 7, 0, labels).astype(np.int64)  # most are of class 0
    plain = softmax(fit_head(Design(features), labels, 3, 0.1).logits(features))
    balanced = softmax(fit_head(Design(features), labels, 3, 0.1, balance=True).logits(features))
    assert np.abs(balanced - plain).max() > 0.05
    expected = reference_probs(features, labels, 0.1, features, class_weight="balanced")
    assert np.abs(balanced - expected).max() < 1e-3


@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize(("n", "d"), [(90, 10), (40, 70)])
def test_rows_that_are_not_learnt_from_change_nothing(n: int, d: int, balance: bool) -> None:
    features, labels = problem(n + 30, d, 3)
    labels[n:] = 0  # other shares than those learnt from
    features[n:] *= 3
    learn = np.arange(n + 30) < n
    whole = fit_head(Design(features, learn), labels, 3, 0.1, balance=balance)
    alone = fit_head(Design(features[:n]), labels[:n], 3, 0.1, balance=balance)
    difference = softmax(whole.logits(features)) - softmax(alone.logits(features))
    assert np.abs(difference).max() < 1e-3


def test_a_constant_feature_gets_no_weight() -> None:
    features, labels = problem(60, 6, 3)
    features[:, 2] = 7.5
    head = fit_head(Design(features), labels, 3, 0.1)
    assert head.converged
    assert np.abs(head.weight[:, 2]).max() < 1e-6
    without = fit_head(Design(np.delete(features, 2, axis=1)), labels, 3, 0.1)
    assert np.allclose(head.logits(features), without.logits(np.delete(features, 2, axis=1)), atol=2e-3)


def test_a_feature_that_hardly_ever_fires_decides_nothing() -> None:
    features, labels = problem(60, 6, 2)
    features[:, 2] = 0
    features[7, 2] = 1e-4  # of one image alone, and so told by its label
    head = fit_head(Design(features), labels, 2, 0.1)
    asked = features.copy()
    asked[:, 2] = 1  # as much as the others
    assert np.abs(head.weight[:, 2]).max() < 1e-3
    assert np.abs(softmax(head.logits(asked)) - softmax(head.logits(features))).max() < 1e-2


def test_features_that_are_all_constant_give_the_shares_of_the_classes() -> None:
    labels = np.array([0, 0, 0, 1], np.int64)
    for d in (2, 9):
        head = fit_head(Design(np.ones((4, d), np.float32)), labels, 2, 0.1)
        assert head.converged
        assert np.allclose(softmax(head.logits(np.ones((1, d), np.float32))), [[0.75, 0.25]], atol=1e-3)


def test_a_class_without_rows_gets_next_to_no_probability() -> None:
    features, labels = problem(60, 6, 2)
    probs = softmax(fit_head(Design(features), labels, 3, 0.01).logits(features))
    assert probs[:, 2].max() < 0.02


def test_the_same_problem_gives_the_same_bits() -> None:
    features, labels = problem(60, 80, 4)
    first, second = (fit_head(Design(features.copy()), labels, 4, 0.1) for _ in range(2))
    assert first.weight.tobytes() == second.weight.tobytes()
    assert first.bias.tobytes() == second.bias.tobytes()


def test_the_minimum_is_the_same_from_any_start() -> None:
    features, labels = problem(90, 10, 3)
    design = Design(features)
    start = np.random.default_rng(0).normal(size=(11, 3)).astype(np.float32)
    far, near = fit_head(design, labels, 3, 0.1, start=start), fit_head(design, labels, 3, 0.1)
    assert far.converged
    assert np.abs(softmax(far.logits(features)) - softmax(near.logits(features))).max() < 1e-3


def test_a_choice_gives_a_start_of_the_right_shape() -> None:
    for n, d in ((90, 10), (40, 60)):
        features, labels = problem(n, d, 3)
        design = Design(features)
        choice = choose_l2(design, labels, 3, np.arange(n) // 3 % 5)
        head = fit_head(design, labels, 3, choice.l2, start=choice.start)
        cold = fit_head(design, labels, 3, choice.l2)
        assert np.abs(softmax(head.logits(features)) - softmax(cold.logits(features))).max() < 1e-3


@pytest.mark.parametrize("learn", [False, True])
def test_rows_in_chunks_give_the_same_at_any_number_of_threads(monkeypatch: pytest.MonkeyPatch, learn: bool) -> None:
    features, labels = problem(200, 12, 3)
    rows = np.arange(200) % 4 > 0 if learn else None
    whole = fit_head(Design(features, rows), labels, 3, 0.1)
    monkeypatch.setattr("convwise.transfer.design.CHUNK", 33)
    one, three = (fit_head(Design(features, rows, threads), labels, 3, 0.1) for threads in (1, 3))
    assert one.weight.tobytes() == three.weight.tobytes()
    assert np.abs(softmax(one.logits(features)) - softmax(whole.logits(features))).max() < 1e-3
    folds = np.arange(200) % 5
    choices = [choose_l2(Design(features, rows, threads), labels, 3, folds) for threads in (1, 3)]
    assert choices[0].probs.tobytes() == choices[1].probs.tobytes()


def chosen(features: Floats, labels: Ints, fold_of: Ints, **options: Any) -> Choice:
    return choose_l2(Design(features), labels, int(labels.max()) + 1, fold_of, **options)


def test_the_strength_with_the_lowest_nll_is_chosen() -> None:
    features, labels = problem(150, 20, 3, signal=0.3)
    choice = chosen(features, labels, np.arange(150) // 3 % 5)
    strengths = [l2 for l2, _ in choice.path]
    assert strengths == list(L2_GRID[: len(strengths)])  # strong to weak
    assert choice.l2 == min(choice.path, key=lambda step: step[1])[0]
    nll = -np.log(choice.probs[np.arange(150), labels]).mean()
    assert nll == pytest.approx(min(value for _, value in choice.path), rel=1e-4)
    assert choice.l2 not in (strengths[0], strengths[-1])


def test_the_search_stops_at_a_clear_rise_or_at_the_second() -> None:
    features, labels = problem(60, 20, 3, signal=0.3)
    path = chosen(features, labels, np.arange(60) // 3 % 5).path
    assert len(path) < len(L2_GRID)
    values = [value for _, value in path]
    assert values[-1] > 1.01 * min(values) or values[-1] > values[-2] > min(values)
    for before, value in pairwise(values[:-1]):  # and not before
        assert value < 1.01 * min(values[: values.index(value) + 1]) or value < before


def test_probabilities_are_those_of_a_layer_that_did_not_see_the_fold() -> None:
    features, labels = problem(100, 12, 3)
    fold_of = np.arange(100) // 3 % 5
    choice = chosen(features, labels, fold_of)
    scaled = StandardScaler().fit_transform(features.astype(np.float64)).astype(np.float32)
    for fold in range(5):
        out = fold_of == fold
        model = LogisticRegression(C=1 / ((~out).sum() * choice.l2), tol=1e-10, max_iter=20_000)
        expected = model.fit(scaled[~out], labels[~out]).predict_proba(scaled[out])
        assert np.abs(choice.probs[out] - expected).max() < 5e-3


def test_labels_that_mean_nothing_are_not_remembered() -> None:
    """A layer that had seen these rows would know every one of them by heart: 40 rows, 300 features."""
    features, _ = problem(40, 300, 2, signal=0.0)
    labels = np.random.default_rng(5).permutation(np.arange(40) % 2).astype(np.int64)
    choice = chosen(features, labels, np.arange(40) % 5)
    seen = softmax(fit_head(Design(features), labels, 2, 1e-3).logits(features))
    assert (seen.argmax(axis=1) == labels).mean() == 1
    assert (choice.probs.argmax(axis=1) == labels).mean() < 0.75
    assert min(value for _, value in choice.path) > 0.5  # ln 2 is 0.69


def test_a_row_that_is_never_left_out_is_always_learnt_from() -> None:
    features, labels = problem(90, 10, 3)
    val = np.arange(90) >= 60
    choice = choose_l2(Design(features, ~val), labels, 3, np.where(val, 0, -1))
    head = fit_head(Design(features[:60]), labels[:60], 3, choice.l2)
    assert np.abs(choice.probs[val] - softmax(head.logits(features[val]))).max() < 2e-3
    nll = -np.log(choice.probs[np.arange(90), labels][val]).mean()
    assert nll == pytest.approx(min(value for _, value in choice.path), rel=1e-4)  # of `val` alone


def test_many_problems_are_solved_in_batches_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = problem(60, 10, 3)
    together = chosen(features, labels, np.arange(60) // 3 % 5)
    monkeypatch.setattr("convwise.transfer.head.BATCH", 1)
    one_by_one = chosen(features, labels, np.arange(60) // 3 % 5)
    assert together.l2 == one_by_one.l2
    assert np.abs(together.probs - one_by_one.probs).max() < 1e-3


def test_balance_counts_in_the_choice() -> None:
    features, labels = problem(100, 10, 2, signal=0.3)
    labels = np.where(np.arange(100) % 10 < 8, 0, labels).astype(np.int64)
    plain, balanced = (chosen(features, labels, np.arange(100) % 5, balance=balance) for balance in (False, True))
    assert balanced.probs[:, 1].mean() > plain.probs[:, 1].mean() + 0.1


@pytest.mark.parametrize("fold", [0, -1])
def test_where_nothing_can_be_chosen_the_default_counts(fold: int) -> None:
    features, labels = problem(10, 4, 2)
    choice = chosen(features, labels, np.full(10, fold))
    assert (choice.l2, choice.path) == (DEFAULT_L2, ())
    assert (choice.probs == 0.5).all()


def test_out_of_fold_is_what_a_layer_on_the_other_folds_says() -> None:
    x, labels = problem(120, 12, 3)
    fold_of = np.arange(120) // 3 % 4
    design = Design(x)
    probs, folds = out_of_fold(design, labels, 3, fold_of, 0.1)
    assert folds.shape == (4, 13, 3)
    for fold in range(4):
        head = fit_head(_seeing(design, fold_of != fold), labels, 3, 0.1)
        np.testing.assert_allclose(probs[fold_of == fold], softmax(head.logits(x[fold_of == fold])), atol=5e-3)


def test_a_row_that_is_not_trusted_teaches_nothing() -> None:
    x, labels = problem(120, 12, 3)
    fold_of, trust = np.arange(120) // 3 % 4, np.ones(120, np.float32)
    trust[::7] = 0
    wrong = labels.copy()
    wrong[::7] = (wrong[::7] + 1) % 3
    right, spoilt = (out_of_fold(Design(x), y, 3, fold_of, 0.1, trust=trust)[0] for y in (labels, wrong))
    np.testing.assert_allclose(spoilt, right, atol=1e-6)


def _seeing(design: Design, rows: NDArray[np.bool_]) -> Design:
    """The same standardised features, from which the layer learns these rows alone."""
    seeing = copy.copy(design)
    seeing.learn = rows
    return seeing


def test_rows_that_are_not_judged_are_left_out_with_their_fold_and_judge_nothing() -> None:
    features, labels = problem(90, 10, 3)
    folds = np.arange(90) % 5
    rng = np.random.default_rng(1)
    views = features + rng.normal(0, 0.5, features.shape).astype(np.float32)
    seen = with_views(features, labels, folds, np.ones(90, bool), [views, features])
    choice = choose_l2(Design(seen.rows, seen.learn), seen.labels, 3, seen.folds, judged=seen.judged)
    held = folds == 2
    rest = np.tile(~held, 3)
    # the other folds' rows, standardised by the mean and deviation of all, which see no label
    design = Design(seen.rows)
    layer = fit_head(_without(design, rest), seen.labels[rest], 3, choice.l2)
    expected = softmax(design.x[:90][held] @ layer.weight.T + layer.bias)
    assert np.abs(choice.probs[:90][held] - expected).max() < 2e-3
    nll = -np.log(choice.probs[np.arange(90), labels]).mean()
    assert dict(choice.path)[choice.l2] == pytest.approx(float(nll), rel=1e-4)  # of the 90 images alone


def _without(design: Design, rows: NDArray[np.bool_]) -> Design:
    """A design of some rows of another, not standardised again."""
    found = copy.copy(design)
    found.x, found.learn = design.x[rows], design.learn[rows]
    found.mean, found.std, found._rotation = np.zeros(design.x.shape[1]), np.ones(design.x.shape[1]), None
    return found


def test_views_stand_behind_the_images_with_labels_and_folds_of_those_that_are_learnt_from() -> None:
    rows = np.arange(8, dtype=np.float32).reshape(4, 2)
    learn = np.array([True, False, True, True])
    labels, folds = np.array([0, 1, 1, 2]), np.array([-1, 0, -1, -1])
    views = [100 + rows[learn], 200 + rows[learn]]
    seen = with_views(rows, labels, folds, learn, views)
    assert seen.rows[:, 0].tolist() == [0, 2, 4, 6, 100, 104, 106, 200, 204, 206]
    assert seen.labels.tolist() == [0, 1, 1, 2, 0, 1, 2, 0, 1, 2]
    assert seen.folds.tolist() == [-1, 0, *[-1] * 8]
    assert seen.learn.tolist() == [True, False, *[True] * 8]
    assert seen.judged is not None
    assert seen.judged.tolist() == [False, True, *[False] * 8]
    alone = with_views(rows, labels, folds, learn, [])
    assert alone.rows is rows
    assert alone.judged is None
