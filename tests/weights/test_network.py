"""`convwise.network`: fresh, with published weights by id, and with no network."""

import hashlib
import logging
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

import convwise
from convwise import networks, weights
from convwise.errors import DataError, MachineError
from convwise.networks.casebook import ENTRIES
from convwise.weights import table

from .comparing import V1, image, same
from .loopback import Site


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


@pytest.mark.parametrize("name", list(ENTRIES))
def test_every_tensor_of_every_network_is_in_its_state_dict(name: str) -> None:
    with torch.device("meta"):
        network = networks.create(name)
    tensors = {key for key, _ in (*network.named_parameters(), *network.named_buffers())}
    assert tensors == network.state_dict().keys()  # else `fill` would leave one without memory
