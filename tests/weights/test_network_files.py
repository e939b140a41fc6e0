"""`convwise.network` with a file of the user's: what it is of, and what it may be."""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
import torchvision
from torch import nn

import convwise
from convwise import networks, weights
from convwise.errors import DataError, UsageError
from convwise.weights import local, table
from convwise.weights.filling import blank

from .comparing import image, same


@pytest.mark.parametrize("name", ["lenet5_1998", "lenet5", "nin_cifar10", "resnet20", "mobilenet_v1_shallow"])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_file_of_our_own_comes_back(name: str, suffix: str, tmp_path: Path) -> None:
    network = convwise.network(name, 4).eval()
    path = tmp_path / f"mine.{suffix}"
    (torch.save if suffix == "pth" else safetensors.torch.save_file)(network.state_dict(), path)
    again, x = convwise.network(name, weights=str(path)), torch.randn(1, *networks.input_shape(name))
    assert same(again, network, x)
    assert again(x).shape == (1, 4)
    assert convwise.network(name, 6, path)(x).shape == (1, 6)


def test_a_path_without_a_usual_ending_is_a_path_where_there_is_a_file(resnet18_file: Path, in_tmp_path: Path) -> None:
    (in_tmp_path / "best").write_bytes(resnet18_file.read_bytes())
    convwise.network("resnet18", weights="best")


@pytest.mark.parametrize("publisher", ["torchvision", "timm"])
def test_a_file_with_a_publisher_s_names_and_other_classes_is_recognised(publisher: str, tmp_path: Path) -> None:
    build = torchvision.models.mobilenet_v2 if publisher == "torchvision" else _mobilenetv2_050
    theirs = build(num_classes=9).eval()
    torch.save({"state_dict": theirs.state_dict()}, tmp_path / "tuned.pth")
    network = convwise.network("mobilenet_v2", weights=tmp_path / "tuned.pth")
    assert same(network, theirs)
    assert network(image()).shape == (1, 9)


def _mobilenetv2_050(num_classes: int) -> Any:
    return timm.create_model("mobilenetv2_050", num_classes=num_classes)


def test_a_file_that_is_known_by_its_hash_needs_no_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = timm.create_model("efficientnet_lite0").eval()  # symmetric padding and eps 1e-5, unlike our defaults
    safetensors.torch.save_file(theirs.state_dict(), tmp_path / "a.safetensors")
    digest = hashlib.sha256((tmp_path / "a.safetensors").read_bytes()).hexdigest()
    row = replace(weights.find("efficientnet_lite0", "timm/efficientnet_lite0.ra_in1k"), sha256=digest)
    monkeypatch.setattr(table, "PUBLISHED", (row,))
    assert same(convwise.network("efficientnet_lite0", weights=tmp_path / "a.safetensors"), theirs)
    sentence = "the weights timm/efficientnet_lite0.ra_in1k of efficientnet_lite0 need same=False, got True"
    with pytest.raises(UsageError, match=re.escape(sentence)):
        convwise.network("efficientnet_lite0", weights=tmp_path / "a.safetensors", arguments={"same": True})


def test_what_no_tensor_shows_the_caller_says(tmp_path: Path) -> None:
    theirs = timm.create_model("tf_efficientnet_lite0", num_classes=3).eval()
    path = tmp_path / "tuned.safetensors"
    safetensors.torch.save_file(theirs.state_dict(), path)
    sentence = (
        f"the weights in {str(path)!r} have the names of timm, where the same tensors may be of efficientnet_lite0 "
        "with same=False, eps=1e-05 or same=True, eps=0.001; say which in `arguments`"
    )
    with pytest.raises(UsageError, match=re.escape(sentence)):
        convwise.network("efficientnet_lite0", weights=path)
    network = convwise.network("efficientnet_lite0", weights=path, arguments={"same": True, "eps": 1e-3})
    assert same(network, theirs)


FORMS = {
    "resnet50": "v1_5=False or v1_5=True",
    "efficientnet_b0": "same=True, eps=0.001 or same=True, eps=1e-05 or same=False, eps=0.001 or same=False, eps=1e-05",
    "mobilenet_v1": "relu6=False or relu6=True",
}


@pytest.mark.parametrize("name", list(FORMS))
@pytest.mark.parametrize("default", [True, False], ids=["ours", "published"])
def test_of_a_file_with_our_names_the_caller_says_what_no_tensor_shows(
    name: str, tmp_path: Path, default: bool
) -> None:
    (row, *_) = weights.all_published(name)
    arguments = {} if default else row.arguments
    network = convwise.network(name, 4, arguments=arguments).eval()
    path = tmp_path / "own.safetensors"
    safetensors.torch.save_file(network.state_dict(), path)
    sentence = (
        f"the weights in {str(path)!r} have the names of convwise, where the same tensors may be of {name} with "
        f"{FORMS[name]}; say which in `arguments`"
    )
    with pytest.raises(UsageError, match=re.escape(sentence) + "$"):
        convwise.network(name, weights=path)
    assert same(convwise.network(name, weights=path, arguments=USUAL[name] if default else row.arguments), network)


