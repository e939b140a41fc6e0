"""The candidates of a run, and which of them fit the budget."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BudgetError, MachineError
from ..progress import Track, silent
from ..runtime.latency import measure_latency
from .draft import Draft
from .from_published import FromPublished
from .from_scratch import FromScratch
from .head_candidate import HeadCandidate
from .options import Options
from .task import Candidate
from .trained_candidate import TrainedCandidate

if TYPE_CHECKING:
    from .start import Start

log = logging.getLogger("convwise")
UNITS = {"max-macs": "{:,.0f} MACs", "max-mb": "{:.1f} MB", "max-ms": "{:.3g} ms"}


def make_candidates(options: Options, images: int, num_classes: int, track: Track = silent) -> list[Candidate]:
    """Make the candidates that the options name, ready to run, but for those of too many macs or megabytes.

    Args:
        options: of the run.
        images: of the data.
        num_classes: of the data.
        track: shows what is downloaded.

    Raises:
        UsageError: a resolution that is too small for a network.
        BudgetError: none is left.
        DataError: published weights are missing or damaged.
        MachineError: one needs more memory than there is; or the network or the disk gave out.
    """
    candidates: list[Candidate] = [
        _candidate(name, transfer, options) for name in options.network for transfer in options.rungs(name)
    ]
    limits = {"max-macs": options.max_macs, "max-mb": options.max_mb}
    if any(limits.values()):
        costs = [candidate.cost(num_classes) for candidate in candidates]
        candidates = _within(
            limits, candidates, [{"max-macs": float(c.macs), "max-mb": c.weight_bytes / 1e6} for c in costs]
        )
    candidates = _with_memory(candidates, options, images, num_classes)
    for candidate in candidates:  # no download for a network that is refused
        candidate.prepare(track)
    return candidates


def _with_memory(
    candidates: Sequence[Candidate], options: Options, images: int, num_classes: int
) -> list[Candidate]:  # fmt: skip
    """The candidates for which there is memory; a ladder ends below the first rung for which there is none.

    Raises:
        MachineError: there is none for one that is no upper rung of a ladder.
    """
    kept: list[Candidate] = []
    ended: set[str] = set()
    for candidate in candidates:
        if candidate.network in ended:
            continue
        try:
            candidate.check_memory(images, num_classes)
            kept.append(candidate)
        except MachineError as error:
            if candidate.transfer == options.rungs(candidate.network)[0]:
                raise
            log.warning("%s: transfer %s is left out: %s", candidate.network, candidate.transfer, error)
            ended.add(candidate.network)
    return kept


def _candidate(network: str, transfer: str, options: Options) -> Candidate:
    if transfer == "head":
        return HeadCandidate(network, options)
    start: Start = FromScratch(network, options) if transfer == "none" else FromPublished(network, options, transfer)
    return TrainedCandidate(start, options)


def within_time(candidates: Sequence[Candidate], options: Options, draft: Draft) -> list[Candidate]:
    """Keep the candidates that take no more milliseconds than asked.

    Raises:
        BudgetError: none is left.
    """
    if options.max_ms is None:
        return list(candidates)
    costs = [{"max-ms": _speed_trial(candidate, draft)} for candidate in candidates]
    return _within({"max-ms": options.max_ms}, candidates, costs)


def _within(
    limits: Mapping[str, float | None], candidates: Sequence[Candidate], costs: Sequence[Mapping[str, float]]
) -> list[Candidate]:
    """The candidates whose costs are within the limits."""
    kept: list[Candidate] = []
    error = ""
    for candidate, cost in zip(candidates, costs, strict=True):
        over = [name for name, limit in limits.items() if limit and cost[name] > limit]
        if not over:
            kept.append(candidate)
            continue
        excess = ", ".join(f"{UNITS[name].format(cost[name])} (--{name} {limits[name]:g})" for name in over)
        lower = "" if "max-mb" in over else " lower --resolution,"  # which changes no weights
        error = (
            f"{candidate.network} at {candidate.preprocessing.resolution} px needs {excess}; raise it,{lower} or name "
            "other networks"
        )
    if not kept:
        raise BudgetError(f"no candidate fits the budget: {error}")
    return kept


def _speed_trial(candidate: Candidate, draft: Draft) -> float:
    """Milliseconds of a candidate, measured once a run."""
    trials: dict[str, float] = draft.record.get("trials_ms", {})
    if candidate.network not in trials:
        pixels = np.zeros(candidate.preprocessing.shape, np.uint8)
        trials[candidate.network] = measure_latency(candidate.frozen(), pixels).latency_ms
        draft.note("trials_ms", trials)
    return trials[candidate.network]
