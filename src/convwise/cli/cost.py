"""`convwise cost`."""

import io
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from .files import check_picture, write_picture
from .output import Json, print_json, say

if TYPE_CHECKING:
    from torch import nn

    from ..cost import Advice, CostReport, LayerCost, StageCost
    from ..runtime.latency import Latency
    from .subject import Subject

FLOAT = 4  # bytes


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
    advise: Annotated[bool, Option("--advise", help="The most expensive layers, and what would save there.")] = False,
    picture: Annotated[Path | None, Option(metavar="FILE.svg", help="Draw the feature maps to scale.")] = None,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace the file of --picture.")] = False,
    threads: Annotated[int | None, Option(metavar="N", help="Of one call of --measure; 1 by default.")] = None,
    json: Json = False,
) -> None:
    """Count what a network costs, exactly, without running it."""
    from .subject import find_subject

    _check(by, json=json, threads=threads, measure=measure)
    _check_picture(picture, overwrite=overwrite)
    subject = find_subject(network, resolution, num_classes, argument or [], channels=channels)
    with subject.guarded():
        module = subject.to_analyze()
        report = _analyze(subject, module, measure=measure)
        drawn = _draw(subject, module, report) if picture else ""
        latencies = _measured(subject, module, report, threads or 1) if measure else {}
    if picture:
        write_picture(picture, "picture", drawn.encode())
    if json:
        print_json(_record(subject, report, latencies) | _advised(report, advise=advise))
        return
    _show(subject, report, by or "stage", latencies, advise=advise)
    if picture:
        say()
        say(f"drawn in {picture}")


def _advised(report: "CostReport", *, advise: bool) -> dict[str, Any]:
    """What would save, as plain values."""
    from ..cost import advise as find_advice
    from ..cost import rewrite

    advice, rewritten = (find_advice(report), rewrite(report)) if advise else ((), ())
    return {"advice": [_advice_record(a) for a in advice], "rewritten": [asdict(r) for r in rewritten]}


def _show(subject: "Subject", report: "CostReport", by: str, latencies: "dict[str, Latency]", *, advise: bool) -> None:
    from ..cost import advise as find_advice
    from ..cost import rewrite
    from .cost_text import show_advice, show_counts, show_latencies

    show_counts(subject.title, report, by)
    show_latencies(latencies)
    if advise:
        show_advice(report, find_advice(report), rewrite(report))


def _check(by: str | None, *, json: bool, threads: int | None, measure: bool) -> None:
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


def _check_picture(picture: Path | None, *, overwrite: bool) -> None:
    """Refuse a file that could not be written, before anything is counted."""
    from ..errors import UsageError

    if not picture:
        if overwrite:
            raise UsageError("overwrite has no effect without --picture; leave it out, or add --picture")
        return
    check_picture(picture, "picture", ".svg", overwrite=overwrite)


def _analyze(subject: "Subject", module: "nn.Module", *, measure: bool) -> "CostReport":
    """Count on shapes alone, or on zeros where the module must see values."""
    from ..cost import NeedsValuesError, analyze
    from ..errors import UsageError
    from ..machine import has_memory, too_little_memory

    try:
        return analyze(module, subject.input_shape)
    except NeedsValuesError as error:
        if measure:
            raise UsageError(
                f"{subject.name} cannot be measured: it must see the values of tensors, which the making of a graph "
                "does not have; leave --measure out"
            ) from error
    needed = FLOAT * 4 * math.prod(subject.input_shape)  # the image and three maps as large
    if not has_memory(needed):
        raise too_little_memory(f"running {subject.title} on zeros", needed, "lower --resolution")
    return analyze(module, subject.input_shape, device="cpu")


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

    from ..cost.complaints import in_one_line
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
        with _silence():
            model = export_graph(subject.build() if subject.casebook else module, preprocessing)
    except ConvwiseError:
        raise
    except Exception as error:  # of the exporter, which raises whatever it meets in a module of the user's
        if subject.casebook:
            raise
        cause: BaseException = error
        while cause.__cause__ is not None:  # the exporter's own words are pages on what to do next
            cause = cause.__cause__
        raise UsageError(
            f"{subject.name} cannot be measured: it must take float32 (B, C, H, W), give one tensor, and export to "
            f"ONNX; {type(cause).__name__}: {in_one_line(str(cause))}"
        ) from error
    return measure_by_stage(model, np.zeros(preprocessing.shape, np.uint8), threads=threads)


@contextmanager
def _silence() -> Iterator[None]:
    """No word from torch's exporter, which prints its graph and its thoughts when it fails; the error is told."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def _draw(subject: "Subject", module: "nn.Module", report: "CostReport") -> str:
    """Draw the picture; only a network of the casebook promises to be the chain of its parts."""
    from ..report.picture import draw_network, draw_stages

    if subject.casebook:
        return draw_network(module, subject.input_shape, subject.title)
    return draw_stages(report, subject.title)


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
