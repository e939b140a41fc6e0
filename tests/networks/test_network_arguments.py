"""Names and arguments of networks: what they may be, and what is said of those that may not."""

import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import torch

from convwise import networks
from convwise.errors import UsageError
from convwise.networks.lenet import lenet5

from .helpers import meta_network


@pytest.mark.parametrize(("arguments", "built"), [({}, 28), ({"resolution": 40}, 40)])
def test_a_network_for_one_side_is_not_used_at_another(arguments: dict[str, object], built: int) -> None:
    assert networks.input_shape("lenet5", arguments) == (1, built, built)
    with pytest.raises(UsageError, match=f"^lenet5 cannot be built for {built} pixels and used at 20$"):
        networks.input_shape("lenet5", arguments, 20)


def test_an_unknown_network_names_the_nearest() -> None:
    sentence = "network must be one of the {} that `convwise networks` lists, got {}; did you mean {}?"
    for got, near in (
        ("resnet5O", "'resnet56' or 'resnet50' or 'resnet152'"),
        ("lenet", "'lenet5' or 'alexnet' or 'googlenet'"),
    ):
        with pytest.raises(UsageError, match=re.escape(sentence.format(len(networks.names()), repr(got), near))):
            networks.create(got)
        with pytest.raises(UsageError, match=re.escape(near)):
            networks.describe(got)


def test_an_unknown_argument_names_the_allowed_ones() -> None:
    sentence = "argument of vgg16 must be one of in_channels, dropout, got 'depth'"
    with pytest.raises(UsageError, match=re.escape(sentence)):
        networks.create("vgg16", 10, {"depth": 3})


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("efficientnet", {"phi": "big"}, "phi of efficientnet must be a number from -10 to 10, got 'big'"),
        ("efficientnet", {"phi": None}, "phi of efficientnet must be a number from -10 to 10, got None"),
        ("mobilenet_v2", {"width": True}, "width of mobilenet_v2 must be a number from 0.03125 to 32, got True"),
        ("vgg16", {"in_channels": 1.0}, "in_channels of vgg16 must be a whole number from 1 to 10,000, got 1.0"),
        ("efficientnet", {"dropout": "1"}, "dropout of efficientnet must be a number from 0 to 1 or none, got '1'"),
        ("resnet50", {"v1_5": 1}, "v1_5 of resnet50 must be true or false, got 1"),
        ("lenet5", {"activation": 1}, "activation of lenet5 must be a word, got 1"),
    ],
)
def test_an_argument_of_another_kind_is_refused(name: str, arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
        networks.create(name, 10, arguments)
    with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
        networks.input_shape(name, arguments)


# Bounds of an argument, by hand, and a value right beyond either; the width's least is a stem of one channel of 32.
RANGES: dict[str, tuple[float, float, float, float, str]] = {
    "in_channels": (1, 10_000, 0, 10_001, "a whole number from 1 to 10,000"),
    "resolution": (16, 10_000, 0, 10_001, "a whole number from 1 to 10,000"),  # 16 leaves something of the image
    "groups": (1, 2, 0, 3, "a whole number from 1 to 2"),
    "dropout": (0, 1, -0.1, 1.1, "a number from 0 to 1"),
    "stochastic_depth": (0, 1, -0.1, 1.1, "a number from 0 to 1"),
    "width": (1 / 32, 32, 0.03, 32.1, "a number from 0.03125 to 32"),
    "eps": (1e-12, 1, 0, 1.1, "a number from 1e-12 to 1"),
    "phi": (-10, 10, -10.1, 10.1, "a number from -10 to 10"),
}


@meta_network
def test_a_number_among_the_arguments_has_a_range(name: str) -> None:
    entry = networks.describe(name)
    numbers = [key for key, argument in entry.arguments.items() if argument.kind in (int, float)]
    assert {*numbers} <= RANGES.keys()
    for key in numbers:
        none = " or none" if entry.arguments[key].default is None else ""
        least, most, *beyond, words = RANGES[key]
        for value in (*beyond, float("nan"), float("inf"), 10**400, -(10**400)):
            sentence = f"{key} of {name} must be {words}{none}, got {value!r}"
            with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
                networks.create(name, 5, {key: value})
        with torch.device("meta"):
            for value in (least, most):
                assert networks.create(name, 5, {key: value}).training


@pytest.mark.parametrize(("phi", "side"), [(0, 224), (0.5, 240), (1.0, 258)])  # 224 * 1.15 ** phi, rounded
def test_compound_scaling_moves_the_side_of_the_input(phi: float, side: int) -> None:
    assert networks.input_shape("efficientnet", {"phi": phi}) == (3, side, side)
    assert networks.input_shape("efficientnet", {"phi": phi, "in_channels": 1}) == (1, side, side)


@pytest.mark.parametrize("num_classes", [10**30, "10", 2.5, True])
def test_a_number_of_classes_that_nobody_has_is_refused(num_classes: Any) -> None:
    sentence = f"num_classes must be a whole number from 1 to 10,000,000, got {num_classes!r}"
    with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
        networks.create("lenet5", num_classes)


@pytest.mark.parametrize("num_classes", [0, -1])
def test_a_network_has_at_least_one_class(num_classes: int) -> None:
    with pytest.raises(UsageError, match=f"num_classes must be a whole number from 1 to 10,000,000, got {num_classes}"):
        networks.create("lenet5", num_classes)
    with pytest.raises(UsageError, match=f"num_classes must be a whole number from 1 to 10,000,000, got {num_classes}"):
        networks.replace_head(lenet5(), num_classes)


@meta_network
def test_the_entry_tells_what_the_builder_takes(name: str) -> None:
    entry = networks.describe(name)
    module = import_module(f"convwise.networks.{entry.module}")
    builder = getattr(module, entry.builder)
    parameters, hints = inspect.signature(builder).parameters, get_type_hints(builder)
    first, *others = parameters
    assert first == "num_classes"
    assert {*others} == {*entry.arguments, *entry.fixed}
    for key, argument in entry.arguments.items():
        none = {type(None)} if argument.default is None else set()
        assert {*(get_args(hints[key]) or (hints[key],))} == {argument.kind} | none, key
        assert argument.default == parameters[key].default, key
        assert argument.takes(argument.default), key
        assert argument.meaning.strip(), key
    assert not {*entry.arguments} & {*entry.fixed}
    assert "in_channels" in others
    assert module.__doc__ is not None
    assert "\nDeviations: " in module.__doc__
    assert entry.paper.url in module.__doc__


@meta_network
def test_a_network_takes_other_channels(name: str) -> None:
    entry = networks.describe(name)
    with torch.device("meta"):
        network = networks.create(name, 5, {"in_channels": 5}).eval()
        assert network(torch.empty(1, 5, entry.resolution, entry.resolution)).shape == (1, 5)
    assert networks.input_shape(name, {"in_channels": 5}) == (5, entry.resolution, entry.resolution)


def test_asking_what_there_is_does_not_import_torch() -> None:
    code = (
        "import sys; from convwise import networks; "
        "[networks.input_shape(n) for n in networks.names()]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_paper_is_one_file_of_networks_and_one_of_the_casebook() -> None:
    folder = Path(networks.__file__).parent
    others = {"__init__", "blocks", "contract", "cutting", "drawing", "repeatable"}
    files = {path.stem for path in folder.glob("*.py")} - others
    data = {path.stem for path in (folder / "casebook").glob("*.py")} - {"__init__", "entry"}
    assert files == data == {networks.describe(name).module for name in networks.names()}
