"""How a network is trained: one frozen record, saved with the run, readable from a TOML file."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..data.augmentation import Augmentation
from ..errors import UsageError, one_of
from . import recipe_file
from .recipe_rules import EFFECTIVE_WITH, OPTIMIZERS, PRECISIONS, RULES, SCHEDULES

UNCHANGED = Augmentation()  # the images as they are
AUX_WEIGHT = 0.3  # GoogLeNet, section 5


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained.

    Attributes:
        epochs: passes over the training images.
        batch: images a step of the optimiser.
        accumulate: pieces that a batch goes through the network in, one after the other, to save memory; the gradient
            is that of the whole batch, but batch norm sees the pieces.
        optimizer: "sgd"; "adamw"; "rmsprop" with decay 0.9, as TensorFlow computes it.
        lr: peak of the learning rate.
        momentum, nesterov: of "sgd", the momentum of "rmsprop" too.
        betas: of "adamw".
        epsilon: of "rmsprop", under its root; the default is that of EfficientNet's code.
        layer_decay: the rate of each stage is this share of that of the stage behind it; the head has `lr`.
        weight_decay: of weights; as a penalty in "sgd" and "rmsprop", decoupled in "adamw".
        decay_all: let it act on biases and norms too.
        schedule: behind the warm-up "linear" and "cosine" fall to 0, "steps" falls as `drops` says, "constant" stays.
        warm_up: share of all steps over which the rate rises to its peak.
        drops: (epoch, share of `lr` from then on), epochs rising and counted from 0, fractions allowed.
        label_smoothing: share of the probability that is spread over all classes.
        clip: largest norm of the gradient, longer ones are shortened; None: any.
        ema: decay a step of the averaged weights, which then are what is chosen and kept; None: no average.
        aux_weight: of the losses of auxiliary heads; 0 leaves them out, None is `AUX_WEIGHT` where there are some.
        patience: epochs without a lower NLL on what chooses, after which training stops; None: never.
        balance: weigh all classes alike.
        augmentation: how strongly the training images are changed, anew in every epoch; not at all by default.
        views: of each image, differently changed, which are cached where a frozen part has seen them; epoch e learns
            from number e modulo this.
        precision: "float32"; "bfloat16" for the products, with float32 weights; "auto": as a short trial finds faster.
        channels_last: order of the activations in memory; None: as the trial finds faster.
        seed: of the initial weights, the order of the images and dropout.
        time_limit: seconds after which the epoch under way is the last one; None: no limit.

    Source of the defaults: our measurements with LeNet-5 on held-out training images.
    """

    epochs: int = 30
    batch: int = 32
    accumulate: int = 1
    optimizer: str = "sgd"
    lr: float = 0.02
    momentum: float = 0.9
    nesterov: bool = True
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-3
    layer_decay: float = 1.0
    weight_decay: float = 5e-4
    decay_all: bool = True
    schedule: str = "linear"
    warm_up: float = 0.1
    drops: tuple[tuple[float, float], ...] = ()
    label_smoothing: float = 0.0
    clip: float | None = None
    ema: float | None = None
    aux_weight: float | None = None
    patience: int | None = None
    balance: bool = False
    augmentation: Augmentation = UNCHANGED
    views: int = 4
    precision: str = "auto"
    channels_last: bool | None = None
    seed: int = 0
    time_limit: float | None = None

    def __post_init__(self) -> None:
        """Check every field once.

        Raises:
            UsageError: a value of the wrong kind or out of range, or one that would have no effect.
        """
        for name, rule in RULES.items():
            value = getattr(self, name)
            if not rule.takes(value):
                raise UsageError(f"{name} must be {rule.words}, got {value!r}")
        for name, allowed in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("precision", PRECISIONS)):
            if getattr(self, name) not in allowed:
                raise one_of(name, str(getattr(self, name)), allowed)
        if self.accumulate > self.batch:
            raise UsageError(f"accumulate must be at most the batch, {self.batch}, got {self.accumulate}")
        if (self.schedule == "steps") != bool(self.drops):
            raise UsageError(f"drops and schedule 'steps' go together, got {self.schedule!r} and {list(self.drops)}")
        if late := [epoch for epoch, _ in self.drops if epoch >= self.epochs]:
            raise UsageError(f"drops must lie before epoch {self.epochs}, where training ends, got {late[0]}")
        changed = {f.name for f in fields(self) if getattr(self, f.name) != f.default}
        self.check_effect(changed)

    @property
    def piece(self) -> int:
        """Images that go through the network at once, at most."""
        return -(-self.batch // self.accumulate)

    @property
    def auxiliary(self) -> float:
        """Weight of the losses of auxiliary heads, where the network has them."""
        return AUX_WEIGHT if self.aux_weight is None else self.aux_weight

    def check_effect(self, given: Collection[str]) -> None:
        """Refuse fields of another optimiser, or of something left out, among those that somebody has `given`.

        Raises:
            UsageError: there is one.
        """
        for name, optimizers in EFFECTIVE_WITH.items():
            if name in given and self.optimizer not in optimizers:
                raise UsageError(f"{name} has no effect with optimizer {self.optimizer!r}; leave it out")
        if "nesterov" in given and self.nesterov and not self.momentum:
            raise UsageError("nesterov has no effect with momentum 0; leave it out")
        if "decay_all" in given and not self.weight_decay:
            raise UsageError("decay_all has no effect with weight_decay 0; leave it out")
        if "patience" in given and not _can_stop(self.patience, self.epochs):
            raise UsageError(f"patience {self.patience} has no effect with {self.epochs} epochs; leave it out")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        lists = {"betas": list(self.betas), "drops": [list(drop) for drop in self.drops]}
        return asdict(self) | lists | {"augmentation": self.augmentation.to_json()}

    def difference(self, record: dict[str, Any]) -> str:
        """Name the first field in which a record made by `to_json` differs; empty when none does."""
        mine, was = _flat(self.to_json()), _flat(record)
        changed = next((name for name in {**mine, **was} if mine.get(name) != was.get(name)), "")
        return f"{changed} {was.get(changed)!r}, now {mine.get(changed)!r}" if changed else ""

    @classmethod
    def from_toml(cls, path: Path) -> "Recipe":
        """Read a file of `field = value` lines and a table [augmentation]; what it leaves out has its default.

        Raises:
            UsageError: it cannot be read, or a field or value in it cannot be used.
        """
        given = recipe_file.read(path)
        try:
            recipe = cls(**recipe_file.values(given, [field.name for field in fields(cls)]))
            recipe.check_effect(given)
        except UsageError as error:
            raise UsageError(f"recipe {str(path)!r}: {error}") from None
        return recipe


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """The fields of a record, and those of a record in it by both names."""
    flat: dict[str, Any] = {}
    for name, value in record.items():
        flat |= {f"{name}.{inner}": v for inner, v in value.items()} if isinstance(value, dict) else {name: value}
    return flat


def shorter(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe over other epochs; its drops keep their place, and patience goes where it could stop nothing."""
    drops = tuple((epoch * epochs / recipe.epochs, share) for epoch, share in recipe.drops)
    patience = recipe.patience if _can_stop(recipe.patience, epochs) else None
    return replace(recipe, epochs=epochs, drops=drops, patience=patience)


def _can_stop(patience: int | None, epochs: int) -> bool:
    """Whether there is an epoch to spare, when the first one was the best."""
    return patience is not None and 1 + patience < epochs
