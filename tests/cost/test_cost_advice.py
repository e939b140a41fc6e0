"""What a substitution is said to save is what it saves."""

import pytest
from torch import nn

from convwise import networks
from convwise.cost import Advice, CostReport, advise, analyze, rewrite, sketch

SHAPE = (16, 12, 12)


def network(*body: nn.Module, linear: nn.Module | None = None, pool: bool = False) -> nn.Sequential:
    """The same stem and head around what is changed."""
    before = [nn.AdaptiveAvgPool2d(1)] if pool else []
    head = linear or nn.Linear(32 * 12 * 12, 40)
    return nn.Sequential(
        nn.Conv2d(16, 32, 1), nn.ReLU(), *body, nn.ReLU(), *before, nn.Flatten(), head, nn.Linear(40, 7)
    )


PLAIN = network(nn.Conv2d(32, 32, 5, padding=2))
SUBSTITUTED = {
    "depthwise-separable": network(nn.Conv2d(32, 32, 5, padding=2, groups=32), nn.Conv2d(32, 32, 1)),
    "1x1 bottleneck first": network(nn.Conv2d(32, 8, 1), nn.Conv2d(8, 32, 5, padding=2)),
    "two 3x3": network(nn.Conv2d(32, 32, 3, padding=1), nn.Conv2d(32, 32, 3, padding=1)),
    "global average pooling first": network(nn.Conv2d(32, 32, 5, padding=2), linear=nn.Linear(32, 40), pool=True),
}


@pytest.mark.parametrize("name", SUBSTITUTED)
def test_a_substitution_saves_exactly_what_is_said(name: str) -> None:
    before, after = analyze(PLAIN, SHAPE), analyze(SUBSTITUTED[name], SHAPE)
    (found,) = (s for advice in advise(before) for s in advice.substitutions if s.name == name)
    assert found.macs_saved == before.macs - after.macs > 0
    assert found.params_saved == before.params - after.params
    (layer,) = (advice.layer for advice in advise(before) if found in advice.substitutions)
    assert found.ratio == pytest.approx((layer.macs - found.macs_saved) / layer.macs)


@pytest.mark.parametrize("name", SUBSTITUTED)
def test_made_in_its_one_place_a_substitution_gives_the_network_that_is_said(name: str) -> None:
    before, after = analyze(PLAIN, SHAPE), analyze(SUBSTITUTED[name], SHAPE)
    kind = "several 3x3" if name == "two 3x3" else name
    (found,) = (r for r in rewrite(before) if r.kind == kind)
    assert (found.layers, found.macs, found.params) == (1, after.macs, after.params)
    assert found.ratio == pytest.approx(after.macs / before.macs)


def test_made_everywhere_a_substitution_counts_every_layer_that_it_saves_in() -> None:
    plain = nn.Sequential(*(nn.Conv2d(16, 16, 3, padding=1) for _ in range(8)), nn.Conv2d(16, 5, 1))
    (separable,) = (r for r in rewrite(analyze(plain, SHAPE)) if r.kind == "depthwise-separable")
    assert separable.layers == 8  # more than `advise` lists by default
    assert separable.macs == 12 * 12 * (8 * (16 * 9 + 16 * 16) + 16 * 5)
    assert separable.params == 8 * (16 * 9 + 16 + 16 * 16 + 16) + 16 * 5 + 5


def test_two_3x3_and_three_3x3_are_one_substitution() -> None:
    plain = nn.Sequential(nn.Conv2d(8, 8, 5, padding=2), nn.Conv2d(8, 8, 7, padding=3))
    report = analyze(plain, (8, 12, 12))
    (stacks,) = (r for r in rewrite(report) if r.kind == "several 3x3")
    assert (stacks.layers, stacks.macs) == (2, 12 * 12 * 8 * 8 * (2 + 3) * 9)
    assert stacks.ratio == (2 + 3) * 9 / (25 + 49)
    names = {s.name for advice in advise(report) for s in advice.substitutions if s.kind == "several 3x3"}
    assert names == {"two 3x3", "three 3x3"}


def test_a_layer_that_runs_twice_saves_its_params_once() -> None:
    shared = nn.Conv2d(16, 16, 3, padding=1)
    (separable,) = (
        r for r in rewrite(analyze(nn.Sequential(shared, shared), SHAPE)) if r.kind == "depthwise-separable"
    )
    assert separable.params == 16 * 9 + 16 + 16 * 16 + 16
    assert separable.macs == 2 * 12 * 12 * (16 * 9 + 16 * 16)


def test_what_saves_nowhere_is_not_in_the_list() -> None:
    assert rewrite(analyze(nn.Sequential(nn.Conv2d(16, 8, 1)), SHAPE)) == ()


def test_what_would_cost_more_is_not_advised() -> None:
    (advice, *_) = advise(analyze(nn.Sequential(nn.Conv2d(4, 32, 5, padding=2)), (4, 12, 12)))
    names = [s.name for s in advice.substitutions]
    assert names == ["depthwise-separable", "1x1 bottleneck first"]  # two 3x3: 9 (4 + 32) weights a filter against 100


def report_of(name: str) -> CostReport:
    with sketch():
        network = networks.create(name)
    return analyze(network, networks.input_shape(name))


def by_layer(report: CostReport, most: int = 5) -> dict[str, Advice]:
    return {advice.layer.name: advice for advice in advise(report, most)}


@pytest.mark.parametrize("name", ["alexnet", "vgg16"])
def test_where_most_params_are_is_the_first_linear_layer(name: str) -> None:
    report = report_of(name)
    advice = max(advise(report), key=lambda found: found.params_share)
    (first, *_) = (layer for layer in report.layers if layer.kind == "Linear")
    assert advice.layer == first
    (pooling,) = advice.substitutions
    # facts, section 1: 9216 and 25088 numbers in, 4096 out; 256 and 512 channels
    numbers, channels = {"alexnet": (9216, 256), "vgg16": (25088, 512)}[name]
    assert pooling.name == "global average pooling first"
    assert pooling.params_saved == pooling.macs_saved == (numbers - channels) * 4096
    assert pooling.formula == f"{channels} x 4,096 = {channels * 4096:,}"
    assert advice.params_share == (numbers + 1) * 4096 / report.params


def test_the_most_expensive_layers_come_each_once_most_macs_first() -> None:
    report = report_of("vgg16")
    found = advise(report, 3)
    macs = [advice.layer.macs for advice in found]
    assert macs == sorted(macs, reverse=True)
    assert len(found) == len({advice.layer.name for advice in found}) == 6  # three by macs, three by params
    assert macs[0] == max(layer.macs for layer in report.layers)
    assert max(layer.params for layer in report.layers) in [advice.layer.params for advice in found]


def test_layers_that_nothing_fits_have_no_substitution() -> None:
    found = by_layer(report_of("mobilenet_v1"), 100)
    assert found["head.3"].substitutions == ()
    assert all(advice.substitutions == () for name, advice in found.items() if name != "stem.conv")
    assert [s.name for s in found["stem.conv"].substitutions] == ["depthwise-separable"]


def test_a_layer_that_costs_nothing_is_no_advice() -> None:
    assert advise(analyze(nn.ReLU(), (3, 4, 4))) == ()


def test_most_macs_saved_comes_first() -> None:
    for advice in advise(report_of("alexnet")):
        saved = [s.macs_saved for s in advice.substitutions]
        assert saved == sorted(saved, reverse=True)
