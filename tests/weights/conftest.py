"""A published file of weights, and a server that has it."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from convwise import weights
from convwise.weights import download, table
from convwise.weights.store import Hosted

from .comparing import V1
from .loopback import Site, serve


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
