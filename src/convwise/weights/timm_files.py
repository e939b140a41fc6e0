"""What timm publishes of our networks: timm 1.0.31, `timm.get_pretrained_cfg`, and its results-imagenet.csv.

Left out are its copies of torchvision's files (`tv_in1k`, `tv2_in1k`), variants that are other networks (`resnet50d`,
`mobilenetv2_110d`, `mobilenetv1_100h`, ...), what has no ImageNet classifier (`bamboo`, `sw_in12k`), and six whose
top-1 at the resolution of their training is not confirmed: docs/weights.md names them.
"""

from typing import NamedTuple

from ..data.preprocessing import Preprocessing
from .published import IMAGENET_TERMS, Published, terms_of
from .store import Hosted
from .torchvision_files import HALF, MEAN, STD, SYMMETRIC

HUB = "https://huggingface.co/timm/"  # no hash is published there; the server states one
RELEASES = "https://github.com/huggingface/pytorch-image-models/releases/download/"
WEIGHTS, RSB = f"{RELEASES}v0.1-weights/", f"{RELEASES}v0.1-rsb-weights/"
GLUON = "https://github.com/rwightman/pytorch-pretrained-gluonresnet/releases/download/v0.1/"
FB = "https://dl.fbaipublicfiles.com/semiweaksupervision/model_files/"
APACHE, NC = "Apache-2.0", "CC-BY-NC-4.0"


class Style(NamedTuple):
    """How the weights want an image prepared."""

    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


CUBIC, CUBIC_HALF = Style("bicubic", MEAN, STD), Style("bicubic", HALF, HALF)
LIN, LIN_HALF = Style("bilinear", MEAN, STD), Style("bilinear", HALF, HALF)


class Row(NamedTuple):
    """One file."""

    name: str  # model and training; the first of a network is its default where torchvision has none
    file: str  # with the first eight digits of its SHA-256; the hub has its own names
    top1: float  # per cent, as timm measured it at this resolution and crop
    resolution: int  # side of the input, pixels
    crop: float  # share of the shorter side
    style: Style


class Group(NamedTuple):
    """Files that are in one place under one licence."""

    base: str
    licence: str
    rows: tuple[Row, ...]


