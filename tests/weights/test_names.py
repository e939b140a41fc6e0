"""Every network that torchvision or timm has too: their tensors fit into ours, give the same logits, and come back."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple, cast

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from convwise import weights
from convwise.errors import DataError
from convwise.weights.filling import blank, fill
from convwise.weights.table import forms, naming


class Pair(NamedTuple):
    """A network of ours, with the arguments that the table of weights has, and the same of another library."""

    publisher: str
    theirs: str
    ours: str
    arguments: Mapping[str, object]
    sides: tuple[int, int] = (64, 97)  # an even and an odd one, so that padding shows; at each stride of 2 too

    def __str__(self) -> str:
        """For the name of the test."""
        return f"{self.publisher} {self.theirs}"

    def create(self) -> nn.Module:
        """Build theirs."""
        if self.publisher == "timm":
            return cast("nn.Module", timm.create_model(self.theirs))
        aux = {"aux_logits": self.arguments.get("aux", False), "init_weights": False, "transform_input": False}
        options = aux if self.theirs == "googlenet" else {}
        return cast("nn.Module", torchvision.models.get_model(self.theirs, weights=None, **options))

    def published(self) -> weights.Published:
        """Any weights of that network, as if of that publisher, whose copies the table leaves out."""
        return replace(weights.all_published(self.ours)[0], publisher=self.publisher, arguments=self.arguments)


TORCHVISION = {
    "alexnet": "alexnet_owt", "googlenet": "googlenet_bn", "mobilenet_v2": "mobilenet_v2",
    **{f"vgg{depth}{norm}": f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")},
    **{f"resnet{depth}": f"resnet{depth}" for depth in (18, 34, 50, 101, 152)},
    **{f"efficientnet_b{number}": f"efficientnet_b{number}" for number in range(8)},
}  # fmt: skip
TIMM: dict[str, tuple[str, dict[str, object]]] = {
    "mobilenetv1_100": ("mobilenet_v1", {"width": 1.0}), "mobilenetv1_125": ("mobilenet_v1", {"width": 1.25}),
    "mobilenetv2_035": ("mobilenet_v2", {"width": 0.35}), "mobilenetv2_050": ("mobilenet_v2", {"width": 0.5}),
    "mobilenetv2_075": ("mobilenet_v2", {"width": 0.75}), "mobilenetv2_100": ("mobilenet_v2", {"width": 1.0}),
    "mobilenetv2_140": ("mobilenet_v2", {"width": 1.4}),
    **{f"vgg{depth}{norm}": (f"vgg{depth}{norm}", {}) for depth in (11, 13, 16, 19) for norm in ("", "_bn")},
    **{f"resnet{depth}": (f"resnet{depth}", {}) for depth in (18, 34, 50, 101, 152)},
    **{f"efficientnet_b{number}": (f"efficientnet_b{number}", {"same": False}) for number in range(8)},
    **{f"efficientnet_lite{number}": (f"efficientnet_lite{number}", {"same": False}) for number in range(5)},
    **{f"tf_efficientnet_b{number}": (f"efficientnet_b{number}", {"same": True}) for number in range(8)},
    **{f"tf_efficientnet_lite{number}": (f"efficientnet_lite{number}", {"same": True}) for number in range(5)},
}  # fmt: skip
SIDES = {"alexnet": (224, 97), "vgg": (64, 45)}


def pairs() -> list[Pair]:
    """All of them; the arguments are those of the table, so that a wrong one shows in the logits."""
    found = []
    for theirs, ours in TORCHVISION.items():
        (form,) = forms("torchvision", ours)
        sides = next((sides for name, sides in SIDES.items() if theirs.startswith(name)), (64, 97))
        found.append(Pair("torchvision", theirs, ours, form, sides))
        if theirs == "googlenet":
            found.append(Pair("torchvision", theirs, ours, {**form, "aux": True}))
    for theirs, (ours, sign) in TIMM.items():
        (form,) = (f for f in forms("timm", ours) if all(f[key] == value for key, value in sign.items()))
        sides = (224, 225) if theirs.startswith("vgg") else (64, 97)  # timm's VGG wants maps of 7 x 7 at least
        found.append(Pair("timm", theirs, ours, form, sides))
    return found


PAIRS = pairs()
QUICK = (
    "torchvision alexnet", "torchvision vgg11_bn", "torchvision resnet18", "timm resnet50", "googlenet",
    "torchvision mobilenet_v2", "timm mobilenetv1_100", "timm mobilenetv2_050", "efficientnet_b0",
    "torchvision efficientnet_b5", "efficientnet_lite0",
)  # fmt: skip


def randomise(network: nn.Module) -> None:
    """Draw batch norm's statistics and weights: with those that it begins with, eps and means would not show."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight.data, 0.5, 1.5), (module.bias.data, -0.2, 0.2),
                (module.running_mean, -0.2, 0.2), (module.running_var, 0.1, 1.0),
            ):  # fmt: skip
                assert tensor is not None
                tensor.uniform_(low, high, generator=generator)


