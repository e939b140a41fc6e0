"""Batch norms behind a cut keep the published statistics."""

import pytest
import torch
from torch import nn

from convwise import networks
from convwise.errors import UsageError
from convwise.networks.cutting import shape_at
from convwise.training.loop import check_batch
from convwise.training.recipe import Recipe
from convwise.transfer.tuning import KeptNorm, Tuning


def test_batch_norms_keep_their_statistics_in_training_and_learn_scale_and_shift() -> None:
    network = networks.create("resnet20", 3)
    trained = Tuning("stage2").trained(network).train()
    before = {name: buffer.clone() for name, buffer in trained.named_buffers()}
    x = torch.randn(4, *_shape_behind(network, "stage2"))
    logits = trained(x)
    logits.square().sum().backward()
    assert all(torch.equal(buffer, before[name]) for name, buffer in trained.named_buffers())
    assert torch.allclose(logits, trained.eval()(x))
    norms = [module for module in trained.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert all(norm.weight.grad is not None and norm.bias.grad is not None for norm in norms)


def test_norms_that_begin_anew_learn_their_statistics() -> None:
    trained = Tuning("stage1", "stage2").trained(networks.create("resnet20", 3))
    kept = {name.split(".")[1] for name, module in trained.named_modules() if isinstance(module, KeptNorm)}
    other = {name.split(".")[1] for name, m in trained.named_modules() if type(m) is nn.BatchNorm2d}
    assert (len(kept), len(other), kept & other) == (1, 1, set())


def test_names_and_numbers_of_the_trained_part_are_those_of_the_network() -> None:
    network = networks.create("resnet20", 3)
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    part = Tuning("stage1").trained(network).state_dict()
    assert part.keys() < state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in part.items())


def test_a_batch_of_one_is_no_trouble_where_statistics_stay() -> None:
    network = networks.create("resnet20", 3)
    with pytest.raises(UsageError, match="batch norm learns from two images or more at once, got batch 1 in 1 piece"):
        check_batch(network, Recipe(batch=1))
    check_batch(Tuning().trained(network), Recipe(batch=1))


def _shape_behind(network: nn.Module, cut: str) -> tuple[int, int, int]:
    return shape_at(network, cut, (3, 32, 32))
