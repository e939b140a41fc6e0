"""`convwise conv`."""

import re
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from .output import Json, print_json, say, say_table

if TYPE_CHECKING:
    from ..cost import Alternative, Convolution


def conv(
    input: Annotated[str, Option(metavar="HxWxC", help="Input: height, width and channels, as 28x28x192.")],  # noqa: A002
    filters: Annotated[int, Option(metavar="N", help="Channels of the output.")],
    kernel: Annotated[int, Option(metavar="PIXELS", help="Side of the kernel.")],
    stride: Annotated[int, Option(metavar="PIXELS", help="Step of the kernel.")] = 1,
    padding: Annotated[str, Option(metavar="HOW", help="same: zeros keep the sides; valid: none.")] = "same",
    bottleneck: Annotated[
        int | None,
        Option(metavar="N", help="Channels of the 1x1 convolution in front; a quarter of the input's by default."),
    ] = None,
    bias: Annotated[bool, Option(help="One number a filter; it counts as a parameter.")] = False,
    json: Json = False,
) -> None:
    """Cost one convolution, and what the papers put in its place."""
    from ..cost import alternatives, convolution, unfit

    height, width, channels = _sizes(input)
    plain = convolution((channels, height, width), filters, kernel, stride=stride, padding=padding, bias=bias)
    found, left_out = alternatives(plain, bottleneck), unfit(plain, bottleneck)
    if json:
        shown = {"alternatives": [_record(a) for a in found], "unfit": left_out}
        print_json({"output_shape": [filters, *plain.output]} | shown)
    else:
        _show(plain, found, left_out)


def _show(plain: "Convolution", found: "tuple[Alternative, ...]", left_out: dict[str, str]) -> None:
    rows, columns = plain.output
    say(f"in   height {plain.height:,}, width {plain.width:,}, channels {plain.in_channels:,}, one image")
    say(f"out  height {rows:,}, width {columns:,}, channels {plain.filters:,}")
    say()
    forms = [
        (a.name, f"{a.params:,}", f"{a.macs:,}", f"{a.ratio:.3f}", "costs more here" if a.ratio > 1 else "")
        for a in found
    ]
    say_table([("", "params", "MACs", "ratio", ""), *forms])
    for reason in dict.fromkeys(left_out.values()):
        kinds = ", ".join(kind for kind in left_out if left_out[kind] == reason)
        say(f"  left out: {kinds}: {reason}")
    for a in found:
        say()
        say(f"{a.name}")
        say(f"  layers  {a.layers}")
        say(f"  MACs    {a.macs_formula}")
        say(f"  params  {a.params_formula}")
        if a.ratio != 1:
            say(f"  ratio   {a.ratio_formula} = {a.ratio:.4g}")


def _sizes(text: str) -> tuple[int, int, int]:
    from ..errors import UsageError

    found = re.fullmatch(r"(\d+)x(\d+)x(\d+)", text.lower().replace(" ", ""))
    if not found:
        raise UsageError(f"input must be height, width and channels, as 28x28x192, got {text!r}")
    height, width, channels = map(int, found.groups())
    return height, width, channels


def _record(a: "Alternative") -> dict[str, Any]:
    return {
        "kind": a.kind,
        "name": a.name,
        "params": a.params,
        "macs": a.macs,
        "ratio": a.ratio,
        "layers": a.layers,
        "macs_formula": a.macs_formula,
        "params_formula": a.params_formula,
        "ratio_formula": a.ratio_formula,
    }
