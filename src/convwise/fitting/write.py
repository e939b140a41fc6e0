"""The files of a run."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from .. import report
from ..classifier import Classifier
from ..data.text import write_csv
from .outcome import Outcome, Tried
from .page import CROSS_VALIDATION, make_page, versions
from .task import Step


def write_run(folder: Path, out: Path, outcome: Outcome, command: str, classifier: Classifier) -> dict[str, Any]:
    """Write everything but the classifier into `folder`, which will be called `out`; returns the result."""
    result = _result(outcome, out)
    _write_tables(folder, outcome)
    if outcome.second_look:
        outcome.second_look.write(folder)
    measured = outcome.summary.to_json(outcome.roles.classes)
    extra: dict[str, Any] = {"split": outcome.roles.measured, "versions": versions(), "notes": outcome.notes}
    extra["calibration"] = outcome.calibration.to_json()
    if outcome.prices:
        extra["members"] = [row.to_json() for row in outcome.prices]
    if outcome.cross_validation:
        extra["cross_validation"] = outcome.cross_validation._asdict() | {"meaning": CROSS_VALIDATION}
    (folder / "metrics.json").write_text(json.dumps(measured | extra, indent=1), encoding="utf-8")
    report.write(make_page(outcome, out, command, classifier), folder / "report.html")
    return result


def _result(outcome: Outcome, out: Path) -> dict[str, Any]:
    top1, cost = outcome.summary.top1, outcome.chosen.cost
    assert outcome.latency is not None
    members = {"members": [row.to_json() for row in outcome.prices]} if outcome.prices else {}
    return {
        "top1": top1.value, "top1_low": top1.low, "top1_high": top1.high, "n": outcome.summary.n,
        "split": outcome.roles.measured, "macs": cost.macs, "params": cost.params,
        "latency_ms": outcome.latency.latency_ms, "seconds": round(outcome.seconds, 3), "path": str(out),
        "network": outcome.chosen.network, "transfer": outcome.chosen.transfer, "classes": len(outcome.roles.classes),
        "skipped": len(outcome.skipped), "notes": list(outcome.notes),
        "ladder": [_rung(tried) for tried in outcome.tried], **members,
    }  # fmt: skip


def _rung(tried: Tried) -> dict[str, Any]:
    """A candidate as plain values: what the choice looked at, not what was measured."""
    gain = tried.gain
    return {
        "network": tried.network, "transfer": tried.transfer, "chosen": tried.chosen,
        "choice_top1": tried.choice_top1.value, "choice_top1_low": tried.choice_top1.low,
        "choice_top1_high": tried.choice_top1.high, "choice_nll": tried.choice_nll, "choice_n": tried.choice_n,
        "seconds": round(tried.seconds, 3), "macs_trained": tried.macs_trained,
        "gain": gain and gain.difference, "gain_low": gain and gain.low, "gain_high": gain and gain.high,
        "noise": gain and gain.noise,
        "p_value": gain and gain.p_value, "ended": tried.ended, "parts": [p._asdict() for p in tried.pieces],
    }  # fmt: skip


def _write_tables(folder: Path, outcome: Outcome) -> None:
    classes = outcome.roles.classes
    samples = {s.path: s for s in outcome.roles.samples}

    def sample_rows() -> Iterable[list[object]]:
        for listed in outcome.listing.samples:
            s = samples.get(listed.path, listed)
            reason = outcome.skipped.get(listed.path, "")
            yield [s.path, s.label, None if reason else s.split, s.sha256, s.group, reason]

    write_csv(folder / "samples.csv", ["path", "label", "split", "sha256", "group", "problem"], sample_rows())
    write_csv(folder / "confusion.csv", ["true \\ predicted", *classes], _confusion_rows(outcome))
    header = ["class", "n", *(f"{m}{end}" for m in ("precision", "recall", "f1") for end in ("", "_low", "_high"))]
    write_csv(folder / "per_class.csv", header, _class_rows(outcome))
    header = ["path", "true", "label", "prob", "prob_true", "probs"]
    write_csv(folder / "predictions.csv", header, _prediction_rows(outcome))
    write_csv(
        folder / "history.csv",
        ["network", "transfer", *Step._fields],
        ([t.network, t.transfer, *step] for t in outcome.tried for step in t.history),
    )


def _class_rows(outcome: Outcome) -> Iterable[list[object]]:
    for name, row in zip(outcome.roles.classes, outcome.summary.per_class, strict=True):
        yield [name, row.support, *row.precision, *row.recall, *row.f1]


def _prediction_rows(outcome: Outcome) -> Iterable[list[object]]:
    classes, best = outcome.roles.classes, outcome.probs.argmax(axis=1)
    for s, k, t, p in zip(outcome.measured, best, outcome.labels, outcome.probs, strict=True):
        probs = json.dumps(dict(zip(classes, _short(p), strict=True)))
        yield [s.path, s.label, classes[k], float(p[k]), float(p[t]), probs]


def _confusion_rows(outcome: Outcome) -> Iterable[list[object]]:
    for name, row in zip(outcome.roles.classes, outcome.summary.confusion, strict=True):
        yield [name, *map(int, row)]


def _short(probs: np.ndarray[Any, Any]) -> list[float]:
    return [float(f"{p:.6g}") for p in probs]