# fmt: off
GROUPS = (
    Group(RSB, APACHE, (
        Row("resnet18.a1_in1k",   "resnet18_a1_0-d63eafa0.pth",     71.504, 224, 0.950, CUBIC),
        Row("resnet18.a2_in1k",   "resnet18_a2_0-b61bd467.pth",     70.634, 224, 0.950, CUBIC),
        Row("resnet18.a3_in1k",   "resnet18_a3_0-40c531c8.pth",     65.670, 160, 0.950, CUBIC),
        Row("resnet34.a1_in1k",   "resnet34_a1_0-46f8f793.pth",     76.420, 224, 0.950, CUBIC),
        Row("resnet34.a2_in1k",   "resnet34_a2_0-82d47d71.pth",     75.520, 224, 0.950, CUBIC),
        Row("resnet34.a3_in1k",   "resnet34_a3_0-a20cabb6.pth",     70.580, 160, 0.950, CUBIC),
        Row("resnet50.a1_in1k",   "resnet50_a1_0-14fe96d1.pth",     80.382, 224, 0.950, CUBIC),
        Row("resnet50.a1h_in1k",  "resnet50_a1h2_176-001a1197.pth", 79.264, 176, 0.900, CUBIC),
        Row("resnet50.a2_in1k",   "resnet50_a2_0-a2746f79.pth",     79.828, 224, 0.950, CUBIC),
        Row("resnet50.a3_in1k",   "resnet50_a3_0-59cae1ef.pth",     75.994, 160, 0.950, CUBIC),
        Row("resnet50.b1k_in1k",  "resnet50_b1k-532a802a.pth",      79.564, 224, 0.950, CUBIC),
        Row("resnet50.b2k_in1k",  "resnet50_b2k-1ba180c1.pth",      79.388, 224, 0.950, CUBIC),
        Row("resnet50.c1_in1k",   "resnet50_c1-5ba5e060.pth",       79.766, 224, 0.950, CUBIC),
        Row("resnet50.c2_in1k",   "resnet50_c2-d01e05b2.pth",       79.868, 224, 0.950, CUBIC),
        Row("resnet50.d_in1k",    "resnet50_d-f39db8af.pth",        79.904, 224, 0.950, CUBIC),
        Row("resnet101.a1_in1k",  "resnet101_a1_0-cdcb52a9.pth",    81.494, 224, 0.950, CUBIC),
        Row("resnet101.a1h_in1k", "resnet101_a1h-36d3f2aa.pth",     81.950, 224, 0.950, CUBIC),
        Row("resnet101.a2_in1k",  "resnet101_a2_0-6edb36c7.pth",    81.344, 224, 0.950, CUBIC),
        Row("resnet101.a3_in1k",  "resnet101_a3_0-1db14157.pth",    77.928, 160, 0.950, CUBIC),
        Row("resnet152.a1_in1k",  "resnet152_a1_0-2eee8a7a.pth",    81.998, 224, 0.950, CUBIC),
        Row("resnet152.a1h_in1k", "resnet152_a1h-dc400468.pth",     82.818, 224, 0.950, CUBIC),
        Row("resnet152.a2_in1k",  "resnet152_a2_0-b4c6978f.pth",    81.764, 224, 0.950, CUBIC),
        Row("resnet152.a3_in1k",  "resnet152_a3_0-134d4688.pth",    78.896, 160, 0.950, CUBIC),
    )),
    Group(FB, NC, (
        Row("resnet18.fb_ssl_yfcc100m_ft_in1k", "semi_supervised_resnet18-d92f0530.pth", 72.636, 224, 0.875, LIN),
        Row("resnet18.fb_swsl_ig1b_ft_in1k", "semi_weakly_supervised_resnet18-118f1556.pth", 73.286, 224, 0.875, LIN),
        Row("resnet50.fb_ssl_yfcc100m_ft_in1k", "semi_supervised_resnet50-08389792.pth", 79.252, 224, 0.875, LIN),
        Row("resnet50.fb_swsl_ig1b_ft_in1k", "semi_weakly_supervised_resnet50-16a12f1b.pth", 81.146, 224, 0.875, LIN),
    )),
    Group(GLUON, APACHE, (
        Row("resnet18.gluon_in1k",  "gluon_resnet18_v1b-0757602b.pth",  70.844, 224, 0.875, CUBIC),
        Row("resnet34.gluon_in1k",  "gluon_resnet34_v1b-c6d82d59.pth",  74.574, 224, 0.875, CUBIC),
        Row("resnet50.gluon_in1k",  "gluon_resnet50_v1b-0ebe02e2.pth",  77.580, 224, 0.875, CUBIC),
        Row("resnet101.gluon_in1k", "gluon_resnet101_v1b-3b017079.pth", 79.306, 224, 0.875, CUBIC),
        Row("resnet152.gluon_in1k", "gluon_resnet152_v1b-c1edb0dd.pth", 79.712, 224, 0.875, CUBIC),
    )),
    Group(WEIGHTS, APACHE, (
        Row("resnet34.bt_in1k",               "resnet34-43635321.pth",              75.176, 224, 0.875, CUBIC),
        Row("resnet50.am_in1k",               "resnet50_am-6c502b37.pth",           79.004, 224, 0.875, CUBIC),
        Row("resnet50.bt_in1k",               "rw_resnet50-86acaeed.pth",           78.444, 224, 0.875, CUBIC),
        Row("resnet50.ra_in1k",               "resnet50_ra-85ebb6e5.pth",           78.820, 224, 0.875, CUBIC),
        Row("resnet50.ram_in1k",              "resnet50_ram-a26f946b.pth",          79.034, 224, 0.875, CUBIC),
        Row("mobilenetv2_100.ra_in1k",        "mobilenetv2_100_ra-b33bc2c4.pth",    72.910, 224, 0.875, CUBIC),
        Row("mobilenetv2_140.ra_in1k",        "mobilenetv2_140_ra-21a4e913.pth",    76.528, 224, 0.875, CUBIC),
        Row("mobilenetv2_050.lamb_in1k",      "mobilenetv2_050-3d30d450.pth",       65.928, 224, 0.875, CUBIC),
        Row("efficientnet_b0.ra_in1k",        "efficientnet_b0_ra-3dd342df.pth",    77.698, 224, 0.875, CUBIC),
        Row("tf_efficientnet_b0.aa_in1k",     "tf_efficientnet_b0_aa-827b6e33.pth", 76.882, 224, 0.875, CUBIC),
        Row("tf_efficientnet_b0.ap_in1k",     "tf_efficientnet_b0_ap-f262efe1.pth", 77.100, 224, 0.875, CUBIC_HALF),
        Row("tf_efficientnet_b0.in1k",        "tf_efficientnet_b0-0af12548.pth",    76.542, 224, 0.875, CUBIC),
        Row("tf_efficientnet_b0.ns_jft_in1k", "tf_efficientnet_b0_ns-c0e6a31c.pth", 78.680, 224, 0.875, CUBIC),
        Row("tf_efficientnet_b1.aa_in1k",     "tf_efficientnet_b1_aa-ea7a6ee0.pth", 78.840, 240, 0.882, CUBIC),
        Row("tf_efficientnet_b1.ap_in1k",     "tf_efficientnet_b1_ap-44ef0a3d.pth", 79.288, 240, 0.882, CUBIC_HALF),
        Row("tf_efficientnet_b1.in1k",        "tf_efficientnet_b1-5c1377c4.pth",    78.546, 240, 0.882, CUBIC),
        Row("tf_efficientnet_b1.ns_jft_in1k", "tf_efficientnet_b1_ns-99dd0c41.pth", 81.388, 240, 0.882, CUBIC),
        Row("tf_efficientnet_b2.aa_in1k",     "tf_efficientnet_b2_aa-60c94f97.pth", 80.074, 260, 0.890, CUBIC),
        Row("tf_efficientnet_b2.ap_in1k",     "tf_efficientnet_b2_ap-2f8e7636.pth", 80.300, 260, 0.890, CUBIC_HALF),
        Row("tf_efficientnet_b2.in1k",        "tf_efficientnet_b2-e393ef04.pth",    79.612, 260, 0.890, CUBIC),
        Row("tf_efficientnet_b2.ns_jft_in1k", "tf_efficientnet_b2_ns-00306e48.pth", 82.412, 260, 0.890, CUBIC),
        Row("tf_efficientnet_b3.aa_in1k",     "tf_efficientnet_b3_aa-84b4657e.pth", 81.648, 300, 0.904, CUBIC),
        Row("tf_efficientnet_b3.ap_in1k",     "tf_efficientnet_b3_ap-aad25bdd.pth", 81.842, 300, 0.904, CUBIC_HALF),
        Row("tf_efficientnet_b3.in1k",        "tf_efficientnet_b3-e3bd6955.pth",    80.878, 300, 0.904, CUBIC),
        Row("tf_efficientnet_b3.ns_jft_in1k", "tf_efficientnet_b3_ns-9d44bf68.pth", 84.054, 300, 0.904, CUBIC),
        Row("tf_efficientnet_b4.aa_in1k",     "tf_efficientnet_b4_aa-818f208c.pth", 83.040, 380, 0.922, CUBIC),
        Row("tf_efficientnet_b4.ap_in1k",     "tf_efficientnet_b4_ap-dedb23e6.pth", 83.246, 380, 0.922, CUBIC_HALF),
        Row("tf_efficientnet_b4.in1k",        "tf_efficientnet_b4-74ee3bed.pth",    82.598, 380, 0.922, CUBIC),
        Row("tf_efficientnet_b4.ns_jft_in1k", "tf_efficientnet_b4_ns-d6313a46.pth", 85.156, 380, 0.922, CUBIC),
        Row("tf_efficientnet_b5.aa_in1k",     "tf_efficientnet_b5_aa-99018a74.pth", 83.696, 456, 0.934, CUBIC),
        Row("tf_efficientnet_b5.ap_in1k",     "tf_efficientnet_b5_ap-9e82fae8.pth", 84.258, 456, 0.934, CUBIC_HALF),
        Row("tf_efficientnet_b5.in1k",        "tf_efficientnet_b5-c6949ce9.pth",    83.170, 456, 0.934, CUBIC),
        Row("tf_efficientnet_b5.ns_jft_in1k", "tf_efficientnet_b5_ns-6f26d0cf.pth", 86.096, 456, 0.934, CUBIC),
        Row("tf_efficientnet_b5.ra_in1k",     "tf_efficientnet_b5_ra-9a3e5369.pth", 83.834, 456, 0.934, CUBIC),
        Row("tf_efficientnet_b6.aa_in1k",     "tf_efficientnet_b6_aa-80ba17e4.pth", 84.124, 528, 0.942, CUBIC),
        Row("tf_efficientnet_b6.ap_in1k",     "tf_efficientnet_b6_ap-4ffb161f.pth", 84.794, 528, 0.942, CUBIC_HALF),
        Row("tf_efficientnet_b6.ns_jft_in1k", "tf_efficientnet_b6_ns-51548356.pth", 86.476, 528, 0.942, CUBIC),
        Row("tf_efficientnet_b7.aa_in1k",     "tf_efficientnet_b7_aa-076e3472.pth", 84.424, 600, 0.949, CUBIC),
        Row("tf_efficientnet_b7.ap_in1k",     "tf_efficientnet_b7_ap-ddb28fec.pth", 85.132, 600, 0.949, CUBIC_HALF),
        Row("tf_efficientnet_b7.ns_jft_in1k", "tf_efficientnet_b7_ns-1dbc32de.pth", 86.850, 600, 0.949, CUBIC),
        Row("tf_efficientnet_b7.ra_in1k",     "tf_efficientnet_b7_ra-6c08e654.pth", 84.926, 600, 0.949, CUBIC),
        Row("tf_efficientnet_lite0.in1k",     "tf_efficientnet_lite0-0aa007d2.pth", 74.846, 224, 0.875, CUBIC_HALF),
        Row("efficientnet_lite0.ra_in1k",     "efficientnet_lite0_ra-37913777.pth", 75.488, 224, 0.875, CUBIC),
        Row("tf_efficientnet_lite1.in1k",     "tf_efficientnet_lite1-bde8b488.pth", 76.674, 240, 0.882, CUBIC_HALF),
        Row("tf_efficientnet_lite2.in1k",     "tf_efficientnet_lite2-dcccb7df.pth", 77.470, 260, 0.890, CUBIC_HALF),
        Row("tf_efficientnet_lite3.in1k",     "tf_efficientnet_lite3-b733e338.pth", 79.808, 300, 0.904, LIN_HALF),
        Row("tf_efficientnet_lite4.in1k",     "tf_efficientnet_lite4-741542c3.pth", 81.540, 380, 0.920, LIN_HALF),
    )),
    Group(HUB, APACHE, (
        Row("resnet34.ra4_e3600_r224_in1k",        "", 77.492, 224, 0.900, CUBIC_HALF),
        Row("mobilenetv1_100.ra4_e3600_r224_in1k", "", 75.388, 224, 0.875, CUBIC_HALF),
        Row("mobilenetv1_125.ra4_e3600_r224_in1k", "", 76.920, 224, 0.900, CUBIC_HALF),
        Row("efficientnet_b0.ra4_e3600_r224_in1k", "", 78.568, 224, 0.900, CUBIC_HALF),
    )),
)
# fmt: on

