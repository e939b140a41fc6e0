"""`convwise fit`."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from ..data.text import counted
from .output import Json, Quiet, cost_line, interval, percent, print_json, progress, say

if TYPE_CHECKING:
    from ..fitting import Run
    from ..training.recipe import Recipe


def fit(
    data: Annotated[
        Path,
        Argument(
            metavar="DATA",
            help="Folder with one sub-folder of images a class, or train/val/test of such; folder of IDX files; "
            "CSV manifest (path,label[,split][,group]).",
        ),
    ],
    out: Annotated[Path | None, Option(metavar="DIR", help="Folder of the run; the next runs/<n> by default.")] = None,
    network: Annotated[
        list[str] | None,
        Option(
            metavar="NAME",
            help="A candidate, of `convwise networks`; efficientnet_lite0 by default. Repeat it for several.",
        ),
    ] = None,
    transfer: Annotated[
        str | None,
        Option(
            metavar="HOW",
            help="head: softmax layer on frozen published features; partial: the stages behind a cut too; full: all, "
            "from the published weights on; auto: one after the other while it pays; none: from scratch.",
        ),
    ] = None,
    freeze: Annotated[
        str | None, Option(metavar="CUT", help="Of partial: all up to here is frozen, such as stage5 or stage3.block2.")
    ] = None,
    reset_from: Annotated[
        str | None, Option(metavar="CUT", help="Of partial and full: what lies behind begins with random weights.")
    ] = None,
    rear: Annotated[
        str | None,
        Option(
            metavar="MODULE:BUILDER", help="Of partial: your own layers; the builder takes in_channels and num_classes."
        ),
    ] = None,
    weights: Annotated[
        str | None,
        Option(
            metavar="ID|FILE",
            help="Published weights, by their id in docs/weights.md or as their file; each network's usual by default.",
        ),
    ] = None,
    offline: Annotated[bool, Option("--offline", help="Load no weights from the web.")] = False,
    resolution: Annotated[int | None, Option(metavar="PX", help="Input side; each network's own by default.")] = None,
    recipe: Annotated[
        str | None,
        Option(
            metavar="NAME|FILE",
            help="Of training by epochs: modern (the default), paper (from scratch), or a TOML file.",
        ),
    ] = None,
    augment: Annotated[
        bool | None,
        Option(
            "--augment/--no-augment",
            help="Change the training images; as the recipe, less a harmful mirror, by default.",
        ),
    ] = None,
    epochs: Annotated[int | None, Option(metavar="N", help="Of training.")] = None,
    time_limit: Annotated[
        float | None,
        Option(metavar="S", help="Seconds of training, of each network; decoding and caching come on top."),
    ] = None,
    seed: Annotated[int, Option(metavar="N", help="Of everything random.")] = 0,
    split_seed: Annotated[int, Option(metavar="N", help="Of the split of a flat folder.")] = 0,
    balance: Annotated[bool, Option("--balance", help="Weigh all classes alike.")] = False,
    members: Annotated[
        int | None,
        Option(metavar="N", help="Train the chosen network from N seeds; what averaging them gains is measured."),
    ] = None,
    teacher: Annotated[
        str | None,
        Option(metavar="RUN", help="Train by epochs to what this run says too, of members to their average."),
    ] = None,
    threads: Annotated[int | None, Option(metavar="N", help="One a processor by default.")] = None,
    device: Annotated[str, Option(metavar="NAME", help="Of training by epochs: auto, cpu or cuda.")] = "auto",
    max_macs: Annotated[float | None, Option(metavar="N", help="Budget: multiply-accumulates, such as 300e6.")] = None,
    max_ms: Annotated[float | None, Option(metavar="MS", help="Budget: median milliseconds an image, here.")] = None,
    max_mb: Annotated[float | None, Option(metavar="MB", help="Budget: megabytes of weights.")] = None,
    resume: Annotated[
        bool, Option("--resume", help="Show a run that is finished; go on with one that is not.")
    ] = False,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace the run in --out.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make and measure a classifier from labelled images.

    Images without a split are split 80/20 by the hashes of its files. What is measured has chosen nothing.
    """
    from ..fitting import Options
    from ..fitting import fit as run_fit
    from ..fitting.options import DEFAULT_NETWORKS

    options = Options(
        network=tuple(network or DEFAULT_NETWORKS), transfer=transfer, freeze=freeze,
        reset_from=reset_from, rear=rear, weights=weights, offline=offline,
        resolution=resolution, recipe=read_recipe(recipe), augment=augment, epochs=epochs,
        time_limit=time_limit, seed=seed, split_seed=split_seed, balance=balance, members=members,
        teacher=teacher, threads=threads, device=device, max_macs=max_macs, max_ms=max_ms, max_mb=max_mb,
    )  # fmt: skip
    run = run_fit(
        data, options, out=out, resume=resume, overwrite=overwrite, command=command_line(), track=progress(quiet)
    )
    if json:
        print_json(run.result)
    else:
        show(run)


