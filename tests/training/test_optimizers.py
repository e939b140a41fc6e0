import math
import statistics

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from convwise import networks
from convwise.networks.cutting import behind, with_rear
from convwise.training.optimizers import make_optimizer
from convwise.training.recipe import Recipe
from convwise.training.recipes import recipe_for


def test_two_steps_of_rmsprop_by_hand() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.ones_(network.weight)
    recipe = Recipe(optimizer="rmsprop", lr=0.1, momentum=0.5, epsilon=0.39, weight_decay=0.5)
    optimizer = make_optimizer(network, recipe)

    network.weight.grad = torch.tensor([[1.5]])
    optimizer.step()
    # gradient 1.5 + 0.5 * 1 = 2; mean square 0.9 * 1 + 0.1 * 2^2 = 1.3; root of 1.3 + 0.39: 1.3
    first = 0.1 * 2 / 1.3
    assert network.weight.item() == pytest.approx(1 - first)

    optimizer.param_groups[0]["lr"] = 0.2  # the momentum keeps the rate that it was summed with
    network.weight.grad = torch.tensor([[1 - 0.5 * (1 - first)]])
    optimizer.step()
    # gradient 1; mean square 0.9 * 1.3 + 0.1 * 1^2 = 1.27
    second = 0.5 * first + 0.2 * 1 / math.sqrt(1.27 + 0.39)
    assert network.weight.item() == pytest.approx(1 - first - second)


def rates(network: nn.Module, decay: float) -> dict[str, float]:
    """Share of the rate that each parameter has, by name."""
    groups = make_optimizer(network, Recipe(layer_decay=decay)).param_groups
    scale = {id(p): group["scale"] for group in groups for p in group["params"]}
    return {name: scale[id(p)] for name, p in network.named_parameters()}


def test_the_rate_falls_from_stage_to_stage_towards_the_image() -> None:
    found = rates(networks.create("resnet18", 5), 0.5)
    by_part = {".".join(name.split(".")[: 2 if name.startswith("stages") else 1]): s for name, s in found.items()}
    # four stages: the head has the whole rate, each part in front of another half of its rate
    expected = {"stem": 1 / 32, "stages.0": 1 / 16, "stages.1": 1 / 8, "stages.2": 1 / 4, "stages.3": 1 / 2, "head": 1}
    assert by_part == expected
    assert set(rates(networks.create("resnet18", 5), 1.0).values()) == {1.0}


def test_a_part_of_a_network_has_the_rates_that_it_has_in_the_whole() -> None:
    network = networks.create("resnet18", 5)
    whole = rates(network, 0.5)
    part = rates(behind(network, "stage3.block1"), 0.5)
    assert part == {name: whole[name] for name in part}
    assert set(part.values()) == {1.0, 0.5, 0.25}


def test_a_module_without_stages_trains_at_one_rate() -> None:
    network = networks.create("resnet18", 5)
    joined = with_rear(network, "stage2", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 5)))
    assert set(rates(behind(joined, "stage2"), 0.5).values()) == {1.0}


def test_what_has_no_gradient_stays() -> None:
    network = nn.Linear(1, 1, bias=False)
    before = network.weight.clone()
    make_optimizer(network, Recipe(optimizer="rmsprop")).step()
    assert torch.equal(network.weight, before)


# TensorFlow's slim, train_image_classifier.py: opt_epsilon is 1.0 if not given. Facts: networks.efficientnet.recipe.
@pytest.mark.parametrize(
    ("network", "epsilon"), [("mobilenet_v1", 1.0), ("mobilenet_v2", 1.0), ("efficientnet_b0", 1e-3)]
)
def test_the_papers_rmsprop_learns_easy_images_in_30_steps(network: str, epsilon: float) -> None:
    recipe = recipe_for(network, "paper")
    assert (recipe.optimizer, recipe.epsilon) == ("rmsprop", epsilon)
    torch.manual_seed(0)
    model = networks.create(network, 4).train()
    optimizer = make_optimizer(model, recipe)  # at the peak of the rate, without a warm-up
    patterns = torch.randn(4, 3, 32, 32)
    losses = []
    for _ in range(30):
        labels = torch.arange(16) % 4
        loss = F.cross_entropy(model(patterns[labels] + 0.5 * torch.randn(16, 3, 32, 32)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert statistics.median(losses[-10:]) < math.log(4) / 2  # half of what guessing has
