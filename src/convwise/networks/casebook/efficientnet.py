"""What is known of the networks of `networks/efficientnet.py`, and their sizes, which set the image that each takes."""

from typing import NamedTuple, cast

from .entry import EPS, IN_CHANNELS, PROBABILITY, SAME, Accuracy, Argument, Entry, Paper, Printed

PAPER = Paper(
    title="EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
    authors="M. Tan, Q. V. Le",
    venue="ICML",
    year=2019,
    url="https://arxiv.org/abs/1905.11946",
)
AUTHORS = "https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet"
# About a thousandth and a thousand times the cost of B0.
PHI = Argument(
    float, 0.0, "B0 with 1.2 ** phi the depth, 1.1 ** phi the width and 1.15 ** phi the resolution", (-10, 10)
)
ARGUMENTS = {
    "in_channels": IN_CHANNELS,
    "dropout": Argument(
        float, None, "probability before the last linear layer, in training; none: the published one", PROBABILITY
    ),
    "stochastic_depth": Argument(
        float, 0.2, "probability that training drops a branch, rising from 0 to this", PROBABILITY
    ),
    "same": SAME._replace(default=True),
    "eps": EPS._replace(default=1e-3),
}


class Scaling(NamedTuple):
    """One size of the family."""

    width: float  # times the channels of every row of the table
    depth: float  # times the layers of every row
    resolution: int  # side of the image, pixels
    dropout: float  # probability before the last linear layer


# efficientnet_builder.py and lite/efficientnet_lite_builder.py of the authors: rounded by hand, not by `compound`.
# fmt: off
B = {
    0: Scaling(1.0, 1.0, 224, 0.2),
    1: Scaling(1.0, 1.1, 240, 0.2),
    2: Scaling(1.1, 1.2, 260, 0.3),
    3: Scaling(1.2, 1.4, 300, 0.3),
    4: Scaling(1.4, 1.8, 380, 0.4),
    5: Scaling(1.6, 2.2, 456, 0.4),
    6: Scaling(1.8, 2.6, 528, 0.5),
    7: Scaling(2.0, 3.1, 600, 0.5),
}
LITE = {
    0: Scaling(1.0, 1.0, 224, 0.2),
    1: Scaling(1.0, 1.1, 240, 0.2),
    2: Scaling(1.1, 1.2, 260, 0.3),
    3: Scaling(1.2, 1.4, 280, 0.3),
    4: Scaling(1.4, 1.8, 300, 0.3),
}
# fmt: on


def compound(phi: float) -> Scaling:
    """Scale B0 in depth, width and resolution together, so that the cost grows about as 2 ** phi.

    Source: equation 3 and section 3.3 of the paper; section 5.2 for the dropout, which rises by equal steps from B0 to
    B7. Whole pixels, and a negative phi for networks below B0, are our choice.
    """
    return Scaling(1.1**phi, 1.2**phi, round(224 * 1.15**phi), max(0.0, 0.2 + 0.3 * phi / 7))


class Record(NamedTuple):
    """Costs as counted here; costs and top-1 as published."""

    params: int
    macs: int
    printed_params: str
    printed_macs: str
    top1: str  # per cent
    difference: str = ""


