import re
from dataclasses import fields
from pathlib import Path

import pytest

from convwise.errors import UsageError
from convwise.training.other_words import OTHER_WORDS
from convwise.training.recipe import Recipe


@pytest.mark.parametrize(
    ("given", "meant"),
    [("learning_rate", "lr"), ("batch_size", "batch"), ("wd", "weight_decay"), ("warmup", "warm_up")],
)
def test_a_field_that_is_called_as_elsewhere_gets_a_hint(tmp_path: Path, given: str, meant: str) -> None:
    path = tmp_path / "my.toml"
    path.write_text(f"{given} = 3")
    hint = re.escape(f"got '{given}'; did you mean '{meant}'?")
    with pytest.raises(UsageError, match=f": field must be one of epochs, .*, {hint}$"):
        Recipe.from_toml(path)


def test_other_words_stand_for_fields_that_there_are() -> None:
    names = {field.name for field in fields(Recipe)}
    assert {*OTHER_WORDS.values()} <= names
    assert not {*OTHER_WORDS} & names
