"""What a run is: one frozen record, the source of the command's flags, of the Python call and of `run.json`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import weights as published_weights
from ..data.threads import usable_cpus
from ..errors import UsageError, one_of
from ..training.recipe import UNCHANGED, Recipe, shorter
from ..training.recipes import check_effect_on, recipe_for, tuned, usual_augmentation
from .option_checks import LADDER, check_effect, check_values
from .recipe_use import check_recipe

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
            usual for the network. A head sees augmented views of them where it is True alone. From published weights
            on, None leaves the usual mirror out where the images show that it harms; True mirrors all the same.
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
        check_values(self)
        check_effect(self)

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
        recipe = self.recipe_given(network, transfer)
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

    def recipe_given(self, network: str, transfer: str) -> Recipe:
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
