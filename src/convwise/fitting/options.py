"""What a run is: one frozen record, the source of the command's flags, of the Python call and of `run.json`."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import networks
from .. import weights as published_weights
from ..data.threads import check_threads, usable_cpus
from ..errors import UsageError, one_of
from ..training.recipe import UNCHANGED, Recipe, shorter
from ..training.recipes import check_effect_on, recipe_for, tuned, usual_augmentation
from .recipe_use import CACHING, check_recipe

TRANSFERS = ("head", "partial", "full", "auto", "none")
LADDER = ("head", "partial", "full")  # the rungs that "auto" climbs
EFFECTIVE_WITH = {"freeze": ("partial", "auto"), "reset_from": ("partial", "full"), "rear": ("partial",)}
DEVICES = ("auto", "cpu", "cuda")
MOST_MEMBERS = 20  # a table of more says nothing that its first rows do not
DEFAULT_NETWORKS = ("efficientnet_lite0",)


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a classifier is made.

    Attributes:
        network: the candidates, names in `convwise.networks`; the best of them is chosen.
        transfer: "head" trains a softmax layer on frozen published features, "partial" the stages behind a cut too,
            "full" everything from the published weights on, "none" from scratch; "auto" climbs from the first to the
            third while it pays. None takes "head" where there are published weights.
        freeze: cut up to which "partial" freezes all; None takes a usual one.
        reset_from: cut behind which "partial" or "full" begin with random weights; what is frozen ends there unless
            `freeze` says otherwise.
        rear: `module:builder`, a function (in_channels, num_classes) -> nn.Module, whose layers stand behind `freeze`.
        weights: published weights for one network, by their id or as their file; None takes each network's default.
        offline: load no weights from the web; CONVWISE_OFFLINE=1 says the same.
        resolution: side of the input in pixels; None takes each network's own.
        recipe: of training by epochs: "modern" or, from scratch, "paper", each network's own, or one for all; None
            takes "modern".
        augment: whether training images are changed; None does as the recipe says, True, where it says nothing, what is
            usual for the network. A head sees augmented views of them where it is True alone.
        epochs: of training; None takes the recipe's.
        time_limit: seconds of training, of each network; the epoch under way is finished.
        seed: of everything random; a recipe's own counts where this is 0.
        split_seed: salt of the split by hash.
        balance: weigh all classes alike in training.
        members: seeds from which the chosen candidate is trained, `seed` and those that follow it; the first is the
            classifier, and what averaging with the others would gain is measured. None trains it once.
        teacher: folder of a run or classifier of the same classes, whose probabilities a training by epochs learns
            beside the labels; of a run with members their average.
        threads: of everything; None takes one a processor.
        device: of training by epochs: "cpu", "cuda", or "auto", a GPU where torch sees one.
        max_macs: budget, multiply-accumulates of one image.
        max_ms: budget, median milliseconds of one image, measured here on one thread.
        max_mb: budget, megabytes (10^6 bytes) of learnable numbers.
    """

    network: tuple[str, ...] = DEFAULT_NETWORKS
    transfer: str | None = None
    freeze: str | None = None
    reset_from: str | None = None
    rear: str | None = None
    weights: str | None = None
    offline: bool = False
    resolution: int | None = None
    recipe: str | Recipe | None = None
    augment: bool | None = None
    epochs: int | None = None
    time_limit: float | None = None
    seed: int = 0
    split_seed: int = 0
    balance: bool = False
    members: int | None = None
    teacher: str | None = None
    threads: int | None = None
    device: str = "auto"
    max_macs: float | None = None
    max_ms: float | None = None
    max_mb: float | None = None

    def __post_init__(self) -> None:
        """Check everything that can be checked before a file is read.

        Raises:
            UsageError: a name or a value that cannot be used, or an option that would have no effect.
            DataError: a file of weights that is absent, or holds others than published ones of the network.
        """
        for name in self.network:
            networks.describe(name)
        if not self.network or len(set(self.network)) < len(self.network):
            raise UsageError(f"network must be one or more different names, got {', '.join(self.network) or 'none'}")
        if self.transfer is not None and self.transfer not in TRANSFERS:
            raise one_of("transfer", self.transfer, TRANSFERS)
        if self.device not in DEVICES:
            raise one_of("device", self.device, DEVICES)
        for name in ("resolution", "epochs", "time_limit", "members", "threads", "max_macs", "max_ms", "max_mb"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise UsageError(f"{name.replace('_', '-')} must be a number above 0, got {value}")
        for name in ("resolution", "epochs", "members", "threads", "seed", "split_seed"):
            if getattr(self, name) is not None and not isinstance(getattr(self, name), int):
                raise UsageError(f"{name.replace('_', '-')} must be a whole number, got {getattr(self, name)}")
        check_threads(self.threads)
        if self.members is not None and not 2 <= self.members <= MOST_MEMBERS:
            raise UsageError(f"members must be 2 to {MOST_MEMBERS}, got {self.members}; leave it out to train once")
        for name in ("seed", "split_seed"):
            if not 0 <= getattr(self, name) < 2**63:
                raise UsageError(
                    f"{name.replace('_', '-')} must be at least 0 and below 2^63, got {getattr(self, name)}"
                )
        self._check_effect()

    def _check_effect(self) -> None:
        if self.transfer in LADDER:
            for name in self.network:
                if published_weights.published(name) is None:
                    raise UsageError(
                        f"transfer {self.transfer!r} needs published weights, and {name} has none; use transfer "
                        "'none' for it"
                    )
        for option, transfers in EFFECTIVE_WITH.items():
            if getattr(self, option) == "":
                raise UsageError(f"{option.replace('_', '-')} must not be empty; leave it out for none")
            taken = dict.fromkeys(self.transfer_of(name) for name in self.network)
            if getattr(self, option) is not None and not {*transfers} & {*taken}:
                raise UsageError(
                    f"{option.replace('_', '-')} has no effect with transfer {' and '.join(map(repr, taken))}; leave "
                    f"it out, or take transfer {' or '.join(map(repr, transfers))}"
                )
        if self.rear is not None and self.reset_from is not None:
            raise UsageError(
                "rear stands in place of the layers that reset-from would draw anew; leave one of them out"
            )
        if self.weights is not None:
            if self.transfer == "none":
                raise UsageError(
                    "weights have no effect with transfer 'none', which trains from scratch; leave one of the two out"
                )
            if len(self.network) > 1:
                raise UsageError(
                    f"weights are for one network, got {len(self.network)}: {', '.join(self.network)}; "
                    "leave weights out, or name one network"
                )
            self.published(self.network[0])  # says so where there are none
        if self.offline and all(self.transfer_of(name) == "none" for name in self.network):
            raise UsageError("offline has no effect: no candidate needs published weights; leave it out")
        if all(self.transfer_of(name) == "head" for name in self.network):
            for option in ("recipe", "augment", "epochs", "time_limit", "members", "teacher", "device"):
                if self.augment and option in ("recipe", "augment"):  # views for the softmax layer
                    continue
                if getattr(self, option) not in (None, "auto"):
                    raise UsageError(
                        f"{option.replace('_', '-')} has no effect: no candidate is trained by epochs; "
                        "leave it out, or add transfer 'partial', 'full', 'auto' or 'none'"
                    )
        self._check_recipes()

    def _check_recipes(self) -> None:
        rungs = [(name, rung) for name in self.network for rung in self.rungs(name) if rung != "head" or self.augment]
        recipes = [(self._recipe_given(*one), self.recipe_of(*one)) for one in rungs]
        heads = any(rung == "head" for _, rung in rungs)  # which the option alone makes see other views
        same = all(given.augmentation == used.augmentation for given, used in recipes)
        if self.augment is not None and same and not heads:
            raise UsageError(
                "augment has no effect: the recipe says already how images are changed; leave it out"
                if self.augment
                else "no-augment has no effect: the recipe changes no image; leave it out"
            )
        pairs = zip(rungs, recipes, strict=True)
        cached = any(rung in CACHING and used.augmentation != UNCHANGED for (_, rung), (_, used) in pairs)
        if isinstance(self.recipe, Recipe) and self.recipe.views != Recipe.views and not cached:
            raise UsageError(
                "views has no effect: they are cached of augmented images where a part is frozen, with transfer "
                "'partial', and with 'head' where augment asks for it; leave it out of the recipe"
            )

    def published(self, network: str) -> published_weights.Published | None:
        """The published weights that a candidate with transfer "head" stands on."""
        if self.weights is None:
            return published_weights.published(network)
        return self._named

    @cached_property
    def _named(self) -> published_weights.Published:
        """What `weights` names; a file is hashed once."""
        network, weights = self.network[0], str(self.weights)
        if published_weights.is_file(network, weights):
            return published_weights.given(network, Path(weights))
        return published_weights.find(network, weights)

    def transfer_of(self, network: str) -> str:
        """How a candidate is trained."""
        if published_weights.published(network) is None:
            return "none"
        return self.transfer or "head"

    def rungs(self, network: str) -> tuple[str, ...]:
        """The ways in which a network is trained, each after the other."""
        transfer = self.transfer_of(network)
        return LADDER if transfer == "auto" else (transfer,)

    def recipe_of(self, network: str, transfer: str = "none") -> Recipe:
        """How a candidate is trained by epochs.

        Raises:
            UsageError: there is no such recipe, or a part of it that has no effect with this network.
        """
        recipe = self._recipe_given(network, transfer)
        if self.augment is False:
            recipe = replace(recipe, augmentation=UNCHANGED)
        elif self.augment and recipe.augmentation == UNCHANGED:
            recipe = replace(recipe, augmentation=usual_augmentation(network, self.resolution))
        if self.epochs is not None:
            recipe = shorter(recipe, self.epochs)
        check_recipe(recipe, network, transfer)
        return replace(
            recipe, seed=self.seed or recipe.seed, balance=self.balance or recipe.balance,
            time_limit=self.time_limit or recipe.time_limit,
        )  # fmt: skip

    def _recipe_given(self, network: str, transfer: str) -> Recipe:
        """The recipe before the options that change it."""
        if isinstance(self.recipe, Recipe):
            check_effect_on(network, self.recipe)
            return self.recipe
        if transfer == "none":
            return recipe_for(network, self.recipe or "modern", self.resolution)
        if self.recipe == "paper":
            raise UsageError(f"recipe 'paper' trains from scratch, and transfer is {transfer!r}; leave it out")
        if self.recipe not in (None, "modern"):
            raise one_of("recipe", str(self.recipe), ("modern", "a file.toml"))
        return tuned(network, self.resolution)

    @property
    def thread_count(self) -> int:
        """Threads, as a number."""
        return self.threads or usable_cpus()

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the number of threads that will be used."""
        recipe = self.recipe.to_json() if isinstance(self.recipe, Recipe) else self.recipe
        return asdict(self) | {"network": list(self.network), "recipe": recipe, "threads": self.thread_count}

    def difference(self, record: Mapping[str, Any]) -> str:
        """Name the first option in which a record made by `to_json` differs; empty when none does."""
        mine = self.to_json()
        for field in fields(self):
            if field.name == "offline":  # how weights come here does not change the run
                continue
            was = record.get(field.name)
            if isinstance(self.recipe, Recipe) and field.name == "recipe" and isinstance(was, dict):
                if changed := self.recipe.difference(was):
                    return f"recipe with {changed}"
            elif mine[field.name] != was:
                return f"{field.name.replace('_', '-')} {was!r}, now {mine[field.name]!r}"
        return ""