# What the weights were trained on besides ImageNet, by a part of their name.
MORE_TERMS = {
    "ns_jft": terms_of("ImageNet and on JFT-300M, photos that Google has not published"),
    "ssl_yfcc100m": terms_of("ImageNet and on photos of YFCC100M, which come from Flickr under licences of their own"),
    "swsl_ig1b": terms_of("ImageNet and on public Instagram photos (IG-1B), which Facebook has not published"),
}
TENSORFLOW: dict[str, object] = {"same": True, "eps": 1e-3}
# timm's model -> our network and what its weights need where our defaults are the paper's; models of which timm
# publishes nothing are here as well, since a user's file may be of one.
MODELS: dict[str, tuple[str, dict[str, object]]] = {
    **{f"vgg{depth}{norm}": (f"vgg{depth}{norm}", {}) for depth in (11, 13, 16, 19) for norm in ("", "_bn")},
    **{f"resnet{depth}": (f"resnet{depth}", {}) for depth in (18, 34)},
    **{f"resnet{depth}": (f"resnet{depth}", {"v1_5": True}) for depth in (50, 101, 152)},
    **{f"mobilenetv1_{w:03}": ("mobilenet_v1", {"width": w / 100, "relu6": True}) for w in (100, 125)},
    **{f"mobilenetv2_{w:03}": ("mobilenet_v2", {"width": w / 100}) for w in (35, 50, 75, 100, 140)},
    **{f"efficientnet_b{number}": (f"efficientnet_b{number}", SYMMETRIC) for number in range(8)},
    **{f"efficientnet_lite{number}": (f"efficientnet_lite{number}", SYMMETRIC) for number in range(5)},
    **{f"tf_efficientnet_b{number}": (f"efficientnet_b{number}", TENSORFLOW) for number in range(8)},
    **{f"tf_efficientnet_lite{number}": (f"efficientnet_lite{number}", TENSORFLOW) for number in range(5)},
}


def _published(group: Group, row: Row) -> Published:
    network, arguments = MODELS[row.name.partition(".")[0]]
    origin = Hosted(group.base + row.file, row.file)
    if group.base == HUB:
        origin = Hosted(f"{HUB}{row.name}/resolve/main/model.safetensors", f"{row.name}.safetensors")
    return Published(
        network=network,
        id=f"timm/{row.name}",
        arguments=arguments,
        publisher="timm",
        source=HUB + row.name,
        licence=group.licence,
        terms=next((terms for mark, terms in MORE_TERMS.items() if mark in row.name), IMAGENET_TERMS),
        origin=origin,
        sha256=row.file.removesuffix(".pth")[-8:],
        preprocessing=Preprocessing(resolution=row.resolution, crop=row.crop, **row.style._asdict()),
        top1=round(row.top1 / 100, 5),
        protocol=f"ImageNet validation, 50,000 images, {row.style.interpolation}, one centre crop of {row.crop:g} of "
        f"the shorter side at {row.resolution} px, one scale, one network; timm's figure",
    )


PUBLISHED = tuple(_published(group, row) for group in GROUPS for row in group.rows)