# fmt: off
# Table 2 of the paper's last version; top-1 of its first: 76.3, 78.8, 79.8, 81.1, 82.6, 83.3, 84.0, 84.4.
B_RECORDS = {
    0: Record( 5_288_548,    385_814_752, "5.3 M", "0.39 B", "77.1"),
    1: Record( 7_794_184,    686_802_832, "7.8 M", "0.70 B", "79.1", "MACs are printed 1.9 % higher"),
    2: Record( 9_109_994,    993_561_872, "9.2 M", "1.0 B",  "80.1", "params are printed 1.0 % higher"),
    3: Record(12_233_232,  1_827_141_392, "12 M",  "1.8 B",  "81.6"),
    4: Record(19_341_616,  4_393_771_024, "19 M",  "4.2 B",  "82.9", "MACs are printed 4.4 % lower"),
    5: Record(30_389_784, 10_266_384_752, "30 M",  "9.9 B",  "83.6", "MACs are printed 3.6 % lower"),
    6: Record(43_040_704, 19_067_593_536, "43 M",  "19 B",   "84.0"),
    7: Record(66_347_960, 37_745_884_192, "66 M",  "37 B",   "84.3", "MACs are printed 2.0 % lower"),
}
# The authors' README of the Lite form.
LITE_RECORDS = {
    0: Record( 4_652_008,   385_187_552, "4.7 M",  "407 M",  "75.1", "MACs are printed 5.7 % higher"),
    1: Record( 5_416_680,   600_185_232, "5.4 M",  "631 M",  "76.7", "MACs are printed 5.1 % higher"),
    2: Record( 6_092_072,   859_736_272, "6.1 M",  "899 M",  "77.6", "MACs are printed 4.6 % higher"),
    3: Record( 8_197_096, 1_383_321_872, "8.2 M",  "1.44 B", "79.8", "MACs are printed 4.1 % higher"),
    4: Record(13_006_568, 2_553_034_336, "13.0 M", "2.64 B", "81.5", "MACs are printed 3.4 % higher"),
}
# fmt: on

IDEAS = {0: "a searched table of inverted residuals with squeeze-and-excitation, made to be scaled"}
SCALED = "B0 made wider, deeper and finer together, which gains more than any one of the three alone"
LITE_IDEAS = {0: "a searched table of inverted residuals, with only operations that phones quantise well"}
LITE_SCALED = "Lite0 made wider, deeper and finer together; stem and head keep their width, end rows their depth"
UNSAID = "; how they were counted is not said"
B_PROTOCOL = "ImageNet validation, one centre crop at its own resolution, AutoAugment in training"
B_SOURCE = f"Table 2 of the paper's last version; {AUTHORS}"
LITE_PROTOCOL = "ImageNet validation, one centre crop at its own resolution"


def _printed(row: Record, source: str) -> Printed:
    return Printed(row.printed_params, row.printed_macs, source)


ENTRIES = {
    **{
        f"efficientnet_b{number}": Entry(
            module="efficientnet", builder="efficientnet_b", fixed={"number": number}, arguments=ARGUMENTS,
            resolution=B[number].resolution, paper=PAPER, idea=IDEAS.get(number, SCALED),
            params=row.params, macs=row.macs,
            printed=_printed(row, "Table 2"), difference=row.difference and row.difference + UNSAID,
            accuracy=Accuracy(row.top1, B_PROTOCOL, B_SOURCE),
        )
        for number, row in B_RECORDS.items()
    },
    "efficientnet": Entry(
        module="efficientnet", builder="efficientnet", arguments={"in_channels": IN_CHANNELS, "phi": PHI} | ARGUMENTS,
        paper=PAPER,
        side=lambda arguments: compound(cast("float", arguments.get("phi", 0.0))).resolution,
        idea="compound scaling: one number, phi, sets width, depth and resolution; B0 at phi 0",
        params=B_RECORDS[0].params, macs=B_RECORDS[0].macs,
        printed=_printed(B_RECORDS[0], "Table 2"), accuracy=Accuracy(B_RECORDS[0].top1, B_PROTOCOL, B_SOURCE),
    ),
    **{
        f"efficientnet_lite{number}": Entry(
            module="efficientnet", builder="efficientnet_lite", fixed={"number": number}, arguments=ARGUMENTS,
            resolution=LITE[number].resolution, paper=PAPER, idea=LITE_IDEAS.get(number, LITE_SCALED),
            params=row.params, macs=row.macs,
            printed=_printed(row, f"{AUTHORS}/lite"), difference=row.difference + UNSAID,
            accuracy=Accuracy(row.top1, LITE_PROTOCOL, f"{AUTHORS}/lite"),
        )
        for number, row in LITE_RECORDS.items()
    },
}  # fmt: skip