def read_recipe(text: str | None) -> "str | Recipe | None":
    """A recipe's name as it is, or the recipe in a file.

    Raises:
        UsageError: the file cannot be used.
    """
    if text is None or not text.endswith(".toml"):
        return text
    from ..training.recipe import Recipe

    return Recipe.from_toml(Path(text))


def command_line() -> str:
    """What the user typed."""
    return shlex.join(["convwise", *sys.argv[1:]])


def ladder_lines(rungs: list[dict[str, Any]]) -> list[str]:
    """Each rung of a ladder with what it gained, and what was trained of the one that was chosen."""
    lines = []
    climbed = any(rung["ended"] for rung in rungs)
    for rung in rungs if climbed else ():
        top1 = interval(rung["choice_top1"], rung["choice_top1_low"], rung["choice_top1_high"])
        gain = "" if rung["gain"] is None else f", {100 * rung['gain']:+.1f} points"
        mark = ", chosen" if rung["chosen"] else ""
        lines.append(
            f"  rung     {rung['transfer']:<8} {top1} of {rung['choice_n']} held out{gain}, "
            f"{rung['seconds']:.1f} s{mark}"
        )
        if rung["ended"]:
            lines.append(f"           the climb ended here: {rung['ended']}")
    for part in next(rung for rung in rungs if rung["chosen"])["parts"]:
        what = f"{part['stage']} ({part['blocks']} blocks)" if part["blocks"] > 1 else part["stage"]
        lines.append(f"  {part['state']:<15} {what}: {part['params']:,} params, {part['macs']:,} MACs")
    return lines


def show(run: "Run") -> None:
    """Print the result of a run."""
    r = run.result
    say(
        f"{interval(r['top1'], r['top1_low'], r['top1_high'])} of {counted(r['n'], 'image')} right, "
        f"split `{r['split']}`, which chose nothing"
    )
    say(f"  network  {r['network']}, {cost_line(r)}")
    say(f"  classes  {r['classes']}")
    for line in ladder_lines(r["ladder"]):
        say(line)
    if "members" in r:
        say(f"  members  {_members(r['members'])}")
    if r["skipped"]:
        say(f"  skipped  {counted(r['skipped'], 'file')}, see samples.csv")
    for note in r["notes"]:
        say(f"  note     {note}")
    say(f"  took     {r['seconds']:.1f} s")
    say(f"  report   {run.report}")
    say(f"  next     convwise predict {shlex.quote(str(run.path))} PHOTO ...")


def _members(rows: list[dict[str, Any]]) -> str:
    """What averaging all members gains, of the rows of their prices."""
    every = rows[-1]
    change = " to ".join(f"{100 * every[name]:+.1f}" for name in ("change_low", "change_high"))
    return (
        f"{len(every['members'])} seeds averaged: {percent(every['top1'])}, {100 * every['change']:+.1f} points "
        f"({change}) over the first, A; {every['verdict']}"
    )
