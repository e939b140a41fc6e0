"""Which rung of a ladder is kept: a higher one has to show more than noise."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..metrics import at_temperature, fit_temperature, nll
from .climb import Fit, gain_of
from .task import Fitted, Task


def kept_rungs(fits: Sequence[Fit], task: Task) -> list[int]:
    """Number of the rung that is kept of each network's ladder; its one candidate, where there is no ladder.

    A rung gives way to the one above it whose top-1 on the images that compare gains more than the standard error of
    the gain; or, where top-1 cannot tell them apart, whose NLL gains more than two, each rung at its own temperature:
    NLL tells more of few images, and one image alone can move it by one. Those that tie leave the lower rung, which has
    learnt less of these images' accidents (Breiman, Friedman, Olshen and Stone 1984, section 3.4.3).
    """
    kept: dict[str, int] = {}
    for number, fit in enumerate(fits):
        below = kept.get(fit.candidate.network)
        if below is None or _gives_way(fits[below].fitted, fit.fitted, task):
            kept[fit.candidate.network] = number
    return list(kept.values())


def _gives_way(below: Fitted, above: Fitted, task: Task) -> bool:
    gain, labels = gain_of(above, below, task), task.labels[task.compare]
    if abs(gain.difference) > gain.noise:
        return gain.difference > 0
    less = _losses(below, labels) - _losses(above, labels)
    return len(less) > 1 and float(less.mean()) > 2 * float(less.std(ddof=1)) / math.sqrt(len(less))


def _losses(fitted: Fitted, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """NLL of each image, (n,), at the temperature that suits them all."""
    temperature = fit_temperature(labels, fitted.choice_probs).value
    return nll(labels, at_temperature(fitted.choice_probs, temperature))
