import inspect

import pytest

from convwise import errors
from convwise.errors import ConvwiseError, UsageError, one_of

CODES = {
    "ConvwiseError": 1, "UsageError": 2, "DataError": 3, "CheckpointError": 3, "DivergedError": 3,
    "BudgetError": 4, "GateError": 4, "MissingExtraError": 5, "MachineError": 6,
    "NoRoomError": 1, "NoCacheRoomError": 2, "NoMachineRoomError": 6,
}  # fmt: skip


def test_every_error_has_its_exit_code() -> None:
    found = {
        name: cls.exit_code
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, ConvwiseError)
    }
    assert found == CODES


def test_the_tree_is_in_the_docstring() -> None:
    assert errors.__doc__ is not None
    for name, code in list(CODES.items())[1:]:
        (line,) = (line for line in errors.__doc__.splitlines() if name in line)
        assert f"exit {code}:" in line


def test_what_has_no_room_is_the_users_or_the_machines() -> None:
    assert issubclass(errors.NoCacheRoomError, UsageError)
    assert issubclass(errors.NoMachineRoomError, errors.MachineError)


def test_a_usage_error_is_a_value_error_too() -> None:
    assert issubclass(UsageError, ValueError)


@pytest.mark.parametrize(
    ("got", "text"),
    [
        ("resnet5O", "network must be one of resnet18, resnet50, vgg16, got 'resnet5O'; did you mean 'resnet50'?"),
        ("transformer", "network must be one of resnet18, resnet50, vgg16, got 'transformer'"),
        ("", "network must be one of resnet18, resnet50, vgg16, got ''"),
    ],
)
def test_a_mistyped_name_gets_the_nearest(got: str, text: str) -> None:
    error = one_of("network", got, iter(["resnet18", "resnet50", "vgg16"]))
    assert isinstance(error, UsageError)
    assert str(error) == text


def test_another_word_gets_the_name_that_it_stands_for() -> None:
    for got in ("learning_rate", "learning_rat"):
        error = one_of("field", got, ["lr", "epochs"], meant={"learning_rate": "lr", "base_lr": "lr"})
        assert str(error) == f"field must be one of lr, epochs, got {got!r}; did you mean 'lr'?"
