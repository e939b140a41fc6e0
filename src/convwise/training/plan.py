"""What a training will take, found out before its first step."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..data.text import counted
from ..machine import in_bytes
from .batches import Batches, Inputs
from .recipe import Recipe
from .state import Setting
from .trial import Trial, try_out


@dataclass(frozen=True)
class Plan:
    """What a training will take.

    Attributes:
        recipe: how it is trained.
        memory_bytes: of the device, estimated; the program left out.
        trial: what a few steps have shown.
    """

    recipe: Recipe
    memory_bytes: int
    trial: Trial

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"memory_bytes": self.memory_bytes, **self.trial._asdict(), "recipe": self.recipe.to_json()}

    @property
    def words(self) -> str:
        """For people."""
        most = "" if self.recipe.patience is None and self.recipe.time_limit is None else "at most "
        return (
            f"{most}{counted(self.recipe.epochs, 'epoch')} of about {self.trial.seconds_per_epoch:.2g} s, "
            f"{in_bytes(self.memory_bytes)} of memory, {self.trial.precision}"
        )


def make_plan(
    build: Callable[[], nn.Module], recipe: Recipe, inputs: Inputs, fit: Batches, *, memory_bytes: int,
    usual: Setting, known: dict[str, Any] | None,
) -> Plan:  # fmt: skip
    """Try a few steps; what is `known` of an interrupted training is not found out again.

    Raises:
        UsageError: batches that batch norm cannot train on.
    """
    if known is not None:
        return Plan(recipe, known["memory_bytes"], Trial(**{name: known[name] for name in Trial._fields}))
    return Plan(recipe, memory_bytes, try_out(build, recipe, inputs, fit, usual))
