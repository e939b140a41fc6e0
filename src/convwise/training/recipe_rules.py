"""What each field of a recipe may hold, and with which optimiser it does anything."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

OPTIMIZERS = ("sgd", "adamw", "rmsprop")
SCHEDULES = ("linear", "cosine", "steps", "constant")
PRECISIONS = ("auto", "float32", "bfloat16")


class Rule(NamedTuple):
    """What a field may hold."""

    kind: type
    words: str
    allows: Callable[[Any], bool]
    optional: bool = False

    def takes(self, value: object) -> bool:
        """Whether the field may be `value`."""
        return (value is None and self.optional) or (_is(value, self.kind) and self.allows(value))


def _rate_drops(drops: tuple[Any, ...]) -> bool:
    """Pairs of numbers, epochs rising."""
    pairs = all(_is(d, tuple) and len(d) == 2 and all(_is(v, float) and 0 <= v < math.inf for v in d) for d in drops)
    return pairs and all(a[0] < b[0] for a, b in pairwise(drops))


COUNT = Rule(int, "a whole number of at least 1", lambda v: v >= 1)
SWITCH = Rule(bool, "true or false", lambda _: True)
SHARE = Rule(float, "a number of at least 0 and below 1", lambda v: 0 <= v < 1)
POSITIVE = Rule(float, "a number above 0", lambda v: 0 < v < math.inf)
NO_LESS_THAN_0 = Rule(float, "a number of at least 0", lambda v: 0 <= v < math.inf)
PAIR = Rule(tuple, "two numbers of at least 0 and below 1", lambda v: len(v) == 2 and all(map(_is_share, v)))
DROPS = Rule(tuple, "pairs of an epoch and a share of lr, epochs rising", _rate_drops)
RULES = {
    "epochs": COUNT, "batch": COUNT, "accumulate": COUNT, "lr": POSITIVE, "momentum": SHARE, "nesterov": SWITCH,
    "betas": PAIR, "epsilon": POSITIVE, "views": COUNT,
    "layer_decay": Rule(float, "a number above 0 and at most 1", lambda v: 0 < v <= 1),
    "weight_decay": NO_LESS_THAN_0, "decay_all": SWITCH, "warm_up": SHARE,
    "drops": DROPS, "label_smoothing": SHARE, "clip": POSITIVE._replace(optional=True),
    "ema": SHARE._replace(optional=True), "aux_weight": NO_LESS_THAN_0._replace(optional=True),
    "patience": COUNT._replace(optional=True),
    "balance": SWITCH, "channels_last": SWITCH._replace(optional=True), "time_limit": POSITIVE._replace(optional=True),
    "seed": Rule(int, "a whole number of at least 0 and below 2^63", lambda v: 0 <= v < 2**63),
}  # fmt: skip
EFFECTIVE_WITH = {"momentum": ("sgd", "rmsprop"), "nesterov": ("sgd",), "betas": ("adamw",), "epsilon": ("rmsprop",)}


def _is(value: object, kind: type) -> bool:
    """Whether a value is of a kind; a whole number is a number too, a switch is none."""
    return type(value) is kind or (kind is float and type(value) is int)


def _is_share(value: object) -> bool:
    return _is(value, float) and SHARE.allows(value)