def image(side: int) -> Tensor:
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(side))


def ours_with(pair: Pair, state: Mapping[str, Tensor]) -> nn.Module:
    """Our network with their tensors, in evaluation mode."""
    names = blank(pair.ours, pair.arguments).state_dict()
    renamed = naming(pair.publisher, pair.ours).to_ours(state, names, "theirs")
    return fill(pair.ours, pair.arguments, renamed, "theirs").eval()


def relative_error(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


@pytest.mark.parametrize(
    "pair",
    [
        pytest.param(p, id=str(p), marks=() if any(name in str(p) for name in QUICK) else pytest.mark.slow)
        for p in PAIRS
    ],
)
@torch.no_grad()
def test_their_tensors_give_their_logits_and_go_back_unchanged(pair: Pair) -> None:
    theirs = pair.create().eval()
    randomise(theirs)
    state = theirs.state_dict()
    ours = ours_with(pair, state)
    for side in pair.sides:
        x = image(side)
        expected = theirs(x)
        assert expected.isfinite().all()
        assert relative_error(ours(x), expected) < 1e-5
    back = weights.to_theirs(pair.published(), ours.state_dict())
    theirs.load_state_dict(back, strict=True)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)


@pytest.mark.parametrize("pair", [p for p in PAIRS if "efficientnet" not in p.theirs], ids=str)
def test_their_names_and_shapes_are_ours_one_to_one(pair: Pair) -> None:
    with torch.device("meta"):
        state = pair.create().state_dict()
    wanted = blank(pair.ours, pair.arguments).state_dict()
    renamed = naming(pair.publisher, pair.ours).to_ours(state, wanted, "theirs")
    assert {name: tensor.shape for name, tensor in renamed.items()} == {n: t.shape for n, t in wanted.items()}
    back = weights.to_theirs(pair.published(), wanted)
    assert {name: tensor.shape for name, tensor in back.items()} == {n: t.shape for n, t in state.items()}


@torch.no_grad()
@pytest.mark.parametrize("wrong", [{"eps": 1e-3}, {"same": True}], ids=str)
def test_another_eps_or_padding_would_show(wrong: Mapping[str, object]) -> None:
    pair = next(p for p in PAIRS if p.theirs == "efficientnet_b0" and p.publisher == "timm")
    theirs = pair.create().eval()
    randomise(theirs)
    ours = ours_with(pair._replace(arguments={**pair.arguments, **wrong}), theirs.state_dict())
    assert max(relative_error(ours(image(side)), theirs(image(side))) for side in pair.sides) > 1e-3


@torch.no_grad()
def test_another_place_of_the_stride_would_show() -> None:
    pair = next(p for p in PAIRS if p.theirs == "resnet50")
    theirs = pair.create().eval()
    randomise(theirs)
    ours = ours_with(pair._replace(arguments={"v1_5": False}), theirs.state_dict())
    assert relative_error(ours(image(64)), theirs(image(64))) > 1e-3


def test_every_published_network_is_held_to_its_publisher_s() -> None:
    held = {(pair.publisher, pair.ours, tuple(pair.arguments.items())) for pair in PAIRS}
    table = {(row.publisher, row.network, tuple(row.arguments.items())) for row in weights.table.PUBLISHED}
    assert {row for row in table - held if row[0] != "pypi"} == set()


