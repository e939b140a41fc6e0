"""What `convwise cost` prints for people."""

from collections import Counter
from typing import TYPE_CHECKING

from ..machine import in_bytes
from .output import percent, say, say_table, short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..cost import Advice, CostReport, LayerCost, Rewritten, StageCost
    from ..runtime.latency import Latency

OPERATORS = {  # torch's name and the one of the field, where there is one; the others stay
    "native_batch_norm": "batch norm", "_native_batch_norm_legit_no_training": "batch norm",
    "native_layer_norm": "layer norm", "native_group_norm": "group norm",
    "max_pool2d_with_indices": "max pool", "avg_pool2d": "mean pool", "avg_pool3d": "mean pool 3-D",
    "_adaptive_avg_pool2d": "adaptive mean pool", "constant_pad_nd": "padding", "cat": "concatenation",
    "relu": "ReLU", "hardtanh": "ReLU6/hardtanh", "silu": "SiLU", "gelu": "GELU", "_softmax": "softmax",
}  # fmt: skip


def show_counts(title: str, report: "CostReport", by: str) -> None:
    """Print what was counted, the rows and the totals."""
    say(f"{title}, input {_times(report.input_shape)}, one image (height x width x channels)")
    say()
    rows = _by_layer(report) if by == "layer" else [_row(stage, report.macs) for stage in report.stages]
    say_table([(by, "output", "params", "MACs", "share", "activation bytes", "MACs/byte"), *rows])
    say()
    say(f"  params              {report.params:,} ({in_bytes(report.weight_bytes)})")
    if report.idle_params:
        say(f"  idle params         {report.idle_params:,} further ones, which inference does not read")
    say(f"  MACs                {report.macs:,}")
    written, peak = in_bytes(report.activation_bytes), in_bytes(report.peak_activation_bytes)
    say(f"  activations         {written} written in all, at most {peak} needed at once")
    if report.uncounted:
        calls: Counter[str] = Counter()
        for u in report.uncounted:
            name = u.operator.removeprefix("aten.").rstrip("_")  # relu_ is relu in place
            calls[OPERATORS.get(name, name)] += u.calls
        say("  not in the MACs     " + ", ".join(f"{name} ({count})" for name, count in calls.items()))
    for note in report.notes:
        say(f"  {note}")


def show_latencies(latencies: "dict[str, Latency]") -> None:
    """Print the measured milliseconds, where there are any."""
    if not latencies:
        return
    total = latencies["total"]
    say()
    rows = [(name, f"{found.latency_ms:,.3f}", f"{found.latency_p95_ms:,.3f}") for name, found in latencies.items()]
    say_table([("measured", "median ms", "p95 ms"), *rows])
    threads = "1 thread" if total.threads == 1 else f"{total.threads} threads"
    say(f"  {total.n} calls after {total.warm_up} to warm up, {threads}, ONNX Runtime on {total.device}")
    if len(latencies) > 1:
        say("  each stage was run by itself, so that they do not add up to the total")


def show_advice(report: "CostReport", advice: "Sequence[Advice]", rewritten: "Sequence[Rewritten]") -> None:
    """Print the most expensive layers, what each substitution would save there, and what everywhere."""
    if not advice:
        return
    saves = ("saves MACs", "saves params", "ratio")
    rows = [("most expensive layers", "MACs", "of all", "params", "of all", *saves)]
    for a in advice:
        costs = (f"{a.layer.macs:,}", percent(a.macs_share), f"{a.layer.params:,}", percent(a.params_share))
        rows.append((short(a.layer.name), *costs, "", "", ""))
        rows += [
            (f"  {s.name}", "", "", "", "", f"{s.macs_saved:,}", f"{s.params_saved:,}", f"{s.ratio:.3f}")
            for s in a.substitutions
        ]
    say()
    say_table(rows)
    if any(not a.substitutions for a in advice):
        say("  where nothing is below a layer, none of the papers' substitutions saves MACs")
    if rewritten:
        say()
        found = [
            (r.kind, f"{r.layers:,}", f"{report.macs - r.macs:,}", f"{report.params - r.params:,}", f"{r.ratio:.3f}")
            for r in rewritten
        ]
        say_table([("everywhere it saves", "layers", *saves), *found])
        say("  ratio: the MACs that remain, of the layer or of the whole network, over those now")
        say("  a substitution is another function: what it does to the accuracy, only training tells")


def _by_layer(report: "CostReport") -> list[tuple[str, ...]]:
    """The layers that have MACs, in their order, and the others as one row, so that every column adds up."""
    others = [layer for layer in report.layers if not layer.macs]
    rows = [_row(layer, report.macs) for layer in report.layers if layer.macs]
    if others:
        params, made = (sum(getattr(layer, name) for layer in others) for name in ("params", "activation_bytes"))
        costs = (f"{params:,}", "0", percent(0.0), f"{made:,}", "0.00")
        rows.append((f"{len(others)} norms, pools and others", "", *costs))
    return rows


def _row(row: "StageCost | LayerCost", macs: int) -> tuple[str, ...]:
    share = percent(row.macs / macs if macs else 0.0)
    costs = (f"{row.params:,}", f"{row.macs:,}", share, f"{row.activation_bytes:,}", f"{row.intensity:.2f}")
    return (short(row.name), _times(row.output_shape), *costs)


def _times(shape: tuple[int, ...]) -> str:
    """Sizes as papers write them: (C, H, W) is HxWxC."""
    return "x".join(map(str, (*shape[1:], shape[0]) if len(shape) == 3 else shape))
