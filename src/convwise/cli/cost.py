"""`convwise cost`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from .output import Json, print_json, say

if TYPE_CHECKING:
    from torch import nn

    from ..cost import Advice, CostReport, LayerCost, StageCost
    from ..runtime.latency import Latency
    from .subject import Subject


def cost(
    network: Annotated[
        str, Argument(metavar="NETWORK", help="A name of `convwise networks`, a run or classifier, or module:builder.")
    ],
    by: Annotated[str | None, Option(metavar="WHAT", help="stage (default) or layer.")] = None,
    resolution: Annotated[int | None, Option(metavar="PIXELS", help="Side of the square input.")] = None,
    channels: Annotated[int | None, Option(metavar="N", help="Of the input of module:builder; 3 by default.")] = None,
    num_classes: Annotated[
        int | None, Option(metavar="N", help="As many as the paper's or, of module:builder, its own default.")
    ] = None,
    argument: Annotated[
        list[str] | None, Option(metavar="NAME=VALUE", help="Argument of the builder; repeat for more.")
    ] = None,
    measure: Annotated[bool, Option("--measure", help="Milliseconds here, in all and (casebook) by stage.")] = False,
    advise: Annotated[bool, Option("--advise", help="The most expensive layers, and what could stand there.")] = False,
    picture: Annotated[Path | None, Option(metavar="FILE.svg", help="Draw the feature maps to scale.")] = None,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace the file of --picture.")] = False,
    threads: Annotated[int | None, Option(metavar="N", help="Of one call of --measure; 1 by default.")] = None,
    json: Json = False,
) -> None:
    """Count what a network costs, exactly, without running it."""
    from ..cost.advice import advise as find_advice
    from ..cost.advice import rewrite
    from .cost_text import show_advice, show_counts, show_latencies
    from .guest import guarding
    from .subject import find_subject

    _check(by, json=json, threads=threads, measure=measure, picture=picture, overwrite=overwrite)
    with guarding(network):
        subject = find_subject(network, resolution, num_classes, argument or [], channels=channels)
        module = subject.to_analyze()
        report = _analyze(subject, module)
        if picture:
            _draw(subject, module, report, picture, overwrite=overwrite)
        latencies = _measured(subject, module, report, threads or 1) if measure else {}
    advice, rewritten = (find_advice(report), rewrite(report)) if advise else ((), ())
    if json:
        advised = {"advice": [_advice_record(a) for a in advice], "rewritten": [asdict(r) for r in rewritten]}
        print_json(_record(subject, report, latencies) | advised)
        return
    show_counts(subject.title, report, by or "stage")
    show_latencies(latencies)
    show_advice(advice, rewritten)
    if picture:
        say()
        say(f"drawn in {picture}")


def _check(
    by: str | None, *, json: bool, threads: int | None, measure: bool, picture: Path | None, overwrite: bool
) -> None:
    """Refuse values that there are not and options that have no effect."""
    from ..data.threads import check_threads
    from ..errors import UsageError, one_of

    if by not in (None, "stage", "layer"):
        raise one_of("by", by, ("stage", "layer"))
    if by and json:
        raise UsageError("by has no effect with --json, which has both; leave one of them out")
    if threads is not None and not measure:
        raise UsageError("threads has no effect without --measure; leave it out, or add --measure")
    check_threads(threads)
    if overwrite and not picture:
        raise UsageError("overwrite has no effect without --picture; leave it out, or add --picture")
    if picture and picture.suffix.lower() != ".svg":
        raise UsageError(f"picture must end in .svg, got {str(picture)!r}")


def _analyze(subject: "Subject", module: "nn.Module") -> "CostReport":
    from ..cost import analyze
    from ..errors import UsageError

    try:
        return analyze(module, subject.input_shape)
    except UsageError:
        if subject.casebook:
            raise
        return analyze(module, subject.input_shape, device="cpu")  # it may only need to see values


def _advice_record(advice: "Advice") -> dict[str, Any]:
    return {
        "layer": advice.layer.name,
        "macs_share": advice.macs_share,
        "params_share": advice.params_share,
        "substitutions": [asdict(s) for s in advice.substitutions],
    }


def _measured(subject: "Subject", module: "nn.Module", report: "CostReport", threads: int) -> "dict[str, Latency]":
    """The whole network and each of its stages; one of the casebook with random weights."""
    import numpy as np

    from ..data.preprocessing import Preprocessing
    from ..errors import ConvwiseError, UsageError
    from ..runtime.graph import export_graph
    from ..runtime.latency import check_measurable, measure_by_stage

    channels, side, _ = subject.input_shape
    if channels not in (1, 3):
        raise UsageError(f"measure needs an image of 1 or 3 channels, got {channels}")
    check_measurable(report, f"{subject.title} at {side} px")
    preprocessing = Preprocessing(channels=channels, resolution=side, mean=(127.0,) * channels, std=(128.0,) * channels)
    try:
        model = export_graph(subject.build() if subject.casebook else module, preprocessing)
    except ConvwiseError:
        raise
    except Exception as error:  # of the exporter, which raises whatever it meets in a module of the user's
        if subject.casebook:
            raise
        reason = (str(error).strip().splitlines() or [""])[0]
        raise UsageError(
            f"{subject.name} cannot be measured: it must take float32 (B, C, H, W), give one tensor, and export to "
            f"ONNX; {type(error).__name__}: {reason}"
        ) from error
    return measure_by_stage(model, np.zeros(preprocessing.shape, np.uint8), threads=threads)


def _draw(subject: "Subject", module: "nn.Module", report: "CostReport", file: Path, *, overwrite: bool) -> None:
    """Write the picture; only a network of the casebook promises to be the chain of its parts."""
    from ..errors import UsageError
    from ..report.picture import draw_network, draw_stages

    if subject.casebook:
        text = draw_network(module, subject.input_shape, subject.title)
    else:
        text = draw_stages(report, subject.title)
    try:
        with file.open("w" if overwrite else "x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as error:
        raise UsageError(
            f"--picture {str(file)!r} exists already; give --overwrite to replace it, or another file"
        ) from error
    except OSError as error:
        raise UsageError(f"--picture {str(file)!r} cannot be written: {error.strerror}") from error


def _record(subject: "Subject", report: "CostReport", latencies: "dict[str, Latency]") -> dict[str, Any]:
    return {
        "network": subject.network,
        "path": None if subject.name == subject.network else subject.name,
        "arguments": dict(subject.arguments),
        "num_classes": subject.num_classes,
        "input_shape": list(report.input_shape),
        "params": report.params,
        "idle_params": report.idle_params,
        "macs": report.macs,
        "weight_bytes": report.weight_bytes,
        "activation_bytes": report.activation_bytes,
        "peak_activation_bytes": report.peak_activation_bytes,
        "uncounted": [u._asdict() for u in report.uncounted],
        "notes": report.notes,
        "stages": [_row(stage) for stage in report.stages],
        "layers": [_row(layer) | {"kind": layer.kind, "stage": layer.stage} for layer in report.layers],
        "latency": {name: latency._asdict() for name, latency in latencies.items()},
    }


def _row(row: "StageCost | LayerCost") -> dict[str, Any]:
    return {
        "name": row.name,
        "output_shape": list(row.output_shape),
        "params": row.params,
        "macs": row.macs,
        "weight_bytes": row.weight_bytes,
        "activation_bytes": row.activation_bytes,
        "intensity": row.intensity,
    }