@torch.no_grad()
def test_googlenet_takes_at_once_what_torchvision_s_makes_of_its_own_normalisation() -> None:
    published = weights.published("googlenet_bn")
    assert published is not None
    theirs = torchvision.models.googlenet(weights=None, init_weights=False, transform_input=True).eval()
    randomise(theirs)
    levels = (255 * torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))).round()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])  # torchvision's, of 1
    expected = theirs((levels / 255 - mean[:, None, None]) / std[:, None, None])
    pair = Pair("torchvision", "googlenet", "googlenet_bn", published.arguments)
    ours = ours_with(pair, theirs.state_dict())
    wanted = torch.tensor(published.preprocessing.mean), torch.tensor(published.preprocessing.std)
    assert relative_error(ours((levels - wanted[0][:, None, None]) / wanted[1][:, None, None]), expected) < 1e-5


@torch.no_grad()
def test_a_convolution_over_the_whole_map_becomes_the_linear_layer_that_it_is() -> None:
    convolution = nn.Conv2d(3, 5, 7)
    rule = naming("timm", "vgg16")._replace(layers=lambda _: {"head.2": "pre_logits.fc1"})
    theirs = {f"pre_logits.fc1.{name}": tensor for name, tensor in convolution.state_dict().items()}
    ours = rule.to_ours(theirs, ["head.2.weight", "head.2.bias"], "theirs")
    x = image(7)
    y = nn.functional.linear(x.flatten(1), ours["head.2.weight"], ours["head.2.bias"])
    torch.testing.assert_close(y, convolution(x).flatten(1))
    back = rule.to_theirs(ours, ours, "ours")
    assert all(torch.equal(back[name], theirs[name]) for name in theirs)


def some() -> tuple[Pair, dict[str, Tensor]]:
    pair = next(p for p in PAIRS if p.theirs == "resnet18")
    with torch.device("meta"):
        return pair, pair.create().state_dict()


def test_counters_that_older_files_do_not_have_begin_at_zero() -> None:
    pair, state = some()
    names = blank(pair.ours, pair.arguments).state_dict()
    older = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    renamed = naming("torchvision", "resnet18").to_ours(older, names, "theirs")
    assert renamed.keys() == names.keys()
    assert renamed["stem.0.norm.num_batches_tracked"] == 0


def test_missing_and_unknown_tensors_of_theirs_are_named() -> None:
    pair, state = some()
    names = blank(pair.ours, pair.arguments).state_dict()
    rule = naming("torchvision", "resnet18")
    missing = {name: state[name] for name in state if name not in ("bn1.weight", "fc.bias")}
    with pytest.raises(DataError, match=r"^the file do not fit: missing bn1\.weight, fc\.bias$"):
        rule.to_ours(missing, names, "the file")
    with pytest.raises(DataError, match=r"^the file do not fit: unknown neck\.weight$"):
        rule.to_ours({**state, "neck.weight": torch.zeros(1)}, names, "the file")


def test_missing_and_unknown_tensors_of_ours_are_named() -> None:
    published = weights.find("resnet18", "torchvision/IMAGENET1K_V1")
    state = blank("resnet18", {}).state_dict()
    with pytest.raises(DataError, match=r"^the tensors given for resnet18 do not fit: unknown neck\.weight$"):
        weights.to_theirs(published, {**state, "neck.weight": torch.zeros(1)})
    del state["head.3.bias"]
    with pytest.raises(DataError, match=r"^the tensors given for resnet18 do not fit: missing head\.3\.bias$"):
        weights.to_theirs(published, state)


def test_a_network_for_other_classes_goes_back_too() -> None:
    network = weights.network("resnet18", num_classes=7)
    theirs = weights.to_theirs(weights.find("resnet18", "torchvision/IMAGENET1K_V1"), network.state_dict())
    torchvision.models.resnet18(weights=None, num_classes=7).load_state_dict(theirs, strict=True)