USUAL: dict[str, dict[str, object]] = {  # the paper's forms, which the builders have without arguments
    "resnet50": {"v1_5": False},
    "efficientnet_b0": {"same": True, "eps": 1e-3},
    "mobilenet_v1": {"relu6": False},
}


def test_a_width_that_the_tensors_show_leaves_the_rest_to_the_caller(tmp_path: Path) -> None:
    network = convwise.network("mobilenet_v1", 4, arguments={"width": 1.25}).eval()  # timm's of this width has ReLU6
    path = tmp_path / "own.pth"
    torch.save(network.state_dict(), path)
    with pytest.raises(UsageError, match="may be of mobilenet_v1 with relu6=False or relu6=True; say which"):
        convwise.network("mobilenet_v1", weights=path)
    assert same(convwise.network("mobilenet_v1", weights=path, arguments={"relu6": False}), network)


def test_a_file_of_our_own_that_notes_its_arguments_needs_no_word(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    choices: tuple[dict[str, object], ...] = ({}, {"v1_5": True})
    for arguments in choices:
        network = convwise.network("resnet50", 4, arguments=arguments).eval()
        path.write_bytes(weights.serialise(network.state_dict(), "resnet50", arguments))
        assert same(convwise.network("resnet50", weights=path), network)
    sentence = f"the weights in {str(path)!r} need v1_5=True, got False"
    with pytest.raises(UsageError, match=re.escape(sentence) + "$"):
        convwise.network("resnet50", weights=path, arguments={"v1_5": False})


def test_a_file_with_timm_s_names_is_read_where_the_table_has_none_of_timm_s(tmp_path: Path) -> None:
    with torch.device("meta"):
        names = timm.create_model("vgg11").state_dict()
    path = tmp_path / "vgg11.safetensors"  # with numbers it would be 531 MB; that its names are known shows as well
    # 8 convolutions and 3 linear layers have a kernel and a bias each; the last bias is right, for one class
    safetensors.torch.save_file({name: torch.zeros(1) for name in names}, path)
    with pytest.raises(
        DataError, match=r"do not fit vgg11: features\.0\.weight is 1, not 64 x 3 x 3 x 3, .* and 18 more$"
    ):
        convwise.network("vgg11", weights=path)


def test_a_file_of_another_network_names_the_nearest_names(tmp_path: Path) -> None:
    with torch.device("meta"):
        names = torchvision.models.resnet34(weights=None).state_dict()
    path = tmp_path / "resnet34.pth"
    torch.save({name: torch.zeros(1) for name in names}, path)
    sentence = (
        f"the weights in {str(path)!r} are not of resnet18; of all names known for it, nearest are those of "
        "torchvision: unknown layer1.2.bn1.bias, layer1.2.bn1.num_batches_tracked, layer1.2.bn1.running_mean and 93 "
        "more"
    )
    with pytest.raises(DataError, match=re.escape(sentence) + "$"):
        convwise.network("resnet18", weights=path)


def test_a_tensor_of_another_shape_is_named(resnet18: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    state = {**resnet18.state_dict(), "layer1.0.conv1.weight": torch.zeros(64, 64, 1, 1), "bn1.bias": torch.tensor(1.0)}
    torch.save(state, path)
    sentence = (
        f"the weights in {str(path)!r} do not fit resnet18: bn1.bias is one number, not 64, "
        "layer1.0.conv1.weight is 64 x 64 x 1 x 1, not 64 x 64 x 3 x 3"
    )
    with pytest.raises(DataError, match=re.escape(sentence)):
        convwise.network("resnet18", weights=path)


def test_a_head_that_contradicts_itself_is_another_shape(resnet18: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({**resnet18.state_dict(), "fc.bias": torch.zeros(10)}, path)
    sentence = f"the weights in {str(path)!r} do not fit resnet18: fc.weight is 1000 x 512, not 10 x 512"
    with pytest.raises(DataError, match=re.escape(sentence) + "$"):
        convwise.network("resnet18", weights=path)


@pytest.mark.parametrize(
    ("made", "arguments", "asked", "known"),
    [
        ("resnet20", {}, "resnet32", "resnet20 or plain20"),  # by its names
        ("efficientnet_lite1", {}, "efficientnet_lite2", "efficientnet_lite1"),  # by its shapes: as deep, less wide
    ],
)
def test_a_file_of_another_network_of_the_family_is_recognised(
    made: str, arguments: dict[str, object], asked: str, known: str, tmp_path: Path
) -> None:
    path = tmp_path / "other.pth"
    torch.save(networks.create(made, 3, arguments).state_dict(), path)
    sentence = f"the weights in {str(path)!r} are not of {asked}, but of {known}"
    with pytest.raises(DataError, match=re.escape(sentence) + "$"):
        convwise.network(asked, weights=path)


@pytest.mark.parametrize(
    ("made", "noted", "asked", "arguments", "sentence"),
    [
        ("resnet20", {}, "plain20", {}, "are of resnet20, not of plain20; ask for resnet20, or give another file"),
        ("lenet5", {"activation": "tanh"}, "lenet5", {"activation": "relu"}, "need activation='tanh', got 'relu'"),
        ("lenet5", {}, "lenet5", {"activation": "tanh"}, "need activation='relu', got 'tanh'"),
    ],
)
def test_what_a_file_notes_is_held_to_what_is_asked(
    made: str, noted: dict[str, object], asked: str, arguments: dict[str, object], sentence: str, tmp_path: Path
) -> None:
    network, path = networks.create(made, 3, noted).eval(), tmp_path / "own.safetensors"
    path.write_bytes(weights.serialise(network.state_dict(), made, noted))
    with pytest.raises((DataError, UsageError), match=re.escape(f"the weights in {str(path)!r} {sentence}") + "$"):
        convwise.network(asked, weights=path, arguments=arguments)
    assert same(convwise.network(made, weights=path), network, torch.randn(1, *networks.input_shape(made, noted)))


@pytest.mark.parametrize(
    ("noted", "reason"),
    [
        ({"name": "evil\n\x1b[31mred", "arguments": {}}, r"network must be one of .*, got 'evil\\n\\x1b\[31mred'"),
        ({"name": "lenet5", "arguments": {"nope": 1}}, "argument of lenet5 must be one of .*, got 'nope'"),
        ({"name": "lenet5", "arguments": {"in_channels": 10**18}}, f"in_channels of lenet5 must be .*, got {10**18}"),
        ({"name": "lenet5", "arguments": {"activation": "x"}}, "activation of lenet5 must be one of .*, got 'x'"),
        ({"name": "mobilenet_v2", "arguments": {"width": "x"}}, "width of mobilenet_v2 must be .*, got 'x'"),
    ],
)
def test_what_a_file_notes_wrong_is_told_of_the_file(noted: dict[str, object], reason: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(1)}, path, metadata={"convwise.network": json.dumps(noted)})
    head = f"the weights in {str(path)!r} note a network that cannot be built ("
    tail = "); write them again with convwise.weights.serialise"
    with pytest.raises(DataError, match=f"^{re.escape(head)}{reason}{re.escape(tail)}$"):
        convwise.network("lenet5", weights=path)


def test_a_publisher_whose_forms_do_not_fit_leaves_the_next_with_the_same_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forms: dict[str, list[dict[str, object]]] = {"narrow": [{"width": 0.5}], "usual": [{"width": 1.0}]}
    monkeypatch.setattr(local, "publishers", lambda _: list(forms))
    monkeypatch.setattr(local, "forms", lambda publisher, _: forms[publisher])
    monkeypatch.setattr(local, "naming", lambda *_: table.naming(table.OURS, "mobilenet_v1"))
    torch.save(networks.create("mobilenet_v1", 3).state_dict(), tmp_path / "a.pth")
    assert local.match(tmp_path / "a.pth", "mobilenet_v1", {})[1] == {"width": 1.0}


def test_a_file_without_one_known_name_is_refused_before_the_whole_family_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "a.pth")
    built = []

    def counted(name: str, arguments: dict[str, object]) -> nn.Module:
        built.append(name)
        return blank(name, arguments)

    monkeypatch.setattr(local, "blank", counted)
    with pytest.raises(DataError, match=r"are not of resnet20; of all names known for it, nearest are .*; unknown a$"):
        convwise.network("resnet20", weights=tmp_path / "a.pth")
    assert built == ["resnet20"]


def test_a_noted_file_may_be_had_grey_and_with_another_dropout(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    path.write_bytes(weights.serialise(networks.create("nin_cifar10", 3).state_dict(), "nin_cifar10"))
    grey = convwise.network("nin_cifar10", weights=path, arguments={"in_channels": 1, "dropout": 0.1})
    assert grey(image(1, 32)).shape == (1, 3)


def test_forms_that_contradict_the_caller_are_not_offered(tmp_path: Path) -> None:
    theirs = timm.create_model("efficientnet_b0", num_classes=3).eval()  # symmetric padding, and then eps 1e-5 alone
    torch.save(theirs.state_dict(), tmp_path / "b0.pth")
    assert same(convwise.network("efficientnet_b0", weights=tmp_path / "b0.pth", arguments={"same": False}), theirs)
