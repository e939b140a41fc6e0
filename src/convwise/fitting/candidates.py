"""The candidates of a run, and which of them fit the budget."""

from collections.abc import Sequence

import numpy as np

from ..data.progress import Track, silent
from ..errors import BudgetError
from ..runtime.latency import measure_latency
from .draft import Draft
from .head_candidate import HeadCandidate
from .options import Options
from .scratch_candidate import ScratchCandidate
from .task import Candidate

UNITS = {"max-macs": "{:,.0f} MACs", "max-mb": "{:.1f} MB", "max-ms": "{:.3g} ms"}


def make_candidates(options: Options, track: Track = silent) -> list[Candidate]:
    """Make the candidates that the options name; `track` shows what is downloaded.

    Raises:
        UsageError: a resolution that is too small for a network.
        DataError: published weights are missing or damaged.
        MachineError: the network or the disk gave out.
    """
    return [
        HeadCandidate(name, options, track) if options.transfer_of(name) == "head" else ScratchCandidate(name, options)
        for name in options.network
    ]


def within_budget(candidates: Sequence[Candidate], num_classes: int, options: Options, draft: Draft) -> list[Candidate]:
    """Keep the candidates that cost no more than asked.

    Raises:
        BudgetError: none is left.
    """
    limits = {"max-macs": options.max_macs, "max-mb": options.max_mb, "max-ms": options.max_ms}
    if not any(limits.values()):
        return list(candidates)
    kept: list[Candidate] = []
    nearest = ""
    for candidate in candidates:
        cost = candidate.cost(num_classes)
        costs = {"max-macs": float(cost.macs), "max-mb": cost.weight_bytes / 1e6}
        if options.max_ms is not None:
            costs["max-ms"] = _speed_trial(candidate, draft)
        excess = [
            f"{UNITS[name].format(costs[name])} (--{name} {limit:g})"
            for name, limit in limits.items()
            if limit and costs[name] > limit
        ]
        if not excess:
            kept.append(candidate)
        else:
            nearest = f"{candidate.network} at {candidate.preprocessing.resolution} px needs {', '.join(excess)}"
    if not kept:
        raise BudgetError(
            f"no candidate fits the budget: {nearest}; raise it, lower --resolution, or name other networks"
        )
    return kept


def _speed_trial(candidate: Candidate, draft: Draft) -> float:
    """Milliseconds of a candidate, measured once a run."""
    trials: dict[str, float] = draft.record.get("trials_ms", {})
    if candidate.network not in trials:
        pixels = np.zeros(candidate.preprocessing.shape, np.uint8)
        trials[candidate.network] = measure_latency(candidate.frozen(), pixels).latency_ms
        draft.note("trials_ms", trials)
    return trials[candidate.network]
