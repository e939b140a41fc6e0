"""What options must be, and which of them would have no effect beside the others."""

import math
from typing import TYPE_CHECKING

from .. import networks
from .. import weights as published_weights
from ..data.threads import check_threads
from ..errors import UsageError, one_of
from ..training.recipe import UNCHANGED, Recipe
from .recipe_use import CACHING, usual_mirror

if TYPE_CHECKING:
    from .options import Options

TRANSFERS = ("head", "partial", "full", "auto", "none")
LADDER = ("head", "partial", "full")  # the rungs that "auto" climbs, from published weights on
EFFECTIVE_WITH = {"freeze": ("partial", "auto"), "reset_from": ("partial", "full"), "rear": ("partial",)}
OF_EPOCHS = ("recipe", "augment", "epochs", "time_limit", "members", "teacher", "device")
DEVICES = ("auto", "cpu", "cuda")
ABOVE_0 = ("resolution", "epochs", "time_limit", "members", "threads", "max_macs", "max_ms", "max_mb")
WHOLE = ("resolution", "epochs", "members", "threads", "seed", "split_seed")
MOST_MEMBERS = 20  # a table of more says nothing that its first rows do not


def check_values(options: "Options") -> None:
    """Hold each option to what it may be.

    Raises:
        UsageError: one is not.
    """
    for name in options.network:
        networks.describe(name)
    if not options.network or len(set(options.network)) < len(options.network):
        raise UsageError(f"network must be one or more different names, got {', '.join(options.network) or 'none'}")
    if options.transfer is not None and options.transfer not in TRANSFERS:
        raise one_of("transfer", options.transfer, TRANSFERS)
    if options.device not in DEVICES:
        raise one_of("device", options.device, DEVICES)
    for name in ABOVE_0:
        value = getattr(options, name)
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise UsageError(f"{_written(name)} must be a number above 0, got {value}")
    for name in WHOLE:
        if getattr(options, name) is not None and not isinstance(getattr(options, name), int):
            raise UsageError(f"{_written(name)} must be a whole number, got {getattr(options, name)}")
    check_threads(options.threads)
    if options.members is not None and not 2 <= options.members <= MOST_MEMBERS:
        raise UsageError(f"members must be 2 to {MOST_MEMBERS}, got {options.members}; leave it out to train once")
    for name in ("seed", "split_seed"):
        if not 0 <= getattr(options, name) < 2**63:
            raise UsageError(f"{_written(name)} must be at least 0 and below 2^63, got {getattr(options, name)}")


def check_effect(options: "Options") -> None:
    """Refuse what would have no effect, or cannot be had together.

    Raises:
        UsageError: there is something.
        DataError: a file of weights that is absent, or holds others than published ones of the network.
    """
    _check_transfer(options)
    _check_weights(options)
    _check_epochs(options)
    _check_recipes(options)


def _check_transfer(options: "Options") -> None:
    if options.transfer in LADDER:
        for name in options.network:
            if published_weights.published(name) is None:
                raise UsageError(
                    f"transfer {options.transfer!r} needs published weights, and {name} has none; use transfer 'none' "
                    "for it"
                )
    for option, transfers in EFFECTIVE_WITH.items():
        if getattr(options, option) == "":
            raise UsageError(f"{_written(option)} must not be empty; leave it out for none")
        taken = dict.fromkeys(options.transfer_of(name) for name in options.network)
        if getattr(options, option) is not None and not {*transfers} & {*taken}:
            raise UsageError(
                f"{_written(option)} has no effect with transfer {' and '.join(map(repr, taken))}; leave it out, or "
                f"take transfer {' or '.join(map(repr, transfers))}"
            )
    if options.rear is not None and options.reset_from is not None:
        raise UsageError("rear stands in place of the layers that reset-from would draw anew; leave one of them out")


def _check_weights(options: "Options") -> None:
    if options.weights is not None:
        if options.transfer == "none":
            raise UsageError(
                "weights have no effect with transfer 'none', which trains from scratch; leave one of the two out"
            )
        if len(options.network) > 1:
            raise UsageError(
                f"weights are for one network, got {len(options.network)}: {', '.join(options.network)}; "
                "leave weights out, or name one network"
            )
        options.published(options.network[0])  # says so where there are none
    if options.offline and all(options.transfer_of(name) == "none" for name in options.network):
        raise UsageError("offline has no effect: no candidate needs published weights; leave it out")


def _check_epochs(options: "Options") -> None:
    """Refuse options of a training by epochs where there is none."""
    if not all(options.transfer_of(name) == "head" for name in options.network):
        return
    for option in OF_EPOCHS:
        if options.augment and option in ("recipe", "augment"):  # views for the softmax layer
            continue
        if getattr(options, option) not in (None, "auto"):
            typed = "no-augment" if option == "augment" else _written(option)  # augment itself is let through above
            raise UsageError(
                f"{typed} has no effect: no candidate is trained by epochs; leave it out, or add transfer "
                "'partial', 'full', 'auto' or 'none'"
            )


def _check_recipes(options: "Options") -> None:
    rungs = [(name, rung) for name in options.network for rung in options.rungs(name)]
    rungs = [(name, rung) for name, rung in rungs if rung != "head" or options.augment]
    recipes = [(options.recipe_given(*one), options.recipe_of(*one)) for one in rungs]
    heads = any(rung == "head" for _, rung in rungs)  # which the option alone makes see other views
    same = all(given.augmentation == used.augmentation for given, used in recipes)
    asks = any(usual_mirror(used, options.recipe, rung) for (_, rung), (_, used) in zip(rungs, recipes, strict=True))
    if options.augment is not None and same and not heads and not asks:
        raise UsageError(
            "augment has no effect: the recipe says already how images are changed; leave it out"
            if options.augment
            else "no-augment has no effect: the recipe changes no image; leave it out"
        )
    pairs = zip(rungs, recipes, strict=True)
    cached = any(rung in CACHING and used.augmentation != UNCHANGED for (_, rung), (_, used) in pairs)
    if isinstance(options.recipe, Recipe) and options.recipe.views != Recipe.views and not cached:
        raise UsageError(
            "views has no effect: they are cached of augmented images where a part is frozen, with transfer "
            "'partial', and with 'head' where augment asks for it; leave it out of the recipe"
        )


def _written(option: str) -> str:
    """An option as it is typed."""
    return option.replace("_", "-")
