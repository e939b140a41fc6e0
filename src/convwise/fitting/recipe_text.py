"""A recipe as the file that would give it."""

import json

from ..training.recipe import UNCHANGED, Recipe

ALWAYS = ("epochs", "batch", "optimizer", "lr")  # said even where they are the defaults


def as_toml(recipe: Recipe) -> str:
    """What a file must give; fields that have their default are left out, but for the first that anyone asks for."""
    mine, usual = recipe.to_json(), Recipe().to_json()
    images = mine.pop("augmentation")
    lines = [_line(name, value) for name, value in mine.items() if name in ALWAYS or value != usual[name]]
    as_they_are = UNCHANGED.to_json()
    changed = [_line(name, value) for name, value in images.items() if value != as_they_are.get(name)]
    return "\n".join([*lines, *(["[augmentation]", *changed] if changed else [])])


def _line(name: str, value: object) -> str:
    return f"{name} = {json.dumps(value)}"  # which is TOML for all that a recipe holds
