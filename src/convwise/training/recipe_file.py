"""A recipe in a TOML file: `field = value` lines and a table [augmentation]."""

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ..data.augmentation import Augmentation
from ..errors import UsageError, one_of
from .other_words import OTHER_WORDS


def read(path: Path) -> dict[str, Any]:
    """What the file gives.

    Raises:
        UsageError: it cannot be read, or is not TOML.
    """
    where = f"recipe {str(path)!r}"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{where} cannot be read: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{where} is not TOML: {' '.join(str(error).split())}") from None


def values(given: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """What a file gives as the fields of a `Recipe`, whose names are `names`.

    Raises:
        UsageError: it gives something else, or augmentation that cannot be used.
    """
    for name in given:
        if name not in names:
            raise one_of("field", name, names, meant=OTHER_WORDS)
    found: dict[str, Any] = {name: _tuples(value) for name, value in given.items()}
    if "augmentation" in given:
        found["augmentation"] = _augmentation(given["augmentation"])
    return found


def _tuples(value: object) -> object:
    """TOML's lists as tuples, at any depth."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _augmentation(table: object) -> Augmentation:
    """The record in a recipe's table.

    Raises:
        UsageError: it is no table, or something in it cannot be used.
    """
    if not isinstance(table, dict):
        raise UsageError(f"augmentation must be a table, [augmentation] and strengths below it, got {table!r}")
    return Augmentation.from_json(table)
