"""What the page of a run shows."""

import datetime
import math
import platform
import shlex
from collections import Counter
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from .. import __version__, report
from ..classifier import Classifier
from ..metrics import Interval
from ..report.words import plural
from ..runtime.session import cpu_name
from .gallery import copies, doubts, mistakes
from .options import Options
from .outcome import Outcome, Tried
from .recipe_text import as_toml

CROSS_VALIDATION = "it chose the L2 strength, so it is no estimate; the measured split is"


def versions() -> dict[str, str]:
    """Of what decides the figures."""
    found = {"python": platform.python_version(), "convwise": __version__}
    for name in ("torch", "onnxruntime", "numpy", "pillow"):
        with suppress(metadata.PackageNotFoundError):  # another distribution of the same package, onnxruntime-gpu say
            found[name] = metadata.version(name)
    return found


def make_page(outcome: Outcome, out: Path, command: str, classifier: Classifier) -> report.Report:
    """Collect it; the run's folder will be called `out`."""
    summary, roles = outcome.summary, outcome.roles
    return report.Report(
        title=outcome.listing.root.absolute().name or str(outcome.listing.root),
        command=command,
        data=str(outcome.listing.root),
        created=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        version=__version__,
        machine=_machine(outcome.options),
        seconds=outcome.seconds,
        classes=roles.classes,
        splits=tuple(_split(outcome, name, role) for name, role in roles.sentences.items()),
        measured=report.Measured(
            roles.measured, summary.n, summary.top1, summary.balanced_accuracy, summary.macro_f1, summary.nll
        ),
        per_class=tuple(
            report.ClassScores(name, row.support, row.precision, row.recall, row.f1)
            for name, row in zip(roles.classes, summary.per_class, strict=True)
        ),
        confusion=tuple(tuple(map(int, row)) for row in summary.confusion),
        mistakes=mistakes(outcome, classifier),
        doubts=doubts(outcome),
        copies=copies(outcome),
        candidates=tuple(_candidate(tried) for tried in outcome.tried),
        cost=_cost(outcome),
        next_steps=next_steps(out, outcome.listing.root),
        cross_validation=_cross_validation(outcome),
        calibration=_calibration(outcome),
        ensemble=_ensemble(outcome),
        trainings=tuple(_training(tried) for tried in outcome.tried if tried.recipe is not None),
        skipped=tuple(report.Skipped(path, reason) for path, reason in outcome.skipped.items()),
        ignored=outcome.listing.ignored,
        notes=outcome.notes,
        timed=_timed(outcome.options),
    )  # fmt: skip


def _machine(options: Options) -> str:
    """What the figures were made on, and by which versions."""
    used = ", ".join(f"{name} {version}" for name, version in versions().items())
    return f"{cpu_name()}, {plural(options.thread_count, 'thread')}, {platform.system()}, {used}"


def _candidate(tried: Tried) -> report.Candidate:
    t = tried
    return report.Candidate(
        t.network, _transfer_words(t.transfer), t.resolution, t.how_chosen, t.choice_top1, t.cost.macs, t.cost.params,
        t.chosen, t.seconds, t.weights, t.macs_trained, t.gain, t.ended, t.pieces,
    )  # fmt: skip


def _training(tried: Tried) -> report.Training:
    """A candidate that was trained by epochs; the one that was kept has the lowest NLL."""
    assert tried.recipe is not None
    losses, nlls, top1s = (
        tuple(math.nan if value is None else value for value in values)
        for values in zip(
            *((step.train_loss, step.choice_nll, step.choice_top1) for step in tried.history), strict=True
        )
    )
    best = 1 + min(range(len(nlls)), key=lambda i: (math.isnan(nlls[i]), nlls[i]))
    return report.Training(
        tried.network, _transfer_words(tried.transfer), as_toml(tried.recipe), losses, nlls, top1s, best
    )


def _cost(outcome: Outcome) -> report.Cost:
    cost, latency = outcome.chosen.cost, outcome.latency
    assert latency is not None
    return report.Cost(
        cost.params, cost.macs, cost.weight_bytes, latency.latency_ms, latency.latency_p95_ms, latency.n,
        latency.threads, latency.device,
    )  # fmt: skip


def _timed(options: Options) -> tuple[str, ...]:
    """What depends on how fast the machine was."""
    said = {
        "the epoch at which training stops (time-limit)": options.time_limit,
        "how far the ladder was climbed (time-limit)": options.time_limit if options.transfer == "auto" else None,
        "which candidates fit the budget (max-ms)": options.max_ms,
    }
    return tuple(words for words, limit in said.items() if limit is not None)


def _cross_validation(outcome: Outcome) -> report.CrossValidation | None:
    if outcome.cross_validation is None:
        return None
    return report.CrossValidation(outcome.cross_validation, f"Five-fold, inside `train`: {CROSS_VALIDATION}.")


def _calibration(outcome: Outcome) -> report.Calibration:
    where, temperature, before, after = outcome.calibration
    return report.Calibration(temperature.value, where, temperature.n, before, after)


def _ensemble(outcome: Outcome) -> report.Ensemble | None:
    """What averaging the members gains; each alone shows how much the seed decides."""
    if not outcome.prices:
        return None
    rows = [
        report.Together(
            row.label, row.evaluation.summary.top1, row.paired and Interval(*row.paired[:3]), row.times_macs,
            row.times_latency, row.verdict,
        )
        for row in outcome.prices
        if row.letters[0] == outcome.prices[0].letters[0]
    ]  # fmt: skip
    alone = [row.evaluation.summary.top1.value for row in outcome.prices if len(row.members) == 1]
    places = tuple((row.letters[0], row.members[0]) for row in outcome.prices if len(row.members) == 1)
    return report.Ensemble(tuple(rows), places, min(alone), max(alone), outcome.members.seconds)


def next_steps(out: Path, data: Path) -> tuple[report.NextStep, ...]:
    """What to type after a run."""
    run, folder = shlex.quote(str(out)), shlex.quote(str(data))
    return (
        report.NextStep("Classify new photos", f"convwise predict {run} PHOTO ..."),
        report.NextStep("Measure it again, or on other images", f"convwise evaluate {run} {folder}"),
        report.NextStep("See what is wrong with the images", f"convwise scan {folder}"),
    )


def _split(outcome: Outcome, name: str, role: str) -> report.Split:
    counts = Counter(s.label for s in outcome.roles.samples if s.split == name)
    return report.Split(name, role, counts.total(), tuple(counts[c] for c in outcome.roles.classes))


def _transfer_words(transfer: str) -> str:
    return {
        "head": "softmax layer on frozen features", "partial": "trained behind a frozen part",
        "full": "trained on as a whole", "none": "trained from scratch",
    }[transfer]  # fmt: skip
