"""`convwise cost`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from .output import Json, percent, print_json, say, short

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    num_classes: Annotated[int | None, Option(metavar="N", help="As many as in the paper by default.")] = None,
    argument: Annotated[
        list[str] | None, Option(metavar="NAME=VALUE", help="Argument of the network's builder; repeat for more.")
    ] = None,
    measure: Annotated[bool, Option("--measure", help="Milliseconds here, in all and (casebook) by stage.")] = False,
    advise: Annotated[bool, Option("--advise", help="The most expensive layers, and what could stand there.")] = False,
    picture: Annotated[Path | None, Option(metavar="FILE.svg", help="Draw the feature maps to scale.")] = None,
    threads: Annotated[int | None, Option(metavar="N", help="Of one call of --measure; 1 by default.")] = None,
    json: Json = False,
) -> None:
    """Count what a network costs, exactly, without running it."""
    from ..cost import advise as find_advice
    from ..data.threads import check_threads
    from ..errors import UsageError, one_of
    from .subject import find_subject

    if by not in (None, "stage", "layer"):
        raise one_of("by", by, ("stage", "layer"))
    if by and json:
        raise UsageError("by has no effect with --json, which has both; leave one of them out")
    if threads is not None and not measure:
        raise UsageError("threads has no effect without --measure; leave it out, or add --measure")
    check_threads(threads)
    subject = find_subject(network, resolution, num_classes, argument or [], channels=channels)
    module = subject.to_analyze()
    report = _analyze(subject, module)
    advice = find_advice(report) if advise else ()
    if picture:
        _draw(subject, module, picture)
    latencies = _measured(subject, module, threads or 1) if measure else {}
    if json:
        print_json(_record(subject, report, latencies) | {"advice": [_advice_record(a) for a in advice]})
        return
    _show_counts(subject, report, by or "stage")
    _show_latencies(latencies)
    _show_advice(advice)
    if picture:
        say()
        say(f"drawn in {picture}")


def _analyze(subject: "Subject", module: "nn.Module") -> "CostReport":
    from ..cost import analyze
    from ..errors import UsageError

    try:
        return analyze(module, subject.input_shape)
    except UsageError:
        if subject.casebook:
            raise
        return analyze(module, subject.input_shape, device="cpu")  # it may only need to see values


def _show_counts(subject: "Subject", report: "CostReport", by: str) -> None:
    rows: tuple[StageCost, ...] | tuple[LayerCost, ...] = report.stages
    if by == "layer":
        rows = tuple(layer for layer in report.layers if layer.params or layer.macs)
    width = max((len(short(row.name)) for row in rows), default=0)
    say(f"{subject.name}, input {_times(report.input_shape)}, one image (height x width x channels)")
    say()
    say(f"  {by:{width}}  {'output':>15} {'params':>13} {'MACs':>16} {'share':>6} {'activations':>12} {'MACs/byte':>9}")
    for row in rows:
        share = row.macs / report.macs if report.macs else 0.0
        say(
            f"  {short(row.name):{width}}  {_times(row.output_shape):>15} {row.params:13,} {row.macs:16,}"
            f" {100 * share:5.1f}% {_bytes(row.activation_bytes):>12} {row.intensity:9.3g}"
        )
    if by == "layer":
        say("  layers without params and MACs are left out, such as activations and pools")
    say()
    say(f"  params              {report.params:,} ({_bytes(report.weight_bytes)})")
    if report.idle_params:
        say(f"  auxiliary heads     {report.idle_params:,} further params, which inference does not run")
    say(f"  MACs                {report.macs:,}")
    written, peak = _bytes(report.activation_bytes), _bytes(report.peak_activation_bytes)
    say(f"  activations         {written} written in all, at most {peak} needed at once")
    if report.uncounted:
        found = ", ".join(f"{u.operator.removeprefix('aten.')} ({u.calls})" for u in report.uncounted)
        say(f"  not in the MACs     {found}")


def _show_latencies(latencies: "dict[str, Latency]") -> None:
    if not latencies:
        return
    total = latencies["total"]
    say()
    say(f"  {'measured':12} {'median':>9} {'p95':>9}")
    for name, latency in latencies.items():
        say(f"  {name:12} {latency.latency_ms:6.3g} ms {latency.latency_p95_ms:6.3g} ms")
    threads = "1 thread" if total.threads == 1 else f"{total.threads} threads"
    say(f"  {total.n} calls after {total.warm_up} to warm up, {threads}, ONNX Runtime on {total.device}")
    if len(latencies) > 1:
        say("  each stage was run by itself, so that they do not add up to the total")


def _show_advice(advice: "Sequence[Advice]") -> None:
    for a in advice:
        say()
        say(
            f"  {a.layer.name}: {a.layer.macs:,} MACs ({percent(a.macs_share)} of all), "
            f"{a.layer.params:,} params ({percent(a.params_share)})"
        )
        for s in a.substitutions:
            say(f"    {s.name:28} {-s.macs_saved:+16,} MACs {-s.params_saved:+14,} params")
        if not a.substitutions:
            say("    none of the papers' substitutions saves here")
    if advice:
        say()
        say("  a substitution is another function: what it does to the accuracy, only training tells")


def _advice_record(advice: "Advice") -> dict[str, Any]:
    return {
        "layer": advice.layer.name,
        "macs_share": advice.macs_share,
        "params_share": advice.params_share,
        "substitutions": [asdict(s) for s in advice.substitutions],
    }


def _measured(subject: "Subject", module: "nn.Module", threads: int) -> "dict[str, Latency]":
    """The whole network and each of its stages; one of the casebook with random weights."""
    import numpy as np

    from ..data.preprocessing import Preprocessing
    from ..errors import ConvwiseError, UsageError
    from ..runtime.graph import export_graph
    from ..runtime.latency import measure_by_stage

    channels, side, _ = subject.input_shape
    if channels not in (1, 3):
        raise UsageError(f"measure needs an image of 1 or 3 channels, got {channels}")
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


def _draw(subject: "Subject", module: "nn.Module", file: Path) -> None:
    from ..errors import UsageError
    from ..report.picture import draw_network

    if file.suffix.lower() != ".svg":
        raise UsageError(f"picture must end in .svg, got {str(file)!r}")
    text = draw_network(module, subject.input_shape, subject.name)
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--picture {str(file)!r} cannot be written: {error.strerror}") from error


def _record(subject: "Subject", report: "CostReport", latencies: "dict[str, Latency]") -> dict[str, Any]:
    return {
        "network": subject.name,
        "input_shape": list(report.input_shape),
        "params": report.params,
        "idle_params": report.idle_params,
        "macs": report.macs,
        "weight_bytes": report.weight_bytes,
        "activation_bytes": report.activation_bytes,
        "peak_activation_bytes": report.peak_activation_bytes,
        "uncounted": [u._asdict() for u in report.uncounted],
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


def _times(shape: tuple[int, ...]) -> str:
    """Sizes as papers write them: (C, H, W) is HxWxC."""
    return "x".join(map(str, (*shape[1:], shape[0]) if len(shape) == 3 else shape))


def _bytes(count: int) -> str:
    """Three digits, decimal units."""
    for unit, word in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.3g} {word}"
    return f"{count} B"
