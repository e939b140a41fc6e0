"""`convwise fit` on the 60,000 JPEG files of CIFAR-10: memory, times, and what a kill in the middle costs.

Three passes: cold; cold again, killed (SIGKILL) when half of the features are on disk, and repeated; warm. All three
must end with the same weights. `recomputed` counts the rows that were on disk at the kill and were computed again.
"""

import argparse
import hashlib
import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import common
from common import CONVWISE, Cost, Row, child_environment

CLAIM = "cifar10"
MEMORY_FLOOR, WARM_FLOOR, HEAD_FLOOR = 2e9, 90.0, 0.2  # bytes, seconds, share


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--images", type=int, metavar="N", help="an evenly spaced part, for a trial; all by default")
    parser.add_argument("--resolution", type=int, default=96, metavar="PX")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = common.unpack("cifar10", folder / "data", CLAIM, args.images)
        measure(folder, data, args)


def measure(folder: Path, data: Path, args: argparse.Namespace) -> None:
    n = sum(1 for path in data.rglob("*") if path.is_file())

    def command(run: str) -> list[str]:
        fit = ["fit", str(data), "--resolution", str(args.resolution), "--out", str(folder / run)]
        return [*CONVWISE, *fit, "--json", "--quiet"]

    def fit(run: str, cache: str) -> Cost:
        return common.run(command(run), child_environment(CONVWISE_CACHE=folder / cache))

    cold = fit("cold", "cache")
    steps = json.loads((folder / "cold" / "run.json").read_text(encoding="utf-8"))["steps"]
    kill_half_way(command("killed"), folder / "killed-cache", n // 2)
    kept = segments(folder / "killed-cache")
    before = contents(kept)
    resumed = fit("killed", "killed-cache")
    second = contents(segments(folder / "killed-cache") - kept)
    warm = fit("warm", "cache")
    hashes = {hash_of(folder / run / "classifier" / "weights.safetensors") for run in ("cold", "killed", "warm")}
    report(
        {"cold": cold, "resumed": resumed, "warm": warm},
        {
            "extraction_seconds": steps["gather_seconds"], "head_seconds": steps["fit_seconds"],
            "rows_at_kill": len(before), "rows_of_second_pass": len(second),
            "recomputed": len(set(second) & set(before)), "same_weights": len(hashes) == 1,
            "weights_sha256": sorted(hashes),
        },
        n=n,
        resolution=args.resolution,
    )  # fmt: skip


def kill_half_way(command: list[str], cache: Path, rows: int) -> None:
    """Start a run, kill it with its children when `rows` rows are on disk, and collect it."""
    child = common.start(command, child_environment(CONVWISE_CACHE=cache), subprocess.DEVNULL)
    counted: dict[Path, int] = {}
    while child.poll() is None:
        for path in segments(cache) - counted.keys():
            counted[path] = len(contents({path}))
        if sum(counted.values()) >= rows:
            os.killpg(child.pid, signal.SIGKILL)
            break
        time.sleep(0.05)
    if child.wait() != -signal.SIGKILL:
        raise RuntimeError("the run ended before it could be killed; take more images")


def segments(cache: Path) -> set[Path]:
    """The files of rows in a cache folder; those being written are hidden."""
    return {path for path in cache.glob("rows/*/*.npz") if not path.name.startswith(".")}


def contents(paths: set[Path]) -> list[bytes]:
    """Content hashes of all rows in the files."""
    found: list[bytes] = []
    for path in paths:
        with np.load(path, allow_pickle=False) as file:
            found += [row.tobytes() for row in file["contents"]]
    return found


def hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def report(costs: dict[str, Cost], found: dict[str, Any], *, n: int, resolution: int) -> None:
    peak = max(cost.peak_bytes for cost in costs.values())
    cold, warm, top1 = costs["cold"], costs["warm"], float(costs["cold"].result["top1"])
    what = f"CIFAR-10, {n:,} files at {resolution} px"
    rows = [
        Row(
            f"{what}: peak memory", f"{peak / 1e9:.2f} GB", floor=f"{MEMORY_FLOOR / 1e9:g} GB", met=peak < MEMORY_FLOOR
        ),
        Row(
            f"{what}: cold (features {found['extraction_seconds']:.0f} s, head {found['head_seconds']:.0f} s), "
            f"top-1 {100 * top1:.1f} %",
            f"{cold.wall_seconds:.0f} s",
        ),
        Row(
            f"{what}: head with its L2 search, share of the extraction's time",
            f"{found['head_seconds'] / found['extraction_seconds']:.2f}",
            floor=f"{HEAD_FLOOR:g}",
            met=found["head_seconds"] < HEAD_FLOOR * found["extraction_seconds"],
        ),
        Row(
            f"{what}: warm", f"{warm.wall_seconds:.1f} s", floor=f"{WARM_FLOOR:g} s", met=warm.wall_seconds < WARM_FLOOR
        ),
        Row(
            f"{what}: stored rows computed again after a kill; weights as without it",
            f"{found['recomputed']} of {found['rows_at_kill']}; {'yes' if found['same_weights'] else 'no'}",
            floor="0; yes",
            met=found["recomputed"] == 0 and found["same_weights"],
        ),
    ]
    ours = {f"{name}_seconds": cost.wall_seconds for name, cost in costs.items()}
    ours |= {f"{name}_cpu_seconds": cost.cpu_seconds for name, cost in costs.items()}
    peaks = {f"{name}_peak_bytes": cost.peak_bytes for name, cost in costs.items()}
    common.report(
        CLAIM,
        rows,
        ours=ours | peaks | found | {"top1": top1},
        peer=None,
        ratio={"head_over_extraction": found["head_seconds"] / found["extraction_seconds"]},
        n=n,
        repetitions={"cold": 1, "killed": 1, "warm": 1},
    )


if __name__ == "__main__":
    main()
