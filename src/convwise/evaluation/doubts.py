"""Doubts about labels: which images are probably in the wrong class, by layers that had not seen their labels.

The noise model: a share e of the labels is wrong, each wrong one is any other of the K classes alike. Of an image whose
label has the probability p out of fold, noise alone explains  a (1 - t) / p,  where a = e / (K - 1) and
t = (p - a) / (1 - e - a)  is the probability of the class before the noise. That is the probability that the label is
wrong. It falls with p alone: under this noise no other class's probability (a margin, a threshold of each class as in
confident learning, Northcutt et al., 2021) can order the images better.

e is read off the half of the images on which the layers are surest, where they err least: what disagrees there is
counted as noise. Where they err even there, e comes out too large, and the list too long rather than too short.

Wrong labels teach the layers too. So they are fitted once more, with every image counting as much as its label is to be
trusted, and the probabilities are taken anew.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..transfer.design import Design
from ..transfer.head import out_of_fold

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

LISTED = 1 / 6  # one look in six finds a wrong label, at least: worth the look, by our choice
SUREST = 0.5  # share of the images that the noise is read off
MOST_NOISE = 0.4  # beyond it the layers have learned nothing that one could doubt labels by


@dataclass(frozen=True)
class Doubts:
    """What speaks against each label.

    Attributes:
        probs: (n, K), out of fold.
        wrong: (n,) probability that the label is wrong; 0 where no other image of its class could teach the layers.
        noise: the share of wrong labels that this stands on.
    """

    probs: Floats
    wrong: Floats
    noise: float

    @property
    def listed(self) -> Ints:
        """The images to look at, the most doubtful first."""
        order: Ints = np.argsort(-self.wrong, kind="stable")
        return order[: np.count_nonzero(self.wrong > LISTED)]

    def suggested(self, labels: Ints) -> Ints:
        """The likeliest class of each image but its own, (n,)."""
        others = self.probs.copy()
        others[np.arange(len(labels)), labels] = -1
        best: Ints = others.argmax(axis=1)
        return best


def find_doubts(
    features: Floats, labels: Ints, num_classes: int, fold_of: Ints, l2: float, *, threads: int = 1
) -> Doubts:
    """Doubt the labels of images by their features.

    Args:
        features: (n, d).
        labels: (n,).
        num_classes: K, at least 2.
        fold_of: (n,) number of the fold that each image is left out of, at least two different ones.
        l2: strength of the penalty of the layers.
        threads: rows are worked on at once by so many.
    """
    design = Design(features, None, threads)
    probs, folds = out_of_fold(design, labels, num_classes, fold_of, l2)
    judged = _taught(labels, num_classes, fold_of)
    wrong, _ = wrong_labels(probs, labels, judged)
    probs, _ = out_of_fold(design, labels, num_classes, fold_of, l2, trust=1 - wrong, start=folds)
    return Doubts(probs, *wrong_labels(probs, labels, judged))


def wrong_labels(probs: Floats, labels: Ints, judged: NDArray[np.bool_]) -> tuple[Floats, float]:
    """The probability that each label is wrong, (n,), and the share of wrong labels that it stands on.

    Args:
        probs: (n, K), out of fold.
        labels: (n,).
        judged: (n,) where they mean something; elsewhere the label stands.
    """
    sure = np.flatnonzero(judged)
    sure = sure[np.argsort(-probs[sure].max(axis=1), kind="stable")][: max(1, int(SUREST * len(sure)))]
    disagree = int((probs[sure].argmax(axis=1) != labels[sure]).sum())
    noise = min((disagree + 0.5) / (len(sure) + 1), MOST_NOISE)  # Jeffreys' estimate: never 0
    each = noise / (probs.shape[1] - 1)  # a
    given = np.maximum(probs[np.arange(len(labels)), labels].astype(np.float64), each)
    clean = (given - each) / (1 - noise - each)  # t
    return np.where(judged, each * (1 - clean) / given, 0).astype(np.float32), noise


def _taught(labels: Ints, num_classes: int, fold_of: Ints) -> NDArray[np.bool_]:
    """Whether each image's class has images in other folds, (n,): without, its layers know nothing of the class."""
    whole = np.bincount(labels, minlength=num_classes)
    _, own = np.unique(fold_of, return_inverse=True)
    inside = np.zeros((int(own.max()) + 1, num_classes), np.int64)
    np.add.at(inside, (own, labels), 1)
    return whole[labels] > inside[own, labels]
