"""`convwise evaluate`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from .output import Json, Quiet, Threads, cost_line, interval, percent, print_json, progress, say, short, thread_count

if TYPE_CHECKING:
    from ..classifier import Classifier
    from ..evaluation import Evaluation
    from ..metrics import Paired


def evaluate(
    classifier: Annotated[Path, Argument(metavar="CLASSIFIER", help="Folder of a run or of a classifier.")],
    data: Annotated[Path, Argument(metavar="DATA", help="Folder or CSV manifest of labelled images.")],
    other: Annotated[
        Path | None, Option("--with", metavar="CLASSIFIER", help="Compare with another, image by image.")
    ] = None,
    split: Annotated[
        str | None, Option(metavar="NAME", help="train, val, test or all; by default the one that `fit` would measure.")
    ] = None,
    threads: Threads = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure a classifier on labelled images, or compare two."""
    from ..classifier import load
    from ..data.inputs import list_samples
    from ..evaluation import compare_classifiers
    from ..evaluation import evaluate as measure

    count = thread_count(threads)
    start, loaded = time.monotonic(), load(classifier)
    rival = load(other) if other else None
    listing = list_samples(data)
    found = measure(loaded, listing, threads=count, split=split, track=progress(quiet))
    second = measure(rival, listing, threads=count, split=found.split, track=progress(quiet)) if rival else None
    paired = compare_classifiers(found, second) if second else None
    record = _record(loaded, found, classifier, time.monotonic() - start, threads=count)
    if second and paired and rival:
        record["with"] = _record(rival, second, Path(str(other)), 0.0, threads=count) | {"paired": paired._asdict()}
        del record["with"]["seconds"]
    if json:
        print_json(record)
    else:
        _show(record, found, second, paired)


def _record(
    classifier: "Classifier", found: "Evaluation", path: Path, seconds: float, *, threads: int
) -> dict[str, Any]:
    from ..runtime.latency import measure_latency

    latency = measure_latency(classifier.frozen, _noise(classifier))
    return {
        **found.summary.to_json(classifier.classes), "split": found.split, "macs": classifier.macs,
        "params": classifier.params, "latency_ms": latency.latency_ms, "seconds": round(seconds, 3), "path": str(path),
        "trained_on": found.trained_on, "chosen_on": found.chosen_on, "left_out": found.left_out,
        "skipped": found.skipped, "threads": threads,
        "confusion": found.summary.confusion.tolist() if len(classifier.classes) <= 50 else None,
    }  # fmt: skip


def _noise(classifier: "Classifier") -> Any:
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, classifier.preprocessing.shape, np.uint8)


def _show(record: dict[str, Any], found: "Evaluation", second: "Evaluation | None", paired: "Paired | None") -> None:
    s = found.summary
    say(f"{interval(*s.top1)} of {s.n} images right, split `{found.split}`")
    _caution(found)
    say(f"  balanced accuracy  {interval(*s.balanced_accuracy)}")
    say(f"  macro F1           {interval(*s.macro_f1)}")
    say(f"  NLL                {s.nll.value:.3f} ({s.nll.low:.3f} to {s.nll.high:.3f})")
    say(f"  cost               {cost_line(record)}")
    if found.left_out:
        say(f"  left out           {found.left_out} images that `fit` would train on; --split all takes them too")
    if unseen := [row["class"] for row in record["per_class"] if not row["support"]]:
        say(f"  not measured       {len(unseen)} classes without an image here, the first {unseen[0]!r}")
    if found.skipped:
        path, reason = next(iter(found.skipped.items()))
        say(f"  skipped            {len(found.skipped)} files, the first {path}: {reason}")
    _show_classes(record["per_class"])
    if second and paired:
        verdict = "a difference" if paired.p_value < 0.05 else "too few images to tell them apart"
        say()
        say(f"against {record['with']['path']}: {percent(second.summary.top1.value)} right")
        _caution(second)
        say(
            f"  difference {100 * paired.difference:+.1f} points "
            f"(95 % interval {100 * paired.low:+.1f} to {100 * paired.high:+.1f}), "
            f"{paired.a_only} right only here, {paired.b_only} only there, "
            f"McNemar's exact p = {paired.p_value:.3g}: {verdict}"
        )


def _caution(found: "Evaluation") -> None:
    """Say how many of the images the classifier knew."""
    if found.trained_on:
        say(f"  caution            it was trained on {found.trained_on} of them: this is no estimate for new images")
    if found.chosen_on:
        say(f"  caution            {found.chosen_on} of them made a choice for it: this is no estimate for new images")


def _show_classes(rows: list[dict[str, Any]], most: int = 30) -> None:
    names = [short(row["class"]) for row in rows[:most]]
    width = max(len(name) for name in [*names, "class"])
    say()
    say(f"  {'class':{width}}  images  precision  recall    F1")
    for name, row in zip(names, rows, strict=False):
        cells = [f"{100 * row[m]:6.1f} %" if row[m] is not None else "       -" for m in ("precision", "recall", "f1")]
        say(f"  {name:{width}}  {row['support']:6}   {'  '.join(cells)}")
    if len(rows) > most:
        say(f"  ... and {len(rows) - most} more classes; --json has them all")
